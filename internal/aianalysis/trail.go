package aianalysis

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// Audit event types.
const (
	EventTransition = "aianalysis.phase.transition"
	EventCall       = "aianalysis.holmesgpt.call"
	EventRego       = "aianalysis.rego.evaluation"
	EventDecision   = "aianalysis.approval.decision"
	EventCompleted  = "aianalysis.analysis.completed"
	EventError      = "aianalysis.error.occurred"
)

var eventActions = map[string]string{
	EventTransition: "phase_transition",
	EventCall:       "holmesgpt_call",
	EventRego:       "policy_evaluation",
	EventDecision:   "approval_decision",
	EventCompleted:  "analysis_complete",
	EventError:      "error",
}

// idNamespace is UUIDv5(DNS, "audit.kubernaut.ai"). The ids that come of it must never change: a resent event is known by its id.
var idNamespace = uuid.MustParse("e920df68-0ffb-584f-b11f-6be718804eaa")

// EventID is the id of the ordinal-th event of one type of one CR; the same rule names requests to HolmesGPT-API.
func EventID(uid types.UID, kind string, ordinal int32) string {
	return uuid.NewSHA1(idNamespace, fmt.Appendf(nil, "%s/%s/%d", uid, kind, ordinal)).String()
}

// entry is a trail entry that has no place in a trail yet.
type entry struct {
	kind string
	at   time.Time
	data map[string]any
}

// appendTrail adds entries, numbers them within their type, and keeps the times strictly increasing even if the clock does not.
func appendTrail(status *v1alpha1.AIAnalysisStatus, entries []entry) error {
	ordinals := map[string]int32{}
	var last time.Time
	for _, have := range status.AuditTrail {
		ordinals[have.Type] = max(ordinals[have.Type], have.Ordinal)
		last = have.At.Time
	}
	for _, add := range entries {
		storable(add.data)
		data, err := json.Marshal(add.data)
		if err != nil {
			return fmt.Errorf("encoding audit data of %q: %w", add.kind, err)
		}
		at := add.at.UTC().Truncate(time.Microsecond)
		if !at.After(last) {
			at = last.Add(time.Microsecond)
		}
		last = at
		ordinals[add.kind]++
		status.AuditTrail = append(status.AuditTrail, v1alpha1.AuditTrailEntry{
			Type: add.kind, Ordinal: ordinals[add.kind], At: metav1.NewMicroTime(at), Data: runtime.RawExtension{Raw: data},
		})
	}
	return nil
}

// storable replaces U+0000 in texts: Data Storage refuses an event that has one, and they come from specs, answers and policies.
func storable(data map[string]any) {
	for key, value := range data {
		if text, ok := value.(string); ok {
			data[key] = strings.ReplaceAll(text, "\x00", "\ufffd")
		}
	}
}

// EventsOf derives the audit events of a CR from its trail. The same CR always gives the same bytes.
func EventsOf(cr *v1alpha1.AIAnalysis) ([]AuditEvent, error) {
	events := make([]AuditEvent, 0, len(cr.Status.AuditTrail))
	for _, have := range cr.Status.AuditTrail {
		data, err := canonical(have.Data.Raw)
		if err != nil {
			return nil, fmt.Errorf("reading audit trail of %q, entry %s/%d: %w", cr.Name, have.Type, have.Ordinal, err)
		}
		var facts struct {
			Duration   *int64 `json:"duration_ms"`
			ErrorClass string `json:"error_class"`
			Degraded   bool   `json:"degraded"`
			Outcome    string `json:"outcome"`
			Phase      string `json:"phase"`
		}
		if err := json.Unmarshal(data, &facts); err != nil {
			return nil, fmt.Errorf("reading audit trail of %q, entry %s/%d: %w", cr.Name, have.Type, have.Ordinal, err)
		}
		failed := have.Type == EventError ||
			have.Type == EventCall && facts.ErrorClass != "" ||
			have.Type == EventRego && (facts.Degraded || facts.Outcome == "error") ||
			have.Type == EventCompleted && facts.Phase == string(v1alpha1.PhaseFailed)
		outcome := "success"
		if failed {
			outcome = "failure"
		}
		events = append(events, AuditEvent{
			ID: EventID(cr.UID, have.Type, have.Ordinal), UID: cr.UID, Type: have.Type, Action: eventActions[have.Type],
			Outcome: outcome, At: have.At.UTC(), CorrelationID: cr.Spec.RemediationID,
			Namespace: cr.Namespace, Name: cr.Name, DurationMS: facts.Duration, Data: data,
		})
	}
	return events, nil
}

// canonical rewrites JSON with sorted keys and untouched numbers: the API server may store it in another spelling than ours.
func canonical(raw []byte) (json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value map[string]any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

func transition(at time.Time, from, to v1alpha1.Phase) entry {
	return entry{EventTransition, at, map[string]any{"old_phase": string(from), "new_phase": string(to)}}
}

func callMade(at time.Time, call Call, attempt int32, failure *CallError) entry {
	data := map[string]any{
		"endpoint": call.Endpoint, "http_status_code": call.Status, "duration_ms": call.Duration.Milliseconds(), "attempt": attempt,
	}
	if failure != nil {
		data["error_class"] = string(failure.Class)
	}
	return entry{EventCall, at, data}
}

func errorOccurred(at time.Time, phase v1alpha1.Phase, class Class, text string) entry {
	return entry{EventError, at, map[string]any{
		"phase": string(phase), "error": text, "error_message": text, "error_class": string(class), "retryable": class.Retryable(),
	}}
}

func analysisCompleted(at time.Time, status *v1alpha1.AIAnalysisStatus) entry {
	data := map[string]any{
		"phase": string(status.Phase), "approval_required": status.ApprovalRequired,
		"degraded_mode": status.DegradedMode, "warnings_count": len(status.Warnings),
	}
	if status.ApprovalReason != "" {
		data["approval_reason"] = status.ApprovalReason
	}
	if status.SelectedWorkflow != nil {
		data["confidence"] = status.SelectedWorkflow.Confidence
		data["workflow_id"] = status.SelectedWorkflow.WorkflowID
	}
	if status.TargetInOwnerChain != nil {
		data["target_in_owner_chain"] = *status.TargetInOwnerChain
	}
	if status.Reason != "" {
		data["reason"] = status.Reason
	}
	if status.SubReason != "" {
		data["sub_reason"] = string(status.SubReason)
	}
	return entry{EventCompleted, at, data}
}
