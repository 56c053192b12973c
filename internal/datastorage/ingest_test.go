package datastorage

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// What the database answers, and what becomes of the write.
func TestIngestFates(t *testing.T) {
	full := &Error{Kind: Unavailable, RetryAfter: 30 * time.Second, Cause: CauseQueueFull}
	refused := &Error{Kind: Invalid, Detail: "the database refused a value"}
	for _, c := range []struct {
		name            string
		database, queue State
		answer          error // of the database, when asked
		queueErr        error
		queued          Cause         // where the events must be, or nowhere
		retryAfter      time.Duration // of a 503
		returned        error         // as it is
		asked           int           // how often the database was
		then            State
	}{
		{name: "stored", database: Connected, queue: Connected, asked: 1, then: Connected},
		{name: "stored without Redis", database: Connected, queue: Unreachable, asked: 1, then: Connected},

		{name: "no connection", database: Connected, queue: Connected, answer: unusable(CauseConnection), queued: CauseConnection, asked: 1, then: Unreachable},
		{name: "shutting down", database: Connected, queue: Connected, answer: unusable(CauseShutdown), queued: CauseShutdown, asked: 1, then: Unreachable},
		{name: "wrong password", database: Connected, queue: Connected, answer: unusable(CauseAuth), queued: CauseAuth, asked: 1, then: Unreachable},
		{name: "expired certificate", database: Connected, queue: Connected, answer: unusable(CauseTLS), queued: CauseTLS, asked: 1, then: Unreachable},
		{name: "read-only", database: Connected, queue: Connected, answer: unusable(CauseReadOnly), queued: CauseReadOnly, asked: 1, then: Unreachable},
		{name: "disk full", database: Connected, queue: Connected, answer: unusable(CauseResources), queued: CauseResources, asked: 1, then: Connected},
		{name: "too slow once", database: Connected, queue: Connected, answer: unusable(CauseTimeout), queued: CauseTimeout, asked: 1, then: Connected},
		{name: "deadlock to the end", database: Connected, queue: Connected, answer: unusable(CauseSerialization), queued: CauseSerialization, asked: 1, then: Connected},
		{name: "no table", database: Connected, queue: Connected, answer: unusable(CauseSchema), queued: CauseSchema, asked: 1, then: Connected},

		{name: "known to be away", database: Unreachable, queue: Connected, queued: CauseConnection, then: Unreachable},
		{name: "Redis not probed yet", database: Unreachable, queue: Unknown, queued: CauseConnection, then: Unreachable},
		{name: "schema outdated", database: SchemaOutdated, queue: Connected, queued: CauseSchema, then: SchemaOutdated},

		{name: "overload", database: Connected, queue: Connected, answer: unusable(CausePool), retryAfter: time.Second, asked: 1, then: Connected},
		{name: "refused value", database: Connected, queue: Connected, answer: refused, returned: refused, asked: 1, then: Connected},
		{name: "bug", database: Connected, queue: Connected, answer: context.Canceled, returned: context.Canceled, asked: 1, then: Connected},
		{name: "starting", database: Unknown, queue: Connected, retryAfter: 5 * time.Second, then: Unknown},

		{name: "both away", database: Unreachable, queue: Unreachable, retryAfter: 5 * time.Second, then: Unreachable},
		{name: "both go away now", database: Connected, queue: Connected, answer: unusable(CauseConnection), queueErr: errors.New("EOF"), retryAfter: 5 * time.Second, asked: 1, then: Unreachable},
		{name: "queue that would lose events", database: Unreachable, queue: Off, retryAfter: 5 * time.Second, then: Unreachable},
		{name: "schema outdated without Redis", database: SchemaOutdated, queue: Unreachable, retryAfter: 5 * time.Second, then: SchemaOutdated},
		{name: "queue full", database: Unreachable, queue: Connected, queueErr: full, retryAfter: 30 * time.Second, then: Unreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			store, queue := &scripted{answers: []error{c.answer}}, &shelf{err: c.queueErr}
			i := newIngest(c.database, c.queue, store, queue)
			events := someEvents(2)
			receipt, err := i.Write(t.Context(), events)
			checkFate(t, events, receipt, err, c.queued, c.retryAfter, c.returned)
			if len(store.calls) != c.asked || i.Health.Database() != c.then {
				t.Errorf("database asked %d times, then %v", len(store.calls), i.Health.Database())
			}
			if c.queued == "" {
				if len(queue.events) > 0 || i.Health.Pending() != 0 {
					t.Errorf("queued %d, pending %d", len(queue.events), i.Health.Pending())
				}
				return
			}
			if len(queue.causes) != 1 || queue.causes[0] != c.queued || len(queue.events) != 2 || i.Health.Pending() != 2 {
				t.Fatalf("queued %d with %v, pending %d", len(queue.events), queue.causes, i.Health.Pending())
			}
			for n, e := range queue.events {
				if e.ID != events[n].ID || e.Origin.QueuedAt.IsZero() {
					t.Errorf("queued %+v", e)
				}
			}
		})
	}
}

func checkFate(t *testing.T, events []Event, receipt Receipt, err error, queued Cause, retryAfter time.Duration, returned error) {
	t.Helper()
	var known *Error
	switch {
	case returned != nil:
		if !errors.Is(err, returned) {
			t.Errorf("gave %v, want %v", err, returned)
		}
	case retryAfter > 0:
		if !errors.As(err, &known) || known.Kind != Unavailable || known.RetryAfter != retryAfter {
			t.Errorf("gave %+v, want a wait of %s", err, retryAfter)
		}
	case err != nil || receipt.Queued != (queued != "") || len(receipt.Stored) != len(events):
		t.Errorf("gave %+v, %v", receipt, err)
	default:
		for n, s := range receipt.Stored {
			if s.ID != events[n].ID.UUID || !s.Time.Equal(events[n].Time) {
				t.Errorf("acknowledged %+v for %+v", s, events[n])
			}
		}
	}
}

func TestIngestWithoutQueue(t *testing.T) {
	i := newIngest(Connected, Off, &scripted{answers: []error{unusable(CauseConnection)}}, nil)
	events := someEvents(1)
	receipt, err := i.Write(t.Context(), events)
	checkFate(t, events, receipt, err, "", 5*time.Second, nil)
}

// A wait for a connection that the prober meanwhile explains is no overload.
func TestIngestPoolWaitWhileDatabaseIsAway(t *testing.T) {
	store, queue := &scripted{answers: []error{unusable(CausePool)}}, &shelf{}
	i := newIngest(Connected, Connected, store, queue)
	store.hook = func(context.Context) { i.Health.SetDatabase(Unreachable) }
	events := someEvents(1)
	receipt, err := i.Write(t.Context(), events)
	checkFate(t, events, receipt, err, CausePool, 0, nil)
}

// A sender that has gone is told nothing, so nothing need be kept; and its going says nothing of PostgreSQL.
func TestIngestSenderGone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	store, queue := &scripted{answers: []error{unusable(CauseConnection)}}, &shelf{}
	store.hook = func(context.Context) { cancel() }
	i := newIngest(Connected, Connected, store, queue)
	if _, err := i.Write(ctx, someEvents(1)); err == nil || len(queue.events) > 0 || i.Health.Database() != Connected {
		t.Errorf("%v, queued %d, database %v", err, len(queue.events), i.Health.Database())
	}
}

// A write is decided in time for its sender even if both stores hang.
func TestIngestDecidesInTime(t *testing.T) {
	hang := func(ctx context.Context) { <-ctx.Done() }
	for name, c := range map[string]struct {
		events     int
		spent      time.Duration // before the write, of the same four seconds
		queueHangs bool
		took       time.Duration
		retryAfter time.Duration
	}{
		"single":             {events: 1, took: 2 * time.Second},
		"batch":              {events: 2, took: 3 * time.Second},
		"single, both":       {events: 1, queueHangs: true, took: 3 * time.Second, retryAfter: 5 * time.Second},
		"batch, both":        {events: 2, queueHangs: true, took: 4 * time.Second, retryAfter: 5 * time.Second},
		"batch after a wait": {events: 2, spent: time.Second, queueHangs: true, took: 3 * time.Second, retryAfter: 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, queue := &scripted{answers: []error{unusable(CauseTimeout)}, hook: hang}, &shelf{}
				if c.queueHangs {
					queue.hook = hang
				}
				i, events, start := newIngest(Connected, Connected, store, queue), someEvents(c.events), time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), decisionTime-c.spent)
				defer cancel()
				receipt, err := i.Write(ctx, events)
				checkFate(t, events, receipt, err, CauseTimeout, c.retryAfter, nil)
				if took := time.Since(start); took != c.took {
					t.Errorf("took %s, want %s", took, c.took)
				}
			})
		})
	}
}

// Five statements out of time within ten seconds, and PostgreSQL is left alone until the prober says otherwise.
func TestIngestTimeouts(t *testing.T) {
	for _, c := range []struct {
		apart    time.Duration
		timeouts int
		opens    bool
	}{{2 * time.Second, 4, false}, {2 * time.Second, 5, true}, {2500 * time.Millisecond, 5, true}, {2501 * time.Millisecond, 20, false}} {
		synctest.Test(t, func(t *testing.T) {
			store, queue := &scripted{}, &shelf{}
			i := newIngest(Connected, Connected, store, queue)
			for range c.timeouts {
				store.answers = append(store.answers, unusable(CauseTimeout))
				if _, err := i.Write(t.Context(), someEvents(1)); err != nil {
					t.Fatal(err)
				}
				<-time.After(c.apart) // of the bubble's clock
			}
			if opened := i.Health.Database() == Unreachable; opened != c.opens {
				t.Errorf("%d timeouts %s apart: opened %v", c.timeouts, c.apart, opened)
			}
			if len(queue.events) != c.timeouts {
				t.Errorf("%d of %d queued", len(queue.events), c.timeouts)
			}
		})
	}
}

// A6: A parent that may wait in the queue never makes its child fail.
func TestIngestParents(t *testing.T) {
	unknown := UnknownParents{0}
	for _, c := range []struct {
		name          string
		pending       int
		depth         int
		depthErr      error
		answers       []error
		rules         []ParentRule
		refused       bool
		withoutAQueue bool
	}{
		{name: "waits, as this process knows", pending: 3, answers: []error{unknown}, rules: []ParentRule{CheckParents, AcceptParents}},
		{name: "waits, as only Redis knows", depth: 1, answers: []error{unknown}, rules: []ParentRule{CheckParents, AcceptParents}},
		{name: "Redis cannot say", depthErr: errors.New("EOF"), answers: []error{unknown}, rules: []ParentRule{CheckParents, AcceptParents}},
		{name: "moved between the looks", answers: []error{unknown}, rules: []ParentRule{CheckParents, CheckParents}},
		{name: "unknown", answers: []error{unknown, unknown}, rules: []ParentRule{CheckParents, CheckParents}, refused: true},
		{name: "unknown, no queue", answers: []error{unknown}, rules: []ParentRule{CheckParents}, refused: true, withoutAQueue: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			store, queue := &scripted{answers: c.answers}, &shelf{depth: c.depth, depthErr: c.depthErr}
			if c.withoutAQueue {
				queue = nil
			}
			i := newIngest(Connected, Connected, store, queue)
			i.Health.SetPending(c.pending)
			_, err := i.Write(t.Context(), someEvents(1))
			var parents UnknownParents
			if errors.As(err, &parents) != c.refused || err != nil && !c.refused {
				t.Errorf("gave %v", err)
			}
			if len(store.calls) != len(c.rules) {
				t.Fatalf("asked with %v, want %v", store.calls, c.rules)
			}
			for n, rule := range c.rules {
				if store.calls[n] != rule {
					t.Errorf("asked with %v, want %v", store.calls, c.rules)
				}
			}
		})
	}
}
