//go:build e2e

package aianalysis_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// row is what the deterministic model believes about a signal type.
type row struct {
	workflow, image, severity string
	confidence                float64
	factors                   []string
	parameters                map[string]string
}

func oomKilled(namespace string) row {
	return row{
		workflow: "oomkill-increase-memory-v1", image: "quay.io/kubernaut/workflow-oomkill:v1.0.0", severity: "critical",
		confidence: 0.92, factors: []string{"memory_pressure", "traffic_spike", "insufficient_limits"},
		parameters: map[string]string{"NAMESPACE": namespace, "MEMORY_LIMIT": "1Gi", "RESTART_POLICY": "Always"},
	}
}

// exact is how near a number must be to one that is known.
const exact = 1e-9

// expectHappy holds a Completed analysis against the happy shape (4.2 of the contract).
func expectHappy(cr *v1alpha1.AIAnalysis, want row) {
	GinkgoHelper()
	s, key := cr.Status, client.ObjectKeyFromObject(cr)
	Expect(s.Phase).To(Equal(v1alpha1.PhaseCompleted), "AIAnalysis %s: phase", key)
	Expect(s.StartedAt).NotTo(BeNil(), "AIAnalysis %s: startedAt", key)
	Expect(s.CompletedAt).NotTo(BeNil(), "AIAnalysis %s: completedAt", key)
	Expect(s.CompletedAt.Time).To(BeTemporally(">=", s.StartedAt.Time), "AIAnalysis %s: completedAt is not before startedAt", key)

	Expect(s.SelectedWorkflow).NotTo(BeNil(), "AIAnalysis %s: selectedWorkflow", key)
	Expect(s.SelectedWorkflow.WorkflowID).To(Equal(catalog()[want.workflow]), "AIAnalysis %s: workflow id of %s", key, want.workflow)
	Expect(s.SelectedWorkflow.Version).To(Equal("1.0.0"), "AIAnalysis %s: workflow version", key)
	Expect(s.SelectedWorkflow.ContainerImage).To(Equal(want.image), "AIAnalysis %s: workflow image", key)
	Expect(s.SelectedWorkflow.Confidence).To(BeNumerically("~", want.confidence, exact), "AIAnalysis %s: confidence", key)
	Expect(s.SelectedWorkflow.Parameters).To(Equal(want.parameters), "AIAnalysis %s: parameters", key)

	Expect(s.RootCauseAnalysis).NotTo(BeNil(), "AIAnalysis %s: rootCauseAnalysis", key)
	Expect(s.RootCauseAnalysis.Severity).To(Equal(want.severity), "AIAnalysis %s: RCA severity", key)
	Expect(s.RootCauseAnalysis.ContributingFactors).To(Equal(want.factors), "AIAnalysis %s: contributing factors", key)
	Expect(s.RootCauseAnalysis.Summary).NotTo(BeEmpty(), "AIAnalysis %s: RCA summary", key)
	Expect(s.AlternativeWorkflows).To(HaveLen(1), "AIAnalysis %s: alternatives", key)
	Expect(s.AlternativeWorkflows[0].WorkflowID).To(Equal(catalog()["alternative-1-v1"]), "AIAnalysis %s: the alternative", key)
	Expect(s.AlternativeWorkflows[0].Confidence).To(BeNumerically("~", want.confidence-0.15, exact), "AIAnalysis %s: the alternative's confidence", key)

	Expect(s.InvestigationID).NotTo(BeEmpty(), "AIAnalysis %s: investigationId", key)
	Expect(s.ConsecutiveFailures).To(BeZero(), "AIAnalysis %s: consecutiveFailures", key)
	Expect(s.DegradedMode).To(BeFalse(), "AIAnalysis %s: degradedMode", key)
	Expect(s.SubReason).To(BeEmpty(), "AIAnalysis %s: subReason", key)
	Expect(s.Warnings).To(BeEmpty(), "AIAnalysis %s: warnings", key)
	for _, condition := range []string{v1alpha1.ConditionInvestigationComplete, v1alpha1.ConditionAnalysisComplete,
		v1alpha1.ConditionWorkflowResolved, v1alpha1.ConditionReady} {
		Expect(statusOfCondition(s.Conditions, condition)).To(Equal(metav1.ConditionTrue), "AIAnalysis %s: condition %s", key, condition)
	}
	required := metav1.ConditionFalse
	if s.ApprovalRequired {
		required = metav1.ConditionTrue
	}
	Expect(statusOfCondition(s.Conditions, v1alpha1.ConditionApprovalRequired)).To(Equal(required), "AIAnalysis %s: condition ApprovalRequired", key)
}

func statusOfCondition(conditions []metav1.Condition, kind string) metav1.ConditionStatus {
	if c := meta.FindStatusCondition(conditions, kind); c != nil {
		return c.Status
	}
	return "absent"
}

// expectAuditRecorded waits until the controller knows that Data Storage has all events.
func expectAuditRecorded(ctx SpecContext, key client.ObjectKey) {
	GinkgoHelper()
	Eventually(ctx, func(ctx SpecContext) (metav1.ConditionStatus, error) {
		cr, err := analysis(ctx, key)
		return statusOfCondition(cr.Status.Conditions, v1alpha1.ConditionAuditRecorded), err
	}).WithTimeout(limit(tAudit)).WithPolling(polling).
		Should(Equal(metav1.ConditionTrue), "AIAnalysis %s: condition AuditRecorded is True", key)
}
