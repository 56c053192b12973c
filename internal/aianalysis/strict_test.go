package aianalysis

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// The members of each event's data: a pointer may be absent.
type (
	transitionData struct {
		OldPhase string `json:"old_phase"`
		NewPhase string `json:"new_phase"`
	}
	callData struct {
		Endpoint   string  `json:"endpoint"`
		Status     int     `json:"http_status_code"`
		DurationMS int64   `json:"duration_ms"`
		Attempt    int32   `json:"attempt"`
		ErrorClass *string `json:"error_class"`
	}
	regoData struct {
		Outcome    string `json:"outcome"`
		Degraded   bool   `json:"degraded"`
		DurationMS int64  `json:"duration_ms"`
		Reason     string `json:"reason"`
		SHA256     string `json:"policy_sha256"`
	}
	decisionData struct {
		Required       bool    `json:"approval_required"`
		Auto           bool    `json:"auto_approved"`
		Decision       string  `json:"decision"`
		ApprovalReason string  `json:"approval_reason"`
		Reason         string  `json:"reason"`
		Environment    string  `json:"environment"`
		Confidence     float64 `json:"confidence"`
		WorkflowID     string  `json:"workflow_id"`
	}
	completedData struct {
		Phase              string   `json:"phase"`
		Required           bool     `json:"approval_required"`
		Degraded           bool     `json:"degraded_mode"`
		Warnings           int      `json:"warnings_count"`
		ApprovalReason     *string  `json:"approval_reason"`
		Confidence         *float64 `json:"confidence"`
		WorkflowID         *string  `json:"workflow_id"`
		TargetInOwnerChain *bool    `json:"target_in_owner_chain"`
		Reason             *string  `json:"reason"`
		SubReason          *string  `json:"sub_reason"`
	}
	errorData struct {
		Phase        string `json:"phase"`
		Error        string `json:"error"`
		ErrorMessage string `json:"error_message"`
		ErrorClass   string `json:"error_class"`
		Retryable    bool   `json:"retryable"`
		Attempt      *int32 `json:"attempt"`
	}
)

// strictly reads every event of a trail: no unknown member, none missing, envelope and outcome as they must be.
func strictly(t *testing.T, cr *v1alpha1.AIAnalysis) {
	t.Helper()
	events, err := EventsOf(cr)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	var last time.Time
	for _, e := range events {
		if ids[e.ID] || !e.At.After(last) || e.UID != cr.UID || e.CorrelationID != "rr-1" || e.Namespace != "shop" || e.Name != "cart-oom" || e.Action != eventActions[e.Type] {
			t.Errorf("envelope: %+v", e)
		}
		ids[e.ID], last = true, e.At
		data := map[string]any{EventTransition: &transitionData{}, EventCall: &callData{}, EventRego: &regoData{},
			EventDecision: &decisionData{}, EventCompleted: &completedData{}, EventError: &errorData{}}[e.Type]
		decoder := json.NewDecoder(bytes.NewReader(e.Data))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(data); err != nil {
			t.Errorf("%s: %v in %s", e.Type, err, e.Data)
		}
		// What is written back and is not null must have been there.
		again, err := json.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		var have, want map[string]any
		if err := errors.Join(json.Unmarshal(e.Data, &have), json.Unmarshal(again, &want)); err != nil {
			t.Fatal(err)
		}
		for name, value := range want {
			if _, there := have[name]; !there && value != nil {
				t.Errorf("%s: %s is missing in %s", e.Type, name, e.Data)
			}
		}
		if got := wantOutcome(data); e.Outcome != got {
			t.Errorf("%s: outcome %s, want %s of %s", e.Type, e.Outcome, got, e.Data)
		}
		if took, ok := have["duration_ms"]; ok != (e.DurationMS != nil) || ok && float64(*e.DurationMS) != took {
			t.Errorf("%s: duration %v", e.Type, e.DurationMS)
		}
	}
}

func wantOutcome(data any) string {
	failed := false
	switch d := data.(type) {
	case *callData:
		failed = d.ErrorClass != nil
	case *regoData:
		failed = d.Degraded || d.Outcome == "error"
	case *completedData:
		failed = d.Phase == "Failed"
	case *errorData:
		failed = d.Error == d.ErrorMessage && d.Error != "" && d.ErrorClass != ""
	}
	if failed {
		return "failure"
	}
	return "success"
}
