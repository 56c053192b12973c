package datastorage

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

// Queued is an entry of the queue.
type Queued struct {
	Entry string // its place in the queue
	Event Event
	Fault string // why it cannot be read; empty if it can
}

// DrainQueue is the reading end of the queue.
type DrainQueue interface {
	// Head returns the oldest entries, at most n. Nothing is marked as read.
	Head(ctx context.Context, n int) ([]Queued, error)
	// Remove forgets entries that are stored.
	Remove(ctx context.Context, entries []Queued) error
	// Bury moves an entry that can never be stored to where an operator looks.
	Bury(ctx context.Context, entry Queued, reason string) error
}

// Leader lets one of all replicas work.
type Leader interface {
	// Lead runs work under a lock that no other replica has; led is false if another one has it.
	Lead(ctx context.Context, work func(context.Context) error) (led bool, err error)
}

// Drain moves events from the queue to PostgreSQL, in their order, each exactly once: an entry is removed only after its
// row is committed, and the id makes a second store harmless.
type Drain struct {
	Queue    DrainQueue
	Store    EventWriter
	Leader   Leader
	Health   *Health
	Batch    int
	Interval time.Duration // between looks while entries exist
	Timeout  time.Duration // of one batch
	Log      *slog.Logger
	Observe  func(stored, duplicate, dead int)
}

// Longest pause after failures. A failure counts against no entry, so no outage makes one undeliverable.
const maxPause = 30 * time.Second

// Run works until the context ends; the batch in hand is finished or left in the queue.
func (d *Drain) Run(ctx context.Context) {
	failures := 0
	for {
		recovered := d.Health.Recovered()
		wait := d.Interval
		if failures > 0 {
			wait = pause(failures)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-recovered:
			failures = 0
		case <-timer.C:
		}
		timer.Stop()
		if d.Health.Database() != Connected || d.Health.Pending() == 0 {
			failures = 0
			continue
		}
		if err := d.once(ctx, max(1, d.Batch>>min(failures, 10))); err == nil { // what was too slow may be less slow in parts
			failures = 0
		} else if ctx.Err() == nil {
			failures++
			d.Log.Warn("the queue was not drained", "error", err, "failures", failures)
		}
	}
}

// pause doubles from a second, with jitter so that replicas do not knock together.
func pause(failures int) time.Duration {
	full := min(time.Second<<min(failures-1, 10), maxPause)
	return full/2 + rand.N(full/2+1) //nolint:gosec // no secret depends on it
}

// once empties the queue in pages if no other replica does. The lock is taken anew for each page, so that nobody goes on
// under a lock that went with its connection.
func (d *Drain) once(ctx context.Context, size int) (err error) {
	start, total, led := time.Now(), 0, true
	for ctx.Err() == nil {
		moved := 0
		led, err = d.Leader.Lead(ctx, func(ctx context.Context) (err error) {
			moved, err = d.page(ctx, size)
			return err
		})
		if total == 0 && moved > 0 {
			d.Log.Info("draining the queue", "waiting", d.Health.Pending()+moved)
		}
		if total += moved; err != nil || !led || moved == 0 {
			break
		}
	}
	if total > 0 {
		d.Log.Info("queue drained", "events", total, "duration_ms", time.Since(start).Milliseconds(),
			"complete", led && err == nil && ctx.Err() == nil)
	}
	return err
}

// page moves the oldest entries, at most size, and tells how many left the queue. It is finished even if the context
// ends, within its own time.
func (d *Drain) page(ctx context.Context, size int) (int, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.Timeout)
	defer cancel()
	entries, err := d.Queue.Head(ctx, size)
	if err != nil {
		return 0, err
	}
	readable := make([]Queued, 0, len(entries))
	for _, entry := range entries {
		if entry.Fault == "" {
			readable = append(readable, entry)
		} else if err := d.bury(ctx, entry, entry.Fault); err != nil {
			return 0, err
		}
	}
	if err := d.store(ctx, readable); err != nil {
		return 0, err
	}
	d.Health.AddPending(-len(entries))
	return len(entries), nil
}

// store writes entries and removes them. Halves find the one that the database refuses.
func (d *Drain) store(ctx context.Context, entries []Queued) error {
	if len(entries) == 0 {
		return nil
	}
	events := make([]Event, len(entries))
	for i, entry := range entries {
		events[i] = entry.Event
	}
	stored, err := d.Store.InsertEvents(ctx, events, AcceptParents)
	switch {
	case err == nil:
		duplicates := 0
		for _, s := range stored {
			if s.Repeated {
				duplicates++
			}
			if s.Different {
				d.Log.Warn("an event id was queued with other content than is stored; the stored content stays", "event_id", s.ID)
			}
		}
		d.Observe(len(stored)-duplicates, duplicates, 0)
		return d.Queue.Remove(ctx, entries)
	case KindOf(err) != Invalid:
		return err
	case len(entries) > 1:
		half := len(entries) / 2
		if err := d.store(ctx, entries[:half]); err != nil {
			return err // the order stays: nothing overtakes what failed
		}
		return d.store(ctx, entries[half:])
	}
	d.Log.Error("the database refuses a queued event", "event_id", entries[0].Event.ID.UUID, "error", err)
	return d.bury(ctx, entries[0], "database_rejected")
}

func (d *Drain) bury(ctx context.Context, entry Queued, reason string) error {
	if err := d.Queue.Bury(ctx, entry, reason); err != nil {
		return err
	}
	d.Observe(0, 0, 1)
	return nil
}
