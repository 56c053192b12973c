package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// bodySchemas are the schemas of the bodies that are one object.
var bodySchemas = map[string]string{
	"updateWorkflow":  "WorkflowUpdateRequest",
	"disableWorkflow": "WorkflowDisableRequest",
}

// faults are what is wrong with a body by the contract and by the rules of its parts, where the last of repeated members wins.
func (h *handler) faults(operation string, body []byte) error {
	switch operation {
	case "createAuditEvent":
		return h.explainEvent(body, h.now()).Err()
	case "createAuditEventsBatch":
		return h.explainBatch(body)
	case "createWorkflow":
		return explainWorkflow(body).Err()
	case "searchWorkflows":
		return explainSearch(body).Err()
	}
	return checkBody(bodySchemas[operation], body).Err()
}

// lastMembers serves a refused body again if all that is wrong with it is an earlier one of repeated members: the generated
// decoder looks at each of them. It tells whether it did.
func (h *handler) lastMembers(w http.ResponseWriter, r *http.Request, i *info) bool {
	if i.reduced || datastorage.CheckText(i.body) != "" || h.faults(i.operation, i.body) != nil {
		return false
	}
	i.reduced = true
	var value any // each name once
	d := json.NewDecoder(bytes.NewReader(i.body))
	d.UseNumber()
	var reduced bytes.Buffer
	e := json.NewEncoder(&reduced)
	e.SetEscapeHTML(false)
	if d.Decode(&value) != nil || e.Encode(value) != nil {
		return false
	}
	i.body = reduced.Bytes()
	r = r.Clone(r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(i.body)), int64(len(i.body))
	h.server.ServeHTTP(w, r)
	return true
}

// explain says everything that is wrong with a body that was refused.
func (h *handler) explain(operation string, body []byte) error {
	if err := h.faults(operation, body); err != nil {
		return err
	}
	text := datastorage.CheckText(body) // of a member that is not of the contract
	if text == "" {                     // the generated decoder is stricter here than this package
		text = "does not keep the contract"
	}
	return datastorage.FieldErrors{{Field: "body", Text: text}}.Err()
}

// explainEvent checks contract and meaning together, so that the sender hears of all faults at once.
func (h *handler) explainEvent(raw []byte, now time.Time) datastorage.FieldErrors {
	errs := checkBody("AuditEventRequest", raw)
	if errs.Has("body") {
		return errs
	}
	members := map[string]json.RawMessage{} // a struct would take names in any case
	if json.Unmarshal(raw, &members) != nil {
		return errs
	}
	for _, field := range []string{"event_id", "parent_event_id"} {
		var id *uuid.UUID
		if json.Unmarshal(members[field], &id) == nil && id != nil {
			errs.Add(field, datastorage.CheckID(*id))
		}
	}
	var at time.Time
	if json.Unmarshal(members["event_timestamp"], &at) == nil {
		errs.Add("event_timestamp", h.Window.CheckTime(at, now))
	}
	if data := members["event_data"]; len(data) > 0 {
		errs.Add("event_data", datastorage.CheckObject(data))
	}
	return errs
}

// explainWorkflow does the same for a workflow, with the meaning of what can be read.
func explainWorkflow(raw []byte) datastorage.FieldErrors {
	errs := checkBody("RemediationWorkflow", raw)
	members := map[string]json.RawMessage{}
	if errs.Has("body") || json.Unmarshal(raw, &members) != nil {
		return errs
	}
	w := datastorage.Workflow{Definition: datastorage.Definition{Parameters: members["parameters"]}}
	for name, value := range map[string]any{"workflow_name": &w.WorkflowName, "version": &w.Version, "content": &w.Content,
		"content_hash": &w.ContentHash, "custom_labels": &w.CustomLabels} {
		_ = json.Unmarshal(members[name], value) // what is of another type is named already
	}
	return withMeaning(errs, w.Check())
}

// explainSearch does the same for a search.
func explainSearch(raw []byte) datastorage.FieldErrors {
	errs := checkBody("WorkflowSearchRequest", raw)
	members, filters, s := map[string]json.RawMessage{}, map[string]json.RawMessage{}, datastorage.Search{}
	if errs.Has("body") || json.Unmarshal(raw, &members) != nil || json.Unmarshal(members["filters"], &filters) != nil {
		return errs
	}
	_ = json.Unmarshal(filters["custom_labels"], &s.CustomLabels) // as above
	return withMeaning(errs, s.Check())
}

// withMeaning adds what a check of the meaning found; of a content that is named already its hash says nothing.
func withMeaning(errs datastorage.FieldErrors, err error) datastorage.FieldErrors {
	var more *datastorage.Error
	if !errors.As(err, &more) {
		return errs
	}
	for _, e := range more.Fields {
		if e.Field != "content_hash" || !errs.Has("content") {
			errs.Add(e.Field, e.Text)
		}
	}
	return errs
}

func (h *handler) explainBatch(body []byte) error {
	var elements []json.RawMessage
	if errs := checkJSON(body); len(errs) > 0 {
		return errs.Err()
	}
	if json.Unmarshal(body, &elements) != nil || elements == nil {
		return datastorage.FieldErrors{{Field: "body", Text: "must be a JSON array"}}.Err()
	}
	if len(elements) > datastorage.MaxBatch {
		return &datastorage.Error{Kind: datastorage.TooLarge, Detail: fmt.Sprintf(
			"a batch holds at most %d events (got %d)", datastorage.MaxBatch, len(elements)),
			Fields: datastorage.FieldErrors{{Field: "batch", Text: "is too large"}}}
	}
	if len(elements) == 0 {
		return datastorage.FieldErrors{{Field: "body", Text: "must not be empty"}}.Err()
	}
	now, all := h.now(), map[int]datastorage.FieldErrors{}
	for i, element := range elements {
		found := h.explainEvent(element, now)
		for n := range found {
			if found[n].Field == "body" {
				found[n].Field = "" // the element itself
			}
		}
		all[i] = found
	}
	return datastorage.BatchError(all, len(elements))
}
