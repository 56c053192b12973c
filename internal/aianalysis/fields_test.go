package aianalysis

import (
	"reflect"
	"slices"
	"testing"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// A recovery that ends well and needs approval sets every field of the status but those that tell of failure.
func TestHappyAnalysisSetsEveryField(t *testing.T) {
	cr := sample()
	cr.Generation, cr.Spec.IsRecoveryAttempt = 1, true
	w := newWorld(t, noFuncs, cr)
	inChain := true
	w.hapi.replies = answering(func(a *Answer) {
		a.Warnings, a.TargetInOwnerChain = []string{"w"}, &inChain
		a.History = []v1alpha1.ValidationAttempt{{Attempt: 1, WorkflowID: "raise-limit", IsValid: true}}
		a.Recovery = &v1alpha1.RecoveryStatus{StateChanged: true, CurrentSignalType: "OOMKilled",
			PreviousAttemptAssessment: &v1alpha1.PreviousAttemptAssessment{FailureUnderstood: true, FailureReasonAnalysis: "forbidden"}}
	})
	w.policy.verdict = Verdict{RequireApproval: true, Reason: "Production environment", MatchedRules: []string{"production"}}
	status := reflect.ValueOf(w.finish().Status)
	var empty []string
	for i := range status.NumField() {
		if status.Field(i).IsZero() {
			empty = append(empty, status.Type().Field(i).Name)
		}
	}
	slices.Sort(empty)
	if want := []string{"ConsecutiveFailures", "DegradedMode", "NextRetryTime", "Reason", "SubReason"}; !slices.Equal(empty, want) {
		t.Errorf("empty: %v, want %v", empty, want)
	}
}
