// Package dlq is the service's side of Redis. It holds the connection and its probe; the dead-letter queue for the time
// when PostgreSQL is away will live on it.
package dlq

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// Options of the connection.
type Options struct {
	Addr   string
	DB     int
	TLS    bool
	CAFile string // PEM; empty: the system's
	// Credentials is asked before each new connection; nil for a Redis without authentication.
	Credentials func() (user, password string, err error)
	Timeout     time.Duration
}

// Queue is made without a connection: Redis may be away.
type Queue struct{ client *redis.Client }

// Open prepares the connection.
func Open(o Options) (*Queue, error) {
	options := &redis.Options{
		Addr: o.Addr, DB: o.DB, ClientName: "datastorage",
		DialTimeout: o.Timeout, ReadTimeout: o.Timeout, WriteTimeout: o.Timeout,
		// The caller's deadline counts, and the prober is the one that tries again.
		ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1,
		PoolSize: 4, DisableIdentity: true,
	}
	if o.Credentials != nil {
		options.CredentialsProviderContext = func(context.Context) (string, string, error) { return o.Credentials() }
	}
	if o.TLS {
		config, err := tlsConfig(o.CAFile)
		if err != nil {
			return nil, err
		}
		options.TLSConfig = config
	}
	redis.SetLogger(&logging.VoidLogger{}) // its lines are plain text on stderr; the prober says the same once
	return &Queue{client: redis.NewClient(options)}, nil
}

func tlsConfig(caFile string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authority of Redis: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("reading %q: no certificate in it", caFile)
	}
	return config, nil
}

// Check asks whether Redis can be used.
func (q *Queue) Check(ctx context.Context) error {
	answer, err := q.client.Ping(ctx).Result()
	if err != nil {
		return fmt.Errorf("asking Redis: %w", err)
	}
	if answer != "PONG" {
		return errors.New("asking Redis: an answer that is not PONG")
	}
	return nil
}

// Close ends the connections.
func (q *Queue) Close() error { return q.client.Close() }
