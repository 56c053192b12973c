package aianalysis

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// outcome is one way for an analysis to end, and all that must then be true.
type outcome struct {
	recovery   bool
	replies    []reply
	policy     fixedPolicy
	deleted    v1alpha1.Phase // while in this phase
	status     string         // phase reason/subReason
	conditions string         // InvestigationComplete, WorkflowResolved, ApprovalRequired, AnalysisComplete, Ready
	trail      string
	events     string
}

const (
	begunTrail  = "phase.transition "
	calledTrail = begunTrail + "holmesgpt.call "
	endTrail    = "phase.transition analysis.completed"
	retryTrail  = "holmesgpt.call error.occurred "
	created     = "Normal AIAnalysisCreated Pending -> Investigating\n"
	answered    = created + "Normal InvestigationComplete Investigating -> Analyzing\n"
)

func answering(change func(*Answer)) []reply {
	answer := goodAnswer()
	change(answer)
	return []reply{{answer: answer, status: 200}}
}

func failing(n int, failure *CallError, then ...reply) []reply {
	return append(slices.Repeat([]reply{{err: failure, status: 503}}, n), then...)
}

func outcomes() map[string]outcome {
	good := answering(func(*Answer) {})
	approved := fixedPolicy{verdict: Verdict{Reason: "Auto-approved", SHA256: "abc"}}
	required := fixedPolicy{verdict: Verdict{RequireApproval: true, Reason: "Production environment", SHA256: "abc"}}
	happy := outcome{replies: good, policy: approved, status: "Completed /",
		conditions: "True InvestigationSucceeded, True WorkflowSelected, False AutoApproved, True AnalysisSucceeded, True AnalysisCompleted",
		trail:      calledTrail + "phase.transition rego.evaluation approval.decision " + endTrail,
		events:     answered + "Normal AnalysisCompleted Analyzing -> Completed"}
	recovered, asked, degraded, retried := happy, happy, happy, happy
	recovered.recovery = true
	retried.replies = failing(2, transient(), good...)
	retried.trail = begunTrail + retryTrail + retryTrail + strings.TrimPrefix(happy.trail, begunTrail)
	asked.policy = required
	asked.conditions = strings.Replace(happy.conditions, "False AutoApproved", "True PolicyRequiresApproval", 1)
	asked.events += "\nNormal ApprovalRequired Production environment"
	degraded = asked
	degraded.policy.verdict.Degraded = true
	degraded.trail = calledTrail + "phase.transition rego.evaluation error.occurred approval.decision " + endTrail
	unresolved := func(reason string) outcome {
		condition := "WorkflowResolutionFailed"
		if reason == "LowConfidence" {
			condition = reason
		}
		return outcome{status: "Failed WorkflowResolutionFailed/" + reason,
			conditions: "True InvestigationSucceeded, False " + condition + ", absent, False AnalysisFailed, False AnalysisFailed",
			trail:      calledTrail + endTrail,
			events:     created + "Warning AnalysisFailed Investigating -> Failed: WorkflowResolutionFailed/" + reason}
	}
	all := map[string]outcome{
		"happy": happy, "happy recovery": recovered, "approval required": asked, "degraded policy": degraded, "two retries": retried,
		"no workflow needed": {replies: answering(func(a *Answer) { a.Workflow = nil }), status: "Completed WorkflowNotNeeded/ProblemResolved",
			conditions: "True InvestigationSucceeded, False NoWorkflowNeeded, False NoWorkflowNeeded, True AnalysisSucceeded, True AnalysisCompleted",
			trail:      calledTrail + endTrail, events: created + "Normal AnalysisCompleted Investigating -> Completed"},
		"no workflow selected": {replies: answering(func(a *Answer) { a.Workflow, a.Confidence = nil, 0.69 }), status: "Failed NoWorkflowSelected/InvestigationFailed",
			conditions: "True InvestigationSucceeded, False WorkflowResolutionFailed, absent, False AnalysisFailed, False AnalysisFailed",
			trail:      calledTrail + "phase.transition " + endTrail, events: answered + "Warning AnalysisFailed Analyzing -> Failed: NoWorkflowSelected/InvestigationFailed"},
		"no recovery": {recovery: true, replies: answering(func(a *Answer) { a.CanRecover = false }), status: "Failed RecoveryNotPossible/NoRecoveryStrategy",
			conditions: "True InvestigationSucceeded, False WorkflowResolutionFailed, absent, False AnalysisFailed, False AnalysisFailed",
			trail:      calledTrail + endTrail, events: created + "Warning AnalysisFailed Investigating -> Failed: RecoveryNotPossible/NoRecoveryStrategy"},
		"permanent error": {replies: failing(1, &CallError{Class: ClassAuthentication, Text: "holmesgpt-api: HTTP 401"}), status: "Failed APIError/PermanentError",
			conditions: "False InvestigationFailed, absent, absent, False AnalysisFailed, False AnalysisFailed",
			trail:      begunTrail + retryTrail + endTrail, events: created + "Warning AnalysisFailed Investigating -> Failed: APIError/PermanentError"},
		"retries used up": {replies: failing(1, transient()), status: "Failed APIError/MaxRetriesExceeded",
			conditions: "False InvestigationFailed, absent, absent, False AnalysisFailed, False AnalysisFailed",
			trail:      begunTrail + strings.Repeat(retryTrail, 6) + endTrail, events: created + "Warning AnalysisFailed Investigating -> Failed: APIError/MaxRetriesExceeded"},
		"broken policy": {replies: good, policy: fixedPolicy{err: errors.New("panic")}, status: "Failed RegoEvaluationError/PolicyEvaluationFailed",
			conditions: "True InvestigationSucceeded, True WorkflowSelected, absent, False AnalysisFailed, False AnalysisFailed",
			trail:      calledTrail + "phase.transition rego.evaluation error.occurred " + endTrail,
			events:     answered + "Warning AnalysisFailed Analyzing -> Failed: RegoEvaluationError/PolicyEvaluationFailed"},
		"deleted in Pending": {deleted: v1alpha1.PhasePending, status: "Failed AnalysisCancelled/ResourceDeleted",
			conditions: "False InvestigationFailed, absent, absent, False AnalysisFailed, False AnalysisFailed",
			trail:      "error.occurred " + endTrail, events: "Warning AnalysisFailed Pending -> Failed: AnalysisCancelled/ResourceDeleted"},
		"deleted while waiting": {deleted: v1alpha1.PhaseInvestigating, replies: failing(1, transient()), status: "Failed AnalysisCancelled/ResourceDeleted",
			conditions: "False InvestigationFailed, absent, absent, False AnalysisFailed, False AnalysisFailed",
			trail:      begunTrail + retryTrail + "error.occurred " + endTrail, events: created + "Warning AnalysisFailed Investigating -> Failed: AnalysisCancelled/ResourceDeleted"},
	}
	for reason, sub := range reviewReasons {
		row := unresolved(string(sub))
		row.replies = answering(func(a *Answer) { a.NeedsHumanReview, a.HumanReviewReason = true, reason })
		all["human review: "+reason] = row
	}
	return all
}

// drive lets an analysis come to its end and returns it as it then was.
func (o *outcome) drive(t *testing.T, w *world) *v1alpha1.AIAnalysis {
	t.Helper()
	w.hapi.replies, w.policy = o.replies, &o.policy
	w.r.Policy = w.policy
	switch o.deleted {
	case "":
		return w.finish()
	case v1alpha1.PhasePending:
		fresh := w.get()
		fresh.Finalizers = []string{v1alpha1.Finalizer}
		if err := w.r.Client.Update(t.Context(), fresh); err != nil {
			t.Fatal(err)
		}
		fresh.Status = v1alpha1.AIAnalysisStatus{Phase: v1alpha1.PhasePending}
		if err := w.r.Client.Status().Update(t.Context(), fresh); err != nil {
			t.Fatal(err)
		}
	default:
		w.reconcile()
	}
	w.delete()
	w.now = w.get().DeletionTimestamp.Time
	w.reconcile() // Data Storage is away: the finalizer stays
	return w.get()
}

// Every way to end: status, times, conditions, audit events in their order, Kubernetes Events, and one failure counted at most.
func TestEveryOutcome(t *testing.T) {
	for name, row := range outcomes() {
		t.Run(name, func(t *testing.T) {
			cr := sample()
			cr.Spec.IsRecoveryAttempt = row.recovery
			w := newWorld(t, noFuncs, cr)
			before := failuresCounted(t, w)
			cr = row.drive(t, w)
			s := cr.Status
			if got := fmt.Sprintf("%s %s/%s", s.Phase, s.Reason, s.SubReason); got != row.status {
				t.Errorf("%s, want %s", got, row.status)
			}
			if s.CompletedAt == nil || s.TotalAnalysisTime < 1 || s.NextRetryTime != nil {
				t.Errorf("completed at %v, total %d, next try %v", s.CompletedAt, s.TotalAnalysisTime, s.NextRetryTime)
			}
			if got := conditions(cr); got != row.conditions {
				t.Errorf("conditions\n got %s\nwant %s", got, row.conditions)
			}
			if got := strings.Join(trailTypes(cr), " "); got != row.trail {
				t.Errorf("audit\n got %s\nwant %s", got, row.trail)
			}
			if got := strings.Join(w.kubeEvents(), "\n"); got != row.events {
				t.Errorf("Events\n got %s\nwant %s", got, row.events)
			}
			strictly(t, cr)
			moved := failuresCounted(t, w)
			for series, n := range before {
				if moved[series] == n {
					delete(moved, series)
				}
			}
			delete(moved, "TransientError/Retrying")
			want := map[string]float64{}
			if s.Phase == v1alpha1.PhaseFailed {
				want[s.Reason+"/"+string(s.SubReason)] = 1
			}
			if fmt.Sprint(moved) != fmt.Sprint(want) {
				t.Errorf("failures counted: %v, want %v", moved, want)
			}
		})
	}
}

func conditions(cr *v1alpha1.AIAnalysis) string {
	var all []string
	seen := map[string]bool{}
	for _, c := range cr.Status.Conditions {
		if seen[c.Type] || c.ObservedGeneration != cr.Generation || c.LastTransitionTime.IsZero() {
			all = append(all, "bad "+c.Type)
		}
		seen[c.Type] = true
	}
	for _, kind := range []string{"InvestigationComplete", "WorkflowResolved", "ApprovalRequired", "AnalysisComplete", "Ready"} {
		if c := meta.FindStatusCondition(cr.Status.Conditions, kind); c != nil {
			all = append(all, string(c.Status)+" "+c.Reason)
			continue
		}
		all = append(all, "absent")
	}
	if c := meta.FindStatusCondition(cr.Status.Conditions, "AuditRecorded"); c == nil || c.Status != "False" {
		all = append(all, "AuditRecorded missing")
	}
	return strings.Join(all, ", ")
}

// failuresCounted are all series of aianalysis_failures_total.
func failuresCounted(t *testing.T, w *world) map[string]float64 {
	t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, family := range families {
		if family.GetName() == "aianalysis_failures_total" {
			for _, metric := range family.Metric {
				all[metric.Label[0].GetValue()+"/"+metric.Label[1].GetValue()] = metric.Counter.GetValue()
			}
		}
	}
	return all
}

// The members of each event's data: a pointer may be absent.
type (
	transitionData struct {
		OldPhase string `json:"old_phase"`
		NewPhase string `json:"new_phase"`
	}
	callData struct {
		Endpoint   string  `json:"endpoint"`
		Status     int     `json:"http_status_code"`
		DurationMS int64   `json:"duration_ms"`
		Attempt    int32   `json:"attempt"`
		ErrorClass *string `json:"error_class"`
	}
	regoData struct {
		Outcome    string `json:"outcome"`
		Degraded   bool   `json:"degraded"`
		DurationMS int64  `json:"duration_ms"`
		Reason     string `json:"reason"`
		SHA256     string `json:"policy_sha256"`
	}
	decisionData struct {
		Required       bool    `json:"approval_required"`
		Auto           bool    `json:"auto_approved"`
		Decision       string  `json:"decision"`
		ApprovalReason string  `json:"approval_reason"`
		Reason         string  `json:"reason"`
		Environment    string  `json:"environment"`
		Confidence     float64 `json:"confidence"`
		WorkflowID     string  `json:"workflow_id"`
	}
	completedData struct {
		Phase              string   `json:"phase"`
		Required           bool     `json:"approval_required"`
		Degraded           bool     `json:"degraded_mode"`
		Warnings           int      `json:"warnings_count"`
		ApprovalReason     *string  `json:"approval_reason"`
		Confidence         *float64 `json:"confidence"`
		WorkflowID         *string  `json:"workflow_id"`
		TargetInOwnerChain *bool    `json:"target_in_owner_chain"`
		Reason             *string  `json:"reason"`
		SubReason          *string  `json:"sub_reason"`
	}
	errorData struct {
		Phase        string `json:"phase"`
		Error        string `json:"error"`
		ErrorMessage string `json:"error_message"`
		ErrorClass   string `json:"error_class"`
		Retryable    bool   `json:"retryable"`
		Attempt      *int32 `json:"attempt"`
	}
)

// strictly reads every event of a trail: no unknown member, none missing, envelope and outcome as they must be.
func strictly(t *testing.T, cr *v1alpha1.AIAnalysis) {
	t.Helper()
	events, err := EventsOf(cr)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	var last time.Time
	for _, e := range events {
		if ids[e.ID] || !e.At.After(last) || e.UID != cr.UID || e.CorrelationID != "rr-1" || e.Namespace != "shop" || e.Name != "cart-oom" || e.Action != eventActions[e.Type] {
			t.Errorf("envelope: %+v", e)
		}
		ids[e.ID], last = true, e.At
		data := map[string]any{EventTransition: &transitionData{}, EventCall: &callData{}, EventRego: &regoData{},
			EventDecision: &decisionData{}, EventCompleted: &completedData{}, EventError: &errorData{}}[e.Type]
		decoder := json.NewDecoder(bytes.NewReader(e.Data))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(data); err != nil {
			t.Errorf("%s: %v in %s", e.Type, err, e.Data)
		}
		// What is written back and is not null must have been there.
		again, err := json.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		var have, want map[string]any
		if err := errors.Join(json.Unmarshal(e.Data, &have), json.Unmarshal(again, &want)); err != nil {
			t.Fatal(err)
		}
		for name, value := range want {
			if _, there := have[name]; !there && value != nil {
				t.Errorf("%s: %s is missing in %s", e.Type, name, e.Data)
			}
		}
		if got := wantOutcome(data); e.Outcome != got {
			t.Errorf("%s: outcome %s, want %s of %s", e.Type, e.Outcome, got, e.Data)
		}
		if took, ok := have["duration_ms"]; ok != (e.DurationMS != nil) || ok && float64(*e.DurationMS) != took {
			t.Errorf("%s: duration %v", e.Type, e.DurationMS)
		}
	}
}

func wantOutcome(data any) string {
	failed := false
	switch d := data.(type) {
	case *callData:
		failed = d.ErrorClass != nil
	case *regoData:
		failed = d.Degraded || d.Outcome == "error"
	case *completedData:
		failed = d.Phase == "Failed"
	case *errorData:
		failed = d.Error == d.ErrorMessage && d.Error != "" && d.ErrorClass != ""
	}
	if failed {
		return "failure"
	}
	return "success"
}

// Each text by which the warnings of an older HolmesGPT-API tell why a human must look, and the order among them.
func TestEveryWarningText(t *testing.T) {
	texts := []struct {
		warning string
		want    v1alpha1.SubReason
	}{
		{"Workflow X NOT FOUND", "WorkflowNotFound"}, {"it does not exist", "WorkflowNotFound"},
		{"No workflows matched", "NoMatchingWorkflows"}, {"no matching entry", "NoMatchingWorkflows"},
		{"Confidence is below 0.7", "LowConfidence"},
		{"Parameter validation went wrong", "ParameterValidationFailed"}, {"missing required MEMORY", "ParameterValidationFailed"},
		{"Image mismatch", "ImageMismatch"}, {"another container image", "ImageMismatch"},
		{"cannot parse", "LLMParsingError"}, {"Invalid JSON", "LLMParsingError"},
		{"something else", "WorkflowNotFound"},
	}
	for i, row := range texts {
		s := investigated(t, false, func(a *Answer) { a.NeedsHumanReview, a.Warnings = true, []string{"first", row.warning} })
		if s.SubReason != row.want || s.Message != "first; "+row.warning || s.Reason != "WorkflowResolutionFailed" {
			t.Errorf("%q: %s, %q", row.warning, s.SubReason, s.Message)
		}
		for _, later := range texts[i+1:] {
			if sub, _ := reviewSubReason("", []string{later.warning, row.warning}); sub != row.want && row.warning != "something else" {
				t.Errorf("%q beside %q: %s", row.warning, later.warning, sub)
			}
		}
	}
}
