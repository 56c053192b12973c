package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"sigs.k8s.io/yaml"

	"github.com/kubernaut-ai/kubernaut/api/openapi"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// memory is a store that keeps what it gets; err, if set, is what every call gives up with.
type memory struct {
	events []datastorage.Event
	err    error
	panics bool
}

func (m *memory) InsertEvents(_ context.Context, events []datastorage.Event) ([]datastorage.Stored, error) {
	if m.panics {
		panic("a secret in a panic")
	}
	if m.err != nil {
		return nil, m.err
	}
	stored := make([]datastorage.Stored, len(events))
	for i, e := range events {
		stored[i] = datastorage.Stored{ID: e.ID.UUID, Time: e.Time}
	}
	m.events = append(m.events, events...)
	return stored, nil
}

func (m *memory) QueryEvents(context.Context, datastorage.EventFilter, datastorage.Page) (datastorage.EventPage, error) {
	return datastorage.EventPage{Events: m.events}, m.err
}

func (m *memory) CreateWorkflow(_ context.Context, w datastorage.Workflow) (datastorage.Workflow, error) {
	w.RowVersion = 1
	return w, m.err
}

func (m *memory) GetWorkflow(context.Context, uuid.UUID) (datastorage.Workflow, error) {
	return datastorage.Workflow{}, &datastorage.Error{Kind: datastorage.NotFound, Detail: "not found"}
}

func (m *memory) ListWorkflows(context.Context, datastorage.WorkflowFilter, datastorage.Page) ([]datastorage.Workflow, int, error) {
	return nil, 0, m.err
}

func (m *memory) Candidates(context.Context, datastorage.Search, int) ([]datastorage.Candidate, error) {
	return nil, m.err
}

type fixture struct {
	memory
	health  datastorage.Health
	handler http.Handler
	log     bytes.Buffer
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{}
	f.health.SetDatabase(datastorage.Connected)
	f.health.SetQueue(datastorage.Connected)
	handler, err := New(Options{
		Events: &f.memory, Workflows: &f.memory, Health: &f.health, Metrics: NewMetrics("test", "none"),
		Window: datastorage.Window{MaxAge: 168 * time.Hour, MaxFuture: 5 * time.Minute},
		Log:    slog.New(slog.NewJSONHandler(&f.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	f.handler = handler
	return f
}

func (f *fixture) do(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	return w
}

type problem struct {
	Type           string            `json:"type"`
	Title          string            `json:"title"`
	Status         int               `json:"status"`
	Detail         string            `json:"detail"`
	Instance       string            `json:"instance"`
	RequestID      string            `json:"request_id"`
	FieldErrors    map[string]string `json:"field_errors"`
	InvalidIndexes []int             `json:"invalid_indexes"`
}

// problemOf also holds the answer against what every problem has.
func problemOf(t *testing.T, w *httptest.ResponseRecorder, status int) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if w.Code != status || p.Status != status || w.Header().Get("Content-Type") != "application/problem+json" ||
		p.Type == "" || p.Title == "" || p.Detail == "" || p.Instance == "" || p.RequestID != w.Header().Get("X-Request-ID") {
		t.Errorf("status %d wanted, got %d %v %s", status, w.Code, w.Header(), w.Body)
	}
	return p
}

const (
	eventsPath   = "/api/v1/audit/events"
	batchPath    = "/api/v1/audit/events/batch"
	workflowPath = "/api/v1/workflows"
	searchPath   = "/api/v1/workflows/search"
)

// event is a good one with members replaced; a nil member is left out.
func event(changes map[string]any) string {
	e := map[string]any{
		"version": "1.0", "event_type": "aianalysis.rego.evaluation", "event_timestamp": time.Now().UTC().Format(time.RFC3339Nano),
		"event_category": "analysis", "event_action": "policy_evaluation", "event_outcome": "success", "correlation_id": "rr-1",
		"event_data": map[string]any{"a": 1},
	}
	maps.Copy(e, changes)
	maps.DeleteFunc(e, func(_ string, v any) bool { return v == nil })
	raw, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

type change = map[string]any

func TestBadEvents(t *testing.T) {
	long := func(n int) string { return strings.Repeat("ä", n) }
	for _, c := range []struct {
		name, body string
		fields     []string
	}{
		{"empty body", "", []string{"body"}},
		{"cut", `{"a":`, []string{"body"}},
		{"trailing bytes", event(nil) + "{}", []string{"body"}},
		{"array", "[]", []string{"body"}},
		{"null", "null", []string{"body"}},
		{"several missing", event(change{"version": nil, "event_type": nil, "event_data": nil}), []string{"version", "event_type", "event_data"}},
		{"missing and bad together", event(change{"version": nil, "event_data": 5, "event_timestamp": "2020-01-01T00:00:00Z", "actor_id": long(256)}),
			[]string{"version", "event_data", "event_timestamp", "actor_id"}},
		{"empty required", event(change{"correlation_id": ""}), []string{"correlation_id"}},
		{"one too long", event(change{"event_type": long(101)}), []string{"event_type"}},
		{"enum", event(change{"event_outcome": "maybe", "event_category": "x"}), []string{"event_outcome", "event_category"}},
		{"no zone", event(change{"event_timestamp": "2026-03-02T08:00:00"}), []string{"event_timestamp"}},
		{"no such day", event(change{"event_timestamp": "2026-02-30T00:00:00Z"}), []string{"event_timestamp"}},
		{"ahead", event(change{"event_timestamp": time.Now().Add(6 * time.Minute)}), []string{"event_timestamp"}},
		{"old", event(change{"event_timestamp": time.Now().Add(-8 * 24 * time.Hour)}), []string{"event_timestamp"}},
		{"data null", strings.Replace(event(nil), `{"a":1}`, `null`, 1), []string{"event_data"}},
		{"data array", event(change{"event_data": []int{1}}), []string{"event_data"}},
		{"data deep", event(change{"event_data": json.RawMessage(strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100))}), []string{"event_data"}},
		{"data very deep", strings.Replace(event(nil), `{"a":1}`, strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000), 1), []string{"body"}},
		{"data number", strings.Replace(event(nil), `{"a":1}`, `{"a":1e130000}`, 1), []string{"event_data"}},
		{"NUL", event(change{"actor_id": "a\x00b"}), []string{"actor_id"}},
		{"lone surrogate", strings.Replace(event(nil), `"rr-1"`, `"\ud800"`, 1), []string{"correlation_id"}},
		{"not UTF-8", strings.Replace(event(nil), `"rr-1"`, "\"\xff\"", 1), []string{"correlation_id"}},
		{"id", event(change{"event_id": "x"}), []string{"event_id"}},
		{"nil id", event(change{"event_id": uuid.Nil}), []string{"event_id"}},
		{"duration", event(change{"duration_ms": -1}), []string{"duration_ms"}},
		{"duration of a type", event(change{"duration_ms": "5"}), []string{"duration_ms"}},
		{"null where it may not be", strings.Replace(event(change{"actor_type": "x"}), `"actor_type":"x"`, `"actor_type":null`, 1), []string{"actor_type"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			p := problemOf(t, f.do("POST", eventsPath, c.body), 400)
			if got := slices.Sorted(maps.Keys(p.FieldErrors)); !slices.Equal(got, slices.Sorted(slices.Values(c.fields))) {
				t.Errorf("faults %v, want %v", p.FieldErrors, c.fields)
			}
			if len(f.events) > 0 {
				t.Error("it was stored")
			}
		})
	}
}

func TestGoodEvents(t *testing.T) {
	f := newFixture(t)
	for _, changes := range []change{
		nil,
		{"version": strings.Repeat("ä", 20), "event_type": strings.Repeat("😀", 100)},
		{"severity": "", "actor_id": "", "unknown": map[string]any{"x": nil}},
		{"event_timestamp": time.Now().Add(4 * time.Minute).Format("2006-01-02T15:04:05.000000000-07:00")},
		{"event_id": strings.ToUpper(uuid.NewString()), "parent_event_id": uuid.NewString(), "duration_ms": 0},
	} {
		w := f.do("POST", eventsPath, event(changes), "Content-Type", "application/json; charset=UTF-8")
		if w.Code != http.StatusCreated {
			t.Errorf("%v: %d %s", changes, w.Code, w.Body)
		}
	}
	null := strings.Replace(event(change{"namespace": "x"}), `"namespace":"x"`, `"namespace":null`, 1)
	if w := f.do("POST", eventsPath, null); w.Code != http.StatusCreated {
		t.Errorf("null: %d %s", w.Code, w.Body)
	}
}

func TestBatch(t *testing.T) {
	list := func(n int, bad ...int) string {
		events := make([]string, n)
		for i := range events {
			events[i] = event(nil)
		}
		for k, i := range bad {
			events[i] = []string{event(change{"event_type": nil}), event(change{"event_data": nil, "version": 5}), "7"}[k%3]
		}
		return "[" + strings.Join(events, ",") + "]"
	}
	for _, c := range []struct {
		name, body string
		status     int
		indexes    []int
	}{
		{"one", list(1), 201, nil},
		{"a thousand", list(1000), 201, nil},
		{"a thousand and one", list(1001), 413, nil},
		{"three bad ones", list(1000, 0, 499, 999), 400, []int{0, 499, 999}},
		{"meaning only", "[" + event(nil) + "," + event(change{"event_data": 1}) + "]", 400, []int{1}},
		{"object", "{}", 400, nil},
		{"null", "null", 400, nil},
		{"nothing", "[]", 400, nil},
		{"too many bytes", "[" + strings.Repeat(" ", maxBatchBody) + "]", 413, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			w := f.do("POST", batchPath, c.body)
			if c.status == 201 {
				var answer struct {
					IDs []string `json:"event_ids"`
				}
				if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 201 || len(answer.IDs) != len(f.events) {
					t.Errorf("%d, %d ids, %v", w.Code, len(answer.IDs), err)
				}
				return
			}
			if p := problemOf(t, w, c.status); !slices.Equal(p.InvalidIndexes, c.indexes) {
				t.Errorf("indexes %v, want %v: %s", p.InvalidIndexes, c.indexes, p.Detail)
			}
			if len(f.events) > 0 {
				t.Error("something was stored")
			}
		})
	}
}

func TestUnknownParent(t *testing.T) {
	f := newFixture(t)
	f.err = datastorage.UnknownParents{0}
	p := problemOf(t, f.do("POST", eventsPath, event(nil)), 400)
	if p.FieldErrors["parent_event_id"] == "" {
		t.Errorf("faults %v", p.FieldErrors)
	}
	p = problemOf(t, f.do("POST", batchPath, "["+event(nil)+"]"), 400)
	if !slices.Equal(p.InvalidIndexes, []int{0}) || p.FieldErrors["[0].parent_event_id"] == "" {
		t.Errorf("batch: %+v", p)
	}
}

func TestProblems(t *testing.T) {
	search := `{"filters":{"signal_type":"a","severity":"high","component":"c","environment":"e","priority":"P1"}`
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		field                    string
	}{
		{"no path", "GET", "/nope", "", nil, 404, ""},
		{"method", "DELETE", workflowPath, "", nil, 405, ""},
		{"options", "OPTIONS", workflowPath, "", []string{"Access-Control-Request-Method", "POST"}, 405, ""},
		{"metrics method", "POST", "/metrics", "", nil, 405, ""},
		{"type", "POST", eventsPath, event(nil), []string{"Content-Type", "text/plain"}, 415, ""},
		{"charset", "POST", eventsPath, event(nil), []string{"Content-Type", "application/json; charset=latin1"}, 415, ""},
		{"encoding", "POST", eventsPath, event(nil), []string{"Content-Encoding", "gzip"}, 415, ""},
		{"large", "POST", eventsPath, event(change{"event_data": change{"a": strings.Repeat("x", maxEventBody)}}), nil, 413, ""},
		{"id", "GET", workflowPath + "/not-a-uuid", "", nil, 400, "workflow_id"},
		{"NUL in the path", "GET", workflowPath + "/%00", "", nil, 400, "workflow_id"},
		{"unknown id", "GET", workflowPath + "/" + uuid.NewString(), "", nil, 404, ""},
		{"limit", "GET", eventsPath + "?limit=1001", "", nil, 400, "limit"},
		{"limit text", "GET", workflowPath + "?limit=abc", "", nil, 400, "limit"},
		{"offset", "GET", eventsPath + "?offset=-1", "", nil, 400, "offset"},
		{"unknown parameter", "GET", eventsPath + "?start_time=x", "", nil, 400, "start_time"},
		{"parameter of another operation", "GET", "/health?limit=1", "", nil, 400, "limit"},
		{"twice", "GET", eventsPath + "?severity=a&severity=b", "", nil, 400, "severity"},
		{"plus sign", "GET", eventsPath + "?since=2026-03-01T10:00:00+02:00", "", nil, 400, "since"},
		{"since after until", "GET", eventsPath + "?since=1h&until=2h", "", nil, 400, "since"},
		{"outcome", "GET", eventsPath + "?event_outcome=x", "", nil, 400, "event_outcome"},
		{"status", "GET", workflowPath + "?status=x", "", nil, 400, "status"},
		{"long query", "GET", eventsPath + "?severity=" + strings.Repeat("x", maxQuery), "", nil, 400, "query"},
		{"no filters", "POST", searchPath, "{}", nil, 400, "filters"},
		{"top_k", "POST", searchPath, search + `,"top_k":101}`, nil, 400, "top_k"},
		{"min_score", "POST", searchPath, search + `,"min_score":1.1}`, nil, 400, "min_score"},
		{"wildcard priority", "POST", searchPath, strings.Replace(search, "P1", "*", 1) + "}", nil, 400, "filters.priority"},
		{"six values", "POST", searchPath, strings.Replace(search, `"P1"`, `"P1","custom_labels":{"t":["1","2","3","4","5","6"]}`, 1) + "}", nil, 400, "filters.custom_labels.t"},
		{"long subdomain", "POST", searchPath, strings.Replace(search, `"P1"`, `"P1","custom_labels":{"`+strings.Repeat("k", 64)+`":[]}`, 1) + "}", nil, 400, "filters.custom_labels"},
		{"workflow", "POST", workflowPath, "{}", nil, 400, "labels"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newFixture(t).do(c.method, c.path, c.body, c.headers...)
			p := problemOf(t, w, c.status)
			if c.field != "" && p.FieldErrors[c.field] == "" {
				t.Errorf("faults %v, want one of %q", p.FieldErrors, c.field)
			}
			if allowed := w.Header().Get("Allow"); (c.status == 405) != (allowed != "") {
				t.Errorf("Allow %q", allowed)
			}
			for name := range w.Header() {
				if strings.HasPrefix(name, "Access-Control") {
					t.Errorf("header %s", name)
				}
			}
		})
	}
}

func TestUnavailable(t *testing.T) {
	f := newFixture(t)
	f.err = &datastorage.Error{Kind: datastorage.Unavailable, Detail: "the database is not available", RetryAfter: 5 * time.Second}
	for _, request := range [][3]string{{"POST", eventsPath, event(nil)}, {"POST", batchPath, "[" + event(nil) + "]"}, {"GET", eventsPath, ""}, {"GET", workflowPath, ""}} {
		w := f.do(request[0], request[1], request[2])
		if problemOf(t, w, 503); w.Header().Get("Retry-After") != "5" {
			t.Errorf("%v: Retry-After %q", request[:2], w.Header().Get("Retry-After"))
		}
	}
	f.err = nil
	for _, state := range []datastorage.State{datastorage.Unknown, datastorage.SchemaOutdated} {
		f.health.SetDatabase(state)
		problemOf(t, f.do("POST", eventsPath, event(nil)), 503)
	}
}

func TestPanicAndBug(t *testing.T) {
	f := newFixture(t)
	f.panics = true
	p := problemOf(t, f.do("POST", eventsPath, event(nil)), 500)
	f.panics, f.err = false, fmt.Errorf("a secret in a bug")
	q := problemOf(t, f.do("POST", eventsPath, event(nil)), 500)
	if strings.Contains(p.Detail+q.Detail, "secret") {
		t.Errorf("internals in %q or %q", p.Detail, q.Detail)
	}
	if w := f.do("GET", "/metrics", ""); !strings.Contains(w.Body.String(), "datastorage_panics_total 1") {
		t.Error("the panic was not counted")
	}
}

func TestRequestID(t *testing.T) {
	f := newFixture(t)
	if got := f.do("GET", "/nope", "", "X-Request-ID", "a.B-1").Header().Get("X-Request-ID"); got != "a.B-1" || !strings.Contains(f.log.String(), `"request_id":"a.B-1"`) {
		t.Errorf("given: %q, log %s", got, &f.log)
	}
	for _, given := range []string{"", "a b", strings.Repeat("x", 129)} {
		if got := f.do("GET", "/health/live", "", "X-Request-ID", given).Header().Get("X-Request-ID"); uuid.Validate(got) != nil {
			t.Errorf("%q became %q", given, got)
		}
	}
}

func TestHealth(t *testing.T) {
	for _, c := range []struct {
		database, queue datastorage.State
		health, ready   string
	}{
		{datastorage.Connected, datastorage.Connected, `{"status":"healthy","database":"connected","dlq":"connected"}`, `{"status":"ready","mode":"normal"}`},
		{datastorage.Connected, datastorage.Unreachable, `{"status":"healthy","database":"connected","dlq":"unreachable"}`, `{"status":"ready","mode":"normal"}`},
		{datastorage.Connected, datastorage.Off, `{"status":"healthy","database":"connected","dlq":"off"}`, `{"status":"ready","mode":"normal"}`},
		{datastorage.Unreachable, datastorage.Connected, `{"status":"unhealthy","database":"unreachable","error":"database unreachable"}`, `{"status":"not_ready","reason":"no_durable_store"}`},
		{datastorage.SchemaOutdated, datastorage.Connected, `{"status":"unhealthy","database":"schema_outdated","error":"database schema outdated"}`, `{"status":"not_ready","reason":"schema_outdated"}`},
		{datastorage.Unknown, datastorage.Unknown, `{"status":"unhealthy","database":"unreachable","error":"database unreachable"}`, `{"status":"not_ready","reason":"starting"}`},
	} {
		f := newFixture(t)
		f.health.SetDatabase(c.database)
		f.health.SetQueue(c.queue)
		for path, want := range map[string]string{"/health": c.health, "/health/ready": c.ready, "/health/live": `{"status":"alive"}`} {
			w := f.do("GET", path, "")
			status := http.StatusOK
			if strings.Contains(want, "unhealthy") || strings.Contains(want, "not_ready") {
				status = http.StatusServiceUnavailable
			}
			if w.Code != status || w.Body.String() != want || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
				t.Errorf("%s with %v and %v: %d %s", path, c.database, c.queue, w.Code, w.Body)
			}
		}
	}
}

// The parameters that are let through are those of the contract, and every body of the contract has a limit.
func TestContractHasTheSameParameters(t *testing.T) {
	raw, err := openapi.Files.ReadFile("datastorage.yaml")
	if err != nil {
		t.Fatal(err)
	}
	type operation struct {
		OperationID string `json:"operationId"`
		Parameters  []struct{ Name, In string }
		RequestBody any `json:"requestBody"`
	}
	var document struct {
		Paths map[string]map[string]operation `json:"paths"`
	}
	if err := yaml.Unmarshal(raw, &document); err != nil {
		t.Fatal(err)
	}
	for path, methods := range document.Paths {
		for method, o := range methods {
			var want []string
			for _, p := range o.Parameters {
				if p.In == "query" {
					want = append(want, p.Name)
				}
			}
			slices.Sort(want)
			if got := slices.Sorted(maps.Keys(queryParams[o.OperationID])); !slices.Equal(got, want) {
				t.Errorf("%s %s: parameters %v, contract %v", method, path, got, want)
			}
			if _, limited := bodyLimits[o.OperationID]; limited != (o.RequestBody != nil) {
				t.Errorf("%s %s: a limit of the body: %v", method, path, limited)
			}
		}
	}
}

func TestMetrics(t *testing.T) {
	f := newFixture(t)
	f.do("POST", eventsPath, event(nil))
	w := f.do("GET", "/metrics", "")
	body, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"go_goroutines ", "process_resident_memory_bytes ", "datastorage_build_info{",
		`datastorage_audit_traces_total{service="analysis",status="success"} 1`,
		`datastorage_audit_traces_total{service="gateway",status="failure"} 0`,
		`datastorage_http_requests_total{code="201",operation="createAuditEvent"} 1`,
		`datastorage_write_total{status="success",table="audit_events"} 1`,
		`datastorage_dependency_up{dependency="redis"} 0`,
	} {
		if !bytes.Contains(body, []byte(want)) {
			t.Errorf("no %s", want)
		}
	}
}
