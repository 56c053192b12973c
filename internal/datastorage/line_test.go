package datastorage

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
)

// line is a queue in memory and the table that it is drained to. It fails the test when an entry leaves before its event
// is in the table, and when an event is stored twice.
type line struct {
	EventWriter
	t       *testing.T
	entries []Queued
	table   []uuid.UUID
	buried  map[string]string // entry: reason
	at      []time.Time       // of every attempt to store
	sizes   []int             // of the same

	refuse   func(events []Event) error // what the database says; nil: it stores
	headErr  error
	keep     error // of the next Remove
	notLed   bool
	observed [3]int
}

func newLine(t *testing.T, events int) *line {
	l := &line{t: t, buried: map[string]string{}}
	for i, e := range someEvents(events) {
		l.entries = append(l.entries, Queued{Entry: strconv.Itoa(i), Event: e})
	}
	return l
}

func (l *line) Head(_ context.Context, n int) ([]Queued, error) {
	if l.headErr != nil {
		return nil, l.headErr
	}
	return slices.Clone(l.entries[:min(n, len(l.entries))]), nil
}

func (l *line) Remove(_ context.Context, entries []Queued) error {
	if err := l.keep; err != nil {
		l.keep = nil
		return err
	}
	for _, e := range entries {
		if !slices.Contains(l.table, e.Event.ID.UUID) {
			l.t.Errorf("entry %s was removed and is not stored", e.Entry)
		}
		l.forget(e)
	}
	return nil
}

func (l *line) Bury(_ context.Context, entry Queued, reason string) error {
	l.buried[entry.Entry] = reason
	l.forget(entry)
	return nil
}

func (l *line) forget(entry Queued) {
	l.entries = slices.DeleteFunc(l.entries, func(e Queued) bool { return e.Entry == entry.Entry })
}

func (l *line) InsertEvents(ctx context.Context, events []Event, parents ParentRule) ([]Stored, error) {
	l.at, l.sizes = append(l.at, time.Now()), append(l.sizes, len(events))
	if _, bounded := ctx.Deadline(); !bounded || parents != AcceptParents {
		l.t.Errorf("stored without a limit of time, or with the rule %v", parents)
	}
	if l.refuse != nil {
		if err := l.refuse(events); err != nil {
			return nil, err
		}
	}
	stored := make([]Stored, len(events))
	for i, e := range events {
		stored[i] = Stored{ID: e.ID.UUID, Time: e.Time, Repeated: slices.Contains(l.table, e.ID.UUID)}
		if !stored[i].Repeated {
			l.table = append(l.table, e.ID.UUID)
		}
	}
	return stored, nil
}

func (l *line) Lead(ctx context.Context, work func(context.Context) error) (bool, error) {
	if l.notLed {
		return false, nil
	}
	return true, work(ctx)
}

// drain is a worker over the line, with PostgreSQL well.
func (l *line) drain() *Drain {
	d := &Drain{Queue: l, Store: l, Leader: l, Health: &Health{}, Batch: 500, Interval: time.Second, Timeout: 5 * time.Second,
		Log: slog.New(slog.DiscardHandler), Observe: func(stored, duplicate, dead int) {
			l.observed = [3]int{l.observed[0] + stored, l.observed[1] + duplicate, l.observed[2] + dead}
		}}
	d.Health.SetDatabase(Connected)
	d.Health.SetPending(len(l.entries))
	return d
}

// run works for a span of the bubble's clock and waits for the worker's end.
func (d *Drain) run(t *testing.T, span time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), span)
	defer cancel()
	d.Run(ctx)
}

func ids(entries []Queued) []uuid.UUID {
	all := make([]uuid.UUID, len(entries))
	for i, e := range entries {
		all[i] = e.Event.ID.UUID
	}
	return all
}
