package aianalysis

import (
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/yaml"

	"github.com/kubernaut-ai/kubernaut/api/openapi"
	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// investigated applies an answer to a fresh investigation.
func investigated(t *testing.T, recovery bool, change func(*Answer)) *v1alpha1.AIAnalysisStatus {
	t.Helper()
	cr := sample()
	cr.Spec.IsRecoveryAttempt = recovery
	cr.Status.Phase = v1alpha1.PhaseInvestigating
	answer := goodAnswer()
	change(answer)
	p := newPlan(cr, time.Now())
	sanitise(answer, &cr.Spec, p.now)
	if err := p.investigated(answer, &cr.Spec); err != nil {
		t.Fatal(err)
	}
	if err := p.seal(); err != nil {
		t.Fatal(err)
	}
	return &p.next
}

func TestAnswers(t *testing.T) {
	history := []v1alpha1.ValidationAttempt{
		{Attempt: 1, Errors: []string{"e1", "e2"}}, {Attempt: 2, Errors: []string{"e3"}}, {Attempt: 3},
	}
	rows := map[string]struct {
		recovery bool
		change   func(*Answer)
		want     string // phase reason/subReason: message
	}{
		"selected": {change: func(*Answer) {}, want: "Analyzing /: Investigation complete, evaluating approval policy"},
		"review beats resolved": {change: func(a *Answer) { a.NeedsHumanReview, a.Workflow, a.HumanReviewReason = true, nil, "image_mismatch" },
			want: "Failed WorkflowResolutionFailed/ImageMismatch: Human review requested: image_mismatch"},
		"review with history and warnings": {change: func(a *Answer) {
			a.NeedsHumanReview, a.HumanReviewReason, a.History, a.Warnings = true, "parameter_validation_failed", history, []string{"w1", "w2"}
		}, want: "Failed WorkflowResolutionFailed/ParameterValidationFailed: Attempt 1: e1, e2; Attempt 2: e3; w1; w2"},
		"review with warnings": {change: func(a *Answer) { a.NeedsHumanReview, a.Warnings = true, []string{"Confidence 0.4 is below 0.6"} },
			want: "Failed WorkflowResolutionFailed/LowConfidence: Confidence 0.4 is below 0.6"},
		"resolved at 0.70": {change: func(a *Answer) { a.Workflow, a.Confidence, a.Analysis = nil, 0.70, "It went away." },
			want: "Completed WorkflowNotNeeded/ProblemResolved: It went away."},
		"resolved, only warnings": {change: func(a *Answer) { a.Workflow, a.Analysis, a.Warnings = nil, "", []string{"a", "b"} },
			want: "Completed WorkflowNotNeeded/ProblemResolved: a; b"},
		"resolved, nothing said": {change: func(a *Answer) { a.Workflow, a.Analysis = nil, "" },
			want: "Completed WorkflowNotNeeded/ProblemResolved: Problem resolved by itself; no workflow needed"},
		"not resolved at 0.69": {change: func(a *Answer) { a.Workflow, a.Confidence = nil, 0.69 }, want: "Analyzing /: Investigation complete, evaluating approval policy"},
		"recovery selected":    {recovery: true, change: func(*Answer) {}, want: "Analyzing /: Investigation complete, evaluating approval policy"},
		"recovery impossible beats review": {recovery: true, change: func(a *Answer) { a.CanRecover, a.NeedsHumanReview, a.Warnings = false, true, []string{"no way"} },
			want: "Failed RecoveryNotPossible/NoRecoveryStrategy: HolmesGPT-API found that recovery is not possible; no way"},
		"recovery without workflow": {recovery: true, change: func(a *Answer) { a.Workflow = nil },
			want: "Failed RecoveryNotPossible/NoRecoveryStrategy: HolmesGPT-API found that recovery is not possible"},
		"recovery review": {recovery: true, change: func(a *Answer) { a.NeedsHumanReview, a.HumanReviewReason = true, "low_confidence" },
			want: "Failed WorkflowResolutionFailed/LowConfidence: Human review requested: low_confidence"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			s := investigated(t, row.recovery, row.change)
			if got := string(s.Phase) + " " + s.Reason + "/" + string(s.SubReason) + ": " + s.Message; got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
			if s.RootCause == "" || s.InvestigationID == "" {
				t.Error("findings are not kept")
			}
			if s.Phase.Terminal() && (s.CompletedAt == nil || s.TotalAnalysisTime < 1 || !slices.Contains(trailTypes(&v1alpha1.AIAnalysis{Status: *s}), "analysis.completed")) {
				t.Error("end is not complete")
			}
			ready := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionReady)
			want := map[v1alpha1.Phase]string{"Completed": "True", "Failed": "False", "Analyzing": "Unknown"}[s.Phase]
			if ready == nil || string(ready.Status) != want {
				t.Errorf("Ready: %+v", ready)
			}
		})
	}
}

func TestReviewReasons(t *testing.T) {
	rows := []struct {
		reason  string
		warning string
		want    v1alpha1.SubReason
		known   bool
	}{
		{"workflow_not_found", "", "WorkflowNotFound", true},
		{"image_mismatch", "", "ImageMismatch", true},
		{"parameter_validation_failed", "", "ParameterValidationFailed", true},
		{"no_matching_workflows", "", "NoMatchingWorkflows", true},
		{"low_confidence", "", "LowConfidence", true},
		{"llm_parsing_error", "", "LLMParsingError", true},
		{"investigation_inconclusive", "", "InvestigationInconclusive", true},
		{"signal_not_reproducible", "", "InvestigationInconclusive", true},
		{"of another kind", "low confidence, below", "WorkflowNotFound", false},
		{"", "Workflow does not exist", "WorkflowNotFound", true},
		{"", "No workflows matched", "NoMatchingWorkflows", true},
		{"", "CONFIDENCE is below", "LowConfidence", true},
		{"", "confidence is fine", "WorkflowNotFound", true},
		{"", "Missing required parameter", "ParameterValidationFailed", true},
		{"", "Container image differs", "ImageMismatch", true},
		{"", "Invalid JSON", "LLMParsingError", true},
		{"", "not found, and cannot parse", "WorkflowNotFound", true},
		{"", "", "WorkflowNotFound", true},
	}
	for _, row := range rows {
		if got, known := reviewSubReason(row.reason, []string{"x", row.warning}); got != row.want || known != row.known {
			t.Errorf("%q %q: %s %v, want %s %v", row.reason, row.warning, got, known, row.want, row.known)
		}
	}
}

// Each reason of HolmesGPT-API's contract has a row of its own.
func TestReviewReasonsOfTheContract(t *testing.T) {
	text, err := openapi.Files.ReadFile("holmesgpt.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var contract struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct {
					AnyOf []struct{ Enum []string }
				}
			}
		}
	}
	if err := yaml.Unmarshal(text, &contract); err != nil {
		t.Fatal(err)
	}
	for _, answer := range []string{"IncidentResponse", "RecoveryResponse"} {
		reasons := contract.Components.Schemas[answer].Properties["human_review_reason"].AnyOf
		if len(reasons) == 0 || len(reasons[0].Enum) == 0 {
			t.Errorf("%s: no reasons", answer)
			continue
		}
		for _, reason := range reasons[0].Enum {
			if _, known := reviewSubReason(reason, nil); !known {
				t.Errorf("%s: %s", answer, reason)
			}
		}
	}
}

func TestNoWorkflowAfterAll(t *testing.T) {
	w := newWorld(t, noFuncs, sample())
	answer := goodAnswer()
	answer.Workflow, answer.Confidence = nil, 0.5
	w.hapi.replies = []reply{{answer: answer, status: 200}}
	cr := w.finish()
	if cr.Status.Reason != "NoWorkflowSelected" || cr.Status.SubReason != "InvestigationFailed" || cr.Status.Message != "No workflow selected by the investigation" || len(cr.Status.AuditTrail) != 5 {
		t.Errorf("%+v", cr.Status)
	}
	if len(w.policy.inputs) != 0 {
		t.Error("the policy was asked")
	}
}

func TestSanitise(t *testing.T) {
	s := investigated(t, false, func(a *Answer) {
		a.IncidentID = strings.Repeat("i", 300)
		a.RootCause.Severity, a.RootCause.SignalType = "unknown", ""
		a.Workflow.Confidence = 1.7
		a.Alternatives[0].Confidence = -1
		a.History = []v1alpha1.ValidationAttempt{{Attempt: 4}, {Attempt: 1}}
		a.Warnings = []string{strings.Repeat("w", 5000)}
	})
	if len(s.InvestigationID) != 253 || s.RootCauseAnalysis.Severity != "medium" || s.RootCauseAnalysis.SignalType != "OOMKilled" {
		t.Errorf("id %d, rca %+v", len(s.InvestigationID), s.RootCauseAnalysis)
	}
	if s.SelectedWorkflow.Confidence != 1 || s.AlternativeWorkflows[0].Confidence != 0 || len(s.ValidationAttemptsHistory) != 1 ||
		s.ValidationAttemptsHistory[0].Timestamp.IsZero() {
		t.Errorf("%+v %+v %+v", s.SelectedWorkflow, s.AlternativeWorkflows, s.ValidationAttemptsHistory)
	}
	if len(s.Warnings) != 3 || len([]rune(s.Warnings[0])) != 4096 || !strings.HasPrefix(s.Warnings[1], "selected_workflow.confidence 1.7 ") {
		t.Errorf("warnings: %d, %q", len(s.Warnings), s.Warnings[1:])
	}
	for found, want := range map[string]string{"HIGH": "high", "warning": "medium", "info": "low", "": "critical"} {
		if got := severity(found, "critical"); got != want {
			t.Errorf("severity %q: %s", found, got)
		}
	}
	for confidence, want := range map[float64]string{0.8: "high", 0.79: "medium", 0.6: "medium", 0.59: "low"} {
		if got := confidenceLevel(confidence); got != want {
			t.Errorf("level of %v: %s", confidence, got)
		}
	}
}
