package postgres

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage/postgres/db"
)

// upkeepLimit bounds one step of the upkeep.
const upkeepLimit = time.Minute

// Months is the state of the partitions after a look at them.
type Months struct {
	Made        int // just now
	Ahead       int // months after this one that have a partition, without a gap
	DefaultRows int // events of months without one
}

// EnsurePartitions makes the missing partitions up to the given months ahead.
func (s *Store) EnsurePartitions(ctx context.Context, monthsAhead int) (months Months, err error) {
	err = s.unhurried(ctx, func(ctx context.Context, q *db.Queries) error {
		months, err = ensurePartitions(ctx, q, monthsAhead)
		return err
	})
	return months, err
}

func ensurePartitions(ctx context.Context, q *db.Queries, monthsAhead int) (Months, error) {
	row, err := q.EnsurePartitions(ctx, int32(monthsAhead))
	if err != nil {
		return Months{}, fmt.Errorf("making partitions: %w", err)
	}
	return Months{Made: int(row.Made), Ahead: int(row.MonthsAhead), DefaultRows: int(row.DefaultRows)}, nil
}

// ForgetIDs removes the ids of events that are older than the given days and tells how many those were.
func (s *Store) ForgetIDs(ctx context.Context, olderThanDays int) (forgotten int64, err error) {
	err = s.unhurried(ctx, func(ctx context.Context, q *db.Queries) error {
		forgotten, err = q.PruneIDs(ctx, int32(olderThanDays))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("forgetting old ids: %w", err)
	}
	return forgotten, nil
}

// unhurried runs one transaction that may take longer than a write: nobody waits for its answer.
func (s *Store) unhurried(ctx context.Context, do func(context.Context, *db.Queries) error) error {
	ctx, cancel := context.WithTimeout(ctx, upkeepLimit)
	defer cancel()
	return pgx.BeginFunc(ctx, s.write, func(tx pgx.Tx) error {
		q := db.New(tx)
		if err := q.SetStatementTimeout(ctx, strconv.FormatInt(upkeepLimit.Milliseconds(), 10)); err != nil {
			return err
		}
		return do(ctx, q)
	})
}
