package aianalysis

import (
	"slices"
	"strconv"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// selfResolvedConfidence is how sure HolmesGPT-API must be for "no workflow" to mean "no problem".
const selfResolvedConfidence = 0.7

// investigated applies a sanitised answer; the first rule that fits decides. The order is part of the contract.
func (p *plan) investigated(answer *Answer, spec *v1alpha1.AIAnalysisSpec) error {
	p.store(answer)
	p.succeed()
	if spec.IsRecoveryAttempt {
		p.countRecovery(answer)
		if !answer.CanRecover || answer.Workflow == nil {
			p.conditions().investigated(v1alpha1.CondWorkflowResolutionFailed, msgNoRecovery)
			return p.fail(v1alpha1.ReasonRecoveryNotPossible, v1alpha1.SubReasonNoRecoveryStrategy, noRecoveryMessage(answer))
		}
	}
	if answer.NeedsHumanReview {
		return p.needsHuman(answer)
	}
	if !spec.IsRecoveryAttempt && answer.Workflow == nil && answer.Confidence >= selfResolvedConfidence {
		return p.notNeeded(answer)
	}
	return p.toPolicy(answer)
}

func (p *plan) needsHuman(answer *Answer) error {
	sub, _ := reviewSubReason(answer.HumanReviewReason, answer.Warnings)
	condition := v1alpha1.CondWorkflowResolutionFailed
	if sub == v1alpha1.SubReasonLowConfidence {
		condition = v1alpha1.CondLowConfidence
	}
	message := reviewMessage(answer)
	p.conditions().investigated(condition, message)
	return p.fail(v1alpha1.ReasonWorkflowResolutionFailed, sub, message)
}

func (p *plan) notNeeded(answer *Answer) error {
	p.next.Reason, p.next.SubReason = v1alpha1.ReasonWorkflowNotNeeded, v1alpha1.SubReasonProblemResolved
	p.conditions().investigated(v1alpha1.CondNoWorkflowNeeded, msgSelfResolved)
	p.conditions().set(v1alpha1.ConditionApprovalRequired, "False", v1alpha1.CondNoWorkflowNeeded, msgSelfResolved)
	return p.complete(notNeededMessage(answer))
}

func (p *plan) toPolicy(answer *Answer) error {
	if err := p.move(v1alpha1.PhaseAnalyzing, msgAnalyzing); err != nil {
		return err
	}
	p.announce("InvestigationComplete", "Investigating -> Analyzing")
	reason, message := v1alpha1.CondWorkflowResolutionFailed, msgNoWorkflow
	if answer.Workflow != nil {
		reason, message = v1alpha1.CondWorkflowSelected, "Workflow "+answer.Workflow.WorkflowID+" selected"
	}
	p.conditions().investigated(reason, message)
	p.conditions().inProgress(msgAnalyzing)
	return nil
}

// store takes the content of an answer over, on every outcome.
func (p *plan) store(answer *Answer) {
	status := &p.next
	status.InvestigationID = answer.IncidentID
	status.TargetInOwnerChain = answer.TargetInOwnerChain
	status.RootCauseAnalysis = answer.RootCause
	status.RootCause = ""
	if answer.RootCause != nil {
		status.RootCause = answer.RootCause.Summary
	}
	status.SelectedWorkflow = answer.Workflow
	status.AlternativeWorkflows = slices.Clip(answer.Alternatives)
	status.Warnings = slices.Clip(answer.Warnings)
	status.ValidationAttemptsHistory = slices.Clip(answer.History)
	status.RecoveryStatus = answer.Recovery
	for _, attempt := range answer.History {
		p.count(func(m *Metrics) { m.validation(attempt.WorkflowID, attempt.IsValid) })
	}
}

func (p *plan) countRecovery(answer *Answer) {
	recovery := answer.Recovery
	if recovery == nil {
		p.count(func(m *Metrics) { m.RecoverySkipped.Inc() })
		return
	}
	understood := recovery.PreviousAttemptAssessment != nil && recovery.PreviousAttemptAssessment.FailureUnderstood
	p.count(func(m *Metrics) {
		m.RecoveryPopulated.WithLabelValues(strconv.FormatBool(understood), strconv.FormatBool(recovery.StateChanged)).Inc()
	})
}
