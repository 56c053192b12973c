package aianalysis

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

const maxPolicyTimeout = time.Minute

// analyze lets the policy decide and ends the analysis. A degraded decision ends it too, with approval required.
func (r *Reconciler) analyze(ctx context.Context, cr *v1alpha1.AIAnalysis) (*plan, error) {
	if cr.Status.SelectedWorkflow == nil {
		p := newPlan(cr, r.Now())
		return p, p.fail(v1alpha1.ReasonNoWorkflowSelected, v1alpha1.SubReasonInvestigationFailed, msgNoWorkflow)
	}
	limit := r.Options.PolicyTimeout
	if own := cr.Spec.TimeoutConfig; own != nil && own.AnalyzingTimeout.Duration > 0 {
		limit = own.AnalyzingTimeout.Duration
	}
	evaluation, cancel := context.WithTimeout(ctx, min(limit, maxPolicyTimeout))
	defer cancel()
	begun := time.Now()
	verdict, err := r.Policy.Evaluate(evaluation, PolicyInput(cr))
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	verdict.Reason = cut(verdict.Reason, maxText)
	verdict.MatchedRules = verdict.MatchedRules[:min(len(verdict.MatchedRules), maxRules)]
	for i, rule := range verdict.MatchedRules {
		verdict.MatchedRules[i] = truncate(rule, maxID)
	}
	r.Metrics.evaluated(verdict, err != nil)
	p := newPlan(cr, r.Now())
	p.audit(evaluated(p.now, verdict, err, time.Since(begun)))
	if err != nil {
		log.FromContext(ctx).Error(err, "approval policy could not be evaluated")
		text := cut(err.Error(), maxErrorText)
		p.audit(errorOccurred(p.now, cr.Status.Phase, ClassPolicy, text))
		return p, p.fail(v1alpha1.ReasonRegoEvaluationError, v1alpha1.SubReasonPolicyEvaluationFailed, "Approval policy evaluation failed: "+text)
	}
	if verdict.Degraded {
		log.FromContext(ctx).Info("approval policy degraded, approval required", "cause", verdict.Reason)
		p.audit(errorOccurred(p.now, cr.Status.Phase, ClassPolicy, verdict.Reason))
	}
	return p, p.decided(verdict, cr)
}

func evaluated(at time.Time, verdict Verdict, err error, took time.Duration) entry {
	outcome, reason := "approved", verdict.Reason
	switch {
	case err != nil:
		outcome, reason = "error", cut(err.Error(), maxErrorText)
	case verdict.RequireApproval:
		outcome = "requires_approval"
	}
	return entry{EventRego, at, map[string]any{
		"outcome": outcome, "degraded": verdict.Degraded, "duration_ms": took.Milliseconds(),
		"reason": reason, "policy_sha256": verdict.SHA256,
	}}
}

// decided applies a verdict.
func (p *plan) decided(verdict Verdict, cr *v1alpha1.AIAnalysis) error {
	signal := &cr.Spec.AnalysisRequest.SignalContext
	p.next.ApprovalRequired = verdict.RequireApproval
	p.next.ApprovalReason = verdict.Reason
	p.next.DegradedMode = verdict.Degraded
	p.next.ApprovalContext = nil
	decision := "auto_approved"
	if verdict.RequireApproval {
		decision = "requires_approval"
		p.next.ApprovalContext = approvalContext(&p.next, verdict)
	}
	workflow := p.next.SelectedWorkflow
	p.audit(entry{EventDecision, p.now, map[string]any{
		"approval_required": verdict.RequireApproval, "auto_approved": !verdict.RequireApproval, "decision": decision,
		"approval_reason": verdict.Reason, "reason": verdict.Reason, "environment": signal.Environment,
		"confidence": workflow.Confidence, "workflow_id": workflow.WorkflowID,
	}})
	p.count(func(m *Metrics) {
		m.approved(decision, signal.Environment)
		m.confident(signal.SignalType, workflow.Confidence)
	})
	p.conditions().approval(verdict)
	p.succeed()
	if err := p.complete(msgCompleted); err != nil {
		return err
	}
	if verdict.RequireApproval {
		p.announce("ApprovalRequired", "%s", verdict.Reason)
	}
	return nil
}
