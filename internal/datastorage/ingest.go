package datastorage

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Queue keeps events durably while PostgreSQL is away.
type Queue interface {
	// Enqueue keeps all events, in their order, or none. A full queue is an Unavailable error with its RetryAfter.
	Enqueue(ctx context.Context, events []Event, cause Cause) error
	// Depth is the number of waiting events.
	Depth(ctx context.Context) (int, error)
}

// decisionTime is how long a write may take, because existing senders give up after 5 s.
const decisionTime = 4 * time.Second

// Deadline bounds a write whose last body byte arrived then.
func Deadline(ctx context.Context, arrived time.Time) (context.Context, context.CancelFunc) {
	return context.WithDeadline(ctx, arrived.Add(decisionTime))
}

// Ingest is the one way of audit events into storage: PostgreSQL, or the queue while PostgreSQL is away.
type Ingest struct {
	Store                                   EventWriter
	Queue                                   Queue // nil: switched off
	Health                                  *Health
	SingleTimeout, BatchTimeout, DLQTimeout time.Duration
	// Observe is told of every write, what became of it, and how long that took.
	Observe func(events []Event, receipt Receipt, took time.Duration, err error)

	timeouts timeouts
}

// Receipt is what became of a write that succeeded.
type Receipt struct {
	Stored []Stored
	Queued bool // durable in the queue; Stored tells id and time only
}

// Write keeps complete events durably, all or none. Its context should come from Deadline.
func (i *Ingest) Write(ctx context.Context, events []Event) (Receipt, error) {
	start := time.Now()
	receipt, err := i.write(ctx, events)
	if i.Observe != nil {
		i.Observe(events, receipt, time.Since(start), err)
	}
	return receipt, err
}

func (i *Ingest) write(ctx context.Context, events []Event) (Receipt, error) {
	switch i.Health.Database() {
	case Unknown:
		return Receipt{}, unavailable("the service is starting", nil)
	case SchemaOutdated:
		return i.enqueue(ctx, events, &Error{Cause: CauseSchema})
	case Connected:
	default:
		return i.enqueue(ctx, events, &Error{Cause: CauseConnection})
	}
	stored, err := i.insert(ctx, events, CheckParents)
	var unknown UnknownParents
	if errors.As(err, &unknown) && i.queueHolds(ctx) {
		stored, err = i.insert(ctx, events, AcceptParents)
	} else if errors.As(err, &unknown) && i.Queue != nil {
		// The parent may have been moved from the queue to the table between the two looks.
		stored, err = i.insert(ctx, events, CheckParents)
	}
	if err == nil {
		return Receipt{Stored: stored}, nil
	}
	var failure *Error
	if !errors.As(err, &failure) || failure.Kind != Unavailable {
		return Receipt{}, err
	}
	if errors.Is(ctx.Err(), context.Canceled) { // the sender has gone; nobody is told anything
		return Receipt{}, err
	}
	i.noteFailure(failure)
	if failure.Cause == CausePool && i.Health.Database() == Connected { // overload never goes to the queue
		return Receipt{}, &Error{Kind: Unavailable, Detail: "too many writes", RetryAfter: time.Second, Cause: CausePool, Err: err}
	}
	return i.enqueue(ctx, events, failure)
}

// insert leaves enough of the time for the queue.
func (i *Ingest) insert(ctx context.Context, events []Event, parents ParentRule) ([]Stored, error) {
	timeout := i.BatchTimeout
	if len(events) == 1 {
		timeout = i.SingleTimeout
	}
	if deadline, bounded := ctx.Deadline(); bounded {
		timeout = min(timeout, time.Until(deadline)-i.DLQTimeout)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return i.Store.InsertEvents(ctx, events, parents)
}

// queueHolds tells whether a parent may wait in the queue. If Redis cannot say, it may: a refused event would be lost.
func (i *Ingest) queueHolds(ctx context.Context) bool {
	if i.Queue == nil {
		return false
	}
	if i.Health.Pending() > 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, i.DLQTimeout)
	defer cancel()
	depth, err := i.Queue.Depth(ctx)
	return err != nil || depth > 0
}

func (i *Ingest) enqueue(ctx context.Context, events []Event, failure *Error) (Receipt, error) {
	if i.Queue == nil || !i.Health.QueueUsable() {
		return Receipt{}, unavailable("neither the database nor the queue is available", failure.Err)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	receipt := Receipt{Queued: true, Stored: make([]Stored, len(events))}
	for n := range events {
		events[n].Origin.QueuedAt = now
		receipt.Stored[n] = Stored{ID: events[n].ID.UUID, Time: events[n].Time}
	}
	ctx, cancel := context.WithTimeout(ctx, i.DLQTimeout)
	defer cancel()
	if err := i.Queue.Enqueue(ctx, events, failure.Cause); err != nil {
		var known *Error
		if errors.As(err, &known) {
			return Receipt{}, err
		}
		return Receipt{}, unavailable("neither the database nor the queue is available", errors.Join(failure.Err, err))
	}
	i.Health.AddPending(len(events))
	return receipt, nil
}

func unavailable(detail string, err error) error {
	return &Error{Kind: Unavailable, Detail: detail, RetryAfter: 5 * time.Second, Err: err}
}

// noteFailure makes the following writes go round PostgreSQL until the prober sees it well again: at once when it could
// not be used at all, after some timeouts when it merely did not answer in time.
func (i *Ingest) noteFailure(failure *Error) {
	switch failure.Cause {
	case CauseConnection, CauseShutdown, CauseAuth, CauseTLS, CauseReadOnly:
		i.Health.DatabaseFailed()
	case CauseTimeout:
		if i.timeouts.add(time.Now()) {
			i.Health.DatabaseFailed()
		}
	}
}

const (
	maxTimeouts   = 5
	timeoutWindow = 10 * time.Second
)

// timeouts are the last few of them.
type timeouts struct {
	mu   sync.Mutex
	last [maxTimeouts]time.Time
	next int
}

// add tells whether there were maxTimeouts within the window.
func (t *timeouts) add(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last[t.next] = now
	t.next = (t.next + 1) % maxTimeouts
	oldest := t.last[t.next]
	return !oldest.IsZero() && now.Sub(oldest) <= timeoutWindow
}
