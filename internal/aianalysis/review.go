package aianalysis

import (
	"strings"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

var reviewReasons = map[string]v1alpha1.SubReason{
	"workflow_not_found":          v1alpha1.SubReasonWorkflowNotFound,
	"image_mismatch":              v1alpha1.SubReasonImageMismatch,
	"parameter_validation_failed": v1alpha1.SubReasonParameterValidationFailed,
	"no_matching_workflows":       v1alpha1.SubReasonNoMatchingWorkflows,
	"low_confidence":              v1alpha1.SubReasonLowConfidence,
	"llm_parsing_error":           v1alpha1.SubReasonLLMParsingError,
	"investigation_inconclusive":  v1alpha1.SubReasonInvestigationInconclusive,
	"signal_not_reproducible":     v1alpha1.SubReasonInvestigationInconclusive,
}

// reviewWarnings is read in order when an older HolmesGPT-API gives no reason: the first row that fits the warnings wins.
var reviewWarnings = []struct {
	any  []string // one of these
	all  []string // or all of these
	then v1alpha1.SubReason
}{
	{any: []string{"not found", "does not exist"}, then: v1alpha1.SubReasonWorkflowNotFound},
	{any: []string{"no workflows matched", "no matching"}, then: v1alpha1.SubReasonNoMatchingWorkflows},
	{all: []string{"confidence", "below"}, then: v1alpha1.SubReasonLowConfidence},
	{any: []string{"parameter validation", "missing required"}, then: v1alpha1.SubReasonParameterValidationFailed},
	{any: []string{"image mismatch", "container image"}, then: v1alpha1.SubReasonImageMismatch},
	{any: []string{"parse", "invalid json"}, then: v1alpha1.SubReasonLLMParsingError},
}

// reviewSubReason translates why a human must look. known is false for a reason that this controller has never heard of.
func reviewSubReason(reason string, warnings []string) (sub v1alpha1.SubReason, known bool) {
	if reason != "" {
		if sub, ok := reviewReasons[reason]; ok {
			return sub, true
		}
		return v1alpha1.SubReasonWorkflowNotFound, false
	}
	text := strings.ToLower(strings.Join(warnings, "; "))
	for _, row := range reviewWarnings {
		if containsAny(text, row.any) || len(row.all) > 0 && containsAll(text, row.all) {
			return row.then, true
		}
	}
	return v1alpha1.SubReasonWorkflowNotFound, true
}

func containsAny(text string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

func containsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
