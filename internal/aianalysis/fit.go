package aianalysis

import (
	"encoding/json"
	"fmt"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

const (
	// maxStatus is in bytes of JSON. etcd refuses an object above 1.5 MiB, and spec and metadata need room too.
	maxStatus = 512 << 10
	leastText = 64 // characters that a text keeps at any rate
)

// fit shortens the texts of a status, the longest first, until it can be stored: each within its own limit they may still be too much
// together, and JSON needs up to six bytes for a character. Parameters come last, for something is run with them. What identifies the
// selected workflow and the audit trail are never touched.
func fit(status *v1alpha1.AIAnalysisStatus) (shortened bool, err error) {
	for _, shorten := range []func(*v1alpha1.AIAnalysisStatus, int){shortenTexts, shortenParameters} {
		for limit := maxMessage / 2; limit >= leastText; limit /= 2 {
			encoded, err := json.Marshal(status)
			if err != nil {
				return shortened, fmt.Errorf("measuring the status: %w", err)
			}
			if len(encoded) <= maxStatus {
				return shortened, nil
			}
			shorten(status, limit)
			shortened = true
		}
	}
	return shortened, nil
}

func shortenParameters(status *v1alpha1.AIAnalysisStatus, limit int) {
	if status.SelectedWorkflow == nil {
		return
	}
	for name, value := range status.SelectedWorkflow.Parameters {
		status.SelectedWorkflow.Parameters[name] = cut(value, limit)
	}
}

func shortenTexts(status *v1alpha1.AIAnalysisStatus, limit int) {
	texts := []*string{&status.Message, &status.RootCause, &status.ApprovalReason}
	lists := [][]string{status.Warnings}
	if rca := status.RootCauseAnalysis; rca != nil {
		texts = append(texts, &rca.Summary, &rca.SignalType)
		lists = append(lists, rca.ContributingFactors)
	}
	if workflow := status.SelectedWorkflow; workflow != nil {
		texts = append(texts, &workflow.Rationale)
	}
	for i := range status.AlternativeWorkflows {
		other := &status.AlternativeWorkflows[i]
		other.WorkflowID, other.ContainerImage = truncate(other.WorkflowID, limit), truncate(other.ContainerImage, limit)
		texts = append(texts, &other.Rationale)
	}
	for i := range status.ValidationAttemptsHistory {
		have := &status.ValidationAttemptsHistory[i]
		have.WorkflowID = truncate(have.WorkflowID, limit)
		lists = append(lists, have.Errors)
	}
	if recovery := status.RecoveryStatus; recovery != nil && recovery.PreviousAttemptAssessment != nil {
		texts = append(texts, &recovery.PreviousAttemptAssessment.FailureReasonAnalysis)
	}
	if context := status.ApprovalContext; context != nil {
		shortenContext(context, limit)
	}
	for i := range status.Conditions {
		texts = append(texts, &status.Conditions[i].Message)
	}
	for _, list := range lists {
		cutAll(list, limit)
	}
	for _, text := range texts {
		*text = cut(*text, limit)
	}
}

func shortenContext(context *v1alpha1.ApprovalContext, limit int) {
	for _, text := range []*string{&context.Reason, &context.WhyApprovalRequired, &context.InvestigationSummary} {
		*text = cut(*text, limit)
	}
	cutAll(context.EvidenceCollected, limit)
	for i := range context.RecommendedActions {
		context.RecommendedActions[i].Rationale = cut(context.RecommendedActions[i].Rationale, limit)
	}
	for i := range context.AlternativesConsidered {
		other := &context.AlternativesConsidered[i]
		other.Approach, other.ProsCons = truncate(other.Approach, limit), cut(other.ProsCons, limit)
	}
}

func cutAll(list []string, limit int) {
	for i := range list {
		list[i] = cut(list[i], limit)
	}
}
