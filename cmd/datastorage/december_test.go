//go:build integration

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"

	"github.com/go-faster/jx"

	api "github.com/kubernaut-ai/kubernaut/api/openapi/datastorage"
	"github.com/kubernaut-ai/kubernaut/api/openapi/december"
)

// C3: a strict client of the contract of December 2025 runs every operation that is kept; each answer passes its validation.
func TestDecemberClient(t *testing.T) {
	o := newOutage(t)
	o.start(t)
	o.eventually(t, "/health/ready", `{"status":"ready","mode":"normal"}`)
	client, err := december.NewClient(o.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("operations", func(t *testing.T) { decemberOperations(t, client) })
	t.Run("events", func(t *testing.T) { decemberEvents(t, client) })
	t.Run("catalog", func(t *testing.T) { decemberCatalog(t, client) })
	t.Run("queued", func(t *testing.T) {
		o.proxy.stall()
		defer o.proxy.flow()
		o.eventually(t, "/health/ready", `{"status":"ready","mode":"degraded"}`)
		got, err := client.CreateAuditEvent(t.Context(), decemberEvent("queued"))
		accepted := is[*december.CreateAuditEventAccepted](t, got, err)
		if accepted.Message != "audit event queued for async processing" || accepted.EventTimestamp.IsZero() {
			t.Errorf("%+v", accepted)
		}
		health, err := client.HealthCheck(t.Context())
		is[*december.HealthCheckServiceUnavailable](t, health, err)
	})
	o.drained(t)
}

// is fails unless a call succeeded with the answer of this type.
func is[T any](t *testing.T, answer any, err error) (want T) {
	t.Helper()
	want, ok := answer.(T)
	if err != nil || !ok {
		t.Fatalf("%+v (%T), error %v; want %T", answer, answer, err, want)
	}
	return want
}

func decemberOperations(t *testing.T, client *december.Client) {
	health, err := client.HealthCheck(t.Context())
	is[*december.HealthCheckOK](t, health, err)
	ready, err := client.ReadinessCheck(t.Context())
	is[*december.ReadinessCheckOK](t, ready, err)
	if err := client.LivenessCheck(t.Context()); err != nil {
		t.Error(err)
	}
}

func decemberEvent(correlation string) *december.AuditEventRequest {
	return &december.AuditEventRequest{
		Version: "1.0", EventType: "aianalysis.test", EventTimestamp: time.Now(), EventCategory: december.EventCategoryAnalysis,
		EventAction: "test", EventOutcome: december.EventOutcomeSuccess, CorrelationID: correlation,
		Namespace: december.NewOptNilString("shop"), DurationMs: december.NewOptNilInt(12345), EventData: jx.Raw(`{"n":1}`),
	}
}

func decemberEvents(t *testing.T, client *december.Client) {
	got, err := client.CreateAuditEvent(t.Context(), decemberEvent("december"))
	one := is[*december.CreateAuditEventCreated](t, got, err)
	batch, err := client.CreateAuditEventsBatch(t.Context(), []december.AuditEventRequest{*decemberEvent("december"), *decemberEvent("december")})
	if ids := is[*december.BatchAuditEventResponse](t, batch, err).EventIds; len(ids) != 2 {
		t.Errorf("%d ids", len(ids))
	}
	bad := decemberEvent("december")
	bad.EventData = jx.Raw(`"text"`)
	got, err = client.CreateAuditEvent(t.Context(), bad)
	is[*december.CreateAuditEventBadRequest](t, got, err)
	found, err := client.QueryAuditEvents(t.Context(), december.QueryAuditEventsParams{
		CorrelationID: december.NewOptString("december"), EventOutcome: december.NewOptEventOutcome("success"),
		Since: december.NewOptString("1h"), Limit: december.NewOptInt(2)})
	page := is[*december.AuditEventsQueryResponse](t, found, err)
	if p := page.Pagination; len(page.Data) != 2 || p.Total.Value != 3 || !p.HasMore || p.Limit != 2 || p.Offset != 0 {
		t.Errorf("%d events, %+v", len(page.Data), p)
	}
	found, err = client.QueryAuditEvents(t.Context(), december.QueryAuditEventsParams{
		CorrelationID: december.NewOptString("december"), Offset: december.NewOptInt(2)})
	last := is[*december.AuditEventsQueryResponse](t, found, err).Data
	if len(last) != 1 || last[0].EventID.Value != one.EventID || last[0].DurationMs.Value != 12345 || string(last[0].EventData) != `{"n": 1}` && string(last[0].EventData) != `{"n":1}` {
		t.Errorf("%+v", last)
	}
}

const decemberContent = "steps:\n  - raise-memory-limit\n"

func decemberCatalog(t *testing.T, client *december.Client) {
	sum := sha256.Sum256([]byte(decemberContent))
	w := december.RemediationWorkflow{
		WorkflowName: "oom-raise-limit", Version: "1.2.0", Name: "Raise", Description: "Raises the limit", Content: decemberContent,
		ContentHash: hex.EncodeToString(sum[:]), ExecutionEngine: "tekton", Status: "active",
		Labels: december.MandatoryLabels{SignalType: "OOMKilled", Severity: "critical", Component: "*", Environment: "production", Priority: "*"},
	}
	got, err := client.CreateWorkflow(t.Context(), &w)
	created := is[*december.RemediationWorkflow](t, got, err)
	if created.WorkflowID.Value.String() != "17954e75-d826-5302-ae8d-34acf0a4db3d" || created.CreatedAt.Value.Year() < 2026 {
		t.Errorf("%+v", created)
	}
	got, err = client.CreateWorkflow(t.Context(), &w)
	is[*december.CreateWorkflowConflict](t, got, err)
	list, err := client.ListWorkflows(t.Context(), december.ListWorkflowsParams{Environment: december.NewOptString("production")})
	if l := is[*december.WorkflowListResponse](t, list, err); len(l.Workflows) != 1 || l.Total != 1 || l.Limit != 100 {
		t.Errorf("%+v", l)
	}
	id := created.WorkflowID.Value
	one, err := client.GetWorkflowByID(t.Context(), december.GetWorkflowByIDParams{WorkflowID: id})
	is[*december.RemediationWorkflow](t, one, err)
	decemberSearch(t, client)
	changed, err := client.UpdateWorkflow(t.Context(), &december.WorkflowUpdateRequest{Status: december.NewOptWorkflowStatus("deprecated")},
		december.UpdateWorkflowParams{WorkflowID: id})
	if c := is[*december.RemediationWorkflow](t, changed, err); c.Status != "deprecated" {
		t.Errorf("status %s", c.Status)
	}
	disabled, err := client.DisableWorkflow(t.Context(), december.OptWorkflowDisableRequest{}, december.DisableWorkflowParams{WorkflowID: id})
	if d := is[*december.RemediationWorkflow](t, disabled, err); d.Status != "disabled" || !d.DisabledAt.Set {
		t.Errorf("%+v", d)
	}
}

// decemberSearch asks for everything that can conflict with a workflow that has none of it: the largest penalty there is.
func decemberSearch(t *testing.T, client *december.Client) {
	answer, err := client.SearchWorkflows(t.Context(), &december.WorkflowSearchRequest{Filters: december.WorkflowSearchFilters{
		SignalType: "OOMKilled", Severity: "critical", Component: "deployment", Environment: "production", Priority: "P1",
		DetectedLabels: december.NewOptDetectedLabels(december.DetectedLabels{
			GitOpsManaged: december.NewOptBool(true), GitOpsTool: december.NewOptDetectedLabelsGitOpsTool("argocd")}),
	}})
	found := is[*december.WorkflowSearchResponse](t, answer, err)
	if len(found.Workflows) != 1 || found.Workflows[0].LabelPenalty.Value != 0.1999 || found.Filters.Component != "deployment" {
		t.Errorf("%+v", found)
	}
}

// C3, the other half: with our own client nested parameters come back as they were sent.
func TestNestedParameters(t *testing.T) {
	o := newOutage(t)
	o.start(t)
	o.eventually(t, "/health/ready", `{"status":"ready","mode":"normal"}`)
	client, err := api.NewClient(o.url)
	if err != nil {
		t.Fatal(err)
	}
	const schema = `{"schema":{"parameters":[{"name":"LIMIT","required":true,"enum":["1Gi","2Gi"],"default":{"a":[1,2.5,null]}}]},"note":"ä"}`
	var parameters api.RemediationWorkflowParameters
	if err := json.Unmarshal([]byte(schema), &parameters); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(decemberContent))
	w := api.RemediationWorkflow{
		WorkflowName: "nested", Version: "1.0.0", Name: "n", Description: "d", Content: decemberContent,
		ContentHash: hex.EncodeToString(sum[:]), ExecutionEngine: "tekton", Status: "active",
		Labels:     api.MandatoryLabels{SignalType: "OOMKilled", Severity: "critical", Component: "*", Environment: "*", Priority: "*"},
		Parameters: api.NewOptRemediationWorkflowParameters(parameters),
	}
	stored, err := client.CreateWorkflow(t.Context(), &w)
	id := is[*api.RemediationWorkflowHeaders](t, stored, err).Response.WorkflowID.Value
	got, err := client.GetWorkflowByID(t.Context(), api.GetWorkflowByIDParams{WorkflowID: id})
	back, err := json.Marshal(is[*api.GetWorkflowByIDOKHeaders](t, got, err).Response.Parameters.Value)
	if err != nil || !sameJSON(t, string(back), schema) {
		t.Errorf("%s, %v", back, err)
	}
}
