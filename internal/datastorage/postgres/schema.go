package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/postgres/db"
)

// SQLSTATEs that say how far the database is migrated.
const (
	undefinedTable        = "42P01"
	undefinedFunction     = "42883"
	insufficientPrivilege = "42501"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// RequiredSchema is the version of the schema that this program was built with.
func RequiredSchema() int64 {
	files, err := fs.ReadDir(migrationFiles, "migrations")
	if err != nil {
		panic(err) // embedded
	}
	number, _, _ := strings.Cut(files[len(files)-1].Name(), "_")
	version, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		panic(err) // embedded
	}
	return version
}

// Check asks, on a connection of its own, whether the database can be used. Its error wraps
// datastorage.ErrSchemaOutdated if the database answers but is not migrated far enough; any other one has its Cause.
func (s *Store) Check(ctx context.Context) error {
	err := s.check(ctx)
	if s.away.Swap(err != nil) && err == nil {
		s.forget()
	}
	return err
}

// forget gives up all connections of before an outage: they may lead nowhere without anybody saying so, and each would cost
// a write its time.
func (s *Store) forget() {
	for _, pool := range []*pgxpool.Pool{s.write, s.read, s.lead} {
		pool.Reset()
	}
}

func (s *Store) check(ctx context.Context) error {
	q := db.New(s.probe)
	version, err := q.SchemaVersion(ctx)
	var answer *pgconn.PgError
	if errors.As(err, &answer) && (answer.Code == undefinedTable || answer.Code == insufficientPrivilege) {
		version, err = 0, nil // no table of versions, or no rights, which are the last thing that migrate gives
	}
	if err != nil {
		return fmt.Errorf("reading the schema version: %w", translate(err))
	}
	s.schema.Store(version)
	if required := RequiredSchema(); version < required {
		return fmt.Errorf("%w: version %d, needed %d", datastorage.ErrSchemaOutdated, version, required)
	}
	readOnly, err := q.ReadOnly(ctx)
	if err != nil {
		return fmt.Errorf("asking whether the database takes writes: %w", translate(err))
	}
	if readOnly { // every write would fail, and a good probe would send the next one there again
		return &datastorage.Error{Kind: datastorage.Unavailable, Detail: "the database takes no writes",
			RetryAfter: retryAfter, Cause: datastorage.CauseReadOnly}
	}
	return nil
}

// Standing is what the service should know about the server and its own account.
type Standing struct {
	ServerVersion      int // 150004 for 15.4
	Role               string
	Superuser, IsOwner bool
}

// Standing reads it on the probing connection.
func (s *Store) Standing(ctx context.Context) (Standing, error) {
	return standing(ctx, db.New(s.probe))
}

func standing(ctx context.Context, q *db.Queries) (Standing, error) {
	version, err := q.ServerVersion(ctx)
	if err != nil {
		return Standing{}, fmt.Errorf("reading the server version: %w", err)
	}
	role, err := q.RoleStanding(ctx)
	if err != nil {
		return Standing{}, fmt.Errorf("reading the role's standing: %w", err)
	}
	return Standing{
		ServerVersion: int(version), Role: role.RoleName, Superuser: role.IsSuperuser != nil && *role.IsSuperuser, IsOwner: role.IsOwner,
	}, nil
}

// drainLock is the advisory lock of the one replica that drains the queue.
const drainLock = 0x6b756265 // any number that nothing else of this schema uses

// lockTimeout is how long taking or giving back the lock may take. Neither waits for another replica.
const lockTimeout = 2 * time.Second

// Lead runs work while this process alone of all replicas has the drain lock; see datastorage.Leader. The lock is that of
// a connection: it ends with it.
func (s *Store) Lead(ctx context.Context, work func(context.Context) error) (led bool, err error) {
	begin, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	conn, err := s.lead.Acquire(begin)
	if err != nil {
		return false, translate(err)
	}
	defer conn.Release()
	q := db.New(conn)
	if led, err = q.TryLock(begin, drainLock); err != nil || !led {
		return false, translate(err)
	}
	err = work(ctx)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), lockTimeout)
	defer cancel()
	if unlockErr := q.Unlock(end, drainLock); unlockErr != nil {
		_ = conn.Conn().Close(end) // the lock must not stay with a pooled connection
	}
	return true, err
}
