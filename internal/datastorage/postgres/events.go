package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/postgres/db"
)

// InsertEvents stores events in one transaction, a single one in one statement; see datastorage.EventWriter.
func (s *Store) InsertEvents(ctx context.Context, events []datastorage.Event, parents datastorage.ParentRule) (stored []datastorage.Stored, err error) {
	if len(events) == 1 && !events[0].Parent.Valid {
		err = s.onWriter(ctx, s.options.SingleTimeout, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
			stored, err = insertEvents(ctx, db.New(conn), events, parents)
			return err
		})
		return stored, err
	}
	err = s.writing(ctx, s.options.BatchTimeout, func(ctx context.Context, q *db.Queries) (err error) {
		stored, err = insertEvents(ctx, q, events, parents)
		return err
	})
	return stored, err
}

func insertEvents(ctx context.Context, q *db.Queries, events []datastorage.Event, parents datastorage.ParentRule) ([]datastorage.Stored, error) {
	rows, err := eventRows(events)
	if err != nil {
		return nil, err
	}
	if err := dateParents(ctx, q, rows, parents); err != nil {
		return nil, err
	}
	fresh, err := insertRows(ctx, q, rows)
	if err != nil {
		return nil, err
	}
	stored := make([]datastorage.Stored, len(rows))
	var repeats []int
	for i, row := range rows {
		stored[i] = datastorage.Stored{ID: row.EventID, Time: row.EventTimestamp, Repeated: !fresh[row.EventID]}
		if stored[i].Repeated {
			repeats = append(repeats, i)
		}
		fresh[row.EventID] = false // the same id further on in the batch is a repeat
	}
	return stored, compare(ctx, q, rows, repeats, stored)
}

// compare finds out of the repeated events when the first ones were, and whether they were the same.
func compare(ctx context.Context, q *db.Queries, rows []db.CopyAuditEventsParams, repeats []int, stored []datastorage.Stored) (failed error) {
	if len(repeats) == 0 {
		return nil
	}
	params := make([]db.CompareAuditEventsParams, len(repeats))
	for n, i := range repeats {
		params[n] = comparison(rows[i])
	}
	q.CompareAuditEvents(ctx, params).Query(func(n int, kept []db.CompareAuditEventsRow, err error) {
		s := &stored[repeats[n]]
		switch {
		case err != nil && failed == nil:
			failed = fmt.Errorf("reading the stored event %s: %w", s.ID, err)
		case len(kept) > 0:
			s.Time, s.Different = kept[0].EventTimestamp.UTC(), !kept[0].Same
		}
	})
	return failed
}

// insertRows writes the rows whose ids are new and returns those ids.
func insertRows(ctx context.Context, q *db.Queries, rows []db.CopyAuditEventsParams) (map[uuid.UUID]bool, error) {
	if len(rows) == 1 {
		ids, err := q.InsertAuditEvent(ctx, db.InsertAuditEventParams(rows[0]))
		return set(ids), err
	}
	ids, days := make([]uuid.UUID, len(rows)), make([]time.Time, len(rows))
	for i, row := range rows {
		ids[i], days[i] = row.EventID, row.EventDate
	}
	claimed, err := q.ClaimEventIDs(ctx, ids, days)
	if err != nil {
		return nil, fmt.Errorf("claiming event ids: %w", err)
	}
	fresh, pending := set(claimed), set(claimed)
	rows = slices.Clone(rows)
	rows = slices.DeleteFunc(rows, func(row db.CopyAuditEventsParams) bool {
		first := pending[row.EventID]
		delete(pending, row.EventID)
		return !first
	})
	if _, err := q.CopyAuditEvents(ctx, rows); err != nil {
		return nil, fmt.Errorf("copying %d events: %w", len(rows), err)
	}
	return fresh, nil
}

func set(ids []uuid.UUID) map[uuid.UUID]bool {
	members := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		members[id] = true
	}
	return members
}

// dateParents looks up where the parents are. A parent is a stored event or one of the same write.
func dateParents(ctx context.Context, q *db.Queries, rows []db.CopyAuditEventsParams, parents datastorage.ParentRule) error {
	days := map[uuid.UUID]time.Time{}
	for _, row := range rows {
		days[row.EventID] = row.EventDate
	}
	var elsewhere []uuid.UUID
	for _, row := range rows {
		if row.ParentEventID == nil {
			continue
		}
		if _, here := days[*row.ParentEventID]; !here {
			elsewhere = append(elsewhere, *row.ParentEventID)
		}
	}
	if len(elsewhere) > 0 {
		found, err := q.EventDays(ctx, elsewhere)
		if err != nil {
			return fmt.Errorf("looking up parent events: %w", err)
		}
		for _, parent := range found {
			days[parent.EventID] = parent.EventDate
		}
	}
	return setParentDays(rows, days, parents)
}

func setParentDays(rows []db.CopyAuditEventsParams, days map[uuid.UUID]time.Time, parents datastorage.ParentRule) error {
	var unknown datastorage.UnknownParents
	for i, row := range rows {
		if row.ParentEventID == nil {
			continue
		}
		day, found := days[*row.ParentEventID]
		if !found {
			unknown = append(unknown, i)
			continue
		}
		rows[i].ParentEventDate = &day
	}
	if parents == datastorage.CheckParents && len(unknown) > 0 {
		return unknown
	}
	return nil
}

func eventRows(events []datastorage.Event) ([]db.CopyAuditEventsParams, error) {
	rows := make([]db.CopyAuditEventsParams, len(events))
	for i, e := range events {
		if !e.ID.Valid {
			return nil, errors.New("an event without id")
		}
		metadata, err := metadata(e.Origin)
		if err != nil {
			return nil, fmt.Errorf("encoding the metadata of event %s: %w", e.ID.UUID, err)
		}
		rows[i] = db.CopyAuditEventsParams{
			EventID: e.ID.UUID, EventDate: e.Day(), EventVersion: e.Version, EventTimestamp: e.Time, EventType: e.Type,
			EventCategory: e.Category, EventAction: e.Action, EventOutcome: e.Outcome,
			ActorType: e.ActorType, ActorID: e.ActorID, ResourceType: e.ResourceType, ResourceID: e.ResourceID,
			CorrelationID: e.CorrelationID, Namespace: optional(e.Namespace), ClusterName: optional(e.ClusterName),
			EventData: bytes.TrimSpace(e.Data), EventMetadata: metadata, Severity: optional(e.Severity), DurationMs: e.DurationMS,
		}
		if e.Parent.Valid {
			rows[i].ParentEventID = &e.Parent.UUID
		}
	}
	return rows, nil
}

func metadata(o datastorage.Origin) ([]byte, error) {
	via := "direct"
	if !o.QueuedAt.IsZero() {
		via = "dlq"
	}
	return json.Marshal(struct {
		datastorage.Origin
		Via string `json:"via"`
	}{o, via})
}

func comparison(row db.CopyAuditEventsParams) db.CompareAuditEventsParams {
	return db.CompareAuditEventsParams{
		EventID: row.EventID, EventVersion: row.EventVersion, EventTimestamp: row.EventTimestamp, EventType: row.EventType,
		EventCategory: row.EventCategory, EventAction: row.EventAction, EventOutcome: row.EventOutcome,
		ActorType: row.ActorType, ActorID: row.ActorID, ResourceType: row.ResourceType, ResourceID: row.ResourceID,
		CorrelationID: row.CorrelationID, ParentEventID: row.ParentEventID, Namespace: row.Namespace,
		ClusterName: row.ClusterName, EventData: row.EventData, Severity: row.Severity, DurationMs: row.DurationMs,
	}
}

// optional stores an empty string as null.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
