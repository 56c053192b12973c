package httpapi

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	api "github.com/kubernaut-ai/kubernaut/api/openapi/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// CreateAuditEvent stores one event.
func (h *handler) CreateAuditEvent(ctx context.Context, req *api.AuditEventRequest) (api.CreateAuditEventRes, error) {
	event := eventOf(req)
	infoOf(ctx).correlationID = event.CorrelationID
	if err := event.Check(h.Window, h.now()).Err(); err != nil {
		return nil, err
	}
	receipt, err := h.write(ctx, []datastorage.Event{event})
	var parents datastorage.UnknownParents
	if errors.As(err, &parents) {
		err = datastorage.FieldErrors{{Field: "parent_event_id", Text: datastorage.TextUnknownParent}}.Err()
	}
	if err != nil {
		return nil, err
	}
	kept := receipt.Stored[0]
	if receipt.Queued {
		return &api.AuditEventAccepted{EventID: kept.ID, EventTimestamp: kept.Time,
			Message: "audit event queued for async processing", Status: api.NewOptString("accepted")}, nil
	}
	return &api.AuditEventResponse{EventID: kept.ID, EventTimestamp: kept.Time, Message: "Audit event created successfully"}, nil
}

// CreateAuditEventsBatch stores all events or none.
func (h *handler) CreateAuditEventsBatch(ctx context.Context, req []api.AuditEventRequest) (api.CreateAuditEventsBatchRes, error) {
	infoOf(ctx).events = len(req)
	events, now := make([]datastorage.Event, len(req)), h.now()
	faults := map[int]datastorage.FieldErrors{}
	for i := range req {
		events[i] = eventOf(&req[i])
		if errs := events[i].Check(h.Window, now); len(errs) > 0 {
			faults[i] = errs
		}
	}
	if err := datastorage.BatchError(faults, len(events)); err != nil {
		return nil, err
	}
	receipt, err := h.write(ctx, events)
	var parents datastorage.UnknownParents
	if errors.As(err, &parents) {
		for _, i := range parents {
			faults[i] = datastorage.FieldErrors{{Field: "parent_event_id", Text: datastorage.TextUnknownParent}}
		}
		err = datastorage.BatchError(faults, len(events))
	}
	if err != nil {
		return nil, err
	}
	ids := make([]uuid.UUID, len(events))
	for i, kept := range receipt.Stored {
		ids[i] = kept.ID
	}
	if receipt.Queued {
		return &api.BatchAuditEventAccepted{EventIds: ids, Status: api.NewOptString("accepted"),
			Message: fmt.Sprintf("%d audit events queued for async processing", len(ids))}, nil
	}
	return &api.BatchAuditEventResponse{
		EventIds: ids, Message: fmt.Sprintf("%d audit events created successfully", len(ids)),
	}, nil
}

// write completes the events and keeps them durably.
func (h *handler) write(ctx context.Context, events []datastorage.Event) (datastorage.Receipt, error) {
	origin := infoOf(ctx).origin()
	for i := range events {
		events[i].Origin = origin
		events[i] = events[i].Complete(newID)
	}
	receipt, err := h.Ingest.Write(ctx, events)
	for _, s := range receipt.Stored {
		if s.Different {
			h.Log.Warn("an event id came again with other content; the first content stays",
				"request_id", origin.RequestID, "event_id", s.ID)
		}
	}
	return receipt, err
}

// pointer is nil for what is not set.
func pointer[T any](value T, set bool) *T {
	if !set {
		return nil
	}
	return &value
}

func eventOf(req *api.AuditEventRequest) datastorage.Event {
	e := datastorage.Event{
		Version: req.Version, Type: req.EventType, Time: req.EventTimestamp, Category: string(req.EventCategory),
		Action: req.EventAction, Outcome: string(req.EventOutcome), ActorType: req.ActorType.Or(""),
		ActorID: req.ActorID.Or(""), ResourceType: req.ResourceType.Or(""), ResourceID: req.ResourceID.Or(""),
		CorrelationID: req.CorrelationID, Namespace: req.Namespace.Or(""), ClusterName: req.ClusterName.Or(""),
		Severity: req.Severity.Or(""), Data: []byte(req.EventData),
	}
	e.ID.UUID, e.ID.Valid = req.EventID.Get()
	e.Parent.UUID, e.Parent.Valid = req.ParentEventID.Get()
	if ms, set := req.DurationMs.Get(); set {
		e.DurationMS = pointer(int32(ms), true) // the contract bounds it
	}
	return e
}

func auditEvent(e datastorage.Event) api.AuditEvent {
	answer := api.AuditEvent{
		EventID: e.ID.UUID, EventDate: api.NewOptNilDate(e.Day()), Version: e.Version, EventType: e.Type, EventTimestamp: e.Time,
		EventCategory: api.EventCategory(e.Category), EventAction: e.Action, EventOutcome: api.EventOutcome(e.Outcome),
		ActorType: optString(e.ActorType), ActorID: optString(e.ActorID), ResourceType: optString(e.ResourceType),
		ResourceID: optString(e.ResourceID), CorrelationID: e.CorrelationID, EventData: []byte(e.Data),
		Namespace: optNilString(e.Namespace), ClusterName: optNilString(e.ClusterName), Severity: optNilString(e.Severity),
	}
	if e.Parent.Valid {
		answer.ParentEventID = api.NewOptNilUUID(e.Parent.UUID)
	}
	if e.DurationMS != nil {
		answer.DurationMs = api.NewOptNilInt(int(*e.DurationMS))
	}
	return answer
}

func optString(s string) api.OptString {
	if s == "" {
		return api.OptString{}
	}
	return api.NewOptString(s)
}

func optNilString(s string) api.OptNilString {
	if s == "" {
		return api.OptNilString{}
	}
	return api.NewOptNilString(s)
}
