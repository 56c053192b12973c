package httpapi

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// harmless holds a fixture against what no bad request may do: be answered 5xx, log an error, store a row.
func (f *fixture) harmless(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code >= 500 || len(f.events) > 0 || strings.Contains(f.log.String(), `"level":"ERROR"`) {
		t.Errorf("%d, %d events stored, log:\n%s", w.Code, len(f.events), &f.log)
	}
}

type texts = map[string]string // of field_errors

func replaced(old, with string) string { return strings.Replace(event(nil), old, with, 1) }

func repeat(s string, n int) string { return strings.Repeat(s, n) }

// C6: the rows about a single event.
var badEvents = []struct {
	name, body string
	errors     texts
}{
	{"empty body", "", texts{"body": "is required"}},
	{"cut", `{"a":`, texts{"body": "must be one valid JSON value"}},
	{"trailing bytes", event(nil) + "{}", texts{"body": "must be one valid JSON value"}},
	{"array", "[]", texts{"body": "must be a JSON object"}},
	{"null", "null", texts{"body": "must be a JSON object"}},
	{"text", `"x"`, texts{"body": "must be a JSON object"}},

	{"enums", event(change{"event_outcome": "maybe", "event_category": "x"}), texts{
		"event_outcome":  "must be one of: success, failure, pending",
		"event_category": "must be one of: gateway, notification, analysis, signalprocessing, workflow, execution, orchestration"}},

	{"required and empty", event(change{"correlation_id": "", "version": ""}), texts{"correlation_id": "must not be empty", "version": "must not be empty"}},
	{"version", event(change{"version": repeat("ä", 21)}), texts{"version": "must be at most 20 characters (got 21)"}},
	{"event_type", event(change{"event_type": repeat("ä", 101)}), texts{"event_type": "must be at most 100 characters (got 101)"}},
	{"event_action", event(change{"event_action": repeat("ä", 51)}), texts{"event_action": "must be at most 50 characters (got 51)"}},
	{"actor_type", event(change{"actor_type": repeat("ä", 51)}), texts{"actor_type": "must be at most 50 characters (got 51)"}},
	{"actor_id", event(change{"actor_id": repeat("ä", 256)}), texts{"actor_id": "must be at most 255 characters (got 256)"}},
	{"resource_type", event(change{"resource_type": repeat("ä", 101)}), texts{"resource_type": "must be at most 100 characters (got 101)"}},
	{"resource_id", event(change{"resource_id": repeat("ä", 256)}), texts{"resource_id": "must be at most 255 characters (got 256)"}},
	{"correlation_id", event(change{"correlation_id": repeat("ä", 256)}), texts{"correlation_id": "must be at most 255 characters (got 256)"}},
	{"namespace", event(change{"namespace": repeat("ä", 254)}), texts{"namespace": "must be at most 253 characters (got 254)"}},
	{"cluster_name", event(change{"cluster_name": repeat("ä", 256)}), texts{"cluster_name": "must be at most 255 characters (got 256)"}},
	{"severity", event(change{"severity": repeat("ä", 21)}), texts{"severity": "must be at most 20 characters (got 21)"}},
	{"duration below", event(change{"duration_ms": -1}), texts{"duration_ms": "must be between 0 and 2147483647"}},
	{"duration above", event(change{"duration_ms": 2147483648}), texts{"duration_ms": "must be between 0 and 2147483647"}},
	{"duration of a type", event(change{"duration_ms": "5"}), texts{"duration_ms": "must be of type integer"}},
	{"null where it may not be", strings.Replace(event(change{"actor_type": "x"}), `"actor_type":"x"`, `"actor_type":null`, 1), texts{"actor_type": "must be a string"}},
	{"all missing", "{}", texts{"version": "is required", "event_type": "is required", "event_timestamp": "is required",
		"event_category": "is required", "event_action": "is required", "event_outcome": "is required", "correlation_id": "is required", "event_data": "is required"}},
	{"missing and bad together", event(change{"version": nil, "event_data": 5, "event_timestamp": "2020-01-01T00:00:00Z", "actor_id": repeat("x", 256)}),
		texts{"version": "is required", "event_data": "must be a JSON object", "event_timestamp": "before the server time", "actor_id": "must be at most 255"}},

	{"no zone", event(change{"event_timestamp": "2026-03-02T08:00:00"}), texts{"event_timestamp": "must be an RFC 3339 date-time with zone"}},
	{"no such day", event(change{"event_timestamp": "2026-02-30T00:00:00Z"}), texts{"event_timestamp": "must be an RFC 3339 date-time with zone"}},
	{"ahead", event(change{"event_timestamp": time.Now().Add(6 * time.Minute)}), texts{"event_timestamp": "must be at most 5m0s after the server time "}},
	{"old", event(change{"event_timestamp": time.Now().Add(-8 * 24 * time.Hour)}), texts{"event_timestamp": "must be at most 168h0m0s before the server time "}},

	{"data null", replaced(`{"a":1}`, `null`), texts{"event_data": "must be a JSON object"}},
	{"data text", replaced(`{"a":1}`, `"x"`), texts{"event_data": "must be a JSON object"}},
	{"data number", replaced(`{"a":1}`, `5`), texts{"event_data": "must be a JSON object"}},
	{"data array", replaced(`{"a":1}`, `[1]`), texts{"event_data": "must be a JSON object"}},

	{"NUL", event(change{"actor_id": "a\x00b"}), texts{"actor_id": "U+0000"}},
	{"NUL in a key of data", replaced(`"a":1`, `"\u0000":1`), texts{"event_data": "U+0000"}},
	{"raw NUL", replaced("rr-1", "\x00"), texts{"body": "must be one valid JSON value"}},
	{"lone surrogate", replaced(`"rr-1"`, `"\ud800"`), texts{"correlation_id": "surrogate"}},
	{"lone surrogate in data", replaced(`"a":1`, `"a":["\udc00"]`), texts{"event_data": "surrogate"}},
	{"not UTF-8", replaced(`"rr-1"`, "\"\xff\""), texts{"correlation_id": "UTF-8"}},
	{"not UTF-8 in data", replaced(`"a":1`, "\"\xff\":1"), texts{"event_data": "UTF-8"}},
	{"not UTF-8 in an unknown member", replaced(`"rr-1"`, "\"rr-1\",\"\xff\":1"), texts{"body": "UTF-8"}},
	{"names are case-sensitive", event(change{"version": nil, "Version": "1", "Event_id": "x"}), texts{"version": "is required"}},

	{"exponent", replaced(`{"a":1}`, `{"a":1e130000}`), texts{"event_data": "exponent"}},
	{"digits", replaced(`{"a":1}`, `{"a":`+repeat("9", 1000)+`}`), texts{"event_data": "64 digits"}},
	{"nesting", replaced(`{"a":1}`, repeat(`{"a":`, 65)+"1"+repeat("}", 65)), texts{"event_data": "nested deeper than 64"}},
	{"nesting of 10,000", replaced(`{"a":1}`, repeat(`[`, 10_000)+repeat("]", 10_000)), texts{"body": "must be one valid JSON value"}},

	{"id", event(change{"event_id": "x"}), texts{"event_id": "must be a UUID"}},
	{"nil id", event(change{"event_id": uuid.Nil}), texts{"event_id": "must not be the nil UUID"}},
	{"parent id", event(change{"parent_event_id": "x"}), texts{"parent_event_id": "must be a UUID"}},
}

func TestBadEvents(t *testing.T) {
	for _, c := range badEvents {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			w := f.do("POST", eventsPath, c.body)
			sayExactly(t, problemOf(t, w, 400), c.errors)
			f.harmless(t, w)
			if c.errors["body"] != "" {
				return // the batch says it of itself
			}
			w = f.do("POST", batchPath, "["+c.body+"]")
			inBatch := texts{}
			for field, text := range c.errors {
				inBatch["[0]."+field] = text
			}
			sayExactly(t, problemOf(t, w, 400), inBatch)
			f.harmless(t, w)
		})
	}
}

// sayExactly wants these fields, no others, and in each text the given part.
func sayExactly(t *testing.T, p problem, want texts) {
	t.Helper()
	if got := slices.Sorted(maps.Keys(p.FieldErrors)); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
		t.Errorf("faults %v, want %v", p.FieldErrors, want)
	}
	for field, text := range want {
		if !strings.Contains(p.FieldErrors[field], text) {
			t.Errorf("%s: %q, want %q", field, p.FieldErrors[field], text)
		}
	}
}

// C6: an unknown parent.
func TestUnknownParent(t *testing.T) {
	f := newFixture(t)
	f.err = datastorage.UnknownParents{0}
	w := f.do("POST", eventsPath, event(change{"parent_event_id": uuid.New()}))
	sayExactly(t, problemOf(t, w, 400), texts{"parent_event_id": "parent event does not exist"})
	f.harmless(t, w)
	w = f.do("POST", batchPath, "["+event(nil)+"]")
	p := problemOf(t, w, 400)
	sayExactly(t, p, texts{"[0].parent_event_id": "parent event does not exist"})
	if !slices.Equal(p.InvalidIndexes, []int{0}) {
		t.Errorf("indexes %v", p.InvalidIndexes)
	}
	f.harmless(t, w)
	if !f.metric(t, `datastorage_validation_failures_total{field="parent_event_id",reason="unknown_parent"} 2`) ||
		!f.metric(t, `datastorage_write_total{status="failure",table="audit_events"} 0`) {
		t.Error("it is a broken rule, not a failure")
	}
}

// C6: the rows about a batch. A5: every bad index, nothing stored.
func TestBadBatches(t *testing.T) {
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
		detail     string
		indexes    []int
	}{
		{"object", "{}", 400, "body: must be a JSON array", nil},
		{"null", "null", 400, "body: must be a JSON array", nil},
		{"nothing", "[]", 400, "body: must not be empty", nil},
		{"empty body", "", 400, "body: is required", nil},
		{"trailing bytes", list(1) + "1", 400, "body: must be one valid JSON value", nil},
		{"a thousand and one", list(1001), 413, "a batch holds at most 1000 events (got 1001)", nil},
		{"a thousand and one bad ones", "[" + repeat("7,", 1000) + "7]", 413, "a batch holds at most 1000 events (got 1001)", nil},
		{"too many bytes", "[" + repeat(" ", maxBatchBody-1) + "]", 413, "the body must be at most 5242880 bytes", nil},
		{"two bad ones", list(40, 3, 17), 400, "2 of 40 events are invalid: indexes 3, 17", []int{3, 17}},
		{"first, middle, last", list(1000, 0, 499, 999), 400, "3 of 1000 events are invalid: indexes 0, 499, 999", []int{0, 499, 999}},
		{"meaning only", "[" + event(nil) + "," + event(change{"event_data": 1}) + "]", 400, "1 of 2 events are invalid: indexes 1", []int{1}},
	} {
		for _, chunked := range []bool{false, true} {
			f := newFixture(t)
			var body io.Reader = strings.NewReader(c.body)
			if chunked {
				body = struct{ io.Reader }{body}
			}
			r := httptest.NewRequest("POST", batchPath, body)
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			f.handler.ServeHTTP(w, r)
			if p := problemOf(t, w, c.status); p.Detail != c.detail || !slices.Equal(p.InvalidIndexes, c.indexes) {
				t.Errorf("%s, chunked %t: %q %v", c.name, chunked, p.Detail, p.InvalidIndexes)
			}
			f.harmless(t, w)
		}
	}
}

// A batch names at most 100 fields, but every bad index.
func TestManyBadEvents(t *testing.T) {
	f := newFixture(t)
	p := problemOf(t, f.do("POST", batchPath, "["+repeat("{},", 499)+"{}]"), 400)
	if len(p.FieldErrors) != 100 || len(p.InvalidIndexes) != 500 {
		t.Errorf("%d fields, %d indexes", len(p.FieldErrors), len(p.InvalidIndexes))
	}
}

// C6: the rows about parameters, paths, methods and headers.
func TestBadRequests(t *testing.T) {
	search := `{"filters":{"signal_type":"a","severity":"high","component":"c","environment":"e","priority":"P1"}`
	const bound = "must be an RFC 3339 date-time (write + as %2B), a date-time in UTC without zone, a date, or a span back"
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		errors                   texts
	}{
		{"limit 0", "GET", eventsPath + "?limit=0", "", nil, 400, texts{"limit": "must be between 1 and 1000"}},
		{"limit 1001", "GET", eventsPath + "?limit=1001", "", nil, 400, texts{"limit": "must be between 1 and 1000"}},
		{"limit abc", "GET", workflowPath + "?limit=abc", "", nil, 400, texts{"limit": "must be between 1 and 1000"}},
		{"offset -1", "GET", eventsPath + "?offset=-1", "", nil, 400, texts{"offset": "must be between 0 and 100000"}},
		{"offset 100001", "GET", workflowPath + "?offset=100001", "", nil, 400, texts{"offset": "must be between 0 and 100000"}},
		{"two at once", "GET", eventsPath + "?offset=-1&limit=0&event_outcome=x", "", nil, 400, texts{
			"offset": "must be between", "limit": "must be between", "event_outcome": "must be one of: success, failure, pending"}},
		{"status", "GET", workflowPath + "?status=x", "", nil, 400, texts{"status": "must be one of: active, disabled, deprecated, archived"}},
		{"include_total", "GET", eventsPath + "?include_total=yes", "", nil, 400, texts{"include_total": "must be true or false"}},
		{"top_k 0", "POST", searchPath, search + `,"top_k":0}`, nil, 400, texts{"top_k": "must be between 1 and 100"}},
		{"top_k 101", "POST", searchPath, search + `,"top_k":101}`, nil, 400, texts{"top_k": "must be between 1 and 100"}},
		{"min_score -0.1", "POST", searchPath, search + `,"min_score":-0.1}`, nil, 400, texts{"min_score": "must be between 0 and 1"}},
		{"min_score 1.1", "POST", searchPath, search + `,"min_score":1.1}`, nil, 400, texts{"min_score": "must be between 0 and 1"}},
		{"no filters", "POST", searchPath, "{}", nil, 400, texts{"filters": "is required"}},

		{"since yesterday", "GET", eventsPath + "?since=yesterday", "", nil, 400, texts{"since": bound}},
		{"since -24h", "GET", eventsPath + "?since=-24h", "", nil, 400, texts{"since": bound}},
		{"unescaped plus", "GET", eventsPath + "?until=2026-03-01T10:00:00+02:00", "", nil, 400, texts{"until": bound}},
		{"since after until", "GET", eventsPath + "?since=1h&until=2h", "", nil, 400, texts{"since": "must not be after until"}},

		{"unknown parameter", "GET", eventsPath + "?start_time=x", "", nil, 400, texts{"start_time": "is not a known parameter"}},
		{"unknown parameter of a probe", "GET", "/health?limit=1", "", nil, 400, texts{"limit": "is not a known parameter"}},
		{"unknown parameter of a write", "POST", eventsPath + "?x=1", event(nil), nil, 400, texts{"x": "is not a known parameter"}},
		{"twice", "GET", eventsPath + "?severity=a&severity=b", "", nil, 400, texts{"severity": "must be given once"}},
		{"NUL in the query", "GET", eventsPath + "?severity=%00", "", nil, 400, texts{"severity": "U+0000"}},
		{"not UTF-8 in the query", "GET", eventsPath + "?severity=%ff", "", nil, 400, texts{"severity": "UTF-8"}},
		{"not encoded", "GET", eventsPath + "?severity=%zz", "", nil, 400, texts{"query": "must be percent-encoded"}},
		{"long query", "GET", eventsPath + "?severity=" + repeat("x", maxQuery), "", nil, 400, texts{"query": "must be at most 4096 characters"}},

		{"id", "GET", workflowPath + "/not-a-uuid", "", nil, 400, texts{"workflow_id": "must be a UUID"}},
		{"NUL in the path", "GET", workflowPath + "/%00", "", nil, 400, texts{"workflow_id": "must be a UUID"}},
		{"unknown id", "GET", workflowPath + "/" + uuid.NewString(), "", nil, 404, nil},
		{"no path", "GET", "/nope", "", nil, 404, nil},

		{"text", "POST", eventsPath, event(nil), []string{"Content-Type", "text/plain"}, 415, nil},
		{"no type", "POST", eventsPath, event(nil), []string{"Content-Type", ""}, 415, nil},
		{"charset", "POST", eventsPath, event(nil), []string{"Content-Type", "application/json; charset=latin1"}, 415, nil},
		{"gzip", "POST", batchPath, event(nil), []string{"Content-Encoding", "gzip"}, 415, nil},
		{"delete events", "DELETE", eventsPath, "", nil, 405, nil},
		{"delete a batch", "DELETE", batchPath, "", nil, 405, nil},
		{"delete workflows", "DELETE", workflowPath, "", nil, 405, nil},
		{"delete metrics", "DELETE", "/metrics", "", nil, 405, nil},
		{"delete health", "DELETE", "/health/ready", "", nil, 405, nil},
		{"options", "OPTIONS", workflowPath, "", []string{"Access-Control-Request-Method", "POST"}, 405, nil},
		{"malformed request id", "GET", "/nope", "", []string{"X-Request-ID", "a b"}, 404, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			w := f.do(c.method, c.path, c.body, c.headers...)
			sayExactly(t, problemOf(t, w, c.status), c.errors)
			f.harmless(t, w)
			if allowed := w.Header().Get("Allow"); (c.status == http.StatusMethodNotAllowed) != (allowed != "") {
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

// The database should never see a bad value; if it does, that is told, counted, and no failure of the database.
func TestDatabaseRejects(t *testing.T) {
	f := newFixture(t)
	f.err = &datastorage.Error{Kind: datastorage.Invalid, Detail: "the database refused a value", Err: io.EOF}
	problemOf(t, f.do("POST", eventsPath, event(nil)), 400)
	if !f.metric(t, `datastorage_validation_failures_total{field="body",reason="database_rejected"} 1`) {
		t.Error("it was not counted")
	}
}
