package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubernaut-ai/kubernaut/internal/aianalysis"
)

// store is a Data Storage that answers by rule and remembers what it stored.
type store struct {
	mu     sync.Mutex
	answer func(batch []event) (status int, body string)
	stored []string
	bodies [][]event
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var batch []event
	if r.URL.Path != batchPath || json.NewDecoder(r.Body).Decode(&batch) != nil {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bodies = append(s.bodies, batch)
	status, body := s.answer(batch)
	if status == http.StatusCreated {
		for _, e := range batch {
			s.stored = append(s.stored, e.EventID)
		}
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

func always(status int) func([]event) (int, string) {
	return func([]event) (int, string) { return status, "{}" }
}

type bench struct {
	*Log
	store *store
	woken []types.NamespacedName
	now   time.Time
}

func newBench(t *testing.T, answer func([]event) (int, string), buffer int) *bench {
	b := &bench{store: &store{answer: answer}, now: time.Now()}
	server := httptest.NewServer(b.store)
	t.Cleanup(server.Close)
	b.Log = New(Config{BufferSize: buffer, BatchSize: 1000, FlushInterval: time.Second, Logger: logr.Discard(),
		Wake: func(name types.NamespacedName) { b.woken = append(b.woken, name) },
	}, NewClient(server.URL, "", 5*time.Second), NewMetrics(prometheus.NewRegistry()))
	b.Log.now = func() time.Time { return b.now }
	return b
}

var owner = types.NamespacedName{Namespace: "shop", Name: "cart"}

func events(n int) (all []aianalysis.AuditEvent) {
	for i := range n {
		kind := aianalysis.EventTransition
		if i == n-1 {
			kind = aianalysis.EventCompleted
		}
		all = append(all, aianalysis.AuditEvent{ID: fmt.Sprintf("id-%02d", i), UID: "u", Type: kind, Action: "act", Outcome: "success",
			At: time.Date(2026, 3, 2, 8, 0, 0, 1000*i, time.UTC), CorrelationID: "rr", Namespace: "shop", Name: "cart", Data: json.RawMessage(`{"n":1}`)})
	}
	return all
}

func TestStoredOnceInOrder(t *testing.T) {
	b := newBench(t, always(http.StatusCreated), 100)
	b.Submit(owner, events(7))
	b.Submit(owner, events(7)) // a resend of what is known changes nothing
	b.Flush(context.Background())
	if got := strings.Join(b.store.stored, " "); got != "id-00 id-01 id-02 id-03 id-04 id-05 id-06" {
		t.Error(got)
	}
	if d := b.Delivery("u"); d.Stored != 7 || d.Failing || len(d.Rejected) != 0 {
		t.Errorf("%+v", d)
	}
	if !slices.Equal(b.woken, []types.NamespacedName{owner}) {
		t.Errorf("woken %v", b.woken)
	}
	sent, err := json.Marshal(b.store.bodies[0][0])
	want := `{"event_id":"id-00","version":"1.0","event_type":"aianalysis.phase.transition","event_timestamp":"2026-03-02T08:00:00.000000Z",` +
		`"event_category":"analysis","event_action":"act","event_outcome":"success","actor_type":"service","actor_id":"aianalysis-controller",` +
		`"resource_type":"AIAnalysis","resource_id":"cart","correlation_id":"rr","namespace":"shop","event_data":{"n":1}}`
	if err != nil || string(sent) != want {
		t.Errorf("%s\n%v", sent, err)
	}
}

func TestOneBadEventBlocksNoOther(t *testing.T) {
	refuse := func(named bool) func([]event) (int, string) {
		return func(batch []event) (int, string) {
			at := slices.IndexFunc(batch, func(e event) bool { return e.EventID == "id-42" })
			switch {
			case at < 0:
				return http.StatusCreated, "{}"
			case named:
				return http.StatusBadRequest, fmt.Sprintf(`{"title":"Bad Request","detail":"wrong","invalid_indexes":[%d]}`, at)
			}
			return http.StatusBadRequest, `{"title":"Bad Request","detail":"wrong"}`
		}
	}
	for _, named := range []bool{true, false} {
		b := newBench(t, refuse(named), 200)
		b.Submit(owner, events(100))
		b.Flush(context.Background())
		d := b.Delivery("u")
		if len(b.store.stored) != 99 || d.Stored != 99 || !slices.Equal(d.Rejected, []string{"id-42"}) || d.Detail != "Bad Request: wrong" {
			t.Errorf("named %v: %d stored, %+v", named, len(b.store.stored), d)
		}
		if testutil.ToFloat64(b.metrics.Dropped) != 1 || len(b.woken) != 1 {
			t.Errorf("dropped %v, woken %v", testutil.ToFloat64(b.metrics.Dropped), b.woken)
		}
	}
}

func TestAnOutageLosesNothing(t *testing.T) {
	for _, status := range []int{500, 503, 429, 401, 404} {
		b := newBench(t, always(status), 100)
		b.Submit(owner, events(7))
		b.Flush(context.Background())
		if d := b.Delivery("u"); !d.Failing || d.Stored != 0 || b.Left() != 7 || len(b.woken) != 1 {
			t.Errorf("%d: %+v, left %d, woken %v", status, d, b.Left(), b.woken)
		}
		b.store.answer = always(http.StatusCreated)
		b.Flush(context.Background())
		if d := b.Delivery("u"); d.Failing || d.Stored != 7 || b.store.stored[0] != "id-00" || testutil.ToFloat64(b.metrics.Dropped) != 0 {
			t.Errorf("%d: %+v", status, d)
		}
	}
}

func TestParkedIsNotStored(t *testing.T) {
	b := newBench(t, always(http.StatusAccepted), 100)
	b.Submit(owner, events(2))
	b.Flush(context.Background())
	if d := b.Delivery("u"); d.Stored != 0 || b.Left() != 2 {
		t.Errorf("%+v", d)
	}
	b.store.answer = always(http.StatusCreated)
	b.Flush(context.Background())
	if len(b.store.stored) != 0 {
		t.Error("sent again too soon")
	}
	b.now = b.now.Add(parkedWait)
	b.Flush(context.Background())
	if d := b.Delivery("u"); d.Stored != 2 {
		t.Errorf("%+v", d)
	}
}

func TestClockAheadIsHeldBack(t *testing.T) {
	b := newBench(t, always(http.StatusBadRequest), 100)
	early := events(1)
	early[0].At = time.Now().Add(10 * time.Minute)
	b.Submit(owner, early)
	b.Flush(context.Background())
	if d := b.Delivery("u"); len(d.Rejected) != 0 || b.Left() != 1 {
		t.Errorf("%+v", d)
	}
}

func TestFullBufferDefers(t *testing.T) {
	b := newBench(t, always(http.StatusCreated), 10)
	b.Submit(owner, events(15))
	if n := testutil.ToFloat64(b.metrics.Deferred); n != 5 {
		t.Errorf("deferred %v", n)
	}
	b.Flush(context.Background())
	b.Submit(owner, events(15))
	b.Flush(context.Background())
	if d := b.Delivery("u"); d.Stored != 15 {
		t.Errorf("%+v", d)
	}
}

func TestAbandonNamesWhatIsLost(t *testing.T) {
	b := newBench(t, always(http.StatusInternalServerError), 100)
	b.Submit(owner, events(3))
	if lost := b.Abandon("u", events(3)); len(lost) != 3 || b.Left() != 0 || testutil.ToFloat64(b.metrics.Dropped) != 3 {
		t.Errorf("%v", lost)
	}
}

func TestAbandonedInFlight(t *testing.T) {
	for status, dropped := range map[int]float64{http.StatusCreated: 0, http.StatusAccepted: 3, http.StatusServiceUnavailable: 3} {
		var b *bench
		var lost []string
		b = newBench(t, func([]event) (int, string) {
			lost = b.Abandon("u", events(3))
			return status, "{}"
		}, 100)
		b.Submit(owner, events(3))
		b.Flush(context.Background())
		if n := testutil.ToFloat64(b.metrics.Dropped); len(lost) != 3 || n != dropped || b.Left() != 0 || len(b.woken) != 0 {
			t.Errorf("%d: lost %v, dropped %v, left %d, woken %v", status, lost, n, b.Left(), b.woken)
		}
	}
}

func TestRunSendsWithinTheFlushInterval(t *testing.T) {
	b := newBench(t, always(http.StatusServiceUnavailable), 100)
	b.Log.now = time.Now
	b.config.FlushInterval = 10 * time.Millisecond
	woken := make(chan struct{}, 2)
	b.config.Wake = func(types.NamespacedName) { woken <- struct{}{} }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); b.Run(ctx) }()
	b.Submit(owner, events(7))
	<-woken // away
	b.store.mu.Lock()
	b.store.answer = always(http.StatusCreated)
	b.store.mu.Unlock()
	b.Kick() // the wait ends at once
	<-woken
	cancel()
	<-done
	if d := b.Delivery("u"); d.Stored != 7 {
		t.Errorf("%+v", d)
	}
}

// transport answers without a network, so that time can be the bubble's.
type transport func() *http.Response

func (f transport) RoundTrip(*http.Request) (*http.Response, error) { return f(), nil }

func TestWaitsAfterAFailure(t *testing.T) {
	for name, row := range map[string]struct {
		retryAfter  string
		least, most time.Duration
	}{
		"back-off":             {"", 900 * time.Millisecond, 1100 * time.Millisecond},
		"Retry-After":          {"7", 7 * time.Second, 7 * time.Second},
		"Retry-After, bounded": {"86400", maxRetryAfter, maxRetryAfter},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := New(Config{BufferSize: 9, BatchSize: 9, Logger: logr.Discard()}, NewClient("http://store", "", time.Second), NewMetrics(prometheus.NewRegistry()))
				var posts []time.Time
				l.client.http.Transport = transport(func() *http.Response {
					posts = append(posts, time.Now())
					return &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {row.retryAfter}}, Body: http.NoBody}
				})
				l.Kick()                       // Data Storage was there before the first try
				l.Submit(owner, events(2)[:1]) // not the last of its analysis: nobody is told
				ctx, cancel := context.WithTimeout(t.Context(), maxRetryAfter+5*time.Second)
				defer cancel()
				l.Run(ctx)
				if len(posts) < 2 || posts[1].Sub(posts[0]) < row.least || posts[1].Sub(posts[0]) > row.most {
					t.Errorf("posts at %v", posts)
				}
			})
		})
	}
}
