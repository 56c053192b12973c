//go:build e2e

package aianalysis_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

var _ = Describe("full flow", Label("full-flow"), func() {
	It("[FLOW-01] analyses a production incident and asks for approval", Label("FLOW-01", "canonical"), func(ctx SpecContext) {
		s := newScene(ctx, "full-flow-prod")
		By("creating PROD")
		key := s.create(ctx, s.prod())
		cr := completed(ctx, key)

		By("looking at what it found")
		Expect(cr.Status.ApprovalRequired).To(BeTrue(), "AIAnalysis %s: approvalRequired", key)
		Expect(cr.Status.SelectedWorkflow).NotTo(BeNil(), "AIAnalysis %s: selectedWorkflow", key)
		Expect(cr.Status.SelectedWorkflow.WorkflowID).To(Equal(catalog()["crashloop-config-fix-v1"]), "AIAnalysis %s: workflow id", key)
		Expect(cr.Status.CompletedAt).NotTo(BeNil(), "AIAnalysis %s: completedAt", key)
		Expect(cr.Status.TargetInOwnerChain).To(HaveValue(BeTrue()), "AIAnalysis %s: targetInOwnerChain", key)
	})

	It("[FLOW-03] auto-approves in staging", Label("FLOW-03", "canonical"), func(ctx SpecContext) {
		s := newScene(ctx, "full-flow-staging")
		By("creating STAGE")
		key := s.create(ctx, s.stage())
		cr := completed(ctx, key)

		By("holding it against the happy shape")
		expectHappy(cr, oomKilled("staging"))
		expectAuditRecorded(ctx, key)

		By("looking at the decision")
		Expect(cr.Status.ApprovalRequired).To(BeFalse(), "AIAnalysis %s: approvalRequired", key)
		Expect(cr.Status.ApprovalReason).To(Equal("Auto-approved"), "AIAnalysis %s: approvalReason", key)
		Expect(cr.Status.ApprovalContext).To(BeNil(), "AIAnalysis %s: approvalContext", key)
		condition := meta.FindStatusCondition(cr.Status.Conditions, v1alpha1.ConditionApprovalRequired)
		Expect(condition).NotTo(BeNil(), "AIAnalysis %s: condition ApprovalRequired", key)
		Expect(condition.Status).To(Equal(metav1.ConditionFalse), "AIAnalysis %s: condition ApprovalRequired", key)
		Expect(condition.Reason).To(Equal("AutoApproved"), "AIAnalysis %s: reason of condition ApprovalRequired", key)

		By("reading the decision in the audit trail")
		events, err := auditEvents(ctx, cr.Spec.RemediationID)
		Expect(err).NotTo(HaveOccurred(), "audit events of %s", cr.Spec.RemediationID)
		var decisions []decision
		for _, e := range events {
			if e.Type == approvalDecision {
				var d decision
				Expect(e.readData(&d)).To(Succeed(), "data of %s %s", e.Type, e.EventID)
				decisions = append(decisions, d)
			}
		}
		Expect(decisions).To(HaveExactElements(decision{
			ApprovalRequired: false, AutoApproved: true, Decision: "auto_approved", ApprovalReason: "Auto-approved", Reason: "Auto-approved",
			Environment: "staging", Confidence: 0.92, WorkflowID: catalog()["oomkill-increase-memory-v1"],
		}), "approval decisions of %s", cr.Spec.RemediationID)
	})
})
