package aianalysis

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// Six calls at 0, 1, 3, 7, 15 and 31 s, ten percent more or less, then the end; there is no seventh.
func TestSixCallsAtTheirTimes(t *testing.T) {
	for name, jitter := range map[string]func(i int) float64{
		"early":    func(int) float64 { return -1 },
		"in time":  func(int) float64 { return 0 },
		"late":     func(int) float64 { return 1 },
		"by turns": func(i int) float64 { return float64(i%3 - 1) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, noFuncs, sample())
			w.hapi.replies = []reply{{err: transient(), status: 503}}
			i, begun := 0, w.now
			w.r.Jitter = func() float64 { i++; return jitter(i) }
			var at []time.Duration
			for !w.get().Status.Phase.Terminal() {
				calls := len(w.hapi.attempts)
				wait := w.reconcile().RequeueAfter
				if len(w.hapi.attempts) == calls+1 {
					at = append(at, w.now.Sub(begun))
				}
				w.now = w.now.Add(wait)
			}
			for n, want := range []time.Duration{0, 1, 3, 7, 15, 31} {
				want *= time.Second
				if n >= len(at) || at[n] < want*9/10 || at[n] > want*11/10 {
					t.Errorf("calls at %v, number %d should be at %s", at, n+1, want)
				}
			}
			w.now = w.now.Add(time.Hour)
			w.reconcile()
			if !slices.Equal(w.hapi.attempts, []int32{1, 2, 3, 4, 5, 6}) {
				t.Errorf("calls %v", w.hapi.attempts)
			}
		})
	}
}

// While the circuit is open a due attempt fails without a call and uses up its retry: the time to the end stays the same.
func TestOpenCircuitUsesUpAttempts(t *testing.T) {
	w := newWorld(t, noFuncs, sample())
	w.circuit = true
	begun := w.now
	cr := w.finish()
	if len(w.hapi.attempts) != 0 || w.now.Sub(begun) != 31*time.Second {
		t.Errorf("calls %v, ended after %s", w.hapi.attempts, w.now.Sub(begun))
	}
	if cr.Status.SubReason != v1alpha1.SubReasonMaxRetriesExceeded || len(cr.Status.AuditTrail) != 9 || cr.Status.InvestigationAttempt != 1 ||
		cr.Status.Message != "Transient error exceeded max retries (6 attempts): holmesgpt-api: circuit open" {
		t.Errorf("%+v, %v", cr.Status, trailTypes(cr))
	}
}

// A circuit that closes between two attempts costs no more than the attempts that met it.
func TestCircuitClosesBetweenAttempts(t *testing.T) {
	w := newWorld(t, noFuncs, sample())
	w.hapi.replies = []reply{{err: transient(), status: 503}, {answer: goodAnswer(), status: 200}}
	w.now = w.now.Add(w.reconcile().RequeueAfter) // attempt 1 is sent
	w.circuit = true
	w.now = w.now.Add(w.reconcile().RequeueAfter) // attempt 2 is not
	if s := w.get().Status; s.ConsecutiveFailures != 2 || s.InvestigationAttempt != 1 {
		t.Errorf("%+v", s)
	}
	w.circuit = false
	cr := w.finish()
	if !slices.Equal(w.hapi.attempts, []int32{1, 3}) || cr.Status.Phase != v1alpha1.PhaseCompleted || len(cr.Status.AuditTrail) != 7+2+1 {
		t.Errorf("calls %v, %s, %v", w.hapi.attempts, cr.Status.Phase, trailTypes(cr))
	}
	if n := testutil.ToFloat64(w.r.Metrics.Failures.WithLabelValues("TransientError", "Retrying")); n != 2 {
		t.Errorf("%v retries counted", n)
	}
}

// A claim whose process died is told as that, even while the circuit is open.
func TestInterruptedComesBeforeTheCircuit(t *testing.T) {
	old := sample()
	old.Status = v1alpha1.AIAnalysisStatus{Phase: v1alpha1.PhaseInvestigating, InvestigationAttempt: 1}
	w := newWorld(t, noFuncs, old)
	w.circuit = true
	w.reconcile()
	events, err := EventsOf(w.get())
	if err != nil || len(events) != 1 || string(events[0].Data) != `{"attempt":1,"error":"attempt 1 was interrupted by a controller restart",`+
		`"error_class":"Interrupted","error_message":"attempt 1 was interrupted by a controller restart","phase":"Investigating","retryable":true}` {
		t.Errorf("%v, %v", events, err)
	}
}

// A retry time far in the future is a clock that jumped, not a wait.
func TestClockJumpEndsAWait(t *testing.T) {
	w := newWorld(t, noFuncs, sample())
	w.hapi.replies = []reply{{err: transient()}, {answer: goodAnswer(), status: 200}}
	w.reconcile()
	w.now = w.now.Add(-time.Hour)
	w.reconcile()
	if cr := w.get(); cr.Status.Phase != v1alpha1.PhaseCompleted {
		t.Errorf("%s", cr.Status.Phase)
	}
}

func TestAbsentTimeoutsAndZeroUseTheDefault(t *testing.T) {
	for name, timeouts := range map[string]*v1alpha1.AIAnalysisTimeoutConfig{
		"absent": nil, "0s": {}, "unreadable": {InvestigatingTimeout: v1alpha1.Duration{Unreadable: "abc"}},
	} {
		cr := sample()
		cr.Spec.TimeoutConfig = timeouts
		w := newWorld(t, noFuncs, cr)
		if got := w.r.callTimeout(t.Context(), cr); got != time.Minute {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestOverheadLeavesTheCallOut(t *testing.T) {
	w := newWorld(t, noFuncs, sample())
	w.hapi.replies = []reply{{answer: goodAnswer(), status: 200}}
	w.finish()
	if w.r.Metrics.Overhead == nil || testutil.CollectAndCount(w.r.Metrics.Overhead) != 3 {
		t.Error("no family")
	}
	w.r.Metrics.step(v1alpha1.PhasePending, 10*time.Second, 9998*time.Millisecond, nil)
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "aianalysis_reconciler_overhead_seconds" {
			continue
		}
		for _, metric := range family.Metric {
			if metric.Label[0].GetValue() == "Pending" && metric.Histogram.GetSampleSum() > 1 {
				t.Errorf("the call is in the overhead: %s", metric)
			}
		}
	}
}

func TestUnrecordedAuditsAreCounted(t *testing.T) {
	w := newWorld(t, noFuncs, sample())
	w.hapi.replies = []reply{{answer: goodAnswer(), status: 200}}
	gauge := func() float64 { return testutil.ToFloat64(w.r.Metrics.Unrecorded) }
	w.finish()
	if gauge() != 1 {
		t.Errorf("with Data Storage away: %v", gauge())
	}
	w.audit.up = true
	w.reconcile()
	if gauge() != 0 {
		t.Errorf("recorded: %v", gauge())
	}
}

// An audit that does not come on is looked at after 30 s, then ever more rarely.
func TestUnrecordedAuditsAreLookedAtMoreAndMoreRarely(t *testing.T) {
	w := newWorld(t, noFuncs, sample())
	w.hapi.replies = []reply{{answer: goodAnswer(), status: 200}}
	var waits []time.Duration
	for range 7 {
		waits = append(waits, w.reconcile().RequeueAfter)
	}
	if want := []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 10 * time.Minute, 10 * time.Minute}; !slices.Equal(waits, want) {
		t.Errorf("%v", waits)
	}
}
