//go:build integration

package main

import (
	"encoding/json"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-faster/jx"
	"github.com/google/uuid"

	api "github.com/kubernaut-ai/kubernaut/api/openapi/datastorage"
)

// M3: serve sees that the schema is outdated, whatever was begun there, and that it is migrated.
func TestServe(t *testing.T) {
	i := install(t)
	if out, err := i.command(t, "migrate", "status"); err != nil {
		t.Fatalf("status: %v %s", err, out)
	}
	lines, stop := i.start(t)
	i.eventually(t, "/health/ready", `{"status":"not_ready","reason":"schema_outdated"}`)
	if out, err := i.command(t, "migrate", "--create-app-role"); err != nil || !strings.Contains(out, "3 files applied") {
		t.Fatalf("migrate: %v %s", err, out)
	}
	i.eventually(t, "/health/ready", `{"status":"ready","mode":"normal"}`) // without a restart
	i.eventually(t, "/health", `{"status":"healthy","database":"connected","dlq":"connected"}`)
	i.eventually(t, "/health/live", `{"status":"alive"}`)

	for _, want := range []string{"18 created, 0 skipped", "0 created, 18 skipped"} {
		if out, err := i.command(t, "seed", testClusterSeed); err != nil || !strings.Contains(out, want) {
			t.Fatalf("seed: %v %s", err, out)
		}
	}
	client, err := api.NewClient(i.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("events", func(t *testing.T) { tryEvents(t, client) })
	t.Run("catalog", func(t *testing.T) { tryCatalog(t, client) })

	if status, body := i.get(t, "/metrics"); status != 200 || !strings.Contains(body, `datastorage_dependency_up{dependency="redis"} 1`) {
		t.Errorf("metrics: %d", status)
	}
	if err := stop(); err != nil {
		t.Errorf("serve ended with %v", err)
	}
	text := lines.String()
	for _, step := range []string{"flag", "propagation", "drain", "flush", "close"} {
		_, rest, found := strings.Cut(text, `"step":"`+step+`"`)
		if !found {
			t.Fatalf("no step %s in order in the log", step)
		}
		text = rest
	}
}

func testRequest(correlation string) api.AuditEventRequest {
	return api.AuditEventRequest{
		Version: "1.0", EventID: api.NewOptUUID(uuid.New()), EventType: "aianalysis.test", EventTimestamp: time.Now(),
		EventCategory: api.EventCategoryAnalysis, EventAction: "test", EventOutcome: api.EventOutcomeSuccess,
		CorrelationID: correlation, EventData: jx.Raw(`{"secret":"canary"}`), DurationMs: api.NewOptNilInt(0),
	}
}

func tryEvents(t *testing.T, client *api.Client) {
	one := testRequest("single")
	for range 2 {
		answer, err := client.CreateAuditEvent(t.Context(), &one)
		if created, ok := answer.(*api.AuditEventResponse); err != nil || !ok || created.EventID != one.EventID.Value {
			t.Fatalf("%+v %v", answer, err)
		}
	}
	batch := make([]api.AuditEventRequest, 1000)
	for i := range batch {
		batch[i] = testRequest("batch")
	}
	answer, err := client.CreateAuditEventsBatch(t.Context(), batch)
	created, ok := answer.(*api.BatchAuditEventResponse)
	if err != nil || !ok || len(created.EventIds) != 1000 {
		t.Fatalf("%+v %v", answer, err)
	}
	for i, id := range created.EventIds {
		if id != batch[i].EventID.Value {
			t.Fatalf("id %d is %s", i, id)
		}
	}
	for correlation, total := range map[string]int{"single": 1, "batch": 1000, "none": 0} {
		answer, err := client.QueryAuditEvents(t.Context(), api.QueryAuditEventsParams{
			CorrelationID: api.NewOptString(correlation), Limit: api.NewOptInt(1000), Since: api.NewOptString("1h")})
		page, ok := answer.(*api.AuditEventsQueryResponseHeaders)
		if err != nil || !ok || len(page.Response.Data) != total || page.Response.Pagination.Total.Value != total {
			t.Fatalf("%s: %+v %v", correlation, answer, err)
		}
		for _, e := range page.Response.Data {
			if e.ActorID.Value != "analysis-service" || !e.DurationMs.IsSet() || e.Severity.Value != "info" {
				t.Fatalf("%+v", e)
			}
		}
	}
}

func tryCatalog(t *testing.T, client *api.Client) {
	id := uuid.MustParse("a075949c-3e59-5585-aecb-59fa16dad7e7")
	answer, err := client.GetWorkflowByID(t.Context(), api.GetWorkflowByIDParams{WorkflowID: id})
	found, ok := answer.(*api.GetWorkflowByIDOKHeaders)
	if err != nil || !ok || found.ETag != `"1"` {
		t.Fatalf("%+v %v", answer, err)
	}
	var schema struct {
		Parameters []struct{ Name string } `json:"parameters"`
	}
	if err := json.Unmarshal(found.Response.Parameters.Value["schema"], &schema); err != nil || len(schema.Parameters) != 3 {
		t.Errorf("parameters %v, %v", found.Response.Parameters, err)
	}
	w := found.Response
	w.Version = "1.1.0"
	stored, err := client.CreateWorkflow(t.Context(), &w)
	created, ok := stored.(*api.RemediationWorkflowHeaders)
	if err != nil || !ok || created.Response.PreviousVersion.Value != "1.0.0" || !strings.HasSuffix(created.Location, created.Response.WorkflowID.Value.String()) {
		t.Fatalf("%+v %v", stored, err)
	}
	again, err := client.CreateWorkflow(t.Context(), &w)
	if _, ok := again.(*api.CreateWorkflowConflict); err != nil || !ok {
		t.Errorf("again: %+v %v", again, err)
	}
	result, err := client.SearchWorkflows(t.Context(), &api.WorkflowSearchRequest{Filters: api.WorkflowSearchFilters{
		SignalType: "OOMKilled", Severity: api.WorkflowSearchFiltersSeverityCritical, Component: "deployment",
		Environment: "production", Priority: api.WorkflowSearchFiltersPriorityP1,
		DetectedLabels: api.NewOptDetectedLabels(api.DetectedLabels{
			GitOpsManaged: api.NewOptBool(true), GitOpsTool: api.NewOptDetectedLabelsGitOpsTool("argocd")}),
	}})
	search, ok := result.(*api.WorkflowSearchResponse)
	if err != nil || !ok || search.TotalResults != 3 || search.Workflows[0].WorkflowID != created.Response.WorkflowID.Value ||
		search.Workflows[0].LabelPenalty.Value != 0.1999 {
		t.Errorf("%+v %v", result, err)
	}
	list, err := client.ListWorkflows(t.Context(), api.ListWorkflowsParams{Status: api.NewOptWorkflowStatus("active"), Limit: api.NewOptInt(5)})
	if page, ok := list.(*api.WorkflowListResponse); err != nil || !ok || page.Total != 19 || len(page.Workflows) != 5 {
		t.Errorf("%+v %v", list, err)
	}
}

func TestPortTaken(t *testing.T) {
	i := install(t)
	where, err := url.Parse(i.url)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", where.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	if _, err := i.command(t, "serve"); exitCode(err) != 1 {
		t.Errorf("exit code %d: %v", exitCode(err), err)
	}
}
