package aianalysis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// outcome is one way for an analysis to end, and all that must then be true.
type outcome struct {
	recovery   bool
	assessed   bool // by the answer: what the failed run had left behind
	replies    []reply
	policy     fixedPolicy
	deleted    v1alpha1.Phase // while in this phase
	status     string         // phase reason/subReason
	message    string         // of the end; its wording is part of the interface
	before     []string       // the messages that came before it
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

// The messages on the way, word for word: begun, answered, and each failed attempt of six without jitter.
var (
	msgsBegun     = []string{"AIAnalysis created", "Investigation started"}
	msgsAnswered  = append(slices.Clone(msgsBegun), "Investigation complete, evaluating approval policy")
	retryMessages = []string{
		"Transient error (attempt 1/5): holmesgpt-api: HTTP 503; next attempt at 2026-03-02T08:00:01Z",
		"Transient error (attempt 2/5): holmesgpt-api: HTTP 503; next attempt at 2026-03-02T08:00:03Z",
		"Transient error (attempt 3/5): holmesgpt-api: HTTP 503; next attempt at 2026-03-02T08:00:07Z",
		"Transient error (attempt 4/5): holmesgpt-api: HTTP 503; next attempt at 2026-03-02T08:00:15Z",
		"Transient error (attempt 5/5): holmesgpt-api: HTTP 503; next attempt at 2026-03-02T08:00:31Z",
	}
)

func before(some []string, more ...string) []string { return append(slices.Clone(some), more...) }

// written notes each message that a status write brings, once.
func written(messages *[]string) interceptor.Funcs {
	return interceptor.Funcs{SubResourceUpdate: func(ctx context.Context, c client.Client, name string, obj client.Object, options ...client.SubResourceUpdateOption) error {
		err := c.SubResource(name).Update(ctx, obj, options...)
		if said := obj.(*v1alpha1.AIAnalysis).Status.Message; err == nil && said != "" && (len(*messages) == 0 || (*messages)[len(*messages)-1] != said) {
			*messages = append(*messages, said)
		}
		return err
	}}
}

func answering(change func(*Answer)) []reply {
	answer := goodAnswer()
	answer.History = []v1alpha1.ValidationAttempt{{Attempt: 1, WorkflowID: "raise", Errors: []string{"e"}}, {Attempt: 2, WorkflowID: "raise-limit", IsValid: true}}
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
	happy := outcome{replies: good, policy: approved, status: "Completed /", message: "Analysis complete", before: before(msgsAnswered),
		conditions: "True InvestigationSucceeded, True WorkflowSelected, False AutoApproved, True AnalysisSucceeded, True AnalysisCompleted",
		trail:      calledTrail + "phase.transition rego.evaluation approval.decision " + endTrail,
		events:     answered + "Normal AnalysisCompleted Analyzing -> Completed"}
	recovered, assessed, asked, retried := happy, happy, happy, happy
	recovered.recovery, assessed.recovery, assessed.assessed = true, true, true
	assessed.replies = answering(func(a *Answer) {
		a.Recovery = &v1alpha1.RecoveryStatus{PreviousAttemptAssessment: &v1alpha1.PreviousAttemptAssessment{FailureUnderstood: true}}
	})
	retried.replies = failing(2, transient(), good...)
	retried.before = append(before(msgsBegun, retryMessages[:2]...), msgsAnswered[len(msgsBegun):]...)
	retried.trail = begunTrail + retryTrail + retryTrail + strings.TrimPrefix(happy.trail, begunTrail)
	asked.policy = required
	asked.conditions = strings.Replace(happy.conditions, "False AutoApproved", "True PolicyRequiresApproval", 1)
	asked.events += "\nNormal ApprovalRequired Production environment"
	degraded := asked
	degraded.policy.verdict.Degraded = true
	degraded.trail = calledTrail + "phase.transition rego.evaluation error.occurred approval.decision " + endTrail
	unresolved := func(reason string) outcome {
		condition := "WorkflowResolutionFailed"
		if reason == "LowConfidence" {
			condition = reason
		}
		return outcome{status: "Failed WorkflowResolutionFailed/" + reason, before: before(msgsBegun),
			conditions: "True InvestigationSucceeded, False " + condition + ", absent, False AnalysisFailed, False AnalysisFailed",
			trail:      calledTrail + endTrail,
			events:     created + "Warning AnalysisFailed Investigating -> Failed: WorkflowResolutionFailed/" + reason}
	}
	all := map[string]outcome{
		"happy": happy, "happy recovery": recovered, "assessed recovery": assessed, "approval required": asked, "degraded policy": degraded, "two retries": retried,
		"no workflow needed": {replies: answering(func(a *Answer) { a.Workflow = nil }), status: "Completed WorkflowNotNeeded/ProblemResolved",
			message: "The limit is too low.", before: before(msgsBegun),
			conditions: "True InvestigationSucceeded, False NoWorkflowNeeded, False NoWorkflowNeeded, True AnalysisSucceeded, True AnalysisCompleted",
			trail:      calledTrail + endTrail, events: created + "Normal AnalysisCompleted Investigating -> Completed"},
		"no workflow selected": {replies: answering(func(a *Answer) { a.Workflow, a.Confidence = nil, 0.69 }), status: "Failed NoWorkflowSelected/InvestigationFailed",
			message: "No workflow selected by the investigation", before: before(msgsAnswered),
			conditions: "True InvestigationSucceeded, False WorkflowResolutionFailed, absent, False AnalysisFailed, False AnalysisFailed",
			trail:      calledTrail + "phase.transition " + endTrail, events: answered + "Warning AnalysisFailed Analyzing -> Failed: NoWorkflowSelected/InvestigationFailed"},
		"no recovery": {recovery: true, replies: answering(func(a *Answer) { a.CanRecover = false }), status: "Failed RecoveryNotPossible/NoRecoveryStrategy",
			message: "HolmesGPT-API found that recovery is not possible", before: before(msgsBegun),
			conditions: "True InvestigationSucceeded, False WorkflowResolutionFailed, absent, False AnalysisFailed, False AnalysisFailed",
			trail:      calledTrail + endTrail, events: created + "Warning AnalysisFailed Investigating -> Failed: RecoveryNotPossible/NoRecoveryStrategy"},
	}
	maps.Copy(all, withoutAnAnswer(good))
	for reason, sub := range reviewReasons {
		row := unresolved(string(sub))
		row.message = "Attempt 1: e" // the history tells more than the reason; answers_test.go has the other texts
		row.replies = answering(func(a *Answer) { a.NeedsHumanReview, a.HumanReviewReason = true, reason })
		all["human review: "+reason] = row
	}
	return all
}

// withoutAnAnswer are the outcomes of analyses that HolmesGPT-API, the policy or a deletion ends badly.
func withoutAnAnswer(good []reply) map[string]outcome {
	return map[string]outcome{
		"permanent error": {replies: []reply{{err: &CallError{Class: ClassAuthentication, Text: "holmesgpt-api: HTTP 401"}, status: 401}}, status: "Failed APIError/PermanentError",
			message: "Permanent error: holmesgpt-api: HTTP 401", before: before(msgsBegun),
			conditions: "False InvestigationFailed, absent, absent, False AnalysisFailed, False AnalysisFailed",
			trail:      begunTrail + retryTrail + endTrail, events: created + "Warning AnalysisFailed Investigating -> Failed: APIError/PermanentError"},
		"retries used up": {replies: failing(1, transient()), status: "Failed APIError/MaxRetriesExceeded",
			message: "Transient error exceeded max retries (6 attempts): holmesgpt-api: HTTP 503", before: before(msgsBegun, retryMessages...),
			conditions: "False InvestigationFailed, absent, absent, False AnalysisFailed, False AnalysisFailed",
			trail:      begunTrail + strings.Repeat(retryTrail, 6) + endTrail, events: created + "Warning AnalysisFailed Investigating -> Failed: APIError/MaxRetriesExceeded"},
		"broken policy": {replies: good, policy: fixedPolicy{err: errors.New("panic")}, status: "Failed RegoEvaluationError/PolicyEvaluationFailed",
			message: "Approval policy evaluation failed: panic", before: before(msgsAnswered),
			conditions: "True InvestigationSucceeded, True WorkflowSelected, absent, False AnalysisFailed, False AnalysisFailed",
			trail:      calledTrail + "phase.transition rego.evaluation error.occurred " + endTrail,
			events:     answered + "Warning AnalysisFailed Analyzing -> Failed: RegoEvaluationError/PolicyEvaluationFailed"},
		"deleted in Pending": {deleted: v1alpha1.PhasePending, status: "Failed AnalysisCancelled/ResourceDeleted", message: "Deleted before the analysis ended",
			conditions: "False InvestigationFailed, absent, absent, False AnalysisFailed, False AnalysisFailed",
			trail:      "error.occurred " + endTrail, events: "Warning AnalysisFailed Pending -> Failed: AnalysisCancelled/ResourceDeleted"},
		"deleted while waiting": {deleted: v1alpha1.PhaseInvestigating, replies: failing(1, transient()), status: "Failed AnalysisCancelled/ResourceDeleted",
			message: "Deleted before the analysis ended", before: before(msgsBegun, retryMessages[0]),
			conditions: "False InvestigationFailed, absent, absent, False AnalysisFailed, False AnalysisFailed",
			trail:      begunTrail + retryTrail + "error.occurred " + endTrail, events: created + "Warning AnalysisFailed Investigating -> Failed: AnalysisCancelled/ResourceDeleted"},
	}
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

// Every way to end: status, times, conditions, audit events in their order, Kubernetes Events, and all that is counted.
func TestEveryOutcome(t *testing.T) {
	for name, row := range outcomes() {
		t.Run(name, func(t *testing.T) {
			cr := sample()
			cr.Spec.IsRecoveryAttempt = row.recovery
			cr.Spec.AnalysisRequest.SignalContext.EnrichmentResults.DetectedLabels = &v1alpha1.DetectedLabels{FailedDetections: []string{"pdbProtected", "stateful"}}
			var messages []string
			w := newWorld(t, written(&messages), cr)
			before := counted(t, w)
			cr = row.drive(t, w)
			if want := append(slices.Clone(row.before), row.message); !slices.Equal(messages, want) || cr.Status.Message != row.message {
				t.Errorf("messages\n got %q\nwant %q", messages, want)
			}
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
			if have, want := moved(before, counted(t, w)), row.counts(s); !slices.Equal(have, want) {
				t.Errorf("counted\n got %s\nwant %s", strings.Join(have, "\n     "), strings.Join(want, "\n     "))
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
