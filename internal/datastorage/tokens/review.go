// Package tokens asks the Kubernetes API server whose bearer token it is. The one call does not need the client
// library, which would double the size of the service.
package tokens

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"
	"k8s.io/apimachinery/pkg/util/cache"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

const (
	path = "/apis/authentication.k8s.io/v1/tokenreviews"
	// timeout of one review, which is part of the time of a write.
	timeout = 2 * time.Second
	// refusedTTL is short: a token may be good a moment later.
	refusedTTL = 5 * time.Second
	maxEntries = 1000
	maxAnswer  = 1 << 20
)

// Options of a reviewer.
type Options struct {
	URL       string // of the API server
	TokenFile string // the service's own token, read for every review because it is rotated
	CAFile    string // PEM
	Audiences []string
	TTL       time.Duration // of a good answer
}

// Reviewer is a datastorage.Authenticator that remembers answers for a while.
type Reviewer struct {
	options Options
	client  *http.Client
	answers *cache.LRUExpireCache // by SHA-256 of the token; an empty account is a refusal
	flight  singleflight.Group    // many requests with one token ask once
}

var _ datastorage.Authenticator = (*Reviewer)(nil)

// New reads the certificate authority; it asks nothing.
func New(o Options) (*Reviewer, error) {
	pem, err := os.ReadFile(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authority of the API server: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("reading %q: no certificate in it", o.CAFile)
	}
	if _, err := os.ReadFile(o.TokenFile); err != nil {
		return nil, fmt.Errorf("reading the token of this service: %w", err)
	}
	return &Reviewer{
		options: o, answers: cache.NewLRUExpireCache(maxEntries),
		client: &http.Client{Timeout: timeout, Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, IdleConnTimeout: time.Minute,
		}},
	}, nil
}

// Account is whose token it is; see datastorage.Authenticator.
func (r *Reviewer) Account(ctx context.Context, token string) (string, error) {
	key := sha256.Sum256([]byte(token))
	answer, known := r.answers.Get(key)
	if !known {
		var err error
		answer, err, _ = r.flight.Do(string(key[:]), func() (any, error) {
			if answer, known := r.answers.Get(key); known { // it came while this request was on its way here
				return answer, nil
			}
			// Others wait for the same answer, so it does not end with the request that asked first.
			return r.review(context.WithoutCancel(ctx), key, token)
		})
		if err != nil {
			return "", &datastorage.Error{Kind: datastorage.Unavailable, Detail: "the bearer token cannot be checked now",
				RetryAfter: time.Second, Err: err}
		}
	}
	account, _ := answer.(string)
	if account == "" {
		return "", &datastorage.Error{Kind: datastorage.Unauthorized, Detail: "the bearer token is not valid"}
	}
	return account, nil
}

func (r *Reviewer) review(ctx context.Context, key [sha256.Size]byte, token string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	result, err := r.ask(ctx, token)
	if err != nil {
		return "", err
	}
	account, ttl := "", refusedTTL
	if result.Authenticated && slices.ContainsFunc(result.Audiences, func(a string) bool { return slices.Contains(r.options.Audiences, a) }) {
		account, ttl = accountOf(result.User.Username), r.options.TTL
	}
	r.answers.Add(key, account, ttl)
	return account, nil
}

// accountOf is namespace/name of a service account. Another user gets a name that no list can hold.
func accountOf(username string) string {
	if rest, found := strings.CutPrefix(username, "system:serviceaccount:"); found {
		if namespace, name, found := strings.Cut(rest, ":"); found {
			return namespace + "/" + name
		}
	}
	return "user:" + username
}

// review is the part of a TokenReview that is used here.
type review struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Spec       struct {
		Token     string   `json:"token"`
		Audiences []string `json:"audiences"`
	} `json:"spec"`
	Status status `json:"status,omitzero"`
}

type status struct {
	Authenticated bool `json:"authenticated"`
	User          struct {
		Username string `json:"username"`
	} `json:"user"`
	Audiences []string `json:"audiences"`
}

func (r *Reviewer) ask(ctx context.Context, token string) (s status, err error) {
	question := review{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"}
	question.Spec.Token, question.Spec.Audiences = token, r.options.Audiences
	body, err := json.Marshal(question)
	if err != nil {
		return s, err
	}
	own, err := os.ReadFile(r.options.TokenFile)
	if err != nil {
		return s, fmt.Errorf("reading the token of this service: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.options.URL+path, bytes.NewReader(body))
	if err != nil {
		return s, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(own)))
	response, err := r.client.Do(request)
	if err != nil {
		return s, fmt.Errorf("asking the API server for a token review: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	answer := review{}
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return s, fmt.Errorf("reading a token review: %w", err)
	case response.StatusCode != http.StatusCreated && response.StatusCode != http.StatusOK:
		return s, fmt.Errorf("the API server answers a token review with %s; is this service account bound to system:auth-delegator?", response.Status)
	case json.Unmarshal(raw, &answer) != nil:
		return s, errors.New("the API server answers a token review with something else")
	}
	return answer.Status, nil
}
