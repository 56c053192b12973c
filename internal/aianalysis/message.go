package aianalysis

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// Messages whose wording is part of the interface.
const (
	msgCreated         = "AIAnalysis created"
	msgInvestigating   = "Investigation started"
	msgAnalyzing       = "Investigation complete, evaluating approval policy"
	msgCompleted       = "Analysis complete"
	msgNoWorkflow      = "No workflow selected by the investigation"
	msgDeleted         = "Deleted before the analysis ended"
	msgSelfResolved    = "Problem resolved by itself; no workflow needed"
	msgNoRecovery      = "HolmesGPT-API found that recovery is not possible"
	maxMessage         = 32768
	approvalPolicyName = "aianalysis.approval"
)

// cut shortens text to at most limit characters, the last of which is then an ellipsis.
func cut(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	runes := []rune(text)
	return string(runes[:limit-1]) + "…"
}

func transientMessage(n, maxRetries int32, failure error, next time.Time) string {
	return fmt.Sprintf("Transient error (attempt %d/%d): %s; next attempt at %s", n, maxRetries, failure, next.UTC().Format(time.RFC3339))
}

func reviewMessage(answer *Answer) string {
	var attempts []string
	for _, have := range answer.History {
		if len(have.Errors) > 0 {
			attempts = append(attempts, fmt.Sprintf("Attempt %d: %s", have.Attempt, strings.Join(have.Errors, ", ")))
		}
	}
	parts := append(attempts, answer.Warnings...)
	if len(parts) == 0 {
		return "Human review requested: " + answer.HumanReviewReason
	}
	return strings.Join(parts, "; ")
}

func notNeededMessage(answer *Answer) string {
	switch {
	case answer.Analysis != "":
		return answer.Analysis
	case len(answer.Warnings) > 0:
		return strings.Join(answer.Warnings, "; ")
	default:
		return msgSelfResolved
	}
}

func noRecoveryMessage(answer *Answer) string {
	return strings.Join(append([]string{msgNoRecovery}, answer.Warnings...), "; ")
}

func confidenceLevel(confidence float64) string {
	switch {
	case confidence >= 0.8:
		return "high"
	case confidence >= 0.6:
		return "medium"
	default:
		return "low"
	}
}

// approvalContext gathers what a person needs in order to decide.
func approvalContext(status *v1alpha1.AIAnalysisStatus, verdict Verdict) *v1alpha1.ApprovalContext {
	workflow := status.SelectedWorkflow
	decision := "manual_review_required"
	if verdict.Degraded {
		decision = "degraded_mode"
	}
	result := &v1alpha1.ApprovalContext{
		Reason:              verdict.Reason,
		WhyApprovalRequired: verdict.Reason,
		ConfidenceScore:     workflow.Confidence,
		ConfidenceLevel:     confidenceLevel(workflow.Confidence),
		RecommendedActions:  []v1alpha1.RecommendedAction{{Action: workflow.WorkflowID, Rationale: workflow.Rationale}},
		PolicyEvaluation: &v1alpha1.PolicyEvaluation{
			PolicyName: approvalPolicyName, MatchedRules: verdict.MatchedRules, Decision: decision,
		},
	}
	if rca := status.RootCauseAnalysis; rca != nil {
		result.InvestigationSummary = rca.Summary
		result.EvidenceCollected = rca.ContributingFactors
	}
	for _, other := range status.AlternativeWorkflows {
		result.AlternativesConsidered = append(result.AlternativesConsidered,
			v1alpha1.AlternativeApproach{Approach: other.WorkflowID, ProsCons: other.Rationale})
	}
	return result
}
