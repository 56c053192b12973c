package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Finalizer keeps a deleted AIAnalysis until its audit events are stored, or until the controller stops waiting for that.
const Finalizer = "kubernaut.ai/finalizer"

// AIAnalysis is one analysis of one incident. Its spec never changes; its status is the only output of the controller.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=aianalyses,singular=aianalysis,scope=Namespaced,shortName=aia
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Confidence",type=number,JSONPath=`.status.selectedWorkflow.confidence`
// +kubebuilder:printcolumn:name="ApprovalRequired",type=boolean,JSONPath=`.status.approvalRequired`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.reason`
// +kubebuilder:printcolumn:name="SubReason",type=string,priority=1,JSONPath=`.status.subReason`
type AIAnalysis struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec is immutable: create a new AIAnalysis instead"
	Spec AIAnalysisSpec `json:"spec"`
	// +optional
	Status AIAnalysisStatus `json:"status,omitzero"`
}

// AIAnalysisList is a list of AIAnalysis.
//
// +kubebuilder:object:root=true
type AIAnalysisList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AIAnalysis `json:"items"`
}

// AIAnalysisSpec says what to analyse. It cannot be changed after creation.
type AIAnalysisSpec struct {
	// The remediation request that this analysis belongs to. Lineage only; the controller does not read the object.
	// +required
	RemediationRequestRef corev1.ObjectReference `json:"remediationRequestRef"`
	// Correlation id of every audit event of this analysis; without control characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[^\x00-\x1f\x7f-\x9f]*$`
	RemediationID string `json:"remediationId"`
	// +required
	AnalysisRequest AnalysisRequest `json:"analysisRequest"`
	// Chooses the recovery endpoint of HolmesGPT-API: an earlier workflow was run and failed.
	// +optional
	IsRecoveryAttempt bool `json:"isRecoveryAttempt,omitempty"`
	// +optional
	// +kubebuilder:validation:Minimum=1
	RecoveryAttemptNumber int `json:"recoveryAttemptNumber,omitempty"`
	// Earlier workflow runs, oldest first.
	// +optional
	PreviousExecutions []PreviousExecution `json:"previousExecutions,omitempty"`
	// +optional
	TimeoutConfig *AIAnalysisTimeoutConfig `json:"timeoutConfig,omitempty"`
}

// AIAnalysisTimeoutConfig overrides the configured time limits for one analysis. Zero counts as absent.
type AIAnalysisTimeoutConfig struct {
	// Limit of one call to HolmesGPT-API, retries not included. Absent or 0s: the configured limit.
	// +optional
	InvestigatingTimeout Duration `json:"investigatingTimeout,omitzero"`
	// Limit of the policy evaluation. Absent or 0s: the configured limit.
	// +optional
	AnalyzingTimeout Duration `json:"analyzingTimeout,omitzero"`
}

// AnalysisRequest is the incident and the kinds of analysis wished for.
type AnalysisRequest struct {
	// +required
	SignalContext SignalContextInput `json:"signalContext"`
	// Free text, for people: usually investigation, root-cause, workflow-selection, recovery-analysis. Changes nothing.
	// +required
	// +kubebuilder:validation:MinItems=1
	AnalysisTypes []string `json:"analysisTypes"`
}

// SignalContextInput describes the signal that raised the incident.
type SignalContextInput struct {
	// +required
	// +kubebuilder:validation:MaxLength=64
	Fingerprint string `json:"fingerprint"`
	// +required
	// +kubebuilder:validation:Enum=critical;warning;info
	Severity string `json:"severity"`
	// For example OOMKilled.
	// +required
	SignalType string `json:"signalType"`
	// For example production, staging, development; free text.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Environment string `json:"environment"`
	// P0 to P3 by convention; free text.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	BusinessPriority string `json:"businessPriority"`
	// +required
	TargetResource TargetResource `json:"targetResource"`
	// +required
	EnrichmentResults EnrichmentResults `json:"enrichmentResults"`
}

// TargetResource is the Kubernetes object that the signal is about.
type TargetResource struct {
	// +required
	Kind string `json:"kind"`
	// +required
	Name string `json:"name"`
	// +required
	Namespace string `json:"namespace"`
}
