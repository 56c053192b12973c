package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// until waits for a fact.
func until(t *testing.T, what string, fact func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !fact() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it never became true that %s", what)
		}
	}
}

func TestGate(t *testing.T) {
	limits := Limits{Writes: 1, Reads: 1, Bytes: 100, QueueLength: 1, QueueTimeout: time.Hour}
	g := newGate(limits, NewMetrics("test", "none"))
	start := func() *visit { return &visit{gate: g, class: write, since: time.Now()} }
	first, second := start(), start()
	if err := first.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	entered := make(chan error, 1)
	go func() { entered <- second.enter(t.Context()) }()
	until(t, "one waits", func() bool { return g.waiting[write].Load() == 1 })

	var refused *refusal
	if err := start().enter(t.Context()); !errors.As(err, &refused) || refused.reason != "queue_full" {
		t.Errorf("the third: %v", err)
	}
	reader := &visit{gate: g, class: read, since: time.Now()}
	if err := reader.enter(t.Context()); err != nil {
		t.Errorf("a read has a queue of its own: %v", err)
	}
	reader.leave()
	first.leave()
	if err := <-entered; err != nil {
		t.Errorf("the second: %v", err)
	}
	second.leave()

	late := &visit{gate: g, class: write, since: time.Now().Add(-2 * time.Hour)}
	if err := late.enter(t.Context()); err != nil {
		t.Errorf("there is room for one that came long ago: %v", err)
	}
	defer late.leave()
	again := &visit{gate: g, class: write, since: time.Now().Add(-2 * time.Hour)}
	if err := again.enter(t.Context()); !errors.As(err, &refused) || refused.reason != "queue_timeout" {
		t.Errorf("what was spent before counts as waiting: %v", err)
	}
	if waiting := g.waiting[write].Load(); waiting != 0 {
		t.Errorf("%d still wait", waiting)
	}
}

func TestGateForgetsClientsThatHaveGone(t *testing.T) {
	g := newGate(Limits{Writes: 1, Reads: 1, Bytes: 1, QueueLength: 9, QueueTimeout: time.Hour}, NewMetrics("test", "none"))
	first := &visit{gate: g, class: write}
	if err := first.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan any, 1)
	go func() {
		defer func() { ended <- recover() }()
		_ = (&visit{gate: g, class: write, since: time.Now()}).enter(ctx)
	}()
	until(t, "one waits", func() bool { return g.waiting[write].Load() == 1 })
	cancel()
	if fault := <-ended; fault != http.ErrAbortHandler { //nolint:errorlint // net/http compares in the same way
		t.Errorf("ended with %v", fault)
	}
	if g.waiting[write].Load() != 0 {
		t.Error("it still waits")
	}
}

// blocked has one request of each class in its handler until release.
func blocked(t *testing.T, limits Limits) (f *fixture, body string, release func()) {
	t.Helper()
	f = newFixture(t, func(o *Options) { o.Limits = limits })
	f.gate, body = make(chan struct{}), event(nil)
	answers := make(chan *httptest.ResponseRecorder, 2)
	go func() { answers <- f.do("POST", eventsPath, body) }()
	go func() { answers <- f.do("GET", eventsPath, "") }()
	for _, class := range classes {
		until(t, "one is worked on", func() bool { return f.metric(t, `datastorage_inflight_requests{class="`+class+`"} 1`) })
	}
	return f, body, func() {
		close(f.gate)
		for range 2 {
			if w := <-answers; w.Code >= 300 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
	}
}

func (f *fixture) metric(t *testing.T, line string) bool {
	t.Helper()
	w := f.do("GET", "/metrics", "")
	if w.Code != http.StatusOK {
		t.Fatalf("/metrics is %d", w.Code)
	}
	return strings.Contains(w.Body.String(), line+"\n")
}

func TestOverload(t *testing.T) {
	batch, search := "["+event(nil)+"]", `{"filters":{"signal_type":"a","severity":"high","component":"c","environment":"e","priority":"P1"}}`
	for _, c := range []struct {
		name         string
		limits       Limits
		path, method string
		body         string
		status       int
		metric       string
	}{
		{"write, no queue", Limits{1, 1, 16 << 20, 0, time.Hour}, eventsPath, "POST", event(nil), 503, `{class="write",reason="queue_full"}`},
		{"batch, no time", Limits{1, 1, 16 << 20, 9, 0}, batchPath, "POST", batch, 503, `{class="write",reason="queue_timeout"}`},
		{"workflow, no time", Limits{1, 1, 16 << 20, 9, 0}, workflowPath, "POST", "{}", 503, `{class="write",reason="queue_timeout"}`},
		{"read, no queue", Limits{1, 1, 16 << 20, 0, time.Hour}, eventsPath, "GET", "", 429, `{class="read",reason="queue_full"}`},
		{"read, no time", Limits{1, 1, 16 << 20, 9, 0}, workflowPath, "GET", "", 429, `{class="read",reason="queue_timeout"}`},
		{"search, no time", Limits{1, 1, 16 << 20, 9, 0}, searchPath, "POST", search, 429, `{class="read",reason="queue_timeout"}`},
		{"write, no bytes", Limits{9, 9, 400, 9, 0}, batchPath, "POST", "[" + strings.Repeat(" ", 300) + "]", 503, `{class="write",reason="bytes"}`},
		{"search, no bytes", Limits{9, 9, 400, 9, 0}, searchPath, "POST", search + strings.Repeat(" ", 300), 429, `{class="read",reason="bytes"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, _, release := blocked(t, c.limits)
			w := f.do(c.method, c.path, c.body)
			problemOf(t, w, c.status)
			if w.Header().Get("Retry-After") != "1" || w.Header().Get("Connection") != "close" {
				t.Errorf("%v", w.Header())
			}
			if !f.metric(t, "datastorage_rejected_total"+c.metric+" 1") {
				t.Errorf("not counted as %s", c.metric)
			}
			for _, path := range []string{"/health", "/health/ready", "/health/live", "/metrics"} {
				if w := f.do("GET", path, ""); w.Code != http.StatusOK {
					t.Errorf("%s is %d", path, w.Code)
				}
			}
			release()
			for _, line := range []string{`datastorage_inflight_requests{class="write"} 0`, `datastorage_inflight_requests{class="read"} 0`, "datastorage_inflight_bytes 0"} {
				if !f.metric(t, line) {
					t.Errorf("not %s", line)
				}
			}
		})
	}
}

func TestBytesInFlight(t *testing.T) {
	f, body, release := blocked(t, Limits{1, 1, 16 << 20, 0, 0})
	if !f.metric(t, "datastorage_inflight_bytes "+strconv.Itoa(len(body))) {
		t.Error("not the length of the body")
	}
	release()
}

// What was spent before the last byte of the body counts, so that a write is decided in time.
func TestDeadlineOfWrites(t *testing.T) {
	var left time.Duration
	probe := &deadlines{saw: func(ctx context.Context) {
		at, _ := ctx.Deadline()
		left = time.Until(at)
	}}
	f := newFixture(t, func(o *Options) {
		o.Ingest = &datastorage.Ingest{Store: probe, Health: o.Health, SingleTimeout: time.Minute, BatchTimeout: time.Minute, DLQTimeout: time.Second}
		o.Authenticator, o.Auth = slow(200*time.Millisecond), datastorage.Auth{Writers: []string{"a/b"}}
	})
	if w := f.do("POST", eventsPath, event(nil), "Authorization", "Bearer x"); w.Code != http.StatusCreated {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if left <= 0 || left > 4*time.Second-time.Second-200*time.Millisecond {
		t.Errorf("%s left for PostgreSQL", left)
	}
}

type deadlines struct {
	memory
	saw func(context.Context)
}

func (d *deadlines) InsertEvents(ctx context.Context, events []datastorage.Event, parents datastorage.ParentRule) ([]datastorage.Stored, error) {
	d.saw(ctx)
	return d.memory.InsertEvents(ctx, events, parents)
}

type slow time.Duration

func (s slow) Account(ctx context.Context, _ string) (string, error) {
	timer := time.NewTimer(time.Duration(s))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return "a/b", nil
}
