//go:build integration

package dlq

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// newQueue is the empty queue of this package's own database of Redis.
func newQueue(t *testing.T, maxLen int) *Queue {
	t.Helper()
	addr := os.Getenv("KUBERNAUT_TEST_REDIS")
	if addr == "" {
		t.Fatal("KUBERNAUT_TEST_REDIS is not set: host:port of a Redis")
	}
	q, err := Open(Options{Addr: addr, DB: 1, Timeout: 10 * time.Second, MaxLen: maxLen})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	if err := q.client.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	return q
}

func events(correlation string, n int) []datastorage.Event {
	duration, all := int32(0), make([]datastorage.Event, n)
	for i := range all {
		all[i] = datastorage.Event{
			Version: "1.0", Type: "aianalysis.test", Time: time.Now(), Category: "analysis", Action: fmt.Sprintf("a%d", i), Outcome: "success",
			CorrelationID: correlation, Parent: uuid.NullUUID{UUID: uuid.New(), Valid: true}, Namespace: "ns", ClusterName: "c<&>",
			DurationMS: &duration, Data: []byte(`{"big":12345678901234567890.10,"text":"ä\u0001 '\"","list":[null,true]}`),
			Origin: datastorage.Origin{RequestID: "r", Account: "ns/sa", QueuedAt: time.Now().UTC().Truncate(time.Microsecond)},
		}.Complete(uuid.New)
	}
	return all
}

func enqueued(t *testing.T, q *Queue, all []datastorage.Event) {
	t.Helper()
	if err := q.Enqueue(t.Context(), all, datastorage.CauseConnection); err != nil {
		t.Fatal(err)
	}
}

func head(t *testing.T, q *Queue, n int) []datastorage.Queued {
	t.Helper()
	entries, err := q.Head(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// sameEvents compares every field; a time by its instant.
func sameEvents(t *testing.T, got []datastorage.Queued, want []datastorage.Event) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Fault != "" || !reflect.DeepEqual(got[i].Event, want[i]) {
			t.Fatalf("entry %d:\n%+v (%s), want\n%+v", i, got[i].Event, got[i].Fault, want[i])
		}
	}
}

func TestQueueKeepsEveryFieldInOrder(t *testing.T) {
	q := newQueue(t, 1000)
	want := slices.Concat(events("a", 1), events("b", 300), events("c", 2))
	enqueued(t, q, want[:1])
	enqueued(t, q, want[1:301])
	enqueued(t, q, want[301:])
	sameEvents(t, head(t, q, 1000), want)
	for _, n := range []int{1, 9, 10, 11, 20, 303} {
		sameEvents(t, head(t, q, n), want[:n])
	}
	if err := q.Remove(t.Context(), head(t, q, 101)); err != nil {
		t.Fatal(err)
	}
	sameEvents(t, head(t, q, 1000), want[101:])
	if err := q.Remove(t.Context(), nil); err != nil {
		t.Error(err)
	}
	raw, err := q.client.XRange(t.Context(), stream, "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"v", "event", "queued_at", "request_id", "cause"} {
		if _, found := raw[0].Values[key]; !found || raw[0].Values["cause"] != "connection" || len(raw[0].Values) != 5 {
			t.Errorf("entry %v", raw[0].Values)
		}
	}
}

// Batches of many writers never mix: each is added in one step.
func TestBatchesStayTogether(t *testing.T) {
	q := newQueue(t, 100_000)
	var all sync.WaitGroup
	for writer := range 8 {
		all.Go(func() {
			for n := range 10 {
				if err := q.Enqueue(t.Context(), events(fmt.Sprintf("%d-%d", writer, n), 25), datastorage.CauseTimeout); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	entries := head(t, q, 100_000)
	if len(entries) != 2000 {
		t.Fatalf("%d entries", len(entries))
	}
	for i, e := range entries {
		if first := entries[i/25*25].Event; e.Event.CorrelationID != first.CorrelationID || e.Event.Action != fmt.Sprintf("a%d", i%25) {
			t.Fatalf("entry %d is %s of %s, in the midst of %s", i, e.Event.Action, e.Event.CorrelationID, first.CorrelationID)
		}
	}
}

// D4: a full queue refuses a batch whole and leaves what it has alone.
func TestFullQueue(t *testing.T) {
	q := newQueue(t, 10)
	kept := events("kept", 8)
	enqueued(t, q, kept)
	refuse := func(n int) {
		t.Helper()
		var known *datastorage.Error
		err := q.Enqueue(t.Context(), events("refused", n), datastorage.CauseConnection)
		if !errors.As(err, &known) || known.Kind != datastorage.Unavailable || known.RetryAfter != 30*time.Second || known.Cause != datastorage.CauseQueueFull {
			t.Errorf("%d more: %v", n, err)
		}
	}
	refuse(3)
	sameEvents(t, head(t, q, 100), kept)
	more := events("more", 2)
	enqueued(t, q, more)
	refuse(1)
	sameEvents(t, head(t, q, 100), slices.Concat(kept, more))
	if s, err := q.Status(t.Context()); err != nil || s.Depth != 10 || s.MaxLen != 10 || s.Alarm() != "overflow_imminent" {
		t.Errorf("%+v %v", s, err)
	}
	if err := q.Remove(t.Context(), head(t, q, 1)); err != nil {
		t.Fatal(err)
	}
	enqueued(t, q, events("room again", 1))
}

func TestHeadIsBoundedInBytes(t *testing.T) {
	q := newQueue(t, 1000)
	large := events("large", 1)[0]
	large.Data = fmt.Appendf(nil, `{"x":%q}`, bytes.Repeat([]byte("x"), 1<<20-100))
	for range 40 {
		enqueued(t, q, []datastorage.Event{large})
	}
	if n := len(head(t, q, 500)); n < 8 || n > 8+partEntries {
		t.Errorf("%d MiB at once", n)
	}
	if n := len(head(t, q, 3)); n != 3 {
		t.Errorf("%d entries, want 3", n)
	}
}

// What is put aside says why, and comes back to the end of the queue as it was.
func TestBuryAndReplay(t *testing.T) {
	q := newQueue(t, 3)
	all := events("c", 3)
	enqueued(t, q, all)
	for range 2 {
		bad := head(t, q, 1)[0]
		if err := q.Bury(t.Context(), bad, "database_rejected"); err != nil {
			t.Fatal(err)
		}
		if err := q.Bury(t.Context(), bad, "again"); err != nil { // another worker was quicker: nothing to do
			t.Fatal(err)
		}
		dead, err := q.Dead(t.Context(), 10)
		if err != nil || len(dead) != 1 || dead[0].Reason != "database_rejected" || dead[0].EventID != bad.Event.ID.UUID.String() || dead[0].EventType != "aianalysis.test" {
			t.Fatalf("%+v %v", dead, err)
		}
		if _, err := time.Parse(time.RFC3339Nano, dead[0].BuriedAt); err != nil {
			t.Error(err)
		}
		if s, err := q.Status(t.Context()); err != nil || s.Depth != 2 || s.Dead != 1 {
			t.Errorf("%+v %v", s, err)
		}
		if n, err := q.Replay(t.Context()); err != nil || n != 1 {
			t.Fatalf("replayed %d, %v", n, err)
		}
		all = slices.Concat(all[1:], all[:1])
		sameEvents(t, head(t, q, 10), all)
	}
	raw, err := q.client.XRevRangeN(t.Context(), stream, "+", "-", 1).Result()
	if err != nil || len(raw[0].Values) != 5 {
		t.Errorf("the entry came back as %v, %v", raw[0].Values, err)
	}
	if n, err := q.Replay(t.Context()); err != nil || n != 0 {
		t.Errorf("replayed %d of nothing, %v", n, err)
	}
}

func TestReplayOfManyAtOnce(t *testing.T) {
	q := newQueue(t, 1000)
	want := events("c", 95)
	enqueued(t, q, want)
	for _, e := range head(t, q, 95) {
		if err := q.Bury(t.Context(), e, "unknown layout"); err != nil {
			t.Fatal(err)
		}
	}
	for n, wanted := range map[int]int{1: 1, partEntries: partEntries, 3*partEntries + 1: 3*partEntries + 1, 1000: 95} {
		dead, err := q.Dead(t.Context(), n)
		if err != nil || len(dead) != wanted || dead[wanted-1].EventID != want[wanted-1].ID.UUID.String() {
			t.Errorf("a list of %d has %d entries, %v", n, len(dead), err)
		}
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	total := 0
	for range 3 {
		all.Go(func() {
			n, err := q.Replay(t.Context())
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			total += n
		})
	}
	all.Wait()
	if entries := head(t, q, 1000); total != 95 || len(entries) != 95 {
		t.Fatalf("%d moved, %d there", total, len(entries))
	}
	enqueued(t, q, events("after", 1)) // the queue still works
}

// An entry in a form that is not ours has a fault, and never hides those behind it.
func TestUnreadableEntries(t *testing.T) {
	q := newQueue(t, 1000)
	add := func(values ...any) {
		t.Helper()
		if err := q.client.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, Values: values}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	add("v", "2", "event", "{}")
	add("event", "{}")
	add("v", "1")
	add("v", "1", "event", "{")
	add("v", "1", "event", "null")
	add("v", "1", "event", `{"event_id":"no uuid"}`)
	good := events("good", 1)
	enqueued(t, q, good)
	entries := head(t, q, 10)
	for i, want := range []string{"unknown layout", "unknown layout", "event cannot be decoded", "event cannot be decoded", "event cannot be decoded", "event cannot be decoded"} {
		if entries[i].Fault != want {
			t.Errorf("entry %d: %q, want %q", i, entries[i].Fault, want)
		}
	}
	sameEvents(t, entries[6:], good)
}

func TestQueueAge(t *testing.T) {
	q := newQueue(t, 10)
	if s, err := q.Status(t.Context()); err != nil || s.OldestAge != 0 || s.Alarm() != "" {
		t.Errorf("%+v %v", s, err)
	}
	old := time.Now().Add(-time.Hour).UnixMilli()
	if err := q.client.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, ID: fmt.Sprintf("%d-0", old), Values: []any{"v", "1"}}).Err(); err != nil {
		t.Fatal(err)
	}
	if s, err := q.Status(t.Context()); err != nil || s.OldestAge < 59*time.Minute || s.OldestAge > 61*time.Minute {
		t.Errorf("%+v %v", s, err)
	}
}
