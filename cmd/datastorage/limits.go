package main

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/httpapi"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/tokens"
)

func limits(c datastorage.Config) httpapi.Limits {
	s := c.Server
	return httpapi.Limits{Writes: s.MaxInflightWrites, Reads: s.MaxInflightReads, Bytes: s.MaxInflightBytes,
		QueueLength: s.QueueLength, QueueTimeout: s.QueueTimeout}
}

const mountedServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount"

// authenticator is nil without an error if nobody needs a token. Where the API server is, and the account to ask it with,
// is what Kubernetes tells every pod with a mounted token.
func (p program) authenticator(c datastorage.Config) (datastorage.Authenticator, error) {
	if c.Auth.Mode != datastorage.AuthTokenReview {
		return nil, nil
	}
	host, port, folder := "", "", p.serviceAccount
	for _, variable := range p.environ {
		name, value, _ := strings.Cut(variable, "=")
		switch name {
		case "KUBERNETES_SERVICE_HOST":
			host = value
		case "KUBERNETES_SERVICE_PORT":
			port = value
		}
	}
	if host == "" || port == "" {
		return nil, usageError{errors.New("auth.mode: token_review works in a pod only: KUBERNETES_SERVICE_HOST or _PORT is not set")}
	}
	if folder == "" {
		folder = mountedServiceAccount
	}
	reviewer, err := tokens.New(tokens.Options{
		URL: "https://" + net.JoinHostPort(host, port), Audiences: c.Auth.Audiences, TTL: c.Auth.CacheTTL,
		TokenFile: filepath.Join(folder, "token"), CAFile: filepath.Join(folder, "ca.crt"),
	})
	if err != nil {
		return nil, usageError{fmt.Errorf("auth.mode: token_review needs a mounted token: %w", err)}
	}
	return reviewer, nil
}
