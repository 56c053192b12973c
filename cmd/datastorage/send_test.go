//go:build integration || faults || bench

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	api "github.com/kubernaut-ai/kubernaut/api/openapi/datastorage"
)

// send posts one event, or several as a batch. An error means that no answer came.
func (i installation) send(ctx context.Context, events ...api.AuditEventRequest) (r reply, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second) // as the product's senders wait
	defer cancel()
	path, body := "/api/v1/audit/events", wire(events[0])
	if len(events) > 1 {
		parts := make([][]byte, len(events))
		for n, e := range events {
			parts[n] = wire(e)
		}
		path, body = path+"/batch", slices.Concat([]byte("["), bytes.Join(parts, []byte(",")), []byte("]"))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, i.url+path, bytes.NewReader(body))
	if err != nil {
		return r, err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return r, err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return r, err
	}
	if answer.StatusCode < 300 {
		err = json.Unmarshal(text, &r)
	} else if r.Kept = string(text); strings.Contains(r.Kept, "canary") {
		err = errors.New("a problem shows a secret or event data (O5)")
	}
	r.Status, r.RetryAfter = answer.StatusCode, answer.Header.Get("Retry-After")
	return r, err
}

// acknowledges tells whether the answer names exactly these events.
func (r reply) acknowledges(events []api.AuditEventRequest) bool {
	ids := r.IDs
	if len(events) == 1 {
		ids = []string{r.ID}
	}
	return (r.Status == http.StatusCreated || r.Status == http.StatusAccepted && r.Kept == "accepted") &&
		slices.EqualFunc(ids, events, func(id string, e api.AuditEventRequest) bool { return id == e.EventID.Value.String() })
}

// wire is an event as JSON. The generated client cuts times to the second.
func wire(e api.AuditEventRequest) []byte {
	members := map[string]json.RawMessage{}
	body, err := e.MarshalJSON()
	if err == nil {
		err = json.Unmarshal(body, &members)
	}
	if err != nil {
		panic(err) // made by the test itself
	}
	members["event_timestamp"] = []byte(e.EventTimestamp.Format(`"` + time.RFC3339Nano + `"`))
	body, err = json.Marshal(members)
	if err != nil {
		panic(err)
	}
	return body
}
