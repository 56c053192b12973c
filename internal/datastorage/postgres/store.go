// Package postgres keeps audit events and the workflow catalog in PostgreSQL. Every statement is in queries/ and
// compiled by sqlc.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/postgres/db"
)

// Target is a database and the account to use there.
type Target struct {
	Host        string
	Port        int
	Name        string
	SSLMode     string
	SSLRootCert string
	// Credentials is asked before each new connection, so that a rotated secret needs no restart.
	Credentials    func() (user, password string, err error)
	ConnectTimeout time.Duration
}

// Options of a store.
type Options struct {
	Target
	// MaxConns is the total, of which ReadConns are reserved for reads and MinConns kept warm.
	MaxConns, ReadConns, MinConns    int
	ConnMaxLifetime, ConnMaxIdleTime time.Duration
	SingleTimeout, BatchTimeout      time.Duration // of a write
	QueryTimeout                     time.Duration // of a read
	MaxCount                         int           // up to here the total of a query is exact
}

// Store is the service's side of the database. It is made without a connection: PostgreSQL may be away.
type Store struct {
	options                  Options
	write, read, probe, lead *pgxpool.Pool
	schema                   atomic.Int64 // as Check saw it last
	away                     atomic.Bool  // as Check saw it last
}

var (
	_ datastorage.EventWriter   = (*Store)(nil)
	_ datastorage.EventReader   = (*Store)(nil)
	_ datastorage.Leader        = (*Store)(nil)
	_ datastorage.WorkflowStore = (*Store)(nil)
)

// Open makes the pools. The context ends their upkeep.
func Open(ctx context.Context, options Options) (*Store, error) {
	base, err := options.config()
	if err != nil {
		return nil, err
	}
	s := &Store{options: options}
	for _, pool := range []struct {
		to       **pgxpool.Pool
		max, min int
		timeout  time.Duration
		params   map[string]string
	}{
		{&s.write, options.MaxConns - options.ReadConns, options.MinConns, options.BatchTimeout, nil},
		// Optional filters are parameters: only a plan made for their values uses the right index. At the
		// price that PostgreSQL sets for random reads, that of a spinning disk, a range of times would be counted by a scan.
		{&s.read, options.ReadConns, 0, options.QueryTimeout, map[string]string{
			"plan_cache_mode": "force_custom_plan", "random_page_cost": "1.1"}},
		{&s.probe, 1, 0, options.QueryTimeout, nil},
		{&s.lead, 1, 0, options.QueryTimeout, nil},
	} {
		config := base.Copy()
		config.MaxConns, config.MinConns = int32(pool.max), int32(pool.min)
		config.MaxConnLifetime, config.MaxConnIdleTime = options.ConnMaxLifetime, options.ConnMaxIdleTime
		config.ConnConfig.RuntimeParams["statement_timeout"] = strconv.FormatInt(pool.timeout.Milliseconds(), 10)
		for key, value := range pool.params {
			config.ConnConfig.RuntimeParams[key] = value
		}
		if *pool.to, err = pgxpool.NewWithConfig(ctx, config); err != nil {
			s.Close()
			return nil, fmt.Errorf("making a connection pool: %w", err)
		}
	}
	return s, nil
}

// config describes connections to the target.
func (t Target) config() (*pgxpool.Config, error) {
	query := url.Values{"sslmode": {t.SSLMode}, "application_name": {"datastorage"}}
	if t.SSLRootCert != "" {
		query.Set("sslrootcert", t.SSLRootCert)
	}
	where := url.URL{Scheme: "postgres", Path: "/" + t.Name}
	if strings.HasPrefix(t.Host, "/") { // the folder of a socket
		query.Set("host", t.Host)
		query.Set("port", strconv.Itoa(t.Port))
	} else {
		where.Host = net.JoinHostPort(t.Host, strconv.Itoa(t.Port))
	}
	where.RawQuery = query.Encode()
	config, err := pgxpool.ParseConfig(where.String())
	if err != nil {
		return nil, fmt.Errorf("describing database %q on %q: %w", t.Name, t.Host, err)
	}
	config.ConnConfig.ConnectTimeout = t.ConnectTimeout
	config.BeforeConnect = t.authenticate
	config.ConnConfig.DialFunc = t.dial
	return config, nil
}

func (t Target) authenticate(_ context.Context, config *pgx.ConnConfig) (err error) {
	if config.User, config.Password, err = t.Credentials(); err != nil { // a secret that is just being replaced
		return &datastorage.Error{Kind: datastorage.Unavailable, Detail: "the database is not available",
			RetryAfter: retryAfter, Cause: datastorage.CauseAuth, Err: err}
	}
	return nil
}

// goodbye is how long a server has to answer the end of a connection.
const goodbye = time.Second

// dial connects. pgx gives a server that answers nothing any more 15 s for its goodbye, and as long the connection keeps
// its place in the pool: the prober has one place only.
func (t Target) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: t.ConnectTimeout}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return impatient{conn}, nil
}

// impatient is a connection whose deadlines are near: pgx sets one in the future for the goodbye only.
type impatient struct{ net.Conn }

func (c impatient) SetDeadline(at time.Time) error {
	if latest := time.Now().Add(goodbye); at.After(latest) {
		at = latest
	}
	return c.Conn.SetDeadline(at)
}

// Close ends all connections. It must be called when none is in use; a server that does not answer is not waited for.
func (s *Store) Close() {
	var all sync.WaitGroup
	for _, pool := range []*pgxpool.Pool{s.write, s.read, s.probe, s.lead} {
		if pool != nil {
			all.Go(pool.Close)
		}
	}
	closed := make(chan struct{})
	go func() { all.Wait(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(goodbye):
	}
}

// errPoolWait: every connection was busy for the whole time.
var errPoolWait = errors.New("no connection was free in time")

// writing runs one transaction, again if PostgreSQL asks for that, within the timeout.
func (s *Store) writing(ctx context.Context, timeout time.Duration, do func(context.Context, *db.Queries) error) error {
	return s.onWriter(ctx, timeout, func(ctx context.Context, conn *pgxpool.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return do(ctx, db.New(tx)) })
	})
}

// onWriter gives work a connection, again if PostgreSQL asks for that, within the timeout.
func (s *Store) onWriter(ctx context.Context, timeout time.Duration, work func(context.Context, *pgxpool.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	half := time.Until(deadline) / 2
	conn, err := s.write.Acquire(ctx)
	if err != nil {
		var connect *pgconn.ConnectError
		if !errors.As(err, &connect) && errors.Is(err, context.DeadlineExceeded) {
			err = errPoolWait
		}
		return translate(err)
	}
	defer conn.Release()
	waitedLong := time.Until(deadline) < half
	for range 3 {
		if err = work(ctx, conn); !isSerialization(err) {
			break
		}
	}
	if waitedLong && causeOf(err) == datastorage.CauseTimeout { // that says nothing of PostgreSQL: it is overload
		err = fmt.Errorf("%w: %w", errPoolWait, err)
	}
	return translate(err)
}

// reading gives statements one of the connections that are reserved for reads, within the timeout.
func (s *Store) reading(ctx context.Context, do func(context.Context, *pgxpool.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.options.QueryTimeout)
	defer cancel()
	conn, err := s.read.Acquire(ctx)
	if err != nil {
		return translate(err)
	}
	defer conn.Release()
	return translate(do(ctx, conn))
}
