// Package dlq keeps acknowledged audit events in Redis Streams while PostgreSQL is away.
package dlq

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// Options of the queue.
type Options struct {
	Addr   string
	DB     int
	TLS    bool
	CAFile string // PEM; empty: the system's
	// Credentials is asked before each new connection; nil for a Redis without authentication.
	Credentials func() (user, password string, err error)
	Timeout     time.Duration // of one call, the wait for a connection included
	Connections int           // at most; 0 is 16
	MaxLen      int           // events that the queue takes
}

// Queue is made without a connection: Redis may be away.
type Queue struct {
	client *redis.Client
	maxLen int
}

// Open prepares the connection.
func Open(o Options) (*Queue, error) {
	options := &redis.Options{
		Addr: o.Addr, DB: o.DB, ClientName: "datastorage",
		DialTimeout: o.Timeout, ReadTimeout: o.Timeout, WriteTimeout: o.Timeout, PoolTimeout: o.Timeout,
		// The caller's deadline counts, and the prober is the one that tries again.
		ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1,
		PoolSize: o.Connections, DisableIdentity: true,
	}
	if options.PoolSize == 0 {
		options.PoolSize = 16
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
	return &Queue{client: redis.NewClient(options), maxLen: o.MaxLen}, nil
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

// Close ends the connections.
func (q *Queue) Close() error { return q.client.Close() }
