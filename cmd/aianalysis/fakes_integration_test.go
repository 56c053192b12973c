//go:build integration

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fakeHolmes answers well, at once or when it may.
type fakeHolmes struct {
	mu    sync.Mutex
	calls map[string]int // incident id: calls begun
	hold  chan struct{}  // calls wait for its end; see holdCalls
}

func (h *fakeHolmes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/health" {
		return
	}
	var body struct {
		ID string `json:"incident_id"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	h.calls[body.ID]++
	hold := h.hold
	h.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	}
	_, _ = fmt.Fprintf(w, `{"incident_id":%q,"analysis":"a","confidence":0.9,"analysis_confidence":0.9,"can_recover":true,"timestamp":"2026-03-02T08:00:00Z",
		"root_cause_analysis":{"summary":"limit too low","severity":"unknown","contributing_factors":["peak"]},"target_in_owner_chain":true,
		"selected_workflow":{"workflow_id":"w","version":"1.0.0","container_image":"i","confidence":0.9,"rationale":"r","parameters":{"A":"b"}}}`, body.ID)
}

// holdCalls lets calls wait for release, or for the end of the story.
func (h *fakeHolmes) holdCalls(t *testing.T) (release func()) {
	hold := make(chan struct{})
	release = sync.OnceFunc(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.hold = nil
		close(hold)
	})
	t.Cleanup(release)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hold = hold
	return release
}

func (h *fakeHolmes) count(id string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls[id]
}

// fakeStore keeps events by id.
type fakeStore struct {
	mu        sync.Mutex
	down      bool
	namespace string // of this test: the controller works on every object in the cluster
	events    map[string]map[string]any
	journal   []storedEvent // all that was sent and taken: one that came twice is here twice
	owners    []string      // of the journal: correlation ids
}

func (s *fakeStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if r.Method != http.MethodPost {
		return
	}
	var batch []map[string]any
	if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	for _, e := range batch {
		s.events[e["event_id"].(string)] = e
		class, _ := e["event_data"].(map[string]any)["error_class"].(string)
		s.journal = append(s.journal, storedEvent{e["event_id"].(string), e["event_type"].(string), class})
		s.owners = append(s.owners, e["correlation_id"].(string))
	}
	w.WriteHeader(http.StatusCreated)
}

// of returns the event types of one object, without prefix, by time.
func (s *fakeStore) of(name string) (kinds []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var mine []map[string]any
	for _, e := range s.events {
		if e["resource_id"] == name && e["namespace"] == s.namespace {
			mine = append(mine, e)
		}
	}
	slices.SortFunc(mine, func(a, b map[string]any) int {
		return strings.Compare(a["event_timestamp"].(string), b["event_timestamp"].(string))
	})
	for _, e := range mine {
		kinds = append(kinds, strings.TrimPrefix(e["event_type"].(string), "aianalysis."))
	}
	return kinds
}

// sent returns all that was taken by correlation id.
func (s *fakeStore) sent() map[string][]storedEvent {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string][]storedEvent{}
	for i, e := range s.journal {
		all[s.owners[i]] = append(all[s.owners[i]], e)
	}
	return all
}

func (s *fakeStore) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}
