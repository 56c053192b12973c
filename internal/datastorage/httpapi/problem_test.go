package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// C4: every answer that is not 2xx is a problem with all members that are always sent.
func TestEveryProblem(t *testing.T) {
	titles := map[string]struct {
		status int
		title  string
	}{ // as the specification says them
		"validation-error": {400, "Validation Error"}, "immutable-field-violation": {400, "Immutable Field"},
		"unauthorized": {401, "Unauthorized"}, "forbidden": {403, "Forbidden"}, "not-found": {404, "Not Found"},
		"method-not-allowed": {405, "Method Not Allowed"}, "conflict": {409, "Workflow Already Exists"},
		"precondition-failed": {412, "Precondition Failed"}, "precondition-required": {428, "Precondition Required"},
		"payload-too-large": {413, "Payload Too Large"}, "unsupported-media-type": {415, "Unsupported Media Type"},
		"too-many-requests": {429, "Too Many Requests"}, "internal-error": {500, "Internal Server Error"},
		"service-unavailable": {503, "Service Unavailable"},
	}
	seen := map[string]bool{}
	held := func(t *testing.T, w *httptest.ResponseRecorder, path string) {
		t.Helper()
		p := problemOf(t, w, w.Code)
		slug := strings.TrimPrefix(p.Type, "https://kubernaut.ai/problems/")
		if want := titles[slug]; p.Status != want.status || p.Title != want.title || p.Instance != path {
			t.Errorf("%+v, want %+v at %s", p, want, path)
		}
		if retry := w.Header().Get("Retry-After"); (w.Code == 503 || w.Code == 429) != (retry != "") {
			t.Errorf("%d with Retry-After %q", w.Code, retry)
		}
		seen[slug] = true
	}
	for kind := range slugs {
		f := newFixture(t)
		f.err = &datastorage.Error{Kind: kind, Detail: "because", RetryAfter: time.Second}
		for _, r := range [][3]string{{"POST", eventsPath, event(nil)}, {"POST", batchPath, "[" + event(nil) + "]"}, {"GET", eventsPath, ""}, {"GET", workflowPath, ""}} {
			held(t, f.do(r[0], r[1], r[2]), r[1])
		}
	}
	f := newFixture(t)
	held(t, f.do("GET", "/", ""), "/")
	held(t, f.do("GET", "/metrics/", ""), "/metrics/")
	held(t, f.do("PUT", "/metrics", ""), "/metrics")
	held(t, f.do("PUT", eventsPath, ""), eventsPath)
	held(t, f.do("POST", "/health", ""), "/health")
	held(t, f.do("POST", eventsPath, "", "Content-Type", "text/plain"), eventsPath)
	held(t, f.do("POST", searchPath, strings.Repeat(" ", maxSmallBody+1)), searchPath)
	held(t, f.do("GET", workflowPath+"/"+uuid.Nil.String()+"%0a", ""), workflowPath+"/"+uuid.Nil.String()+"%0A")
	f.panics = true
	held(t, f.do("POST", eventsPath, event(nil)), eventsPath)
	for slug := range titles {
		if !seen[slug] {
			t.Errorf("%s was never seen", slug)
		}
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
	if !f.metric(t, "datastorage_panics_total 1") {
		t.Error("the panic was not counted")
	}
}

// C5: an id that is given is used, one that is absent or malformed is made; header, body and log line have the same.
func TestRequestID(t *testing.T) {
	for _, c := range []struct {
		given string
		kept  bool
	}{
		{"a.B-1_", true}, {strings.Repeat("x", 128), true}, {strings.Repeat("x", 129), false}, {"", false}, {"a b", false},
		{`a"b`, false}, {"a\tb", false}, {"ä", false},
	} {
		f := newFixture(t)
		w := f.do("GET", "/nope", "", "X-Request-ID", c.given)
		id := w.Header().Get("X-Request-ID")
		if made, err := uuid.Parse(id); (id == c.given) != c.kept || !c.kept && (err != nil || made.Version() != 7) {
			t.Errorf("%q became %q", c.given, id)
		}
		p := problemOf(t, w, 404)
		var line struct {
			RequestID string `json:"request_id"`
		}
		if err := json.Unmarshal(f.log.Bytes(), &line); err != nil || line.RequestID != id || p.RequestID != id {
			t.Errorf("header %q, body %q, log line %q, %v", id, p.RequestID, line.RequestID, err)
		}
		if w := f.do("GET", "/health/live", "", "X-Request-ID", c.given); (w.Header().Get("X-Request-ID") == c.given) != c.kept {
			t.Errorf("an answer that is no problem: %q", w.Header().Get("X-Request-ID"))
		}
	}
}

// O5: neither event_data nor a token nor the text of a driver gets into logs, problems or metrics.
func TestCanaries(t *testing.T) {
	const canary = "canary-4711"
	f := newFixture(t, func(o *Options) {
		o.Authenticator, o.Auth = fixed("a/b"), datastorage.Auth{Writers: []string{"a/b"}}
	})
	var answers strings.Builder
	send := func(path, body string) {
		w := f.do("POST", path, body, "Authorization", "Bearer "+canary)
		answers.WriteString(w.Body.String() + fmt.Sprint(w.Header()))
	}
	data := `{"` + canary + `":"` + canary + `"}`
	bodies := []string{replaced(`{"a":1}`, data), replaced(`{"a":1}`, `["`+canary+`"]`), replaced(`{"a":1}`, `"`+canary+`"`)}
	for _, c := range badEvents {
		bodies = append(bodies, strings.ReplaceAll(c.body, `{"a":1}`, data))
	}
	for _, err := range []error{nil, errors.New(canary), &datastorage.Error{Kind: datastorage.Unavailable, Detail: "away"}} {
		f.err = err
		for _, body := range bodies {
			send(eventsPath, body)
			send(batchPath, "["+body+"]")
		}
	}
	metrics, err := io.ReadAll(f.do("GET", "/metrics", "").Body)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"answers": answers.String(), "metrics": string(metrics)} {
		if strings.Contains(text, canary) {
			t.Errorf("the canary is in the %s", name)
		}
	}
	for line := range strings.Lines(f.log.String()) { // a bug's own text is what the log is for
		if strings.Contains(strings.ReplaceAll(line, `"error":"`+canary+`"`, ""), canary) {
			t.Errorf("the canary is in the log: %s", line)
		}
	}
}
