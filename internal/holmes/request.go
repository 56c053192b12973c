package holmes

import (
	"time"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

const (
	incidentPath = "/api/v1/incident/analyze"
	recoveryPath = "/api/v1/recovery/analyze"
	healthPath   = "/health"
	signalSource = "kubernaut"
)

// request is the body of both endpoints; what only one of them knows is left out for the other.
type request struct {
	IncidentID            string             `json:"incident_id"`
	RemediationID         string             `json:"remediation_id"`
	SignalType            string             `json:"signal_type"`
	Severity              string             `json:"severity"`
	SignalSource          string             `json:"signal_source"`
	ResourceNamespace     string             `json:"resource_namespace"`
	ResourceKind          string             `json:"resource_kind"`
	ResourceName          string             `json:"resource_name"`
	ErrorMessage          *string            `json:"error_message,omitempty"` // incident only, where the API demands it
	Environment           string             `json:"environment"`
	Priority              string             `json:"priority"`
	RiskTolerance         string             `json:"risk_tolerance"`
	BusinessCategory      string             `json:"business_category"`
	ClusterName           string             `json:"cluster_name"`
	EnrichmentResults     enrichment         `json:"enrichment_results"`
	IsRecoveryAttempt     bool               `json:"is_recovery_attempt,omitempty"`
	RecoveryAttemptNumber int                `json:"recovery_attempt_number,omitempty"`
	PreviousExecution     *previousExecution `json:"previous_execution,omitempty"`
}

// enrichment carries the CR's own types: the API uses the same camelCase names. An empty owner chain is sent, an absent one is not.
type enrichment struct {
	KubernetesContext *v1alpha1.KubernetesContext `json:"kubernetesContext,omitempty"`
	DetectedLabels    *v1alpha1.DetectedLabels    `json:"detectedLabels,omitempty"`
	OwnerChain        []v1alpha1.OwnerChainEntry  `json:"ownerChain,omitzero"`
	CustomLabels      map[string][]string         `json:"customLabels,omitempty"`
}

type previousExecution struct {
	WorkflowExecutionRef string           `json:"workflow_execution_ref"`
	OriginalRCA          originalRCA      `json:"original_rca"`
	SelectedWorkflow     previousWorkflow `json:"selected_workflow"`
	Failure              failure          `json:"failure"`
}

type originalRCA struct {
	Summary             string   `json:"summary"`
	SignalType          string   `json:"signal_type"`
	Severity            string   `json:"severity"`
	ContributingFactors []string `json:"contributing_factors,omitempty"`
}

type previousWorkflow struct {
	WorkflowID     string            `json:"workflow_id"`
	Version        string            `json:"version"`
	ContainerImage string            `json:"container_image"`
	Parameters     map[string]string `json:"parameters,omitempty"`
	Rationale      string            `json:"rationale"`
}

type failure struct {
	FailedStepIndex int    `json:"failed_step_index"`
	FailedStepName  string `json:"failed_step_name"`
	Reason          string `json:"reason"`
	Message         string `json:"message"`
	ExitCode        *int32 `json:"exit_code,omitempty"`
	FailedAt        string `json:"failed_at"`
	ExecutionTime   string `json:"execution_time"`
}

// buildRequest returns the path and the body for an analysis.
func buildRequest(cr *v1alpha1.AIAnalysis) (string, *request) {
	signal := &cr.Spec.AnalysisRequest.SignalContext
	custom := signal.EnrichmentResults.CustomLabels
	body := &request{
		IncidentID:        cr.Name,
		RemediationID:     cr.Spec.RemediationID,
		SignalType:        signal.SignalType,
		Severity:          signal.Severity,
		SignalSource:      signalSource,
		ResourceNamespace: signal.TargetResource.Namespace,
		ResourceKind:      signal.TargetResource.Kind,
		ResourceName:      signal.TargetResource.Name,
		Environment:       signal.Environment,
		Priority:          signal.BusinessPriority,
		RiskTolerance:     firstOr(custom["risk_tolerance"], "medium"),
		BusinessCategory:  firstOr(custom["business_category"], "standard"),
		ClusterName:       firstOr(custom["cluster_name"], "default"),
		EnrichmentResults: enrichment{
			KubernetesContext: signal.EnrichmentResults.KubernetesContext,
			DetectedLabels:    signal.EnrichmentResults.DetectedLabels,
			OwnerChain:        signal.EnrichmentResults.OwnerChain,
			CustomLabels:      custom,
		},
	}
	if !cr.Spec.IsRecoveryAttempt {
		body.ErrorMessage = new(string)
		return incidentPath, body
	}
	body.IsRecoveryAttempt = true
	body.RecoveryAttemptNumber = max(0, cr.Spec.RecoveryAttemptNumber)
	if runs := cr.Spec.PreviousExecutions; len(runs) > 0 {
		body.PreviousExecution = previous(&runs[len(runs)-1])
	}
	return recoveryPath, body
}

func previous(run *v1alpha1.PreviousExecution) *previousExecution {
	return &previousExecution{
		WorkflowExecutionRef: run.WorkflowExecutionRef,
		OriginalRCA: originalRCA{
			Summary: run.OriginalRCA.Summary, SignalType: run.OriginalRCA.SignalType,
			Severity: run.OriginalRCA.Severity, ContributingFactors: run.OriginalRCA.ContributingFactors,
		},
		SelectedWorkflow: previousWorkflow{
			WorkflowID: run.SelectedWorkflow.WorkflowID, Version: run.SelectedWorkflow.Version,
			ContainerImage: run.SelectedWorkflow.ContainerImage, Parameters: run.SelectedWorkflow.Parameters,
			Rationale: run.SelectedWorkflow.Rationale,
		},
		Failure: failure{
			FailedStepIndex: run.Failure.FailedStepIndex, FailedStepName: run.Failure.FailedStepName,
			Reason: run.Failure.Reason, Message: run.Failure.Message, ExitCode: run.Failure.ExitCode,
			FailedAt: run.Failure.FailedAt.UTC().Format(time.RFC3339Nano), ExecutionTime: run.Failure.ExecutionTime,
		},
	}
}

func firstOr(values []string, fallback string) string {
	if len(values) > 0 {
		return values[0]
	}
	return fallback
}
