package httpapi

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

const (
	eventsPath   = "/api/v1/audit/events"
	batchPath    = "/api/v1/audit/events/batch"
	workflowPath = "/api/v1/workflows"
	searchPath   = "/api/v1/workflows/search"
)

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
		{datastorage.Unreachable, datastorage.Connected, `{"status":"unhealthy","database":"unreachable","error":"database unreachable"}`, `{"status":"ready","mode":"degraded"}`},
		{datastorage.Unreachable, datastorage.Unreachable, `{"status":"unhealthy","database":"unreachable","error":"database unreachable"}`, `{"status":"not_ready","reason":"no_durable_store"}`},
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
