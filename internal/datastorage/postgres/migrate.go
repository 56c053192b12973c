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

// Outcome is what a migration did; with an error, what it did before.
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
	outcome := Outcome{Owner: owner}
	if outcome.Applied, err = m.apply(ctx, config.ConnConfig); err != nil {
		return outcome, err
	}
	done := outcome
	if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return m.setUp(ctx, db.New(tx), &done) }); err != nil {
		return outcome, err // nothing of the transaction stays
	}
	return done, nil
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

// apply brings the schema up to date, under goose's lock. With an error it tells the files before the one that failed.
func (m Migration) apply(ctx context.Context, config *pgx.ConnConfig) ([]Applied, error) {
	files, err := m.sources()
	if err != nil {
		return nil, err
	}
	config, failed := config.Copy(), &failure{}
	config.Tracer = failed
	pool := stdlib.OpenDB(*config)
	defer func() { _ = pool.Close() }()                                        // nothing is lost with it
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // five minutes
	if err != nil {
		return nil, fmt.Errorf("preparing the migration lock: %w", err)
	}
	provider, err := provider(pool, files, goose.WithSessionLocker(locker))
	if err != nil {
		return nil, err
	}
	results, err := provider.Up(ctx)
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		results = partial.Applied
	}
	applied := make([]Applied, len(results))
	for i, r := range results {
		applied[i] = Applied{r.Source.Path, r.Duration}
	}
	if err != nil {
		return applied, failed.explain(err, files)
	}
	return applied, nil
}

// sources are the files to apply.
func (m Migration) sources() (fs.FS, error) {
	if m.files != nil {
		return m.files, nil
	}
	return fs.Sub(migrationFiles, "migrations")
}

func provider(pool *sql.DB, files fs.FS, options ...goose.ProviderOption) (*goose.Provider, error) {
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
	begun, err := db.New(conn).HasVersions(ctx)
	_ = conn.Close(context.WithoutCancel(ctx)) // nothing is lost with it
	if err != nil {
		return nil, fmt.Errorf("looking for the table of versions: %w", err)
	}
	pool := stdlib.OpenDB(*config.ConnConfig.Copy())
	defer func() { _ = pool.Close() }() // nothing is lost with it
	sources, err := m.sources()
	if err != nil {
		return nil, err
	}
	provider, err := provider(pool, sources)
	if err != nil {
		return nil, err
	}
	return listed(ctx, provider, begun)
}

// listed does not ask goose about a database where nothing was begun: it would make its table, without rights for anybody.
func listed(ctx context.Context, provider *goose.Provider, begun bool) (files []File, err error) {
	if !begun {
		for _, source := range provider.ListSources() {
			files = append(files, File{Name: source.Path})
		}
		return files, nil
	}
	states, err := provider.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading what was applied: %w", err)
	}
	for _, s := range states {
		files = append(files, File{s.Source.Path, s.AppliedAt})
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
			return fmt.Errorf("creating role %q (the owner needs CREATEROLE): %w", m.AppRole, err)
		}
	}
	if err := q.GrantApp(ctx, m.AppRole); err != nil {
		return fmt.Errorf("granting role %q its rights (--create-app-role makes the role): %w", m.AppRole, err)
	}
	months, err := ensurePartitions(ctx, q, m.MonthsAhead)
	outcome.Partitions = months.Made
	return err
}
