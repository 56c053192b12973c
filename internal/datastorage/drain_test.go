package datastorage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// stream is a DrainQueue in memory.
type stream struct {
	entries []Queued
	buried  map[string]string // entry -> reason
}

func (s *stream) Head(_ context.Context, n int) ([]Queued, error) {
	return slices.Clone(s.entries[:min(n, len(s.entries))]), nil
}

func (s *stream) Remove(_ context.Context, entries []Queued) error {
	for _, gone := range entries {
		s.entries = slices.DeleteFunc(s.entries, func(e Queued) bool { return e.Entry == gone.Entry })
	}
	return nil
}

func (s *stream) Bury(ctx context.Context, entry Queued, reason string) error {
	s.buried[entry.Entry] = reason
	return s.Remove(ctx, []Queued{entry})
}

// alone is a Leader without rivals.
type alone struct{}

func (alone) Lead(ctx context.Context, work func(context.Context) error) (bool, error) {
	return true, work(ctx)
}

// judge is a store that refuses events of the type bad, knows ids, and is away as long as it is told.
type judge struct {
	away  int
	order []string
}

func (j *judge) InsertEvents(_ context.Context, events []Event, _ ParentRule) ([]Stored, error) {
	if j.away > 0 {
		j.away--
		return nil, away(CauseConnection)
	}
	stored := make([]Stored, len(events))
	for _, e := range events {
		if e.Type == "bad" {
			return nil, &Error{Kind: Invalid, Detail: "refused"}
		}
	}
	for i, e := range events {
		stored[i] = Stored{ID: e.ID.UUID, Repeated: slices.Contains(j.order, e.ID.UUID.String())}
		if !stored[i].Repeated {
			j.order = append(j.order, e.ID.UUID.String())
		}
	}
	return stored, nil
}

// drainOf is a drain of n events; a name in types makes that event of this type, "?" an entry that cannot be read.
func drainOf(n int, types map[int]string) (*Drain, *stream, *judge, []string) {
	s, j := &stream{buried: map[string]string{}}, &judge{}
	var ids []string
	for i := range n {
		entry := Queued{Entry: fmt.Sprintf("%d-0", i), Event: newEvent()}
		switch name := types[i]; name {
		case "?":
			entry.Event, entry.Fault = Event{}, "event cannot be decoded"
		case "":
			ids = append(ids, entry.Event.ID.UUID.String())
		default:
			entry.Event.Type = name
		}
		s.entries = append(s.entries, entry)
	}
	health := &Health{}
	health.SetDatabase(Connected)
	health.SetPending(n)
	return &Drain{Queue: s, Store: j, Leader: alone{}, Health: health, Batch: 8, Interval: time.Second, Timeout: time.Second,
		Log: slog.New(slog.DiscardHandler), Observe: func(int, int, int) {}}, s, j, ids
}

func TestDrainKeepsOrderAndParksPoison(t *testing.T) {
	d, s, j, ids := drainOf(100, map[int]string{0: "bad", 41: "?", 99: "bad"})
	var stored, duplicates, dead int
	d.Observe = func(a, b, c int) { stored, duplicates, dead = stored+a, duplicates+b, dead+c }
	if err := d.once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if strings.Join(j.order, " ") != strings.Join(ids, " ") {
		t.Error("the rows are not in the order of the queue")
	}
	if len(s.entries) != 0 || fmt.Sprint(s.buried) != "map[0-0:database_rejected 41-0:event cannot be decoded 99-0:database_rejected]" {
		t.Errorf("left %d, buried %v", len(s.entries), s.buried)
	}
	if stored != 97 || duplicates != 0 || dead != 3 || d.Health.Pending() != 0 {
		t.Errorf("stored %d, duplicates %d, dead %d, pending %d", stored, duplicates, dead, d.Health.Pending())
	}
}

func TestDrainRemovesNothingThatIsNotStored(t *testing.T) {
	d, s, j, _ := drainOf(20, nil)
	j.away = 1
	if err := d.once(t.Context()); KindOf(err) != Unavailable {
		t.Fatal(err)
	}
	if len(s.entries) != 20 || len(s.buried) != 0 || len(j.order) != 0 {
		t.Errorf("left %d, buried %v, stored %d", len(s.entries), s.buried, len(j.order))
	}
}

// What failed is not overtaken by what stood behind it.
func TestDrainStopsAtTheFirstHalfThatFails(t *testing.T) {
	d, s, j, _ := drainOf(8, map[int]string{1: "bad"})
	d.Store = &later{judge: j, from: 2}
	if err := d.once(t.Context()); KindOf(err) != Unavailable {
		t.Fatal(err)
	}
	if len(j.order) != 0 || len(s.entries) != 8 {
		t.Errorf("stored %v, left %d", j.order, len(s.entries))
	}
}

// later is away from its n-th call on.
type later struct {
	*judge
	from, calls int
}

func (l *later) InsertEvents(ctx context.Context, events []Event, rule ParentRule) ([]Stored, error) {
	if l.calls++; l.calls >= l.from {
		return nil, away(CauseShutdown)
	}
	return l.judge.InsertEvents(ctx, events, rule)
}

// An event that is stored already, because a drain died before it removed the entry, is removed and not doubled.
func TestDrainOfWhatIsStored(t *testing.T) {
	d, s, j, ids := drainOf(3, nil)
	j.order = []string{ids[1]}
	var duplicates int
	d.Observe = func(_, b, _ int) { duplicates += b }
	if err := d.once(t.Context()); err != nil || len(s.entries) != 0 || duplicates != 1 || len(j.order) != 3 {
		t.Errorf("error %v, left %d, duplicates %d, rows %d", err, len(s.entries), duplicates, len(j.order))
	}
}

// D7: an outage of 72 h makes no event undeliverable, and the end of it is noticed at once.
func TestLongOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s, j, ids := drainOf(5, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan struct{})
		j.away = 1 << 30 // it answers the prober, and refuses every write
		go func() { defer close(done); d.Run(ctx) }()
		time.Sleep(72 * time.Hour)
		synctest.Wait()
		if len(s.entries) != 5 || len(s.buried) != 0 {
			t.Fatalf("left %d, buried %v", len(s.entries), s.buried)
		}
		tries := 1<<30 - j.away
		if low, high := int(72*time.Hour/(maxPause+d.Interval)), int(72*time.Hour/(maxPause/2))+10; tries < low || tries > high {
			t.Errorf("%d tries in 72 h, want between %d and %d", tries, low, high)
		}
		d.Health.SetDatabase(Unreachable)
		j.away = 0
		back := time.Now()
		d.Health.SetDatabase(Connected)
		synctest.Wait()
		if len(s.entries) > 0 || time.Since(back) > 0 {
			t.Errorf("left %d, %s after the prober's good result", len(s.entries), time.Since(back))
		}
		if strings.Join(j.order, " ") != strings.Join(ids, " ") {
			t.Error("order")
		}
		cancel()
		<-done
	})
}

func TestPause(t *testing.T) {
	for failures, full := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 6: maxPause, 1000: maxPause} {
		for range 20 {
			if got := pause(failures); got < full/2 || got > full {
				t.Errorf("pause after %d failures: %s, want %s to %s", failures, got, full/2, full)
			}
		}
	}
}

var errRival = errors.New("a rival leads")

func TestDrainLeavesTheWorkToTheLeader(t *testing.T) {
	d, s, _, _ := drainOf(3, nil)
	d.Leader = rival{}
	if err := d.once(t.Context()); !errors.Is(err, errRival) || len(s.entries) != 3 {
		t.Errorf("error %v, left %d", err, len(s.entries))
	}
}

type rival struct{}

func (rival) Lead(context.Context, func(context.Context) error) (bool, error) { return false, errRival }
