//go:build integration

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-faster/jx"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	api "github.com/kubernaut-ai/kubernaut/api/openapi/datastorage"
)

func setting(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set", name)
	}
	return value
}

// installation is an empty database of its own and a configuration for it.
type installation struct{ config, url string }

func install(t *testing.T) installation {
	t.Helper()
	where, err := url.Parse(setting(t, "KUBERNAUT_TEST_POSTGRES"))
	if err != nil {
		t.Fatal(err)
	}
	name := "ds_" + uuid.NewString()
	statement(t, where.String(), `CREATE DATABASE `+pgx.Identifier{name}.Sanitize())
	// The role is there before its rights, so that serve can connect and see that nothing is migrated.
	statement(t, where.String(), `CREATE ROLE `+pgx.Identifier{name + "_app"}.Sanitize()+` LOGIN PASSWORD 'canary-of-the-secret'`)
	t.Cleanup(func() {
		statement(t, where.String(), `DROP DATABASE `+pgx.Identifier{name}.Sanitize()+` WITH (FORCE)`)
		statement(t, where.String(), `DROP ROLE IF EXISTS `+pgx.Identifier{name + "_app"}.Sanitize())
	})
	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	password, _ := where.User.Password()
	owner := file("owner.yaml", fmt.Sprintf("username: %q\npassword: %q\n", where.User.Username(), password))
	app := file("app.yaml", fmt.Sprintf("username: %q\npassword: canary-of-the-secret\n", name+"_app"))
	port := freePort(t)
	return installation{
		url: fmt.Sprintf("http://127.0.0.1:%d", port),
		config: file("config.yaml", fmt.Sprintf(`
server: {host: 127.0.0.1, port: %d, metrics_port: 0}
database: {host: %q, port: %s, name: %q, user: ignored, ssl_mode: disable, secrets_file: %q, owner_secrets_file: %q}
redis: {addr: %q}
shutdown: {propagation_delay: 0s}
`, port, where.Hostname(), where.Port(), name, app, owner, setting(t, "KUBERNAUT_TEST_REDIS"))),
	}
}

func statement(t *testing.T, where, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, where)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}

// command runs one to its end.
func (i installation) command(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := program{args: append(args, "--config", i.config), stdout: &out, stderr: io.Discard}.run(t.Context())
	return out.String(), err
}

// log collects lines from several goroutines.
type log struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// start serves until stop is called, which returns what serve ended with.
func (i installation) start(t *testing.T) (lines *log, stop func() error) {
	t.Helper()
	lines = &log{}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- program{args: []string{"serve", "--config", i.config}, stdout: io.Discard, stderr: lines}.run(ctx)
	}()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { _ = stop() })
	return lines, stop
}

func (i installation) get(t *testing.T, path string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// eventually asks until the answer is the wanted one.
func (i installation) eventually(t *testing.T, path, want string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		_, body := i.get(t, path)
		if body == want {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s stays %s, want %s", path, body, want)
		}
	}
}

func TestServe(t *testing.T) {
	i := install(t)
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
	for _, step := range []string{"flag", "propagation", "drain", "close"} {
		_, rest, found := strings.Cut(text, `"step":"`+step+`"`)
		if !found {
			t.Fatalf("no step %s in order in the log", step)
		}
		text = rest
	}
	if strings.Contains(lines.String(), "canary") {
		t.Error("the secret or event data is in the log")
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
		page, ok := answer.(*api.AuditEventsQueryResponse)
		if err != nil || !ok || len(page.Data) != total || page.Pagination.Total.Value != total {
			t.Fatalf("%s: %+v %v", correlation, answer, err)
		}
		for _, e := range page.Data {
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
