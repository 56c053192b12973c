//go:build integration

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	api "github.com/kubernaut-ai/kubernaut/api/openapi/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/postgres"
)

// outage is a service whose PostgreSQL can be taken away without touching the server, and its queue.
type outage struct {
	installation
	environ []string
	proxy   *proxy
	redis   *redis.Client
}

func newOutage(t *testing.T) outage {
	t.Helper()
	i := install(t)
	if out, err := i.command(t, "migrate", "--create-app-role"); err != nil {
		t.Fatalf("migrate: %v %s", err, out)
	}
	return prepareOutage(t, i)
}

func prepareOutage(t *testing.T, i installation) outage {
	t.Helper()
	d := i.settings(t).Database
	o := outage{installation: i, proxy: newProxy(t, net.JoinHostPort(d.Host, strconv.Itoa(d.Port)))}
	o.environ = []string{"DATASTORAGE_REDIS_DB=2", "DATASTORAGE_DATABASE_HOST=127.0.0.1", fmt.Sprintf("DATASTORAGE_DATABASE_PORT=%d", o.proxy.port)}
	o.redis = redis.NewClient(&redis.Options{Addr: setting(t, "KUBERNAUT_TEST_REDIS"), DB: 2})
	t.Cleanup(func() { _ = o.redis.Close() })
	if err := o.redis.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o outage) start(t *testing.T, environ ...string) (*log, func() error) {
	t.Helper()
	return o.installation.start(t, append(environ, o.environ...)...)
}

// operate runs a command that needs the same configuration as the service.
func (o outage) operate(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if err := (program{args: append(args, "--config", o.config), environ: o.environ, stdout: &out, stderr: io.Discard}).run(t.Context()); err != nil {
		t.Errorf("%v: %v", args, err)
	}
	return out.String()
}

// post sends events, one alone or several as a batch, and tells whether they were queued.
func (o outage) post(t *testing.T, events ...api.AuditEventRequest) (queued bool) {
	t.Helper()
	r, err := o.send(t.Context(), events...)
	if err != nil || !r.acknowledges(events) {
		t.Errorf("%+v %v", r, err)
	}
	return r.Status == http.StatusAccepted
}

func (o outage) drained(t *testing.T) {
	t.Helper()
	until(t, "the queue is empty", func() bool { return o.redis.XLen(t.Context(), "audit:dlq:events").Val() == 0 })
}

func requests(correlation string, n int) []api.AuditEventRequest {
	all := make([]api.AuditEventRequest, n)
	for i := range all {
		all[i] = fullRequest(correlation, i)
	}
	return all
}

// The answer to a COMMIT is lost: the events are queued although they are stored, and stay single.
func TestAmbiguousCommit(t *testing.T) {
	o := newOutage(t)
	_, stop := o.start(t)
	o.eventually(t, "/health/ready", `{"status":"ready","mode":"normal"}`)
	events := requests("ambiguous", 30)
	o.proxy.loseNextCommit()
	if !o.post(t, events...) {
		t.Fatal("the answer to the commit came through")
	}
	if n := o.count(t); n != 30 {
		t.Errorf("%d rows: the commit was not ambiguous", n)
	}
	o.drained(t)
	o.holdsExactly(t, events)
	until(t, "30 repeats are counted", func() bool {
		return o.metric(t, `datastorage_dlq_drained_total{result="duplicate",stream="events"}`) == 30
	})
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// PostgreSQL hangs: it neither answers nor closes anything.
func TestPostgreSQLHangs(t *testing.T) {
	o := newOutage(t)
	lines, stop := o.start(t)
	o.eventually(t, "/health/ready", `{"status":"ready","mode":"normal"}`)
	direct := requests("direct", 20)
	if o.post(t, direct...) {
		t.Fatal("queued without need")
	}
	events := append(direct, requests("hanging", 40)...)
	o.proxy.stall()
	type answer struct {
		queued bool
		took   time.Duration
	}
	answers := make(chan answer, 2)
	for _, part := range [][]api.AuditEventRequest{events[20:21], events[21:40]} {
		go func() {
			start := time.Now()
			queued := o.post(t, part...)
			answers <- answer{queued, time.Since(start)}
		}()
	}
	for range 2 {
		if a := <-answers; !a.queued || a.took > senderPatience {
			t.Errorf("queued %v after %s", a.queued, a.took)
		}
	}
	o.eventually(t, "/health/ready", `{"status":"ready","mode":"degraded"}`)
	o.eventually(t, "/health", `{"status":"unhealthy","database":"unreachable","error":"database unreachable"}`)
	for _, e := range events[40:] {
		start := time.Now()
		if queued := o.post(t, e); !queued || time.Since(start) > o.settings(t).Audit.SingleTimeout/2 {
			t.Errorf("queued %v after %s: the write waited for PostgreSQL", queued, time.Since(start))
		}
	}
	if status, body := o.get(t, "/api/v1/audit/events"); status != 503 {
		t.Errorf("reading: %d %s", status, body)
	}
	o.proxy.flow()
	o.eventually(t, "/health", `{"status":"healthy","database":"connected","dlq":"connected"}`)
	o.drained(t)
	o.holdsExactly(t, events)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(lines.String(), `"cause":"timeout"`) {
		t.Error("the log does not name the cause")
	}
}

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
