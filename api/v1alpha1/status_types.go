package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// AIAnalysisStatus is the answer. Once phase is Completed or Failed all of it is final, except the condition AuditRecorded.
type AIAnalysisStatus struct {
	// +required
	Phase Phase `json:"phase"`
	// +optional
	Message string `json:"message,omitempty"`
	// +optional
	Reason string `json:"reason,omitempty"`
	// +optional
	SubReason SubReason `json:"subReason,omitempty"`
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// +optional
	CompletedAt *metav1.Time `json:"completedAt,omitempty"`
	// Equal to rootCauseAnalysis.summary.
	// +optional
	RootCause string `json:"rootCause,omitempty"`
	// +optional
	RootCauseAnalysis *RootCauseAnalysis `json:"rootCauseAnalysis,omitempty"`
	// +optional
	SelectedWorkflow *SelectedWorkflow `json:"selectedWorkflow,omitempty"`
	// For people only, never executed.
	// +optional
	AlternativeWorkflows []AlternativeWorkflow `json:"alternativeWorkflows,omitempty"`
	// +required
	ApprovalRequired bool `json:"approvalRequired"`
	// The policy's reason, also when no approval is needed.
	// +optional
	ApprovalReason string `json:"approvalReason,omitempty"`
	// Only when approval is required.
	// +optional
	ApprovalContext *ApprovalContext `json:"approvalContext,omitempty"`
	// The policy could not be evaluated; the safe answer was used.
	// +optional
	DegradedMode bool `json:"degradedMode,omitempty"`
	// +optional
	// +kubebuilder:validation:MaxLength=253
	InvestigationID string `json:"investigationId,omitempty"`
	// Milliseconds of the answered HolmesGPT-API call, at least 1.
	// +optional
	// +kubebuilder:validation:Minimum=0
	InvestigationTime int64 `json:"investigationTime,omitempty"`
	// Absent when HolmesGPT-API did not say.
	// +optional
	TargetInOwnerChain *bool `json:"targetInOwnerChain,omitempty"`
	// +optional
	Warnings []string `json:"warnings,omitempty"`
	// +optional
	ValidationAttemptsHistory []ValidationAttempt `json:"validationAttemptsHistory,omitempty"`
	// Seconds from start to the terminal phase, rounded up.
	// +optional
	// +kubebuilder:validation:Minimum=0
	TotalAnalysisTime int64 `json:"totalAnalysisTime,omitempty"`
	// Failed attempts in a row so far.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ConsecutiveFailures int32 `json:"consecutiveFailures,omitempty"`
	// +optional
	RecoveryStatus *RecoveryStatus `json:"recoveryStatus,omitempty"`
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// metadata.generation at the last write.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Number of the HolmesGPT-API attempt last claimed.
	// +optional
	InvestigationAttempt int32 `json:"investigationAttempt,omitempty"`
	// No call before this time.
	// +optional
	NextRetryTime *metav1.MicroTime `json:"nextRetryTime,omitempty"`
	// What happened, in order: the audit events are derived from it. Append-only.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	AuditTrail []AuditTrailEntry `json:"auditTrail,omitempty"`
}

// RootCauseAnalysis is the finding.
type RootCauseAnalysis struct {
	// +required
	Summary string `json:"summary"`
	// +required
	// +kubebuilder:validation:Enum=critical;high;medium;low
	Severity string `json:"severity"`
	// +required
	SignalType string `json:"signalType"`
	// +optional
	ContributingFactors []string `json:"contributingFactors,omitempty"`
}

// SelectedWorkflow is the workflow proposed for the incident.
type SelectedWorkflow struct {
	// +required
	WorkflowID string `json:"workflowId"`
	// +required
	Version string `json:"version"`
	// +required
	ContainerImage string `json:"containerImage"`
	// +optional
	ContainerDigest string `json:"containerDigest,omitempty"`
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1
	Confidence float64 `json:"confidence"`
	// Keys are UPPER_SNAKE by convention.
	// +optional
	Parameters map[string]string `json:"parameters,omitempty"`
	// +required
	Rationale string `json:"rationale"`
}

// AlternativeWorkflow is a workflow that was considered and not chosen.
type AlternativeWorkflow struct {
	// +required
	WorkflowID string `json:"workflowId"`
	// +optional
	ContainerImage string `json:"containerImage,omitempty"`
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1
	Confidence float64 `json:"confidence"`
	// +required
	Rationale string `json:"rationale"`
}

// ApprovalContext is what a person needs in order to decide.
type ApprovalContext struct {
	// +required
	Reason string `json:"reason"`
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1
	ConfidenceScore float64 `json:"confidenceScore"`
	// high from 0.8, medium from 0.6, else low.
	// +required
	// +kubebuilder:validation:Enum=low;medium;high
	ConfidenceLevel string `json:"confidenceLevel"`
	// +required
	InvestigationSummary string `json:"investigationSummary"`
	// +optional
	EvidenceCollected []string `json:"evidenceCollected,omitempty"`
	// +required
	RecommendedActions []RecommendedAction `json:"recommendedActions"`
	// +optional
	AlternativesConsidered []AlternativeApproach `json:"alternativesConsidered,omitempty"`
	// +required
	WhyApprovalRequired string `json:"whyApprovalRequired"`
	// +optional
	PolicyEvaluation *PolicyEvaluation `json:"policyEvaluation,omitempty"`
}

// RecommendedAction is one proposed action.
type RecommendedAction struct {
	// +required
	Action string `json:"action"`
	// +required
	Rationale string `json:"rationale"`
}

// AlternativeApproach is one action that was not proposed.
type AlternativeApproach struct {
	// +required
	Approach string `json:"approach"`
	// +required
	ProsCons string `json:"prosCons"`
}

// PolicyEvaluation says how the policy came to its decision.
type PolicyEvaluation struct {
	// +required
	PolicyName string `json:"policyName"`
	// Ids of all rules that hold, first the one whose text is the reason.
	// +optional
	MatchedRules []string `json:"matchedRules,omitempty"`
	// manual_review_required or degraded_mode.
	// +required
	Decision string `json:"decision"`
}

// ValidationAttempt is one try of HolmesGPT-API to get a valid workflow from the model.
type ValidationAttempt struct {
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3
	Attempt int `json:"attempt"`
	// Empty if the model named none.
	// +required
	WorkflowID string `json:"workflowId"`
	// +required
	IsValid bool `json:"isValid"`
	// +optional
	Errors []string `json:"errors,omitempty"`
	// +required
	Timestamp metav1.Time `json:"timestamp"`
}

// RecoveryStatus is what the recovery endpoint says about the failed run.
type RecoveryStatus struct {
	// +optional
	PreviousAttemptAssessment *PreviousAttemptAssessment `json:"previousAttemptAssessment,omitempty"`
	// +required
	StateChanged bool `json:"stateChanged"`
	// +optional
	CurrentSignalType string `json:"currentSignalType,omitempty"`
}

// PreviousAttemptAssessment is the judgement of the failed run.
type PreviousAttemptAssessment struct {
	// +required
	FailureUnderstood bool `json:"failureUnderstood"`
	// +required
	FailureReasonAnalysis string `json:"failureReasonAnalysis"`
}

// AuditTrailEntry is one thing that happened. Together with metadata and spec it determines one audit event, byte for byte.
type AuditTrailEntry struct {
	// +required
	Type string `json:"type"`
	// Counts from 1 per type.
	// +required
	// +kubebuilder:validation:Minimum=1
	Ordinal int32 `json:"ordinal"`
	// Strictly increasing within the trail.
	// +required
	At metav1.MicroTime `json:"at"`
	// +required
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Data runtime.RawExtension `json:"data"`
}
