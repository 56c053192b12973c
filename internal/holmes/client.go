// Package holmes talks to HolmesGPT-API over HTTP.
package holmes

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
	"github.com/kubernaut-ai/kubernaut/internal/aianalysis"
)

// requestIDKind names a request to HolmesGPT-API by the rule that also names audit events.
const requestIDKind = "holmesgpt.request"

const defaultMaxBody = 4 << 20

// Config says where HolmesGPT-API is.
type Config struct {
	URL              string // without a trailing slash
	MaxResponseBytes int64  // 0: 4 MiB
	TokenFile        string // read anew for each call; empty: no token
	CAFile           string // empty: the system's authorities
}

// Client is an aianalysis.Investigator. Each request has a connection of its own: a pooled one can outlive a changed Service, or be
// closed by the server's idle limit just as a POST is sent, and an analysis must not be sent twice.
type Client struct {
	config Config
	http   *http.Client
	now    func() time.Time
}

// New reads the CA file, if any.
func New(config Config) (*Client, error) {
	config.URL = strings.TrimRight(config.URL, "/")
	if config.MaxResponseBytes <= 0 {
		config.MaxResponseBytes = defaultMaxBody
	}
	transport := &http.Transport{
		DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext, DisableKeepAlives: true, TLSHandshakeTimeout: 10 * time.Second,
	}
	if config.CAFile != "" {
		pem, err := os.ReadFile(config.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading CA file: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading CA file %q: no certificate in it", config.CAFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &Client{config: config, now: time.Now, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Investigate sends one analysis request; see aianalysis.Investigator.
func (c *Client) Investigate(ctx context.Context, cr *v1alpha1.AIAnalysis, attempt int32) (*aianalysis.Answer, aianalysis.Call, error) {
	path, body := buildRequest(cr)
	req, err := c.request(ctx, path, body, aianalysis.EventID(cr.UID, requestIDKind, attempt))
	if err != nil {
		return nil, aianalysis.Call{}, err
	}
	begun := time.Now()
	head, text, err := c.send(req)
	call := aianalysis.Call{Endpoint: path, Status: head.status, Duration: time.Since(begun)}
	switch {
	case err != nil:
		return nil, call, err
	case head.status != http.StatusOK:
		return nil, call, c.refused(head, text)
	}
	answer, err := decode(text, cr.Spec.IsRecoveryAttempt)
	if err != nil {
		return nil, call, invalid(err.Error())
	}
	return answer, call, nil
}

// Ready asks whether HolmesGPT-API is up.
func (c *Client) Ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.config.URL+healthPath, nil)
	if err != nil {
		return err
	}
	reply, err := c.http.Do(req)
	if err != nil {
		return errors.Unwrap(err) // without the method and URL that net/http puts before it
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP %d", reply.StatusCode)
	}
	return nil
}

// reply is the head of an answer; status 0: there was none.
type reply struct {
	status int
	header http.Header
}

// request makes what is sent, or a *aianalysis.CallError.
func (c *Client) request(ctx context.Context, path string, body any, id string) (*http.Request, error) {
	payload, err := json.Marshal(body)
	if err != nil {
		return nil, notSent("request cannot be encoded", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.URL+path, bytes.NewReader(payload))
	if err != nil {
		return nil, notSent("request cannot be made", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("X-Request-ID", id)
	if c.config.TokenFile != "" {
		token, err := os.ReadFile(c.config.TokenFile)
		if err != nil {
			return nil, notSent("token file cannot be read", err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	return req, nil
}

func notSent(why string, err error) error {
	return &aianalysis.CallError{Class: aianalysis.ClassPermanent, Alert: true, Text: "holmesgpt-api: " + why, Err: err}
}

// send returns the answer's head and body, or a *aianalysis.CallError; with the head, if the body was unusable. Of any status but 200
// the body only explains: what cannot be read of it is left out.
func (c *Client) send(req *http.Request) (head reply, text []byte, err error) {
	answer, err := c.http.Do(req)
	if err != nil {
		return head, nil, noResponse(req.Context(), errors.Unwrap(err)) // without method and URL
	}
	defer answer.Body.Close()
	head = reply{status: answer.StatusCode, header: answer.Header}
	text, err = io.ReadAll(io.LimitReader(answer.Body, c.config.MaxResponseBytes+1))
	switch {
	case head.status != http.StatusOK:
		return head, text, nil
	case err != nil:
		return head, nil, noResponse(req.Context(), err)
	case int64(len(text)) > c.config.MaxResponseBytes:
		return head, nil, invalid(fmt.Sprintf("body is larger than %d bytes", c.config.MaxResponseBytes))
	}
	return head, text, nil
}

func invalid(what string) error {
	return &aianalysis.CallError{Class: aianalysis.ClassInvalidResponse, Alert: true, Text: "holmesgpt-api: invalid response: " + what}
}

// noResponse classifies a transport failure. An unresolvable name and a refused connection alert: nothing is there.
func noResponse(ctx context.Context, err error) error {
	failure := &aianalysis.CallError{Class: aianalysis.ClassNetwork, Err: err, Text: "holmesgpt-api: no response: " + err.Error()}
	var dns *net.DNSError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		failure.Class = aianalysis.ClassCancelled
	case errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded):
		failure.Class, failure.Text = aianalysis.ClassTimeout, "holmesgpt-api: no response: deadline exceeded"
	case errors.As(err, &dns), errors.Is(err, syscall.ECONNREFUSED):
		failure.Alert = true
	}
	return failure
}

// refused turns any status but 200 into an error.
func (c *Client) refused(head reply, body []byte) error {
	class, alert := aianalysis.ClassOfStatus(head.status)
	failure := &aianalysis.CallError{Class: class, Alert: alert,
		Text: fmt.Sprintf("holmesgpt-api: HTTP %d: %s", head.status, describe(head.header, body))}
	if head.status == http.StatusTooManyRequests || head.status == http.StatusServiceUnavailable {
		failure.RetryAfter = retryAfter(head.header.Get("Retry-After"), c.now())
	}
	return failure
}

// problem is what is quoted of a problem document.
type problem struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
}

// describe quotes title and detail of a problem document, and of any other body only its size and type.
func describe(header http.Header, body []byte) string {
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		kind = "unknown type"
	}
	if kind == "application/problem+json" {
		var p problem
		if json.Unmarshal(body, &p) == nil && p.Title != "" {
			return p.Title + ": " + p.Detail
		}
	}
	return fmt.Sprintf("%d bytes of %s", len(body), kind)
}

// retryAfter reads seconds or an HTTP date; what cannot be read asks for nothing.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
