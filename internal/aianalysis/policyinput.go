package aianalysis

import (
	"maps"
	"slices"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// PolicyInput is what the approval policy sees of one analysis. Lists are never null.
func PolicyInput(cr *v1alpha1.AIAnalysis) map[string]any {
	signal := &cr.Spec.AnalysisRequest.SignalContext
	labels, failed := map[string]any{}, []any{}
	if have := signal.EnrichmentResults.DetectedLabels; have != nil {
		labels = map[string]any{
			"git_ops_managed": have.GitOpsManaged, "git_ops_tool": have.GitOpsTool, "pdb_protected": have.PDBProtected,
			"hpa_enabled": have.HPAEnabled, "stateful": have.Stateful, "helm_managed": have.HelmManaged,
			"network_isolated": have.NetworkIsolated, "service_mesh": have.ServiceMesh,
		}
		failed = list(have.FailedDetections)
	}
	custom := map[string]any{}
	for name, values := range signal.EnrichmentResults.CustomLabels {
		custom[name] = list(values)
	}
	confidence := 0.0
	if cr.Status.SelectedWorkflow != nil {
		confidence = cr.Status.SelectedWorkflow.Confidence
	}
	target := signal.TargetResource
	return map[string]any{
		"signal_type":             signal.SignalType,
		"severity":                signal.Severity,
		"environment":             signal.Environment,
		"business_priority":       signal.BusinessPriority,
		"target_resource":         map[string]any{"kind": target.Kind, "name": target.Name, "namespace": target.Namespace},
		"detected_labels":         labels,
		"custom_labels":           custom,
		"confidence":              confidence,
		"target_in_owner_chain":   cr.Status.TargetInOwnerChain != nil && *cr.Status.TargetInOwnerChain,
		"warnings":                list(cr.Status.Warnings),
		"failed_detections":       failed,
		"is_recovery_attempt":     cr.Spec.IsRecoveryAttempt,
		"recovery_attempt_number": cr.Spec.RecoveryAttemptNumber,
	}
}

func list(values []string) []any {
	result := make([]any, 0, len(values))
	for _, value := range values {
		result = append(result, value)
	}
	return result
}

func sortedKeys[V any](all map[string]V) []string { return slices.Sorted(maps.Keys(all)) }
