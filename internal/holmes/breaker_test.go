package holmes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
	"github.com/kubernaut-ai/kubernaut/internal/aianalysis"
)

// ending is how every call of a stand-in ends.
type ending struct {
	status int
	class  aianalysis.Class // empty: well
	unsent bool
}

func (e *ending) Investigate(context.Context, *v1alpha1.AIAnalysis, int32) (*aianalysis.Answer, aianalysis.Call, error) {
	call := aianalysis.Call{Endpoint: incidentPath, Status: e.status}
	if e.unsent {
		call = aianalysis.Call{}
	}
	if e.class != "" {
		return nil, call, &aianalysis.CallError{Class: e.class}
	}
	return &aianalysis.Answer{}, call, nil
}

// circuit is a breaker whose calls and probes end as told.
type circuit struct {
	*Breaker
	ending ending

	mu       sync.Mutex
	probeErr error
	probes   []time.Time
}

func (c *circuit) probed(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.probes = append(c.probes, time.Now())
	return c.probeErr
}

// answerProbes begins a new list of probes, which end so.
func (c *circuit) answerProbes(err error) (before []time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, c.probes, c.probeErr = c.probes, nil, err
	return before
}

func newCircuit() *circuit {
	c := &circuit{}
	c.Breaker = NewBreaker(&c.ending, BreakerConfig{Threshold: 10, ProbeInterval: 5 * time.Second, Logger: logr.Discard(), Probe: c.probed}, NewMetrics(prometheus.NewRegistry()))
	return c
}

func (c *circuit) call(t *testing.T, n int, limit time.Duration, e ending) {
	t.Helper()
	c.ending = e
	for range n {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		_, _, err := c.Investigate(ctx, incident(), 1)
		cancel()
		if (err == nil) != (e.class == "") {
			t.Fatal(err)
		}
	}
}

func (c *circuit) gauge() float64 { return testutil.ToFloat64(c.metrics.circuit) }

// What a failure of each kind does to nine failures in a row: it is the tenth, it ends the run, or it says nothing.
func TestBreakerCountsByTheTableOfErrorClasses(t *testing.T) {
	const counts, resets, silent = "counts", "resets", "says nothing"
	for name, row := range map[string]struct {
		ending
		limit time.Duration
		want  string
	}{
		"deadline of 5 s":       {ending{class: aianalysis.ClassTimeout}, 5 * time.Second, counts},
		"deadline of 4 s":       {ending{class: aianalysis.ClassTimeout}, 4 * time.Second, silent},
		"refused or reset":      {ending{class: aianalysis.ClassNetwork}, time.Second, counts},
		"answer that broke off": {ending{class: aianalysis.ClassNetwork, status: 200}, time.Minute, resets},
		"400":                   {ending{class: aianalysis.ClassPermanent, status: 400}, time.Minute, resets},
		"401":                   {ending{class: aianalysis.ClassAuthentication, status: 401}, time.Minute, resets},
		"403":                   {ending{class: aianalysis.ClassAuthorization, status: 403}, time.Minute, resets},
		"404":                   {ending{class: aianalysis.ClassConfiguration, status: 404}, time.Minute, resets},
		"429":                   {ending{class: aianalysis.ClassRateLimit, status: 429}, time.Minute, resets},
		"500":                   {ending{class: aianalysis.ClassTransient, status: 500}, time.Minute, resets},
		"307":                   {ending{class: aianalysis.ClassTransient, status: 307}, time.Minute, resets},
		"garbage":               {ending{class: aianalysis.ClassInvalidResponse, status: 200}, time.Minute, resets},
		"a good answer":         {ending{status: 200}, time.Minute, resets},
		"cancelled":             {ending{class: aianalysis.ClassCancelled}, time.Minute, silent},
		"not sent":              {ending{class: aianalysis.ClassPermanent, unsent: true}, time.Minute, silent},
	} {
		c := newCircuit()
		c.call(t, 9, time.Minute, ending{class: aianalysis.ClassNetwork})
		if c.Open() {
			t.Fatalf("%s: open after nine", name)
		}
		c.call(t, 1, row.limit, row.ending)
		if c.Open() != (row.want == counts) {
			t.Errorf("%s: open %v, but it %s", name, c.Open(), row.want)
			continue
		}
		if row.want != counts {
			c.call(t, 1, time.Minute, ending{class: aianalysis.ClassNetwork})
			if c.Open() != (row.want == silent) {
				t.Errorf("%s: open after one more: %v, but it %s", name, c.Open(), row.want)
			}
		}
	}
}

func TestBreakerIsNeverOpenedByAStormOf500s(t *testing.T) {
	c := newCircuit()
	c.call(t, 1000, time.Minute, ending{class: aianalysis.ClassTransient, status: 500})
	if c.Open() || c.gauge() != 0 {
		t.Errorf("open, gauge %v", c.gauge())
	}
	if n := testutil.ToFloat64(c.metrics.errors.WithLabelValues("Transient", "false")); n != 1000 {
		t.Errorf("%v errors counted", n)
	}
	if n := testutil.ToFloat64(c.metrics.calls.WithLabelValues("incident", "500")); n != 1000 {
		t.Errorf("%v calls counted", n)
	}
}

// Probes come every 5 s; after opening again within a minute every 10 s, 20 s and so on up to 60 s; then from the beginning.
func TestBreakerProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCircuit()
		ctx, cancel := context.WithCancel(t.Context())
		go c.Run(ctx)
		for round, interval := range []time.Duration{5, 10, 20, 40, 60, 60, 5} {
			interval *= time.Second
			if round == 6 {
				<-time.After(reopenedSoon) // by the bubble's clock: it stayed closed
			}
			c.answerProbes(errors.New("away"))
			begun := time.Now()
			c.call(t, 10, time.Minute, ending{class: aianalysis.ClassNetwork})
			if c.gauge() != 2 || !c.Open() {
				t.Errorf("round %d: gauge %v", round, c.gauge())
			}
			<-time.After(2*interval + time.Second)
			probes := c.answerProbes(nil)
			<-time.After(interval)
			synctest.Wait()
			probes = append(probes, c.answerProbes(nil)...)
			if c.gauge() != 0 || c.Open() {
				t.Errorf("round %d: gauge %v after a good probe", round, c.gauge())
			}
			var at []time.Duration
			for _, probe := range probes {
				at = append(at, probe.Sub(begun))
			}
			if !slices.Equal(at, []time.Duration{interval, 2 * interval, 3 * interval}) {
				t.Errorf("round %d: probes after %v, want every %s", round, at, interval)
			}
		}
		cancel()
	})
}

func TestBreakerIsHalfOpenWhileItProbes(t *testing.T) {
	c := newCircuit()
	c.call(t, 10, time.Minute, ending{class: aianalysis.ClassNetwork})
	c.interval = time.Millisecond
	c.config.Probe = func(ctx context.Context) error {
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > probeLimit {
			t.Errorf("deadline %v", deadline)
		}
		if c.gauge() != 1 || !c.Open() {
			t.Errorf("gauge %v, open %v", c.gauge(), c.Open())
		}
		return nil
	}
	c.probe(t.Context())
	if c.Open() {
		t.Error("still open")
	}
}

// The run of failures is one of the process, not of a CR: ten CRs with one failure each open the circuit; then only /health is asked.
func TestBreakerOverSeveralCRsOnARealServer(t *testing.T) {
	var mu sync.Mutex
	up, asked := false, map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked[r.Method+" "+r.URL.Path]++
		if !up {
			panic(http.ErrAbortHandler)
		}
	}))
	defer server.Close()
	client, err := New(Config{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	b := NewBreaker(client, BreakerConfig{Threshold: 10, ProbeInterval: 20 * time.Millisecond, Probe: client.Ready, Logger: logr.Discard()},
		NewMetrics(prometheus.NewRegistry()))
	for i := range 10 {
		cr := incident()
		cr.Name = fmt.Sprintf("cr-%d", i)
		if _, _, err := b.Investigate(t.Context(), cr, 1); err == nil || b.Open() != (i == 9) {
			t.Fatalf("call %d: %v, open %v", i, err, b.Open())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); b.Run(ctx) }()
	wait := func(what string, there func() bool) {
		t.Helper()
		deadline := time.After(30 * time.Second)
		for !there() {
			select {
			case <-deadline:
				t.Fatalf("not in time: %s", what)
			case <-time.After(time.Millisecond):
			}
		}
	}
	probes := func() int {
		mu.Lock()
		defer mu.Unlock()
		return asked["GET /health"]
	}
	wait("three probes", func() bool { return probes() >= 3 })
	if !b.Open() {
		t.Error("closed by a failed probe")
	}
	mu.Lock()
	up = true
	mu.Unlock()
	wait("the circuit closes", func() bool { return !b.Open() })
	cancel()
	<-ended
	if asked["POST /api/v1/incident/analyze"] != 10 || len(asked) != 2 {
		t.Errorf("asked: %v", asked)
	}
}
