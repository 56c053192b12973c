package httpapi

import (
	"net/http"
	"strings"
	"testing"
	"time"

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
