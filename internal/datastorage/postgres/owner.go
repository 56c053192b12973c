package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage/postgres/db"
)

// Partition is one partition of the audit events.
type Partition struct {
	Name string
	Rows int64
}

// Owner is a connection of the owner of the schema, for what the application may not do.
type Owner struct{ conn *pgx.Conn }

// ConnectOwner connects once; the caller closes.
func ConnectOwner(ctx context.Context, to Target) (*Owner, error) {
	config, err := to.config()
	if err != nil {
		return nil, err
	}
	if err := to.authenticate(ctx, config.ConnConfig); err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return nil, fmt.Errorf("connecting as the owner of the schema: %w", err)
	}
	return &Owner{conn}, nil
}

// Close ends the connection.
func (o *Owner) Close(ctx context.Context) { _ = o.conn.Close(ctx) } // nothing is lost with it

// Partitions lists them with their rows, oldest first, the default partition last.
func (o *Owner) Partitions(ctx context.Context) ([]Partition, error) {
	rows, err := db.New(o.conn).Partitions(ctx)
	return partitions(rows, err, "listing the partitions")
}

// DropBefore drops the partitions of the months before the given one and returns what they held.
func (o *Owner) DropBefore(ctx context.Context, month time.Time) ([]Partition, error) {
	rows, err := db.New(o.conn).DropPartitionsBefore(ctx, month)
	return partitions(rows, err, "dropping partitions")
}

// Repair moves the rows of the default partition into partitions of their months, in one transaction.
func (o *Owner) Repair(ctx context.Context) ([]Partition, error) {
	rows, err := db.New(o.conn).RepairDefaultPartition(ctx)
	return partitions(rows, err, "repairing the default partition")
}

func partitions[Row ~struct {
	Name string
	Rows int64
}](rows []Row, err error, doing string) ([]Partition, error) {
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, advised(err))
	}
	found := make([]Partition, len(rows))
	for i, row := range rows {
		found[i] = Partition(row)
	}
	return found, nil
}

// advised adds what to do about an error that has a way out.
func advised(err error) error {
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return err
	}
	switch answer.Code {
	case undefinedFunction:
		return fmt.Errorf("the schema is not there or older than this program, run datastorage migrate: %w", err)
	case insufficientPrivilege:
		return fmt.Errorf("database.owner_secrets_file must name the owner of the schema: %w", err)
	case lockNotAvailable, deadlockDetected:
		return fmt.Errorf("the events are in use, nothing was changed, try again: %w", err)
	}
	return err
}

// SQLSTATEs of a clash with somebody else's work.
const (
	lockNotAvailable = "55P03"
	deadlockDetected = "40P01"
)
