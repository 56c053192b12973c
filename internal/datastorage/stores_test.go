package datastorage

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
)

// scripted is an EventWriter whose answers a test writes; after the last one it stores.
type scripted struct {
	EventWriter
	answers []error
	hook    func(ctx context.Context) // runs within every call
	calls   []ParentRule
}

func (s *scripted) InsertEvents(ctx context.Context, events []Event, parents ParentRule) ([]Stored, error) {
	s.calls = append(s.calls, parents)
	if s.hook != nil {
		s.hook(ctx)
	}
	if n := len(s.calls); n <= len(s.answers) && s.answers[n-1] != nil {
		return nil, s.answers[n-1]
	}
	stored := make([]Stored, len(events))
	for i, e := range events {
		stored[i] = Stored{ID: e.ID.UUID, Time: e.Time}
	}
	return stored, nil
}

// shelf is a Queue in memory.
type shelf struct {
	events   []Event
	causes   []Cause
	err      error // of Enqueue
	depth    int
	depthErr error
	hook     func(ctx context.Context)
}

func (s *shelf) Enqueue(ctx context.Context, events []Event, cause Cause) error {
	if s.hook != nil {
		s.hook(ctx)
	}
	if s.err != nil {
		return s.err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.events, s.causes = append(s.events, events...), append(s.causes, cause)
	return nil
}

func (s *shelf) Depth(context.Context) (int, error) {
	return s.depth, s.depthErr
}

func unusable(cause Cause) error {
	return &Error{Kind: Unavailable, Detail: "the database is not available", RetryAfter: 5 * time.Second, Cause: cause, Err: errors.New("driver")}
}

func someEvents(n int) []Event {
	events := make([]Event, n)
	for i := range events {
		events[i] = Event{Type: "a.b", Category: "analysis", CorrelationID: "c", Time: time.Now(), Data: []byte(`{}`)}.Complete(uuid.New)
	}
	return events
}

func newIngest(database, queue State, store *scripted, to *shelf) *Ingest {
	i := &Ingest{Store: store, Health: &Health{}, SingleTimeout: 2 * time.Second, BatchTimeout: 3 * time.Second, DLQTimeout: time.Second}
	if to != nil {
		i.Queue = to
	}
	i.Health.SetDatabase(database)
	i.Health.SetQueue(queue)
	return i
}
