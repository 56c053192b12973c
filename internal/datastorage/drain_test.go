package datastorage

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
)

func TestDrainKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, 1200)
		want, d := ids(l.entries), l.drain()
		d.run(t, 2*time.Second)
		if !slices.Equal(l.table, want) || len(l.entries) > 0 || d.Health.Pending() != 0 {
			t.Errorf("%d of 1200 stored, in order %v, %d left, pending %d", len(l.table), slices.Equal(l.table, want), len(l.entries), d.Health.Pending())
		}
		if !slices.Equal(l.sizes, []int{500, 500, 200}) || l.observed != [3]int{1200, 0, 0} {
			t.Errorf("pages of %v, observed %v", l.sizes, l.observed)
		}
	})
}

// D6: halves find what the database refuses; the rest is stored in order.
func TestDrainFindsPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, 1000)
		poison := map[uuid.UUID]bool{}
		for _, at := range []int{0, 499, 777} {
			poison[l.entries[at].Event.ID.UUID] = true
		}
		l.entries[500].Fault = "unknown layout"
		want := slices.DeleteFunc(ids(l.entries), func(id uuid.UUID) bool { return poison[id] || id == l.entries[500].Event.ID.UUID })
		l.refuse = func(events []Event) error {
			if slices.ContainsFunc(events, func(e Event) bool { return poison[e.ID.UUID] }) {
				return &Error{Kind: Invalid, Detail: "the database refused a value"}
			}
			return nil
		}
		l.drain().run(t, 2*time.Second)
		if !slices.Equal(l.table, want) || len(l.entries) > 0 {
			t.Errorf("%d of %d stored, in order %v, %d left", len(l.table), len(want), slices.Equal(l.table, want), len(l.entries))
		}
		for entry, reason := range map[string]string{"0": "database_rejected", "499": "database_rejected", "500": "unknown layout", "777": "database_rejected"} {
			if l.buried[entry] != reason {
				t.Errorf("entry %s: %q, want %q", entry, l.buried[entry], reason)
			}
		}
		if len(l.buried) != 4 || l.observed != [3]int{996, 0, 4} {
			t.Errorf("buried %v, observed %v", l.buried, l.observed)
		}
	})
}

// D7: no outage makes poison of anything, however long it is, and it is asked for ever more seldom. The prober sees
// nothing wrong meanwhile: the hardest case.
func TestDrainOutageOf72Hours(t *testing.T) {
	for _, cause := range []Cause{CauseConnection, CauseTimeout, CausePool, ""} {
		synctest.Test(t, func(t *testing.T) {
			l := newLine(t, 700)
			want, d, end := ids(l.entries), l.drain(), time.Now().Add(72*time.Hour)
			l.refuse = func([]Event) error {
				if !time.Now().Before(end) {
					return nil
				}
				if cause == "" {
					return errors.New("a bug of ours") // no data error, so it is not the event's fault
				}
				return unusable(cause)
			}
			d.run(t, 72*time.Hour+maxPause+time.Second)
			if !slices.Equal(l.table, want) || len(l.entries) > 0 || len(l.buried) > 0 {
				t.Errorf("%q: %d of 700 stored, %d left, %d buried", cause, len(l.table), len(l.entries), len(l.buried))
			}
			for i := 1; i < len(l.at); i++ {
				if apart := l.at[i].Sub(l.at[i-1]); apart > maxPause || i > 10 && apart < maxPause/2 && l.at[i].Before(end) {
					t.Fatalf("%q: attempts %d and %d are %s apart", cause, i-1, i, apart)
				}
			}
		})
	}
}

// While the prober says that PostgreSQL is away nothing is tried; when it says otherwise the pause is over at once.
func TestDrainWaitsForTheProber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, 10)
		d := l.drain()
		l.refuse = func([]Event) error { return unusable(CauseConnection) }
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { d.Run(ctx); close(ended) }()
		pass := func(span time.Duration) { <-time.After(span); synctest.Wait() }
		pass(5 * time.Minute)
		tries := len(l.at)
		d.Health.SetDatabase(Unreachable)
		pass(time.Hour)
		if more := len(l.at) - tries; more > 0 {
			t.Errorf("%d attempts while PostgreSQL was away", more)
		}
		l.refuse = nil
		d.Health.SetDatabase(Connected)
		pass(0)
		if len(l.table) != 10 {
			t.Errorf("%d of 10 stored at once", len(l.table))
		}
		cancel()
		<-ended
	})
}

func TestDrainRedisGoesAfterTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, 20)
		want := ids(l.entries)
		l.keep = errors.New("connection refused")
		l.drain().run(t, 10*time.Second)
		if !slices.Equal(l.table, want) || len(l.entries) > 0 || l.observed != [3]int{20, 20, 0} {
			t.Errorf("stored %d, %d left, observed %v", len(l.table), len(l.entries), l.observed)
		}
	})
}

func TestDrainOnlyLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, 20)
		l.notLed = true
		l.drain().run(t, time.Hour)
		if len(l.at) > 0 || len(l.entries) != 20 {
			t.Errorf("%d attempts without the lock", len(l.at))
		}
	})
}

// A page that PostgreSQL cannot take in time is tried in smaller parts, else it would wait for ever.
func TestDrainSmallerPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, 300)
		want := ids(l.entries)
		l.refuse = func(events []Event) error {
			if len(events) > 70 {
				return unusable(CauseTimeout)
			}
			return nil
		}
		l.drain().run(t, time.Minute)
		if !slices.Equal(l.table, want) || len(l.buried) > 0 {
			t.Errorf("%d of 300 stored, in order %v, pages of %v", len(l.table), slices.Equal(l.table, want), l.sizes)
		}
	})
}

// The page in hand is finished when the service goes down; the rest stays.
func TestDrainFinishesItsPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, 1000)
		d := l.drain()
		ctx, cancel := context.WithCancel(t.Context())
		l.refuse = func([]Event) error { cancel(); return nil }
		d.Run(ctx)
		if len(l.table) != 500 || len(l.entries) != 500 {
			t.Errorf("%d stored, %d left", len(l.table), len(l.entries))
		}
	})
}

// An entry that cannot even be read from Redis is no reason to touch anything.
func TestDrainWithoutRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		l := newLine(t, 5)
		l.headErr = errors.New("connection refused")
		d := l.drain()
		d.Log = slog.New(slog.NewTextHandler(&lines, nil))
		d.run(t, time.Hour)
		if len(l.at) > 0 || len(l.buried) > 0 || len(l.entries) != 5 {
			t.Errorf("%d stores, buried %v", len(l.at), l.buried)
		}
		if n := bytes.Count(lines.Bytes(), []byte("was not drained")); n < 100 || n > 300 {
			t.Errorf("%d lines in an hour", n)
		}
	})
}

func TestPause(t *testing.T) {
	for failures, full := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 5: 16 * time.Second, 6: maxPause, 7: maxPause, 1000: maxPause} {
		seen := map[time.Duration]bool{}
		for range 200 {
			p := pause(failures)
			if seen[p] = true; p < full/2 || p > full {
				t.Errorf("after %d failures: %s, want at most %s and at least half", failures, p, full)
			}
		}
		if len(seen) < 100 {
			t.Errorf("after %d failures: only %d different pauses", failures, len(seen))
		}
	}
}
