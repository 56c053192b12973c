package aianalysis

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

func transient() *CallError {
	return &CallError{Class: ClassTransient, Text: "holmesgpt-api: HTTP 503"}
}

func TestHappyAnalysis(t *testing.T) {
	w := newWorld(t, noFuncs, sample())
	w.audit.up = true
	w.hapi.replies = []reply{{answer: goodAnswer(), status: 200}}
	w.finish()
	w.reconcile()
	cr := w.get()
	s := cr.Status
	if s.Phase != v1alpha1.PhaseCompleted || s.Message != "Analysis complete" || s.Reason != "" || s.SubReason != "" {
		t.Errorf("end: %s %q %q %q", s.Phase, s.Message, s.Reason, s.SubReason)
	}
	if s.StartedAt == nil || s.CompletedAt == nil || s.TotalAnalysisTime < 1 || s.InvestigationTime < 1 || s.InvestigationID != "cart-oom" {
		t.Errorf("times or id missing: %+v", s)
	}
	if s.RootCause != "limit too low" || s.RootCauseAnalysis.SignalType != "OOMKilled" || s.SelectedWorkflow.WorkflowID != "raise-limit" {
		t.Errorf("findings: %+v", s)
	}
	want := []string{"phase.transition", "holmesgpt.call", "phase.transition", "rego.evaluation", "approval.decision", "phase.transition", "analysis.completed"}
	if got := trailTypes(cr); !slices.Equal(got, want) {
		t.Errorf("trail %v, want %v", got, want)
	}
	for kind, value := range map[string]string{"InvestigationComplete": "True", "WorkflowResolved": "True", "ApprovalRequired": "False",
		"AnalysisComplete": "True", "Ready": "True", "AuditRecorded": "True"} {
		if c := meta.FindStatusCondition(s.Conditions, kind); c == nil || string(c.Status) != value {
			t.Errorf("condition %s: %+v, want %s", kind, c, value)
		}
	}
	if len(s.Conditions) != 6 {
		t.Errorf("%d conditions", len(s.Conditions))
	}
	if events := strings.Join(w.kubeEvents(), "\n"); events != "Normal AIAnalysisCreated Pending -> Investigating\n"+
		"Normal InvestigationComplete Investigating -> Analyzing\nNormal AnalysisCompleted Analyzing -> Completed" {
		t.Errorf("events:\n%s", events)
	}
	if !slices.Equal(w.hapi.attempts, []int32{1}) {
		t.Errorf("calls: %v", w.hapi.attempts)
	}
	for _, phase := range []string{"Pending", "Investigating", "Analyzing"} {
		if n := testutil.ToFloat64(w.r.Metrics.Reconciliations.WithLabelValues(phase, "success")); n != 1 {
			t.Errorf("reconciliations of %s: %v", phase, n)
		}
	}
}

func TestApprovalRequired(t *testing.T) {
	w := newWorld(t, noFuncs, sample())
	w.hapi.replies = []reply{{answer: goodAnswer(), status: 200}}
	w.policy.verdict = Verdict{RequireApproval: true, Reason: "Production environment", MatchedRules: []string{"production"}}
	cr := w.finish()
	context := cr.Status.ApprovalContext
	if !cr.Status.ApprovalRequired || context == nil || context.ConfidenceLevel != "high" || context.PolicyEvaluation.Decision != "manual_review_required" ||
		!slices.Equal(context.PolicyEvaluation.MatchedRules, []string{"production"}) || context.RecommendedActions[0].Action != "raise-limit" {
		t.Errorf("context: %+v", context)
	}
	if !slices.Contains(w.kubeEvents(), "Normal ApprovalRequired Production environment") {
		t.Error("no Event ApprovalRequired")
	}
	if c := meta.FindStatusCondition(cr.Status.Conditions, "AuditRecorded"); c == nil || c.Reason != "DataStorageUnavailable" {
		t.Errorf("audit condition %+v", c)
	}
}

func TestDegradedAndBrokenPolicy(t *testing.T) {
	w := newWorld(t, noFuncs, sample())
	w.hapi.replies = []reply{{answer: goodAnswer(), status: 200}}
	w.policy.verdict = Verdict{RequireApproval: true, Degraded: true, Reason: "conflict; manual approval required"}
	cr := w.finish()
	if cr.Status.Phase != v1alpha1.PhaseCompleted || !cr.Status.DegradedMode || cr.Status.ApprovalContext.PolicyEvaluation.Decision != "degraded_mode" {
		t.Errorf("degraded: %+v", cr.Status)
	}
	if n := len(cr.Status.AuditTrail); n != 8 {
		t.Errorf("%d events", n)
	}
	w = newWorld(t, noFuncs, sample())
	w.hapi.replies = []reply{{answer: goodAnswer(), status: 200}}
	w.policy.err = errors.New("panic")
	cr = w.finish()
	if cr.Status.Reason != "RegoEvaluationError" || cr.Status.Message != "Approval policy evaluation failed: panic" || len(cr.Status.AuditTrail) != 7 {
		t.Errorf("broken: %+v %v", cr.Status, trailTypes(cr))
	}
}

func TestSixCallsThenTheEnd(t *testing.T) {
	w := newWorld(t, noFuncs, sample())
	w.hapi.replies = []reply{{err: transient(), status: 503}}
	begun := w.now
	var waits []time.Duration
	for !w.get().Status.Phase.Terminal() {
		wait := w.reconcile().RequeueAfter
		if cr := w.get(); !cr.Status.Phase.Terminal() {
			waits = append(waits, wait)
			if cr.Status.NextRetryTime == nil || cr.Status.Reason != "TransientError" || cr.Status.ConsecutiveFailures != int32(len(waits)) {
				t.Errorf("after failure %d: %+v", len(waits), cr.Status)
			}
		}
		w.now = w.now.Add(wait)
	}
	if want := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second}; !slices.Equal(waits, want) {
		t.Errorf("waits %v", waits)
	}
	cr := w.get()
	if cr.Status.Message != "Transient error exceeded max retries (6 attempts): holmesgpt-api: HTTP 503" ||
		cr.Status.SubReason != v1alpha1.SubReasonMaxRetriesExceeded || cr.Status.NextRetryTime != nil {
		t.Errorf("end: %+v", cr.Status)
	}
	if len(cr.Status.AuditTrail) != 15 || !slices.Equal(w.hapi.attempts, []int32{1, 2, 3, 4, 5, 6}) || w.now.Sub(begun) < 31*time.Second {
		t.Errorf("%d events, calls %v, %s", len(cr.Status.AuditTrail), w.hapi.attempts, w.now.Sub(begun))
	}
	if n := testutil.ToFloat64(w.r.Metrics.Failures.WithLabelValues("TransientError", "Retrying")); n != 5 {
		t.Errorf("retries counted: %v", n)
	}
	if n := testutil.ToFloat64(w.r.Metrics.Failures.WithLabelValues("APIError", "MaxRetriesExceeded")); n != 1 {
		t.Errorf("failures counted: %v", n)
	}
}

func TestRetryThenSuccessLeavesNoTrace(t *testing.T) {
	w := newWorld(t, noFuncs, sample())
	w.hapi.replies = []reply{{err: transient()}, {err: transient()}, {answer: goodAnswer(), status: 200}}
	s := w.finish().Status
	if s.Reason != "" || s.SubReason != "" || s.ConsecutiveFailures != 0 || s.NextRetryTime != nil || len(s.AuditTrail) != 11 {
		t.Errorf("%+v", s)
	}
	for i := 1; i < len(s.AuditTrail); i++ {
		if !s.AuditTrail[i].At.After(s.AuditTrail[i-1].At.Time) {
			t.Errorf("entry %d is not later than the one before", i)
		}
	}
}

func TestPermanentError(t *testing.T) {
	w := newWorld(t, noFuncs, sample())
	w.hapi.replies = []reply{{err: &CallError{Class: ClassAuthentication, Alert: true, Text: "holmesgpt-api: HTTP 401: Unauthorized: no"}, status: 401}}
	cr := w.finish()
	if cr.Status.SubReason != v1alpha1.SubReasonPermanentError || len(cr.Status.AuditTrail) != 5 {
		t.Errorf("%+v", cr.Status)
	}
	events, err := EventsOf(cr)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"attempt":1,"error":"holmesgpt-api: HTTP 401: Unauthorized: no","error_class":"Authentication","error_message":"holmesgpt-api: HTTP 401: Unauthorized: no","phase":"Investigating","retryable":false}`
	if string(events[2].Data) != want || events[2].Outcome != "failure" || events[1].Outcome != "failure" {
		t.Errorf("error event: %s", events[2].Data)
	}
}

func TestWithoutARequestThereIsNoCallEvent(t *testing.T) {
	w := newWorld(t, noFuncs, sample())
	w.hapi.replies = []reply{{unsent: true, err: &CallError{Class: ClassPermanent, Text: strings.Repeat("x", 600)}}}
	cr := w.finish()
	if want := []string{"phase.transition", "error.occurred", "phase.transition", "analysis.completed"}; !slices.Equal(trailTypes(cr), want) {
		t.Errorf("trail %v", trailTypes(cr))
	}
	if n := len([]rune(cr.Status.Message)); n != len("Permanent error: ")+maxErrorText {
		t.Errorf("message of %d characters", n)
	}
}

func TestEveryRefusedEventIsTold(t *testing.T) {
	w := newWorld(t, noFuncs, sample())
	w.hapi.replies = []reply{{answer: goodAnswer(), status: 200}}
	w.finish()
	for _, refused := range [][]string{{"id-1"}, {"id-1", "id-2"}} {
		w.audit.refused = refused
		w.reconcile()
		c := meta.FindStatusCondition(w.get().Status.Conditions, v1alpha1.ConditionAuditRecorded)
		if want := "0 of 7 events stored; refused: " + strings.Join(refused, ", ") + " ()"; c.Reason != v1alpha1.CondEventRejected || c.Message != want {
			t.Errorf("%+v, want %q", c, want)
		}
		version := w.get().ResourceVersion
		if w.reconcile(); w.get().ResourceVersion != version {
			t.Error("written without news")
		}
	}
}

func TestKilledInTheCall(t *testing.T) {
	w := newWorld(t, noFuncs, sample())
	w.hapi.replies = []reply{{answer: goodAnswer(), status: 200}}
	live := w.get()
	live.Status = v1alpha1.AIAnalysisStatus{Phase: v1alpha1.PhaseInvestigating, InvestigationAttempt: 1}
	if err := w.r.Client.Status().Update(context.Background(), live); err != nil {
		t.Fatal(err)
	}
	w.restart()
	cr := w.finish()
	if !slices.Equal(w.hapi.attempts, []int32{2}) || cr.Status.Phase != v1alpha1.PhaseCompleted {
		t.Errorf("calls %v, %s", w.hapi.attempts, cr.Status.Phase)
	}
	if kinds := trailTypes(cr); kinds[0] != "error.occurred" || slices.Index(kinds, "holmesgpt.call") != 1 {
		t.Errorf("trail %v", kinds)
	}
}

func TestOlderTerminalObjectIsLeftAlone(t *testing.T) {
	old := sample()
	old.Status = v1alpha1.AIAnalysisStatus{Phase: v1alpha1.PhaseFailed, Reason: "APIError"}
	w := newWorld(t, noFuncs, old)
	version := w.get().ResourceVersion
	w.reconcile()
	if w.get().ResourceVersion != version {
		t.Error("it was written")
	}
}
