package holmes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
	"github.com/kubernaut-ai/kubernaut/internal/aianalysis"
)

// response is the answer of both endpoints, read tolerantly: enum values are plain strings, numbers may be out of range, unknown
// members are ignored. Pointers tell a required member that is missing from one that is zero.
type response struct {
	IncidentID         *string       `json:"incident_id"`
	Analysis           *string       `json:"analysis"`
	RootCauseAnalysis  *rootCause    `json:"root_cause_analysis"`
	SelectedWorkflow   *workflow     `json:"selected_workflow"`
	Confidence         *float64      `json:"confidence"`
	AnalysisConfidence *float64      `json:"analysis_confidence"`
	Timestamp          *string       `json:"timestamp"`
	CanRecover         *bool         `json:"can_recover"`
	NeedsHumanReview   *bool         `json:"needs_human_review"`
	HumanReviewReason  *string       `json:"human_review_reason"`
	TargetInOwnerChain *bool         `json:"target_in_owner_chain"`
	Warnings           []string      `json:"warnings"`
	Alternatives       []alternative `json:"alternative_workflows"`
	History            []attempt     `json:"validation_attempts_history"`
	RecoveryAnalysis   *recovery     `json:"recovery_analysis"`
}

type rootCause struct {
	Summary             string   `json:"summary"`
	Severity            string   `json:"severity"`
	SignalType          string   `json:"signal_type"`
	ContributingFactors []string `json:"contributing_factors"`
}

type workflow struct {
	WorkflowID           string                     `json:"workflow_id"`
	Version              string                     `json:"version"`
	ContainerImage       string                     `json:"container_image"`
	ContainerImageCamel  string                     `json:"containerImage"`
	ContainerDigest      string                     `json:"container_digest"`
	ContainerDigestCamel string                     `json:"containerDigest"`
	Confidence           *float64                   `json:"confidence"`
	Rationale            string                     `json:"rationale"`
	Parameters           map[string]json.RawMessage `json:"parameters"`
}

type alternative struct {
	WorkflowID          string  `json:"workflow_id"`
	ContainerImage      string  `json:"container_image"`
	ContainerImageCamel string  `json:"containerImage"`
	Confidence          float64 `json:"confidence"`
	Rationale           string  `json:"rationale"`
}

type attempt struct {
	Attempt    int      `json:"attempt"`
	WorkflowID string   `json:"workflow_id"` // null reads as ""
	IsValid    bool     `json:"is_valid"`
	Errors     []string `json:"errors"`
	Timestamp  string   `json:"timestamp"`
}

type recovery struct {
	Assessment          *assessment `json:"previous_attempt_assessment"`
	StateChanged        *bool       `json:"state_changed"`
	CurrentSignalType   *string     `json:"current_signal_type"`
	RootCauseRefinement string      `json:"root_cause_refinement"`
}

type assessment struct {
	FailureUnderstood     bool    `json:"failure_understood"`
	FailureReasonAnalysis string  `json:"failure_reason_analysis"`
	StateChanged          *bool   `json:"state_changed"`
	CurrentSignalType     *string `json:"current_signal_type"`
}

// decode reads an answer with status 200. The error says what is wrong with it, never what is in it.
func decode(body []byte, recoveryCall bool) (*aianalysis.Answer, error) {
	var r response
	if err := json.Unmarshal(body, &r); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return nil, fmt.Errorf("%s has the wrong type", wrong.Field)
		}
		return nil, errors.New("not a JSON object")
	}
	if err := r.complete(recoveryCall); err != nil {
		return nil, err
	}
	answer := &aianalysis.Answer{
		IncidentID:         *r.IncidentID,
		Analysis:           value(r.Analysis),
		Confidence:         value(r.Confidence),
		CanRecover:         value(r.CanRecover),
		NeedsHumanReview:   value(r.NeedsHumanReview),
		HumanReviewReason:  value(r.HumanReviewReason),
		TargetInOwnerChain: r.TargetInOwnerChain,
		Warnings:           r.Warnings,
	}
	if recoveryCall {
		answer.Confidence = value(r.AnalysisConfidence)
		answer.Recovery, answer.RootCauseRefined = r.RecoveryAnalysis.status()
	}
	if rca := r.RootCauseAnalysis; rca != nil && (!recoveryCall || rca.Summary != "") {
		answer.RootCause = &v1alpha1.RootCauseAnalysis{
			Summary: rca.Summary, Severity: rca.Severity, SignalType: rca.SignalType, ContributingFactors: rca.ContributingFactors,
		}
	}
	answer.Workflow = r.SelectedWorkflow.status(answer.Confidence)
	for _, a := range r.Alternatives {
		answer.Alternatives = append(answer.Alternatives, v1alpha1.AlternativeWorkflow{
			WorkflowID: a.WorkflowID, ContainerImage: firstText(a.ContainerImage, a.ContainerImageCamel),
			Confidence: a.Confidence, Rationale: a.Rationale,
		})
	}
	for _, a := range r.History {
		entry := v1alpha1.ValidationAttempt{Attempt: a.Attempt, WorkflowID: a.WorkflowID, IsValid: a.IsValid, Errors: a.Errors}
		if at, err := time.Parse(time.RFC3339Nano, a.Timestamp); err == nil {
			entry.Timestamp = metav1.NewTime(at)
		}
		answer.History = append(answer.History, entry)
	}
	return answer, nil
}

// complete checks the members that the contract requires.
func (r *response) complete(recoveryCall bool) error {
	required := []struct {
		name    string
		missing bool
	}{
		{"incident_id", r.IncidentID == nil},
		{"analysis", !recoveryCall && r.Analysis == nil},
		{"root_cause_analysis", !recoveryCall && r.RootCauseAnalysis == nil},
		{"confidence", !recoveryCall && r.Confidence == nil},
		{"timestamp", !recoveryCall && r.Timestamp == nil},
		{"can_recover", recoveryCall && r.CanRecover == nil},
		{"analysis_confidence", recoveryCall && r.AnalysisConfidence == nil},
	}
	for _, member := range required {
		if member.missing {
			return fmt.Errorf("%s is missing", member.name)
		}
	}
	if c := value(r.Confidence); !recoveryCall && (c < 0 || c > 1) {
		return errors.New("confidence is outside 0..1")
	}
	return nil
}

// status returns nil for what the contract calls no workflow.
func (w *workflow) status(confidence float64) *v1alpha1.SelectedWorkflow {
	if w == nil || w.WorkflowID == "" {
		return nil
	}
	if w.Confidence != nil {
		confidence = *w.Confidence
	}
	result := &v1alpha1.SelectedWorkflow{
		WorkflowID: w.WorkflowID, Version: w.Version, Confidence: confidence, Rationale: w.Rationale,
		ContainerImage:  firstText(w.ContainerImage, w.ContainerImageCamel),
		ContainerDigest: firstText(w.ContainerDigest, w.ContainerDigestCamel),
	}
	for name, raw := range w.Parameters {
		if result.Parameters == nil {
			result.Parameters = map[string]string{}
		}
		result.Parameters[name] = parameter(raw)
	}
	return result
}

// parameter keeps a string as it is and writes anything else as compact JSON.
func parameter(raw json.RawMessage) string {
	var text *string
	if err := json.Unmarshal(raw, &text); err == nil && text != nil {
		return *text
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return string(raw)
	}
	return compact.String()
}

// status returns nil for an assessment that is absent or {}. State and signal may stand inside the assessment or beside it.
func (r *recovery) status() (*v1alpha1.RecoveryStatus, string) {
	if r == nil || *r == (recovery{}) {
		return nil, ""
	}
	result := &v1alpha1.RecoveryStatus{StateChanged: value(r.StateChanged), CurrentSignalType: value(r.CurrentSignalType)}
	if inner := r.Assessment; inner != nil {
		result.PreviousAttemptAssessment = &v1alpha1.PreviousAttemptAssessment{
			FailureUnderstood: inner.FailureUnderstood, FailureReasonAnalysis: inner.FailureReasonAnalysis,
		}
		if inner.StateChanged != nil {
			result.StateChanged = *inner.StateChanged
		}
		if inner.CurrentSignalType != nil {
			result.CurrentSignalType = *inner.CurrentSignalType
		}
	}
	return result, r.RootCauseRefinement
}

func value[T any](pointer *T) (zero T) {
	if pointer != nil {
		return *pointer
	}
	return zero
}

func firstText(snake, camel string) string {
	if snake != "" {
		return snake
	}
	return camel
}
