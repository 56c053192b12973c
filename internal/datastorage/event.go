package datastorage

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// MaxBatch is the highest number of events in one write.
const MaxBatch = 1000

// Event is one audit event. An empty optional string is an absent one. Its JSON is what the queue holds.
type Event struct {
	ID            uuid.NullUUID   `json:"event_id"` // the sender's, or the server's after Complete
	Version       string          `json:"version"`
	Type          string          `json:"event_type"`
	Time          time.Time       `json:"event_timestamp"` // UTC, whole microseconds after Complete
	Category      string          `json:"event_category"`
	Action        string          `json:"event_action"`
	Outcome       string          `json:"event_outcome"`
	ActorType     string          `json:"actor_type"`
	ActorID       string          `json:"actor_id"`
	ResourceType  string          `json:"resource_type"`
	ResourceID    string          `json:"resource_id"`
	CorrelationID string          `json:"correlation_id"`
	Parent        uuid.NullUUID   `json:"parent_event_id,omitzero"`
	Namespace     string          `json:"namespace,omitzero"`
	ClusterName   string          `json:"cluster_name,omitzero"`
	Severity      string          `json:"severity"`
	DurationMS    *int32          `json:"duration_ms,omitzero"`
	Data          json.RawMessage `json:"event_data"` // a JSON object
	Origin        Origin          `json:"origin"`
}

// Origin is how an event came to the service; it is stored beside the event and never shown.
type Origin struct {
	RequestID string    `json:"request_id"`
	Account   string    `json:"authenticated_as,omitzero"` // with token review only
	QueuedAt  time.Time `json:"queued_at,omitzero"`        // zero: it was never queued
}

// Day is the UTC day of the event, which decides the partition.
func (e Event) Day() time.Time {
	return time.Date(e.Time.Year(), e.Time.Month(), e.Time.Day(), 0, 0, 0, 0, time.UTC)
}

// Window is how far the time of a new event may be from the server's.
type Window struct{ MaxAge, MaxFuture time.Duration }

// Check holds an event, which keeps the rules of the contract, against the rules that a contract cannot state.
func (e Event) Check(w Window, now time.Time) FieldErrors {
	var errs FieldErrors
	if e.ID.Valid {
		errs.Add("event_id", CheckID(e.ID.UUID))
	}
	errs.Add("event_timestamp", w.CheckTime(e.Time, now))
	if e.Parent.Valid {
		errs.Add("parent_event_id", CheckID(e.Parent.UUID))
	}
	if e.Parent.Valid && e.Parent == e.ID {
		errs.Add("parent_event_id", "must not be the event itself")
	}
	errs.Add("event_data", CheckObject(e.Data))
	return errs
}

// CheckID refuses the nil UUID, which only a bug sends.
func CheckID(id uuid.UUID) string {
	if id == uuid.Nil {
		return "must not be the nil UUID"
	}
	return ""
}

// CheckTime tells a sender with a wrong clock the server's time.
func (w Window) CheckTime(t, now time.Time) string {
	server := now.UTC().Format(time.RFC3339)
	switch {
	case t.After(now.Add(w.MaxFuture)):
		return fmt.Sprintf("must be at most %s after the server time %s", w.MaxFuture, server)
	case t.Before(now.Add(-w.MaxAge)):
		return fmt.Sprintf("must be at most %s before the server time %s", w.MaxAge, server)
	}
	return ""
}

// Complete fixes what the sender left open, so that the event is the same wherever it is kept.
func (e Event) Complete(newID func() uuid.UUID) Event {
	if !e.ID.Valid {
		e.ID = uuid.NullUUID{UUID: newID(), Valid: true}
	}
	e.Time = e.Time.UTC().Truncate(time.Microsecond)
	defaultTo(&e.ActorType, "service")
	defaultTo(&e.ActorID, e.Category+"-service")
	defaultTo(&e.ResourceType, e.Category)
	defaultTo(&e.ResourceID, e.CorrelationID)
	defaultTo(&e.Severity, "info")
	return e
}

func defaultTo(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// Stored tells what became of one event of a write.
type Stored struct {
	ID   uuid.UUID
	Time time.Time // as stored, which for a repeated id may differ from what was sent
	// Repeated: the id was there already. Different: with other content, and that first content stays.
	Repeated, Different bool
}

// EventWriter keeps audit events.
type EventWriter interface {
	// InsertEvents stores all events or none. Result i belongs to event i. With CheckParents an unknown parent is an
	// UnknownParents error.
	InsertEvents(ctx context.Context, events []Event, parents ParentRule) ([]Stored, error)
}

// EventReader finds audit events.
type EventReader interface {
	// QueryEvents hands over one page, newest first, event by event. An error of each ends it.
	QueryEvents(ctx context.Context, filter EventFilter, page Page, each func(Event) error) (EventPage, error)
}

// ParentRule says whether the parent of an event must be stored.
type ParentRule bool

// The two rules: a parent may itself still wait in the queue.
const (
	CheckParents  ParentRule = true
	AcceptParents ParentRule = false
)

// UnknownParents is the error of a write whose events name parents that are not stored. It holds the positions of those
// events within the write.
type UnknownParents []int

// TextUnknownParent is what the sender is told.
const TextUnknownParent = "parent event does not exist"

func (u UnknownParents) Error() string {
	return fmt.Sprintf("%d events: %s", len(u), TextUnknownParent)
}

// BatchError joins what is wrong with the elements of a batch; nil if nothing is.
func BatchError(errs map[int]FieldErrors, events int) error {
	var indexes []int
	for i, e := range errs {
		if len(e) > 0 {
			indexes = append(indexes, i)
		}
	}
	if len(indexes) == 0 {
		return nil
	}
	slices.Sort(indexes)
	result := &Error{Kind: Invalid, Indexes: indexes}
	shown := make([]string, len(indexes))
	for n, i := range indexes {
		shown[n] = strconv.Itoa(i)
		for _, e := range errs[i] {
			if len(result.Fields) >= MaxFieldErrors {
				break
			}
			field := fmt.Sprintf("[%d]", i)
			if e.Field != "" {
				field += "." + e.Field
			}
			result.Fields.Add(field, e.Text)
		}
	}
	result.Detail = fmt.Sprintf("%d of %d events are invalid: indexes %s", len(indexes), events, strings.Join(shown, ", "))
	return result
}
