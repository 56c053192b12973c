package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/postgres/db"
)

// QueryEvents returns one page of events; see datastorage.EventStore.
func (s *Store) QueryEvents(ctx context.Context, f datastorage.EventFilter, page datastorage.Page) (result datastorage.EventPage, err error) {
	sinceDate, untilDate := day(f.Since), day(f.Until)
	err = s.reading(ctx, func(ctx context.Context, q *db.Queries) error {
		rows, err := q.QueryAuditEvents(ctx, db.QueryAuditEventsParams{
			EventType: f.Type, EventCategory: f.Category, EventOutcome: f.Outcome, Severity: f.Severity,
			CorrelationID: f.CorrelationID, Since: f.Since, SinceDate: sinceDate, Until: f.Until, UntilDate: untilDate,
			RowLimit: int32(page.Limit) + 1, RowOffset: int32(page.Offset),
		})
		if err != nil {
			return fmt.Errorf("reading audit events: %w", err)
		}
		if result.HasMore = len(rows) > page.Limit; result.HasMore {
			rows = rows[:page.Limit]
		}
		result.Events = events(rows)
		if !page.WithTotal {
			return nil
		}
		total, err := q.CountAuditEvents(ctx, db.CountAuditEventsParams{
			EventType: f.Type, EventCategory: f.Category, EventOutcome: f.Outcome, Severity: f.Severity,
			CorrelationID: f.CorrelationID, Since: f.Since, SinceDate: sinceDate, Until: f.Until, UntilDate: untilDate,
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

func events(rows []db.QueryAuditEventsRow) []datastorage.Event {
	events := make([]datastorage.Event, len(rows))
	for i, row := range rows {
		events[i] = datastorage.Event{
			ID: uuid.NullUUID{UUID: row.EventID, Valid: true}, Version: row.EventVersion, Type: row.EventType,
			Time: row.EventTimestamp.UTC(), Category: row.EventCategory, Action: row.EventAction, Outcome: row.EventOutcome,
			ActorType: row.ActorType, ActorID: row.ActorID, ResourceType: row.ResourceType, ResourceID: row.ResourceID,
			CorrelationID: row.CorrelationID, Namespace: value(row.Namespace), ClusterName: value(row.ClusterName),
			Severity: value(row.Severity), DurationMS: row.DurationMs, Data: row.EventData,
		}
		if row.ParentEventID != nil {
			events[i].Parent = uuid.NullUUID{UUID: *row.ParentEventID, Valid: true}
		}
	}
	return events
}
