package holmes_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ogen-go/ogen/validate"
	"sigs.k8s.io/yaml"

	"github.com/kubernaut-ai/kubernaut/api/openapi/decemberholmes"
	current "github.com/kubernaut-ai/kubernaut/api/openapi/holmesgpt"
	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
	"github.com/kubernaut-ai/kubernaut/internal/holmes"
)

// rows are all signal types that the scripted service knows, and the status that each answers to its first request.
var rows = map[string]int{
	"OOMKilled": 200, "CrashLoopBackOff": 200, "NodeNotReady": 200, "ImagePullBackOff": 200, "Evicted": 200, "FailedScheduling": 200,
	"anything else": 200, "": 200, "MOCK_NO_WORKFLOW_FOUND": 200, "MOCK_LOW_CONFIDENCE": 200, "MOCK_MAX_RETRIES_EXHAUSTED": 200,
	"MOCK_HALLUCINATED_WORKFLOW": 200, "MOCK_PROBLEM_RESOLVED": 200, "MOCK_NOT_REPRODUCIBLE": 200, "MOCK_OUTSIDE_CHAIN": 200,
	"MOCK_FAULT_HTTP_401": 401, "MOCK_FAULT_HTTP_429": 429, "MOCK_FAULT_HTTP_500": 503, "MOCK_FAULT_HTTP_500_ALWAYS": 503,
	"MOCK_FAULT_SLOW": 200, "MOCK_FAULT_TIMEOUT": 200, "MOCK_FAULT_MALFORMED": 200,
}

func example(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/examples/" + name + ".json")
	if err != nil {
		t.Error(err) // not Fatal: requests are made in goroutines
	}
	return text
}

func TestScenarioRowsAreAllTried(t *testing.T) {
	text, err := os.ReadFile("../../config/e2e/mockllm/scenarios.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var book struct {
		Rows, Specials []struct {
			SignalType string `json:"signal_type"`
		}
	}
	if err := yaml.Unmarshal(text, &book); err != nil {
		t.Fatal(err)
	}
	for _, row := range append(book.Rows, book.Specials...) {
		if rows[row.SignalType] == 0 {
			t.Errorf("row %s is not asked for", row.SignalType)
		}
	}
}

// A client generated from the contract of December 2025 runs every row on both paths, and another one from today's document.
func TestGeneratedClientsAndTheRealService(t *testing.T) {
	url := scripted(t)
	old, err := decemberholmes.NewClient(url)
	if err != nil {
		t.Fatal(err)
	}
	today, err := current.NewClient(url)
	if err != nil {
		t.Fatal(err)
	}
	// At once: some wait for seconds, and no remediation meets the faults of another.
	var all sync.WaitGroup
	for signal, status := range rows {
		all.Go(func() { decemberIncident(t, old, signal, status) })
		all.Go(func() { decemberRecovery(t, old, signal, status) })
		all.Go(func() { incident(t, today, signal, status) })
		all.Go(func() { recovery(t, today, signal, status) })
	}
	all.Wait()
	decemberIncident(t, old, strings.Repeat("x", 1025), 400)
	decemberRecovery(t, old, strings.Repeat("x", 1025), 400)
	for name, call := range map[string]func(context.Context) error{
		"health": func(ctx context.Context) error { _, err := old.Health(ctx); return err },
		"ready":  func(ctx context.Context) error { _, err := old.Ready(ctx); return err },
		"config": func(ctx context.Context) error { _, err := old.Config(ctx); return err },
	} {
		if err := call(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	controller(t, url)
}

// expect holds the outcome of a December client: it knows no other answer than 200.
func expect(t *testing.T, signal string, err error, status int) (good bool) {
	t.Helper()
	var unexpected *validate.UnexpectedStatusCodeError
	switch {
	case status == 200 && err != nil:
		t.Errorf("%s: %v", signal, err)
	case status != 200 && (!errors.As(err, &unexpected) || unexpected.StatusCode != status):
		t.Errorf("%s: %v instead of the unexpected status %d", signal, err, status)
	}
	return err == nil
}

func decemberIncident(t *testing.T, client *decemberholmes.Client, signal string, status int) {
	var request decemberholmes.IncidentRequest
	if err := request.UnmarshalJSON(example(t, "incident_request")); err != nil {
		t.Error(err)
	}
	request.SignalType, request.RemediationID = signal, "december-incident"+signal[:min(64, len(signal))]
	answer, err := client.IncidentAnalyze(t.Context(), &request)
	if !expect(t, signal, err, status) {
		return
	}
	if body, ok := answer.(*decemberholmes.IncidentResponse); !ok || body.IncidentID != "cart-oom-17" || body.Analysis == "" || !body.TargetInOwnerChain.Set {
		t.Errorf("%s: %+v", signal, answer)
	}
}

func decemberRecovery(t *testing.T, client *decemberholmes.Client, signal string, status int) {
	request := decemberholmes.RecoveryRequest{
		IncidentID: "i", RemediationID: "december-recovery" + signal[:min(64, len(signal))],
		SignalType: decemberholmes.NewOptNilString(signal), ResourceNamespace: decemberholmes.NewOptNilString("shop"),
	}
	answer, err := client.RecoveryAnalyze(t.Context(), &request)
	if !expect(t, signal, err, status) {
		return
	}
	if body, ok := answer.(*decemberholmes.RecoveryResponse); !ok || body.CanRecover != !body.SelectedWorkflow.Null || body.Metadata.Value["mock_mode"] == nil {
		t.Errorf("%s: %+v", signal, answer)
	}
}

func incident(t *testing.T, client *current.Client, signal string, status int) {
	var request current.IncidentRequest
	if err := request.UnmarshalJSON(example(t, "incident_request")); err != nil {
		t.Error(err)
	}
	request.SignalType, request.RemediationID = signal, "incident"+signal
	answer, err := client.IncidentAnalyze(t.Context(), &request)
	if err != nil {
		t.Errorf("%s: %v", signal, err)
	}
	got := 0
	switch body := answer.(type) {
	case *current.IncidentResponse:
		got = 200
		if len(body.ValidationAttemptsHistory) == 0 || body.HumanReviewReason.Null == body.NeedsHumanReview.Value {
			t.Errorf("%s: %+v", signal, body)
		}
	case *current.IncidentAnalyzeUnauthorized:
		got = body.Status
	case *current.IncidentAnalyzeTooManyRequests:
		got = body.Response.Status
	case *current.IncidentAnalyzeServiceUnavailable:
		got = body.Response.Status
	}
	if got != status {
		t.Errorf("%s: %T with status %d instead of %d", signal, answer, got, status)
	}
}

func recovery(t *testing.T, client *current.Client, signal string, status int) {
	request := current.RecoveryRequest{IncidentID: "i", RemediationID: "recovery" + signal, SignalType: current.NewOptNilString(signal)}
	answer, err := client.RecoveryAnalyze(t.Context(), &request)
	if err != nil {
		t.Errorf("%s: %v", signal, err)
	}
	if _, ok := answer.(*current.RecoveryResponse); ok != (status == 200) {
		t.Errorf("%s: %T instead of an answer with status %d", signal, answer, status)
	}
}

// controller asks as the AIAnalysis controller does: a whole resource, its own decoder.
func controller(t *testing.T, url string) {
	t.Helper()
	text, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, again := range []bool{false, true} {
		var analysis v1alpha1.AIAnalysis
		if err := yaml.Unmarshal(text, &analysis); err != nil {
			t.Fatal(err)
		}
		analysis.Spec.IsRecoveryAttempt = again
		client, err := holmes.New(holmes.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		answer, call, err := client.Investigate(ctx, &analysis, 1)
		if err != nil || call.Status != 200 || answer.Workflow == nil || answer.NeedsHumanReview || answer.TargetInOwnerChain == nil {
			t.Errorf("recovery %t: %+v, %+v, %v", again, answer, call, err)
		}
	}
}

// The examples of the specification pass both generated clients; every member comes back as it was sent.
func TestExamples(t *testing.T) {
	type message interface {
		json.Unmarshaler
		json.Marshaler
	}
	for _, tc := range []struct {
		name string
		into message
		same bool // nothing of it is unknown to the client, and nothing is added
	}{
		{"incident_request", &current.IncidentRequest{}, true}, {"incident_answer", &current.IncidentResponse{}, true},
		{"problem", &current.Problem{}, true}, {"recovery_answer", &current.RecoveryResponse{}, false},
		{"incident_request", &decemberholmes.IncidentRequest{}, false}, {"incident_answer", &decemberholmes.IncidentResponse{}, true},
		{"recovery_answer", &decemberholmes.RecoveryResponse{}, false},
	} {
		text := example(t, tc.name)
		if err := tc.into.UnmarshalJSON(text); err != nil {
			t.Errorf("%s into %T: %v", tc.name, tc.into, err)
			continue
		}
		back, err := tc.into.MarshalJSON()
		if err != nil {
			t.Errorf("%s from %T: %v", tc.name, tc.into, err)
		}
		if tc.same {
			sameJSON(t, tc.name, text, back)
		}
	}
}

func sameJSON(t *testing.T, name string, a, b []byte) {
	t.Helper()
	var left, right any
	if err := errors.Join(json.Unmarshal(a, &left), json.Unmarshal(b, &right)); err != nil {
		t.Fatal(err)
	}
	one, _ := json.Marshal(left) // both were JSON a line ago
	two, _ := json.Marshal(right)
	if len(two) < len(one) {
		t.Errorf("%s lost something:\n%s\n%s", name, one, two)
	}
}

// Every problem that the document names is decoded as what it is, Retry-After included.
func TestEveryProblemIsDecoded(t *testing.T) {
	for _, status := range []int{400, 401, 403, 413, 429, 500, 503} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
			_, _ = w.Write(example(t, "problem")) // the client reads it, or fails below
		}))
		client, err := current.NewClient(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		var request current.IncidentRequest
		if err := request.UnmarshalJSON(example(t, "incident_request")); err != nil {
			t.Fatal(err)
		}
		first, err := client.IncidentAnalyze(t.Context(), &request)
		second, err2 := client.RecoveryAnalyze(t.Context(), &current.RecoveryRequest{IncidentID: "i", RemediationID: "r"})
		if err := errors.Join(err, err2); err != nil {
			t.Errorf("%d: %v", status, err)
		}
		limited, ok := first.(*current.IncidentAnalyzeTooManyRequests)
		if (status == 429) != ok || ok && limited.RetryAfter.Value != 7 {
			t.Errorf("%d: %#v, %#v", status, first, second)
		}
		server.Close()
	}
}
