package datastorage

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
)

// table is an EventWriter that fails as it is told, in order, and keeps the rest.
type table struct {
	failures []error
	kept     []Event
	rules    []ParentRule
}

func (s *table) InsertEvents(_ context.Context, events []Event, rule ParentRule) ([]Stored, error) {
	s.rules = append(s.rules, rule)
	if len(s.failures) > 0 {
		err := s.failures[0]
		s.failures = s.failures[1:]
		if err != nil {
			return nil, err
		}
	}
	s.kept = append(s.kept, events...)
	stored := make([]Stored, len(events))
	for i, e := range events {
		stored[i] = Stored{ID: e.ID.UUID, Time: e.Time}
	}
	return stored, nil
}

type waiting struct {
	err   error
	depth int
	kept  []Event
	cause Cause
}

func (q *waiting) Enqueue(_ context.Context, events []Event, cause Cause) error {
	if q.err != nil {
		return q.err
	}
	q.kept, q.cause = append(q.kept, events...), cause
	return nil
}

func (q *waiting) Depth(context.Context) (int, error) { return q.depth, q.err }

func away(cause Cause) error {
	return &Error{Kind: Unavailable, Cause: cause, RetryAfter: 5 * time.Second, Err: errors.New("a driver's text")}
}

func newEvent() Event {
	return Event{Version: "1.0", Type: "t", Time: time.Now(), Category: "analysis", Action: "a", Outcome: "success", CorrelationID: "c",
		Data: []byte(`{}`)}.Complete(uuid.New)
}

func TestWriteGoesToTheQueueWhilePostgreSQLIsAway(t *testing.T) {
	for name, c := range map[string]struct {
		database State
		failure  error
		queued   bool
		kind     Kind // of the error, when not queued
		after    State
	}{
		"connection":        {Connected, away(CauseConnection), true, 0, Unreachable},
		"shutting down":     {Connected, away(CauseShutdown), true, 0, Unreachable},
		"wrong password":    {Connected, away(CauseAuth), true, 0, Unreachable},
		"bad certificate":   {Connected, away(CauseTLS), true, 0, Unreachable},
		"read-only":         {Connected, away(CauseReadOnly), true, 0, Unreachable},
		"disk full":         {Connected, away(CauseResources), true, 0, Connected},
		"one timeout":       {Connected, away(CauseTimeout), true, 0, Connected},
		"serialization":     {Connected, away(CauseSerialization), true, 0, Connected},
		"no table":          {Connected, away(CauseSchema), true, 0, Connected},
		"overload":          {Connected, away(CausePool), false, Unavailable, Connected},
		"refused value":     {Connected, &Error{Kind: Invalid}, false, Invalid, Connected},
		"bug":               {Connected, &Error{Kind: Internal}, false, Internal, Connected},
		"known to be away":  {Unreachable, errors.New("must not be asked"), true, 0, Unreachable},
		"schema outdated":   {SchemaOutdated, errors.New("must not be asked"), true, 0, SchemaOutdated},
		"not yet looked at": {Unknown, errors.New("must not be asked"), false, Unavailable, Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			store, queue, health := &table{failures: []error{c.failure}}, &waiting{}, &Health{}
			health.SetDatabase(c.database)
			health.SetQueue(Connected)
			i := &Ingest{Store: store, Queue: queue, Health: health, SingleTimeout: time.Second, BatchTimeout: time.Second, DLQTimeout: time.Second}
			e := newEvent()
			receipt, err := i.Write(t.Context(), []Event{e})
			if receipt.Queued != c.queued || len(queue.kept) > 0 != c.queued || err == nil != c.queued {
				t.Fatalf("receipt %+v, error %v, queue %v", receipt, err, queue.kept)
			}
			if c.queued && (receipt.Stored[0].ID != e.ID.UUID || queue.kept[0].Origin.QueuedAt.IsZero() || health.Pending() != 1) {
				t.Errorf("receipt %+v, queued %+v, pending %d", receipt, queue.kept[0], health.Pending())
			}
			if !c.queued && KindOf(err) != c.kind {
				t.Errorf("error %v", err)
			}
			if health.Database() != c.after {
				t.Errorf("database is %v afterwards, want %v", health.Database(), c.after)
			}
		})
	}
}

func TestWriteTellsWhenNothingIsKept(t *testing.T) {
	full := &Error{Kind: Unavailable, Cause: CauseQueueFull, RetryAfter: 30 * time.Second}
	for name, c := range map[string]struct {
		queue *waiting
		state State
		after time.Duration
	}{
		"queue off":          {nil, Off, 5 * time.Second},
		"queue not usable":   {&waiting{}, Unreachable, 5 * time.Second},
		"queue fails":        {&waiting{err: errors.New("gone")}, Connected, 5 * time.Second},
		"queue full":         {&waiting{err: full}, Connected, 30 * time.Second},
		"queue must be safe": {&waiting{}, Off, 5 * time.Second},
	} {
		health := &Health{}
		health.SetDatabase(Unreachable)
		health.SetQueue(c.state)
		i := &Ingest{Store: &table{}, Health: health, SingleTimeout: time.Second, BatchTimeout: time.Second, DLQTimeout: time.Second}
		if c.queue != nil {
			i.Queue = c.queue
		}
		_, err := i.Write(t.Context(), []Event{newEvent()})
		var told *Error
		if !errors.As(err, &told) || told.Kind != Unavailable || told.RetryAfter != c.after {
			t.Errorf("%s: %v", name, err)
		}
		if c.queue != nil && len(c.queue.kept) > 0 {
			t.Errorf("%s: kept %v", name, c.queue.kept)
		}
	}
}

// A sender that has gone is told nothing, so nothing is kept for it and nothing is learned of PostgreSQL.
func TestWriteOfASenderThatHasGone(t *testing.T) {
	queue, health := &waiting{}, &Health{}
	health.SetDatabase(Connected)
	health.SetQueue(Connected)
	i := &Ingest{Store: &table{failures: []error{away(CauseConnection)}}, Queue: queue, Health: health,
		SingleTimeout: time.Second, BatchTimeout: time.Second, DLQTimeout: time.Second}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := i.Write(ctx, []Event{newEvent()}); err == nil || len(queue.kept) > 0 || health.Database() != Connected {
		t.Errorf("error %v, queue %v, database %v", err, queue.kept, health.Database())
	}
}

// A6: a parent may wait in the queue, or may have left it for the table between two looks.
func TestUnknownParent(t *testing.T) {
	for name, c := range map[string]struct {
		failures []error
		queue    *waiting
		pending  int
		stored   bool
		rules    int
	}{
		"unknown, queue empty":        {[]error{UnknownParents{0}, UnknownParents{0}}, &waiting{}, 0, false, 2},
		"unknown, queue off":          {[]error{UnknownParents{0}}, nil, 0, false, 1},
		"queued by this process":      {[]error{UnknownParents{0}}, &waiting{}, 1, true, 2},
		"queued by another replica":   {[]error{UnknownParents{0}}, &waiting{depth: 3}, 0, true, 2},
		"moved between the two looks": {[]error{UnknownParents{0}, nil}, &waiting{}, 0, true, 2},
	} {
		store, health := &table{failures: c.failures}, &Health{}
		health.SetDatabase(Connected)
		health.SetQueue(Connected)
		health.SetPending(c.pending)
		i := &Ingest{Store: store, Health: health, SingleTimeout: time.Second, BatchTimeout: time.Second, DLQTimeout: time.Second}
		if c.queue != nil {
			i.Queue = c.queue
		}
		_, err := i.Write(t.Context(), []Event{newEvent()})
		var unknown UnknownParents
		if errors.As(err, &unknown) == c.stored || len(store.rules) != c.rules {
			t.Errorf("%s: error %v, rules %v", name, err, store.rules)
		}
	}
}

func TestTimeoutsOpenAfterFiveWithinTenSeconds(t *testing.T) {
	start := time.Now()
	for name, c := range map[string]struct {
		apart time.Duration
		open  []bool
	}{
		"quick": {time.Second, []bool{false, false, false, false, true, true}},
		"slow":  {3 * time.Second, []bool{false, false, false, false, false, false}},
	} {
		var some timeouts
		for n, want := range c.open {
			if got := some.add(start.Add(time.Duration(n) * c.apart)); got != want {
				t.Errorf("%s: timeout %d: %v", name, n+1, got)
			}
		}
	}
}
