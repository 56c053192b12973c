package holmes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
	"github.com/kubernaut-ai/kubernaut/internal/aianalysis"
)

const goodIncident = `{"incident_id":"i","analysis":"a","root_cause_analysis":{"summary":"s","severity":"high"},"confidence":0.9,"timestamp":"t",
 "selected_workflow":{"workflow_id":"w","version":"1","containerImage":"camel","confidence":0.8,"rationale":"r","parameters":{"A":"x","N":3,"O":{"k": 1}}},
 "target_in_owner_chain":true,"surprise":{},"validation_attempts_history":[{"attempt":1,"workflow_id":null,"is_valid":false,"timestamp":"bad"}]}`

func incident() *v1alpha1.AIAnalysis {
	cr := &v1alpha1.AIAnalysis{}
	cr.Name, cr.UID = "i", "3f6c2a10-8b1e-4a77-9d52-6c0f4b7e2d91"
	return cr
}

func ask(t *testing.T, url string, limit time.Duration) (*aianalysis.Answer, aianalysis.Call, *aianalysis.CallError) {
	t.Helper()
	client, err := New(Config{URL: url, MaxResponseBytes: 2000})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	answer, call, err := client.Investigate(ctx, incident(), 1)
	var failure *aianalysis.CallError
	if err != nil && !errors.As(err, &failure) {
		t.Fatalf("not a CallError: %v", err)
	}
	return answer, call, failure
}

func TestAnswer(t *testing.T) {
	var id, connection string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, connection = r.Header.Get("X-Request-ID"), r.Header.Get("Connection")
		_, _ = w.Write([]byte(goodIncident))
	}))
	defer server.Close()
	answer, call, failure := ask(t, server.URL, time.Minute)
	if failure != nil {
		t.Fatal(failure)
	}
	if id != aianalysis.EventID("3f6c2a10-8b1e-4a77-9d52-6c0f4b7e2d91", "holmesgpt.request", 1) || connection != "close" {
		t.Errorf("id %q, connection %q", id, connection)
	}
	if call.Status != 200 || call.Endpoint != "/api/v1/incident/analyze" || call.Duration <= 0 {
		t.Errorf("%+v", call)
	}
	workflow := answer.Workflow
	if workflow.ContainerImage != "camel" || workflow.Parameters["A"] != "x" || workflow.Parameters["N"] != "3" || workflow.Parameters["O"] != `{"k":1}` {
		t.Errorf("%+v", workflow)
	}
	if !*answer.TargetInOwnerChain || answer.History[0].WorkflowID != "" || !answer.History[0].Timestamp.IsZero() {
		t.Errorf("%+v", answer)
	}
}

func TestFailures(t *testing.T) {
	rows := map[string]struct {
		status     int
		kind, body string
		header     string
		class      aianalysis.Class
		alert      bool
		text       string
		retryAfter time.Duration
	}{
		"problem": {status: 401, kind: "application/problem+json", body: `{"title":"Unauthorized","detail":"no token"}`,
			class: "Authentication", alert: true, text: "holmesgpt-api: HTTP 401: Unauthorized: no token"},
		"other body": {status: 500, kind: "text/html; charset=utf-8", body: "<html>secret</html>",
			class: "Transient", text: "holmesgpt-api: HTTP 500: 19 bytes of text/html"},
		"rate limit":   {status: 429, header: "7", class: "RateLimit", text: "holmesgpt-api: HTTP 429: 0 bytes of unknown type", retryAfter: 7 * time.Second},
		"unavailable":  {status: 503, header: "soon", class: "Transient", text: "holmesgpt-api: HTTP 503: 0 bytes of unknown type"},
		"redirect":     {status: 307, class: "Transient", alert: true, text: "holmesgpt-api: HTTP 307: 0 bytes of unknown type"},
		"garbage":      {status: 200, body: "hello", class: "InvalidResponse", alert: true, text: "holmesgpt-api: invalid response: not a JSON object"},
		"too big":      {status: 200, body: strings.Repeat(" ", 3000), class: "InvalidResponse", alert: true, text: "holmesgpt-api: invalid response: body is larger than 2000 bytes"},
		"no analysis":  {status: 200, body: strings.Replace(goodIncident, `"analysis"`, `"x"`, 1), class: "InvalidResponse", alert: true, text: "holmesgpt-api: invalid response: analysis is missing"},
		"confidence 2": {status: 200, body: strings.Replace(goodIncident, "0.9", "2", 1), class: "InvalidResponse", alert: true, text: "holmesgpt-api: invalid response: confidence is outside 0..1"},
		"wrong type":   {status: 200, body: strings.Replace(goodIncident, "0.9", `"x"`, 1), class: "InvalidResponse", alert: true, text: "holmesgpt-api: invalid response: confidence has the wrong type"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = nil
				if row.kind != "" {
					w.Header().Set("Content-Type", row.kind)
				}
				w.Header().Set("Retry-After", row.header)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(row.status)
				_, _ = w.Write([]byte(row.body))
			}))
			defer server.Close()
			_, call, failure := ask(t, server.URL, time.Minute)
			if failure == nil || failure.Class != row.class || failure.Alert != row.alert || failure.Text != row.text || failure.RetryAfter != row.retryAfter {
				t.Errorf("%+v", failure)
			}
			if call.Status != row.status {
				t.Errorf("status %d", call.Status)
			}
		})
	}
}

// A body that breaks off takes nothing from what the status says, unless the body is the answer.
func TestBrokenBody(t *testing.T) {
	for status, class := range map[int]aianalysis.Class{200: "Network", 401: "Authentication", 404: "Configuration", 429: "RateLimit", 503: "Transient"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
			_, _ = w.Write([]byte("{"))
		}))
		_, call, failure := ask(t, server.URL, time.Minute)
		server.Close()
		if failure == nil || failure.Class != class || call.Status != status || (failure.RetryAfter == 7*time.Second) != (status == 429 || status == 503) {
			t.Errorf("%d: %d, %+v", status, call.Status, failure)
		}
	}
}

func TestUnreadableTokenIsNoCall(t *testing.T) {
	client, err := New(Config{URL: "http://127.0.0.1:1", TokenFile: filepath.Join(t.TempDir(), "missing")})
	if err != nil {
		t.Fatal(err)
	}
	var failure *aianalysis.CallError
	_, call, err := client.Investigate(t.Context(), incident(), 1)
	if !errors.As(err, &failure) || failure.Class != aianalysis.ClassPermanent || !failure.Alert || call != (aianalysis.Call{}) {
		t.Errorf("%+v, %v", call, err)
	}
}

func TestNoResponse(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	if _, call, failure := ask(t, "http://"+address, time.Minute); failure == nil || failure.Class != aianalysis.ClassNetwork || !failure.Alert || call.Status != 0 ||
		strings.Contains(failure.Text, "http://") {
		t.Errorf("refused: %+v", failure)
	}
	reset := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer reset.Close()
	if _, _, failure := ask(t, reset.URL, time.Minute); failure == nil || failure.Class != aianalysis.ClassNetwork || failure.Alert {
		t.Errorf("reset: %+v", failure)
	}
	over := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over }))
	defer slow.Close()
	defer close(over)
	if _, _, failure := ask(t, slow.URL, 50*time.Millisecond); failure == nil || failure.Class != aianalysis.ClassTimeout || failure.Alert {
		t.Errorf("slow: %+v", failure)
	}
	client, err := New(Config{URL: slow.URL})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	var failure *aianalysis.CallError
	if _, _, err := client.Investigate(ctx, incident(), 1); !errors.As(err, &failure) || failure.Class != aianalysis.ClassCancelled {
		t.Errorf("cancelled: %v", err)
	}
}

func TestTokenIsReadForEachCall(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization"))
		_, _ = fmt.Fprint(w, goodIncident)
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "token")
	client, err := New(Config{URL: server.URL + "/", TokenFile: file})
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"one\n", "two"} {
		if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := client.Investigate(context.Background(), incident(), 1); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Join(got, ",") != "Bearer one,Bearer two" {
		t.Error(got)
	}
}

func TestRecoveryAnswer(t *testing.T) {
	rows := map[string]struct {
		analysis     string
		stateChanged bool
		signal, rca  string
		present      bool
	}{
		"absent":  {analysis: `null`},
		"empty":   {analysis: `{}`},
		"inside":  {analysis: `{"state_changed":false,"previous_attempt_assessment":{"failure_understood":true,"failure_reason_analysis":"x","state_changed":true,"current_signal_type":"in"}}`, stateChanged: true, signal: "in", present: true},
		"beside":  {analysis: `{"state_changed":true,"current_signal_type":"out","previous_attempt_assessment":{"failure_understood":true,"failure_reason_analysis":"x"}}`, stateChanged: true, signal: "out", present: true},
		"refined": {analysis: `{"root_cause_refinement":"deeper"}`, rca: "deeper", present: true},
	}
	for name, row := range rows {
		answer, err := decode([]byte(`{"incident_id":"i","can_recover":true,"analysis_confidence":0.7,"selected_workflow":{"workflow_id":"w"},"recovery_analysis":`+row.analysis+`}`), true)
		if err != nil {
			t.Fatal(err)
		}
		if (answer.Recovery != nil) != row.present || answer.RootCauseRefined != row.rca || answer.Workflow.Confidence != 0.7 {
			t.Errorf("%s: %+v", name, answer)
		}
		if row.present && (answer.Recovery.StateChanged != row.stateChanged || answer.Recovery.CurrentSignalType != row.signal) {
			t.Errorf("%s: %+v", name, answer.Recovery)
		}
	}
	for _, none := range []string{`null`, `{}`, `{"workflow_id":""}`} {
		answer, err := decode([]byte(`{"incident_id":"i","can_recover":true,"analysis_confidence":0.7,"selected_workflow":`+none+`}`), true)
		if err != nil || answer.Workflow != nil {
			t.Errorf("%s: %+v %v", none, answer, err)
		}
	}
	if _, err := decode([]byte(`{"incident_id":"i","analysis_confidence":0.7}`), true); err == nil || err.Error() != "can_recover is missing" {
		t.Error(err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{"7": 7 * time.Second, "-1": 0, "": 0, "Mon, 02 Mar 2026 08:00:09 GMT": 9 * time.Second} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
}
