package aianalysis

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// everything is an answer in which all lists and ids are too long, with the same text everywhere.
func everything(text string) *Answer {
	id := strings.Repeat("x", 2*maxID)
	list := slices.Repeat([]string{text}, 100)
	answer := goodAnswer()
	answer.Analysis, answer.HumanReviewReason, answer.IncidentID = text, text, id
	answer.RootCause = &v1alpha1.RootCauseAnalysis{Summary: text, SignalType: text, ContributingFactors: list}
	answer.Workflow = &v1alpha1.SelectedWorkflow{WorkflowID: id, Version: id, ContainerImage: id, ContainerDigest: id, Rationale: text, Parameters: map[string]string{}}
	answer.Warnings = slices.Clone(list)
	answer.Recovery = &v1alpha1.RecoveryStatus{CurrentSignalType: id, PreviousAttemptAssessment: &v1alpha1.PreviousAttemptAssessment{FailureReasonAnalysis: text}}
	answer.Alternatives, answer.History = nil, nil
	for i := range 150 {
		answer.Workflow.Parameters[fmt.Sprintf("P%03d", i)] = text
		answer.Alternatives = append(answer.Alternatives, v1alpha1.AlternativeWorkflow{WorkflowID: id, ContainerImage: id, Rationale: text})
		answer.History = append(answer.History, v1alpha1.ValidationAttempt{Attempt: i%3 + 1, WorkflowID: id, Errors: slices.Clone(list)})
	}
	answer.Workflow.Parameters[id] = text
	return answer
}

func size(t *testing.T, value any) int {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return len(encoded)
}

func TestLimitsOfOneField(t *testing.T) {
	answer := everything(strings.Repeat("a", 2*maxText))
	if notes := sanitise(answer, &sample().Spec, time.Now()); len(notes) > 10 {
		t.Errorf("%d notes", len(notes))
	}
	for name, limit := range map[string][2]int{
		"warnings":     {len(answer.Warnings), maxWarnings},
		"warning":      {len([]rune(answer.Warnings[0])), maxWarning},
		"factors":      {len(answer.RootCause.ContributingFactors), maxFactors},
		"alternatives": {len(answer.Alternatives), maxAlternatives},
		"alternative":  {len(answer.Alternatives[0].WorkflowID), maxID},
		"image":        {len(answer.Alternatives[0].ContainerImage), maxID},
		"parameters":   {len(answer.Workflow.Parameters), maxParameters},
		"parameter":    {len([]rune(answer.Workflow.Parameters["P000"])), maxText},
		"workflow":     {len(answer.Workflow.WorkflowID), maxID},
		"version":      {len(answer.Workflow.Version), maxID},
		"digest":       {len(answer.Workflow.ContainerDigest), maxID},
		"history":      {len(answer.History), maxAttempts},
		"errors":       {len(answer.History[0].Errors), maxErrors},
		"error":        {len([]rune(answer.History[0].Errors[0])), maxText},
		"attempt":      {len(answer.History[0].WorkflowID), maxID},
		"signal":       {len(answer.Recovery.CurrentSignalType), maxID},
		"incident":     {len(answer.IncidentID), maxIncidentID},
	} {
		if limit[0] != limit[1] {
			t.Errorf("%s: %d, want %d", name, limit[0], limit[1])
		}
	}
}

// Whatever HolmesGPT-API and the policy say at once, the status can be stored. "<" takes six bytes of JSON, "𝄞" four.
func TestStatusFits(t *testing.T) {
	for character, review := range map[string]bool{"<": false, "𝄞": true} {
		w := newWorld(t, noFuncs, sample())
		answer := everything(strings.Repeat(character, 2048)) // more than a body may hold
		answer.NeedsHumanReview = review
		w.hapi.replies = []reply{{answer: answer, status: 200}}
		w.policy.verdict = Verdict{RequireApproval: true, Reason: "because", MatchedRules: slices.Repeat([]string{"rule"}, 100)}
		cr := w.finish()
		if n := size(t, cr.Status); n > maxStatus || n < maxStatus/4 {
			t.Errorf("%q: %d bytes", character, n)
		}
		s := cr.Status
		if len(s.SelectedWorkflow.WorkflowID) != maxID || s.RootCause != s.RootCauseAnalysis.Summary || s.Phase == v1alpha1.PhaseCompleted == review {
			t.Errorf("%q: %s", character, s.Phase)
		}
	}
}

func TestFitLeavesParametersToTheLast(t *testing.T) {
	status := &v1alpha1.AIAnalysisStatus{
		SelectedWorkflow: &v1alpha1.SelectedWorkflow{Parameters: map[string]string{"SCRIPT": strings.Repeat("p", maxText)}},
		Warnings:         slices.Repeat([]string{strings.Repeat("w", maxText)}, 64),
	}
	shortened, err := fit(status)
	if err != nil || !shortened || len(status.SelectedWorkflow.Parameters["SCRIPT"]) != maxText || len([]rune(status.Warnings[0])) != 4096 {
		t.Errorf("%v %v, parameter %d, warning %d", shortened, err, len(status.SelectedWorkflow.Parameters["SCRIPT"]), len(status.Warnings[0]))
	}
	if shortened, err = fit(status); shortened || err != nil {
		t.Errorf("what fits is shortened: %v", err)
	}
}
