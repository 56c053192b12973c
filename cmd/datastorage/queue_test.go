//go:build integration

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/postgres"
)

// D6: three poison entries among a thousand.
func TestPoison(t *testing.T) {
	o := newOutage(t)
	lines, stop := o.start(t)
	o.eventually(t, "/health/ready", `{"status":"ready","mode":"normal"}`)
	o.proxy.stall()
	o.eventually(t, "/health/ready", `{"status":"ready","mode":"degraded"}`)
	events := requests("poison", 997)
	add := func(values ...any) {
		if err := o.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: "audit:dlq:events", Values: values}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for n, bad := range [][]any{
		{"v", "2", "event", "{}"},
		{"v", "1", "event", "no JSON"},
		{"v", "1", "event", `{"event_id":"0197f3b2-5a10-7c3e-9d44-6b1f0e2a7c55","event_category":"nonsense","event_data":{}}`},
	} {
		o.post(t, events[n*300:(n+1)*300]...)
		add(bad...)
	}
	o.post(t, events[900:]...)
	o.proxy.flow()
	o.drained(t)
	o.holdsExactly(t, events)
	reasons := func() (all []string) {
		t.Helper()
		dead, err := o.redis.XRange(t.Context(), "audit:dead-letter:events", "-", "+").Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range dead {
			all = append(all, fmt.Sprint(d.Values["reason"]))
		}
		return all
	}
	const want = "[unknown layout event cannot be decoded database_rejected]"
	if got := fmt.Sprint(reasons()); got != want {
		t.Errorf("put aside for %s", got)
	}
	until(t, "the alarm is on", func() bool { return o.metric(t, `datastorage_dead_letter_depth{stream="events"}`) == 3 })
	if out := o.operate(t, "dlq", "list", "--dead", "--limit", "2"); strings.Count(out, "\n") != 2 ||
		!strings.Contains(out, "unknown layout") || !strings.Contains(out, "event cannot be decoded") {
		t.Errorf("the list:\n%s", out)
	}
	if out := o.operate(t, "dlq", "list", "--dead"); !strings.Contains(out, "database_rejected  0197f3b2-5a10-7c3e-9d44-6b1f0e2a7c55") {
		t.Errorf("the list:\n%s", out)
	}
	o.proxy.stall()
	o.eventually(t, "/health/ready", `{"status":"ready","mode":"degraded"}`)
	if out := o.operate(t, "dlq", "replay"); out != "3 events put back to the queue\n" {
		t.Errorf("replay: %s", out)
	}
	if out := o.operate(t, "dlq", "status"); !strings.HasPrefix(out, "waiting 3 of 100000, oldest ") || !strings.HasSuffix(out, "\ndead 0\n") {
		t.Errorf("status: %s", out)
	}
	o.proxy.flow()
	o.drained(t) // nobody mended them, so they go the same way
	if got := fmt.Sprint(reasons()); got != want {
		t.Errorf("put aside again for %s", got)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(lines.String(), "dead-letter stream for an operator") {
		t.Error("no alarm in the log")
	}
}

// D8: a Redis without append-only file is told about, and with require_durable it is not used.
func TestUnsafeQueue(t *testing.T) {
	for required, want := range map[string]struct {
		health, ready string
		status        int
	}{
		"false": {`{"status":"healthy","database":"connected","dlq":"connected"}`, `{"status":"ready","mode":"degraded"}`, 202},
		"true":  {`{"status":"healthy","database":"connected","dlq":"off"}`, `{"status":"not_ready","reason":"no_durable_store"}`, 503},
	} {
		t.Run("require_durable "+required, func(t *testing.T) {
			o := newOutage(t)
			lines, stop := o.start(t, "DATASTORAGE_REDIS_REQUIRE_DURABLE="+required)
			o.eventually(t, "/health", want.health)
			until(t, "the gauge is 1", func() bool { return o.metric(t, `datastorage_dlq_unsafe{stream="events"}`) == 1 })
			if !strings.Contains(lines.String(), "queued events are not safe") {
				t.Error("no warning in the log")
			}
			o.proxy.stall()
			o.eventually(t, "/health/ready", want.ready)
			r, err := o.send(t.Context(), fullRequest("unsafe", 1))
			if err != nil || r.Status != want.status || (r.Status == http.StatusServiceUnavailable) != (r.RetryAfter == "5") {
				t.Errorf("%+v %v", r, err)
			}
			o.proxy.flow()
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A worker whose lock is lost with its connection in the midst of a drain takes it anew and goes on without a repeat.
func TestDrainLosesItsLock(t *testing.T) {
	o := newOutage(t)
	c := o.settings(t, o.environ[0])
	options, err := storeOptions(c)
	if err != nil {
		t.Fatal(err)
	}
	store, err := postgres.Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	queue, err := openQueue(c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = queue.Close() }()
	events := requests("lock", 400)
	_, stop := o.start(t, "DATASTORAGE_REDIS_DRAIN_INTERVAL=1m") // takes events and does not drain
	o.proxy.stall()
	o.eventually(t, "/health/ready", `{"status":"ready","mode":"degraded"}`)
	o.post(t, events...)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	health := &datastorage.Health{}
	health.SetDatabase(datastorage.Connected)
	health.SetPending(len(events))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pages, admin := 0, o.connect(t)
	worker := datastorage.Drain{Queue: queue, Store: store, Leader: store, Health: health, Batch: 40, Interval: 10 * time.Millisecond,
		Timeout: 5 * time.Second, Log: slog.New(slog.DiscardHandler), Observe: func(_, duplicate, dead int) {
			if pages++; duplicate > 0 || dead > 0 {
				t.Errorf("%d duplicates, %d dead", duplicate, dead)
			}
			if pages == 3 {
				_, err := admin.Exec(context.Background(), `SELECT pg_terminate_backend(pid, 10000) FROM pg_locks
					JOIN pg_database AS d ON d.oid = pg_locks.database WHERE locktype = 'advisory' AND datname = current_database()`)
				if err != nil {
					t.Error(err)
				}
			}
		}}
	ended := make(chan struct{})
	go func() { worker.Run(ctx); close(ended) }()
	o.drained(t)
	cancel()
	<-ended
	o.holdsExactly(t, events)
}
