package aianalysis

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// conditionSetter writes conditions of one step; a transition time changes only with the status.
type conditionSetter struct {
	status     *v1alpha1.AIAnalysisStatus
	generation int64
	now        metav1.Time
}

func newConditionSetter(status *v1alpha1.AIAnalysisStatus, generation int64, now time.Time) conditionSetter {
	return conditionSetter{status: status, generation: generation, now: metav1.NewTime(now)}
}

func (c conditionSetter) set(kind string, value metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&c.status.Conditions, metav1.Condition{
		Type: kind, Status: value, Reason: reason, Message: cut(message, maxMessage),
		ObservedGeneration: c.generation, LastTransitionTime: c.now,
	})
}

// inProgress says that no result may be used yet.
func (c conditionSetter) inProgress(message string) {
	c.set(v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.CondInProgress, message)
}

// investigated marks that HolmesGPT-API has answered and what came of it.
func (c conditionSetter) investigated(workflowReason, message string) {
	c.set(v1alpha1.ConditionInvestigationComplete, metav1.ConditionTrue, v1alpha1.CondInvestigationSucceeded, "HolmesGPT-API has answered")
	value := metav1.ConditionFalse
	if workflowReason == v1alpha1.CondWorkflowSelected {
		value = metav1.ConditionTrue
	}
	c.set(v1alpha1.ConditionWorkflowResolved, value, workflowReason, message)
}

func (c conditionSetter) completed(message string) {
	c.set(v1alpha1.ConditionAnalysisComplete, metav1.ConditionTrue, v1alpha1.CondAnalysisSucceeded, message)
	c.set(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.CondAnalysisCompleted, message)
}

// failed keeps what is already known of the investigation: only an analysis that never got an answer lacks one.
func (c conditionSetter) failed(message string) {
	if !meta.IsStatusConditionTrue(c.status.Conditions, v1alpha1.ConditionInvestigationComplete) {
		c.set(v1alpha1.ConditionInvestigationComplete, metav1.ConditionFalse, v1alpha1.CondInvestigationFailed, message)
	}
	c.set(v1alpha1.ConditionAnalysisComplete, metav1.ConditionFalse, v1alpha1.CondAnalysisFailed, message)
	c.set(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.CondAnalysisFailed, message)
}

// approval records the decision.
func (c conditionSetter) approval(verdict Verdict) {
	if verdict.RequireApproval {
		c.set(v1alpha1.ConditionApprovalRequired, metav1.ConditionTrue, v1alpha1.CondPolicyRequiresApproval, verdict.Reason)
		return
	}
	c.set(v1alpha1.ConditionApprovalRequired, metav1.ConditionFalse, v1alpha1.CondAutoApproved, verdict.Reason)
}

func (c conditionSetter) auditPending() {
	c.set(v1alpha1.ConditionAuditRecorded, metav1.ConditionFalse, v1alpha1.CondPending, "audit events are on their way to Data Storage")
}
