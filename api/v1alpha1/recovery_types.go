package v1alpha1

// PreviousExecution is one earlier workflow run that failed.
type PreviousExecution struct {
	// +required
	WorkflowExecutionRef string `json:"workflowExecutionRef"`
	// +required
	OriginalRCA OriginalRCA `json:"originalRCA"`
	// +required
	SelectedWorkflow SelectedWorkflowSummary `json:"selectedWorkflow"`
	// +required
	Failure ExecutionFailure `json:"failure"`
}

// OriginalRCA is the root cause that the earlier analysis found.
type OriginalRCA struct {
	// +required
	Summary string `json:"summary"`
	// +required
	SignalType string `json:"signalType"`
	// Free text here: it is a quotation.
	// +required
	Severity string `json:"severity"`
	// +optional
	ContributingFactors []string `json:"contributingFactors,omitempty"`
}

// SelectedWorkflowSummary is the workflow that was run.
type SelectedWorkflowSummary struct {
	// +required
	WorkflowID string `json:"workflowId"`
	// +required
	Version string `json:"version"`
	// +required
	ContainerImage string `json:"containerImage"`
	// +optional
	Parameters map[string]string `json:"parameters,omitempty"`
	// +required
	Rationale string `json:"rationale"`
}

// ExecutionFailure says where and how the earlier run failed.
type ExecutionFailure struct {
	// Counted from 0.
	// +required
	// +kubebuilder:validation:Minimum=0
	FailedStepIndex int `json:"failedStepIndex"`
	// +required
	FailedStepName string `json:"failedStepName"`
	// A Kubernetes reason code, for example OOMKilled or Forbidden.
	// +required
	Reason string `json:"reason"`
	// +required
	Message string `json:"message"`
	// +optional
	ExitCode *int32 `json:"exitCode,omitempty"`
	// +required
	FailedAt Time `json:"failedAt"`
	// For example 2m34s.
	// +required
	ExecutionTime string `json:"executionTime"`
}
