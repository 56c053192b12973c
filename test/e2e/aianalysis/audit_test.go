//go:build e2e

package aianalysis_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The audit events of a happy analysis, in the order of their first appearance.
const (
	phaseTransition   = "aianalysis.phase.transition"
	holmesCall        = "aianalysis.holmesgpt.call"
	regoEvaluation    = "aianalysis.rego.evaluation"
	approvalDecision  = "aianalysis.approval.decision"
	analysisCompleted = "aianalysis.analysis.completed"
)

// auditEvent has every member that Data Storage may send of an event.
type auditEvent struct {
	EventID       string          `json:"event_id"`
	EventDate     string          `json:"event_date"`
	Version       string          `json:"version"`
	Type          string          `json:"event_type"`
	Timestamp     string          `json:"event_timestamp"` // as sent: its form is part of the contract
	Category      string          `json:"event_category"`
	Action        string          `json:"event_action"`
	Outcome       string          `json:"event_outcome"`
	ActorType     string          `json:"actor_type"`
	ActorID       string          `json:"actor_id"`
	ResourceType  string          `json:"resource_type"`
	ResourceID    string          `json:"resource_id"`
	CorrelationID string          `json:"correlation_id"`
	Parent        *string         `json:"parent_event_id"`
	Namespace     *string         `json:"namespace"`
	Cluster       *string         `json:"cluster_name"`
	Severity      *string         `json:"severity"`
	DurationMS    *int64          `json:"duration_ms"`
	Data          json.RawMessage `json:"event_data"`
}

type auditPage struct {
	Data       []auditEvent `json:"data"`
	Pagination struct {
		Limit      int    `json:"limit"`
		Offset     int    `json:"offset"`
		Total      int    `json:"total"`
		LowerBound bool   `json:"total_is_lower_bound"`
		HasMore    bool   `json:"has_more"`
		NextCursor string `json:"next_cursor"`
	} `json:"pagination"`
}

// decision is the data of an approval decision.
type decision struct {
	ApprovalRequired bool    `json:"approval_required"`
	AutoApproved     bool    `json:"auto_approved"`
	Decision         string  `json:"decision"`
	ApprovalReason   string  `json:"approval_reason"`
	Reason           string  `json:"reason"`
	Environment      string  `json:"environment"`
	Confidence       float64 `json:"confidence"`
	WorkflowID       string  `json:"workflow_id"`
}

// everyAuditEvent reads all events of one analysis, those of other services too, oldest first.
func everyAuditEvent(ctx context.Context, correlation string) ([]auditEvent, error) {
	query := url.Values{"correlation_id": {correlation}, "limit": {"1000"}}
	a, err := get(ctx, opt.datastorage+"/api/v1/audit/events?"+query.Encode())
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("%s answers %d: %.300s", a.url, a.status, a.body)
	}
	var page auditPage
	if err := a.decode(&page); err != nil {
		return nil, err
	}
	if page.Pagination.HasMore {
		return nil, fmt.Errorf("%s: more than %d events", a.url, len(page.Data))
	}
	slices.Reverse(page.Data)
	return page.Data, nil
}

// auditEvents are the controller's own.
func auditEvents(ctx context.Context, correlation string) ([]auditEvent, error) {
	all, err := everyAuditEvent(ctx, correlation)
	return slices.DeleteFunc(all, func(e auditEvent) bool { return !strings.HasPrefix(e.Type, "aianalysis.") }), err
}

// auditTypes are the types of the controller's events, oldest first.
func auditTypes(ctx context.Context, correlation string) ([]string, error) {
	events, err := auditEvents(ctx, correlation)
	types := make([]string, len(events))
	for i, e := range events {
		types[i] = e.Type
	}
	return types, err
}

// readData reads an event's data as what it should be.
func (e auditEvent) readData(into any) error {
	return (&answer{url: e.Type + " " + e.EventID, body: e.Data}).decode(into)
}
