package v1alpha1

// Phase is where an analysis stands. Completed and Failed are final.
//
// +kubebuilder:validation:Enum=Pending;Investigating;Analyzing;Completed;Failed
type Phase string

// The phases, in order.
const (
	PhasePending       Phase = "Pending"
	PhaseInvestigating Phase = "Investigating"
	PhaseAnalyzing     Phase = "Analyzing"
	PhaseCompleted     Phase = "Completed"
	PhaseFailed        Phase = "Failed"
)

// Terminal reports whether the phase is final.
func (p Phase) Terminal() bool { return p == PhaseCompleted || p == PhaseFailed }

// Values of status.reason.
const (
	ReasonTransientError           = "TransientError"
	ReasonAPIError                 = "APIError"
	ReasonWorkflowResolutionFailed = "WorkflowResolutionFailed"
	ReasonWorkflowNotNeeded        = "WorkflowNotNeeded"
	ReasonRecoveryNotPossible      = "RecoveryNotPossible"
	ReasonNoWorkflowSelected       = "NoWorkflowSelected"
	ReasonRegoEvaluationError      = "RegoEvaluationError"
	ReasonAnalysisCancelled        = "AnalysisCancelled"
)

// SubReason narrows status.reason.
//
// +kubebuilder:validation:Enum=WorkflowNotFound;ImageMismatch;ParameterValidationFailed;NoMatchingWorkflows;LowConfidence;LLMParsingError;ValidationError;TransientError;PermanentError;InvestigationInconclusive;ProblemResolved;MaxRetriesExceeded;NoRecoveryStrategy;InvestigationFailed;PolicyEvaluationFailed;ResourceDeleted
type SubReason string

// Every sub-reason that the controller writes. The enum also accepts ValidationError, which it never does.
const (
	SubReasonWorkflowNotFound          SubReason = "WorkflowNotFound"
	SubReasonImageMismatch             SubReason = "ImageMismatch"
	SubReasonParameterValidationFailed SubReason = "ParameterValidationFailed"
	SubReasonNoMatchingWorkflows       SubReason = "NoMatchingWorkflows"
	SubReasonLowConfidence             SubReason = "LowConfidence"
	SubReasonLLMParsingError           SubReason = "LLMParsingError"
	SubReasonTransientError            SubReason = "TransientError"
	SubReasonPermanentError            SubReason = "PermanentError"
	SubReasonInvestigationInconclusive SubReason = "InvestigationInconclusive"
	SubReasonProblemResolved           SubReason = "ProblemResolved"
	SubReasonMaxRetriesExceeded        SubReason = "MaxRetriesExceeded"
	SubReasonNoRecoveryStrategy        SubReason = "NoRecoveryStrategy"
	SubReasonInvestigationFailed       SubReason = "InvestigationFailed"
	SubReasonPolicyEvaluationFailed    SubReason = "PolicyEvaluationFailed"
	SubReasonResourceDeleted           SubReason = "ResourceDeleted"
)

// Condition types.
const (
	ConditionInvestigationComplete = "InvestigationComplete"
	ConditionWorkflowResolved      = "WorkflowResolved"
	ConditionApprovalRequired      = "ApprovalRequired"
	ConditionAnalysisComplete      = "AnalysisComplete"
	ConditionReady                 = "Ready"
	ConditionAuditRecorded         = "AuditRecorded"
)

// Condition reasons.
const (
	CondInvestigationSucceeded   = "InvestigationSucceeded"
	CondInvestigationFailed      = "InvestigationFailed"
	CondWorkflowSelected         = "WorkflowSelected"
	CondNoWorkflowNeeded         = "NoWorkflowNeeded"
	CondWorkflowResolutionFailed = "WorkflowResolutionFailed"
	CondLowConfidence            = "LowConfidence"
	CondPolicyRequiresApproval   = "PolicyRequiresApproval"
	CondAutoApproved             = "AutoApproved"
	CondAnalysisSucceeded        = "AnalysisSucceeded"
	CondAnalysisCompleted        = "AnalysisCompleted"
	CondAnalysisFailed           = "AnalysisFailed"
	CondInProgress               = "InProgress"
	CondAllEventsStored          = "AllEventsStored"
	CondPending                  = "Pending"
	CondDataStorageUnavailable   = "DataStorageUnavailable"
	CondEventRejected            = "EventRejected"
)
