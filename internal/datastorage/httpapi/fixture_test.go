package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// memory is a store that keeps what it gets; err, if set, is what every call gives up with.
type memory struct {
	rates  datastorage.RateFilter // as asked last
	mu     sync.Mutex
	events []datastorage.Event
	// What the catalog was given last.
	workflow *datastorage.Workflow
	change   *datastorage.Change
	search   *datastorage.Search
	err      error
	panics   bool
	gate     chan struct{} // if set, every call waits until it is closed
}

func (m *memory) wait() {
	if m.gate != nil {
		<-m.gate
	}
}

func (m *memory) InsertEvents(_ context.Context, events []datastorage.Event, _ datastorage.ParentRule) ([]datastorage.Stored, error) {
	if m.panics {
		panic("a secret in a panic")
	}
	if m.err != nil {
		return nil, m.err
	}
	m.wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	stored := make([]datastorage.Stored, len(events))
	for i, e := range events {
		stored[i] = datastorage.Stored{ID: e.ID.UUID, Time: e.Time}
	}
	m.events = append(m.events, events...)
	return stored, nil
}

func (m *memory) QueryEvents(_ context.Context, _ datastorage.EventFilter, _ datastorage.Page, each func(datastorage.Event) error) (datastorage.EventPage, error) {
	m.wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.events {
		if err := each(e); err != nil {
			return datastorage.EventPage{}, err
		}
	}
	return datastorage.EventPage{}, m.err
}

func (m *memory) CountExecutions(_ context.Context, f datastorage.RateFilter) ([]datastorage.Executions, error) {
	m.rates = f
	return []datastorage.Executions{{IncidentType: "oom", WorkflowID: "w1", WorkflowVersion: "1", ActionType: "restart", Rate: datastorage.Rate{Total: 8, Successful: 6}}}, m.err
}

func (m *memory) ListVersions(context.Context, string, func(datastorage.Workflow) error) (int, error) {
	return 0, m.err
}

func (m *memory) UpdateWorkflow(_ context.Context, id uuid.UUID, change datastorage.Change, _ datastorage.Origin) (datastorage.Workflow, error) {
	m.change = &change
	if m.err != nil {
		return datastorage.Workflow{}, m.err
	}
	return change.Apply(datastorage.Workflow{ID: id, Status: "active", RowVersion: 1}, time.Now())
}

func (m *memory) CreateWorkflow(_ context.Context, w datastorage.Workflow, _ datastorage.Origin) (datastorage.Workflow, error) {
	m.workflow = &w
	w.RowVersion = 1
	return w, m.err
}

func (m *memory) GetWorkflow(context.Context, uuid.UUID) (datastorage.Workflow, error) {
	return datastorage.Workflow{}, &datastorage.Error{Kind: datastorage.NotFound, Detail: "not found"}
}

func (m *memory) ListWorkflows(context.Context, datastorage.WorkflowFilter, datastorage.Page, func(datastorage.Workflow) error) (int, error) {
	return 0, m.err
}

func (m *memory) Candidates(_ context.Context, search datastorage.Search, _ int) ([]datastorage.Candidate, error) {
	m.search = &search
	return nil, m.err
}

type fixture struct {
	memory
	health  datastorage.Health
	handler http.Handler
	metrics *Metrics
	ingest  *datastorage.Ingest
	log     bytes.Buffer
}

func newFixture(t testing.TB, changes ...func(*Options)) *fixture {
	t.Helper()
	f := &fixture{}
	f.health.SetDatabase(datastorage.Connected)
	f.health.SetQueue(datastorage.Connected)
	metrics := NewMetrics("test", "none")
	f.metrics = metrics
	f.ingest = &datastorage.Ingest{Store: &f.memory, Health: &f.health, Observe: metrics.Ingested,
		SingleTimeout: time.Second, BatchTimeout: time.Second, DLQTimeout: time.Second}
	options := Options{
		Events: &f.memory, Workflows: &f.memory, Rates: &f.memory, Ingest: f.ingest, Health: &f.health, Metrics: metrics,
		Window:    datastorage.Window{MaxAge: 168 * time.Hour, MaxFuture: 5 * time.Minute},
		MaxOffset: 100_000, Searched: func(datastorage.Event) {},
		Limits: Limits{Writes: 4, Reads: 4, Bytes: 16 << 20, QueueLength: 4, QueueTimeout: time.Second},
		Log:    slog.New(slog.NewJSONHandler(&f.log, nil)),
	}
	for _, change := range changes {
		change(&options)
	}
	handler, err := New(options)
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
