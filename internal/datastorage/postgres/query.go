package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/postgres/db"
)

// QueryEvents hands over one page of events; see datastorage.EventReader.
func (s *Store) QueryEvents(ctx context.Context, f datastorage.EventFilter, page datastorage.Page, each func(datastorage.Event) error) (result datastorage.EventPage, err error) {
	params := db.QueryAuditEventsParams{
		EventType: f.Type, EventCategory: f.Category, EventOutcome: f.Outcome, Severity: f.Severity,
		CorrelationID: f.CorrelationID, Since: f.Since, SinceDate: day(f.Since), Until: f.Until, UntilDate: day(f.Until),
		RowLimit: int32(page.Limit) + 1, RowOffset: int32(page.Offset),
	}
	if page.After != nil {
		params.AfterTime, params.AfterID = &page.After.Time, &page.After.ID
		if last := day(params.AfterTime); params.UntilDate == nil || last.Before(*params.UntilDate) {
			params.UntilDate = last
		}
	}
	err = s.reading(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		n := 0
		err := rows(ctx, conn, func(q *db.Queries) error { _, err := q.QueryAuditEvents(ctx, params); return err },
			func(row db.QueryAuditEventsRow) error {
				if n == page.Limit { // one row more than asked for tells that there are more
					result.HasMore = true
					return nil
				}
				n++
				result.Last = datastorage.Position{Time: row.EventTimestamp.UTC(), ID: row.EventID}
				return each(event(row))
			})
		if err != nil {
			return fmt.Errorf("reading audit events: %w", err)
		}
		if !page.WithTotal {
			return nil
		}
		total, err := db.New(conn).CountAuditEvents(ctx, db.CountAuditEventsParams{
			EventType: f.Type, EventCategory: f.Category, EventOutcome: f.Outcome, Severity: f.Severity,
			CorrelationID: f.CorrelationID, Since: f.Since, SinceDate: day(f.Since), Until: f.Until, UntilDate: day(f.Until),
			CountLimit: int32(s.options.MaxCount) + 1,
		})
		if err != nil {
			return fmt.Errorf("counting audit events: %w", err)
		}
		result.Total = min(int(total), s.options.MaxCount)
		result.TotalIsLowerBound = int(total) > s.options.MaxCount
		return nil
	})
	return result, err
}

// day lets PostgreSQL leave out the partitions that cannot hold a match.
func day(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	d := datastorage.Event{Time: t.UTC()}.Day()
	return &d
}

func event(row db.QueryAuditEventsRow) datastorage.Event {
	e := datastorage.Event{
		ID: uuid.NullUUID{UUID: row.EventID, Valid: true}, Version: row.EventVersion, Type: row.EventType,
		Time: row.EventTimestamp.UTC(), Category: row.EventCategory, Action: row.EventAction, Outcome: row.EventOutcome,
		ActorType: row.ActorType, ActorID: row.ActorID, ResourceType: row.ResourceType, ResourceID: row.ResourceID,
		CorrelationID: row.CorrelationID, Namespace: value(row.Namespace), ClusterName: value(row.ClusterName),
		Severity: value(row.Severity), DurationMS: row.DurationMs, Data: row.EventData,
	}
	if row.ParentEventID != nil {
		e.Parent = uuid.NullUUID{UUID: *row.ParentEventID, Valid: true}
	}
	return e
}

// statement is a DBTX that runs nothing: it keeps what a generated function would have run.
type statement struct {
	sql  string
	args []any
}

var errKept = errors.New("kept, not run")

func (s *statement) Query(_ context.Context, sql string, args ...any) (pgx.Rows, error) {
	s.sql, s.args = sql, args
	return nil, errKept
}

func (s *statement) Exec(context.Context, string, ...any) (pgconn.CommandTag, error) {
	return pgconn.CommandTag{}, errKept
}

func (s *statement) SendBatch(context.Context, *pgx.Batch) pgx.BatchResults { return nil }

func (s *statement) QueryRow(context.Context, string, ...any) pgx.Row { return nil }

func (s *statement) CopyFrom(context.Context, pgx.Identifier, []string, pgx.CopyFromSource) (int64, error) {
	return 0, errKept
}

// rows runs the statement of a generated function and hands over its rows one by one, as they come from the server: the
// function itself would collect them all first.
func rows[Row any](ctx context.Context, conn *pgxpool.Conn, ask func(*db.Queries) error, each func(Row) error) error {
	var s statement
	if err := ask(db.New(&s)); !errors.Is(err, errKept) {
		return fmt.Errorf("no statement was asked for: %w", err)
	}
	found, err := conn.Query(ctx, s.sql, s.args...) //nolint:forbidigo // the text of a generated function, see statement
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		row, err := pgx.RowToStructByPos[Row](found)
		if err != nil {
			return err
		}
		if err := each(row); err != nil {
			return err
		}
	}
	return found.Err()
}
