//go:build bench

package holmes_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	benchLatency  = 200 * time.Millisecond // of every answer of the model
	benchWorkflow = "a075949c-3e59-5585-aecb-59fa16dad7e7"
)

// surroundings are a model endpoint and a Data Storage at one address. The model asks for the catalog and then names the
// workflow in it, whatever it is asked; Data Storage answers at once and keeps nothing.
type surroundings struct {
	url  string
	mu   sync.Mutex
	held chan struct{} // no answer before it is closed; nil: answers come
}

func newSurroundings(t *testing.T) *surroundings {
	s := &surroundings{}
	routes := http.NewServeMux()
	routes.HandleFunc("POST /v1/chat/completions", s.complete)
	routes.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { write(w, 200, map[string]any{"status": "healthy"}) })
	routes.HandleFunc("POST /api/v1/workflows/search", func(w http.ResponseWriter, _ *http.Request) {
		write(w, 200, map[string]any{"workflows": []any{map[string]any{"workflow_id": benchWorkflow, "final_score": 0.5}}, "total_results": 1})
	})
	routes.HandleFunc("GET /api/v1/workflows/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") != benchWorkflow {
			write(w, 404, map[string]any{"status": 404})
			return
		}
		write(w, 200, workflow())
	})
	routes.HandleFunc("POST /api/v1/audit/events/batch", func(w http.ResponseWriter, _ *http.Request) {
		write(w, 201, map[string]any{"event_ids": []any{}, "message": ""})
	})
	server := httptest.NewServer(routes)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that left is no fault of the bench
}

func workflow() map[string]any {
	parameters := []any{map[string]any{"name": "NAMESPACE", "type": "string", "required": true}}
	return map[string]any{
		"workflow_id": benchWorkflow, "workflow_name": "oomkill-increase-memory-v1", "version": "1.0.0", "name": "More memory",
		"description": "Raises the limit.", "status": "active", "container_image": "quay.io/kubernaut/oomkill-increase-memory:v1.0.0",
		"labels": map[string]any{"signal_type": "OOMKilled"}, "parameters": map[string]any{"schema": map[string]any{"parameters": parameters}},
	}
}

// block holds every answer of the model back until the returned function is called.
func (s *surroundings) block() func() {
	held := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = held
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.held = nil
		close(held)
	})
}

func (s *surroundings) complete(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Messages []struct{ Role string }
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || len(asked.Messages) == 0 {
		write(w, 400, map[string]any{"error": map[string]any{"message": "no messages"}})
		return
	}
	s.mu.Lock()
	held := s.held
	s.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-r.Context().Done():
			return
		}
	} else {
		timer := time.NewTimer(benchLatency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	message, finish := verdict(), "stop"
	if asked.Messages[len(asked.Messages)-1].Role != "tool" {
		message, finish = search(), "tool_calls"
	}
	write(w, 200, map[string]any{"id": "bench", "object": "chat.completion", "created": 1, "model": "bench",
		"choices": []any{map[string]any{"index": 0, "message": message, "finish_reason": finish}},
		"usage":   map[string]any{"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}})
}

func search() map[string]any {
	arguments := `{"query":"OOMKilled critical","rca_resource":{"signal_type":"OOMKilled","kind":"Pod","namespace":"shop","name":"cart"}}`
	call := map[string]any{"id": "call_1", "type": "function", "function": map[string]any{"name": "search_workflow_catalog", "arguments": arguments}}
	return map[string]any{"role": "assistant", "content": nil, "tool_calls": []any{call}}
}

func verdict() map[string]any {
	block := `{"root_cause_analysis":{"summary":"Memory limit too low","severity":"critical","signal_type":"OOMKilled",
"contributing_factors":["memory_pressure"],"affected_resource":{"kind":"Pod","name":"cart","namespace":"shop"}},
"selected_workflow":{"workflow_id":"` + benchWorkflow + `","confidence":0.92,"rationale":"The limit was hit","parameters":{"NAMESPACE":"shop"}},
"alternative_workflows":[],"confidence":0.92}`
	return map[string]any{"role": "assistant", "content": strings.Join([]string{"The limit was hit.", "", "```json", block, "```", ""}, "\n")}
}
