package datastorage

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

const (
	disabled     = "disabled"
	textDisabled = "may be given only while the workflow is, or becomes, disabled"
)

// Change is what may be changed of a workflow version: its state. A nil member changes nothing.
type Change struct {
	Status, DisabledBy, DisabledReason *string
	// KeepDisabled leaves a version that is disabled already as it is.
	KeepDisabled bool
	// RowVersion is the one that the change is meant for; nil means any.
	RowVersion *int64
}

// Apply tells what a workflow becomes. It does not differ if there is nothing to change.
func (c Change) Apply(w Workflow, now time.Time) (Workflow, error) {
	if c.RowVersion != nil && *c.RowVersion != w.RowVersion {
		return w, &Error{Kind: PreconditionFailed, Detail: "the workflow was changed meanwhile: read it again"}
	}
	before := w
	if c.KeepDisabled && w.Status == disabled {
		return w, nil
	}
	if c.Status != nil {
		w.Status = *c.Status
	}
	if w.Status != disabled {
		var errs FieldErrors
		for field, given := range map[string]*string{"disabled_by": c.DisabledBy, "disabled_reason": c.DisabledReason} {
			if given != nil {
				errs.Add(field, textDisabled)
			}
		}
		w.DisabledAt, w.DisabledBy, w.DisabledReason = nil, "", ""
		return w, errs.Err()
	}
	if before.Status != disabled {
		now = now.UTC().Truncate(time.Microsecond)
		w.DisabledAt, w.DisabledBy, w.DisabledReason = &now, "", ""
	}
	if c.DisabledBy != nil {
		w.DisabledBy, w.UpdatedBy = *c.DisabledBy, *c.DisabledBy
	}
	if c.DisabledReason != nil {
		w.DisabledReason = *c.DisabledReason
	}
	return w, nil
}

// SameState tells whether two readings of a version differ in nothing that a Change can change.
func (w Workflow) SameState(other Workflow) bool {
	return w.Status == other.Status && w.DisabledBy == other.DisabledBy && w.DisabledReason == other.DisabledReason
}

// Audit is the service's own event of a workflow that was created, or updated from another state.
func (w Workflow) Audit(from *Workflow, origin Origin, now time.Time) (Event, error) {
	data := map[string]any{
		"workflow_id": w.ID, "workflow_name": w.WorkflowName, "version": w.Version, "status": w.Status,
		"content_hash": w.ContentHash, "row_version": w.RowVersion,
	}
	kind, action := "datastorage.workflow.created", "create"
	if from != nil {
		kind, action = "datastorage.workflow.updated", "update"
		data["previous_status"] = from.Status
		data["disabled_by"], data["disabled_reason"] = w.DisabledBy, w.DisabledReason
	}
	raw, err := json.Marshal(data)
	e := ownEvent(kind, action, w.ID.String(), now)
	e.ResourceType, e.ResourceID, e.Data, e.Origin = "Workflow", w.ID.String(), raw, origin
	return e, err
}

// ownEvent is an audit event of this service about its catalog.
func ownEvent(kind, action, correlation string, now time.Time) Event {
	return Event{Version: "1.0", Type: kind, Time: now, Category: "workflow", Action: action, Outcome: "success",
		ActorType: "service", ActorID: "datastorage", CorrelationID: correlation}.Complete(func() uuid.UUID { return uuid.Must(uuid.NewV7()) })
}
