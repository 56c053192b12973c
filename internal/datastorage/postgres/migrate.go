package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage/postgres/db"
)

// oldestServer is PostgreSQL 15, in the server's own form.
const oldestServer = 150000

// Migration is what migrate shall do, as the owner of the schema.
type Migration struct {
	Target
	Wait        time.Duration // how long PostgreSQL may take to answer
	MonthsAhead int
	AppRole     string
	// AppPassword is set if the role shall be made, or given this password again.
	AppPassword   string
	CreateAppRole bool

	files fs.FS // nil: those of this program
}

// Applied is one migration file and the time it took.
type Applied struct {
	File string
	Took time.Duration
}

// Outcome of a migration that succeeded.
type Outcome struct {
	Applied     []Applied
	RoleCreated bool
	Partitions  int
	Owner       Standing
}

// Run applies what is missing. Any number of runs may work at once: one does it, the others wait and find nothing.
func (m Migration) Run(ctx context.Context) (Outcome, error) {
	config, err := m.config()
	if err != nil {
		return Outcome{}, err
	}
	if err := m.authenticate(ctx, config.ConnConfig); err != nil {
		return Outcome{}, err
	}
	conn, err := m.connect(ctx, config.ConnConfig)
	if err != nil {
		return Outcome{}, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing is lost with it
	owner, err := standing(ctx, db.New(conn))
	if err != nil {
		return Outcome{}, err
	}
	if owner.ServerVersion < oldestServer {
		return Outcome{}, fmt.Errorf("PostgreSQL 15 or newer is needed (server version number %d)", owner.ServerVersion)
	}
	applied, err := m.apply(ctx, config.ConnConfig)
	if err != nil {
		return Outcome{}, explain(err)
	}
	outcome := Outcome{Applied: applied, Owner: owner}
	return outcome, explain(pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return m.setUp(ctx, db.New(tx), &outcome) }))
}

// connect tries until PostgreSQL answers or the wait is over. A refused password is not waited for.
func (m Migration) connect(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	wait, cancel := context.WithTimeout(ctx, m.Wait)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.ConnectConfig(ctx, config.Copy())
		var answer *pgconn.PgError
		if err == nil || errors.As(err, &answer) && answer.Code[:2] == "28" {
			return conn, err
		}
		select {
		case <-wait.Done():
			return nil, fmt.Errorf("waiting %s for PostgreSQL: %w", m.Wait, err)
		case <-tick.C:
		}
	}
}

// apply brings the schema up to date, under goose's lock.
func (m Migration) apply(ctx context.Context, config *pgx.ConnConfig) ([]Applied, error) {
	pool := stdlib.OpenDB(*config.Copy())
	defer func() { _ = pool.Close() }()                                        // nothing is lost with it
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // five minutes
	if err != nil {
		return nil, fmt.Errorf("preparing the migration lock: %w", err)
	}
	provider, err := m.provider(pool, goose.WithSessionLocker(locker))
	if err != nil {
		return nil, err
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return nil, err
	}
	applied := make([]Applied, len(results))
	for i, r := range results {
		applied[i] = Applied{r.Source.Path, r.Duration}
	}
	return applied, nil
}

func (m Migration) provider(pool *sql.DB, options ...goose.ProviderOption) (*goose.Provider, error) {
	files := m.files
	if files == nil {
		var err error
		if files, err = fs.Sub(migrationFiles, "migrations"); err != nil {
			return nil, err
		}
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, pool, files, options...)
	if err != nil {
		return nil, fmt.Errorf("reading the migrations: %w", err)
	}
	return provider, nil
}

// File is a migration; Applied is zero if it is pending.
type File struct {
	Name    string
	Applied time.Time
}

// Status lists all files of this program and changes nothing.
func (m Migration) Status(ctx context.Context) ([]File, error) {
	config, err := m.config()
	if err != nil {
		return nil, err
	}
	if err := m.authenticate(ctx, config.ConnConfig); err != nil {
		return nil, err
	}
	conn, err := m.connect(ctx, config.ConnConfig)
	if err != nil {
		return nil, err
	}
	_ = conn.Close(ctx) // it was there to wait
	pool := stdlib.OpenDB(*config.ConnConfig.Copy())
	defer func() { _ = pool.Close() }() // nothing is lost with it
	provider, err := m.provider(pool)
	if err != nil {
		return nil, err
	}
	states, err := provider.Status(ctx)
	if err != nil {
		return nil, explain(err)
	}
	files := make([]File, len(states))
	for i, s := range states {
		files[i] = File{s.Source.Path, s.AppliedAt}
	}
	return files, nil
}

// setUp does what depends on the configuration: the application's role and the partitions of now.
func (m Migration) setUp(ctx context.Context, q *db.Queries, outcome *Outcome) (err error) {
	if err := q.LockSetUp(ctx); err != nil {
		return fmt.Errorf("waiting for another migrate: %w", err)
	}
	if m.CreateAppRole {
		verifier, err := scramVerifier(m.AppPassword)
		if err != nil {
			return err
		}
		if outcome.RoleCreated, err = q.EnsureAppRole(ctx, m.AppRole, verifier); err != nil {
			return fmt.Errorf("creating role %q: %w", m.AppRole, err)
		}
	}
	if err := q.GrantApp(ctx, m.AppRole); err != nil {
		return fmt.Errorf("granting role %q its rights (--create-app-role makes the role): %w", m.AppRole, err)
	}
	made, err := q.EnsurePartitions(ctx, int32(m.MonthsAhead))
	outcome.Partitions = int(made)
	return err
}

// explain names file and SQLSTATE of a failed migration.
func explain(err error) error {
	var partial *goose.PartialError
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		err = fmt.Errorf("SQLSTATE %s: %w", answer.Code, err)
	}
	if errors.As(err, &partial) && partial.Failed != nil && partial.Failed.Source != nil {
		err = fmt.Errorf("applying %s: %w", partial.Failed.Source.Path, err)
	}
	return err
}
