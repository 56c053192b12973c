//go:build integration

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
	"github.com/kubernaut-ai/kubernaut/internal/aianalysis"
)

const (
	crowd   = 200
	workers = 10
)

// countingHolmes answers every call well after a while, and knows who called how often.
type countingHolmes struct {
	latency time.Duration
	// interfere is called in the middle of each call, with the object's name.
	interfere func(ctx context.Context, name string)

	mu    sync.Mutex
	total int
	calls map[string]map[string]int // remediation id: request id: calls begun
	marks map[int]chan struct{}     // number of a call: closed when it begins
}

func (h *countingHolmes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/health" {
		return
	}
	var body struct {
		Name        string `json:"incident_id"`
		Remediation string `json:"remediation_id"`
	}
	content, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(content, &body)
	}
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	h.count(body.Remediation, r.Header.Get("X-Request-ID"))
	if h.interfere != nil {
		h.interfere(r.Context(), body.Name)
	}
	select {
	case <-time.After(h.latency): // a model takes its time
	case <-r.Context().Done():
		return
	}
	_, _ = fmt.Fprintf(w, `{"incident_id":%q,"analysis":"a","confidence":0.9,"timestamp":"2026-03-02T08:00:00Z","target_in_owner_chain":true,
		"root_cause_analysis":{"summary":"limit too low","severity":"high","contributing_factors":["peak"]},
		"selected_workflow":{"workflow_id":"w","version":"1.0.0","container_image":"i","confidence":0.9,"rationale":"r","parameters":{"A":"b"}}}`, body.Name)
}

func (h *countingHolmes) count(remediation, request string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.calls[remediation] == nil {
		h.calls[remediation] = map[string]int{}
	}
	h.calls[remediation][request]++
	h.total++
	if mark := h.marks[h.total]; mark != nil {
		close(mark)
	}
}

// at returns what is closed when the n-th call from now on begins.
func (h *countingHolmes) at(n int) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	mark := make(chan struct{})
	h.marks[h.total+n] = mark
	return mark
}

// of returns the calls of one remediation by attempt; calls of no attempt that could be are under 0.
func (h *countingHolmes) of(cr *v1alpha1.AIAnalysis) map[int]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	byAttempt := map[int]int{}
	for request, n := range h.calls[cr.Spec.RemediationID] {
		attempt := 6
		for attempt > 0 && aianalysis.EventID(cr.UID, "holmesgpt.request", int32(attempt)) != request {
			attempt--
		}
		byAttempt[attempt] += n
	}
	return byAttempt
}

// createCrowd makes the objects all at once; their names and remediation ids begin with kind.
func createCrowd(t *testing.T, c client.Client, namespace, kind string, n int) {
	t.Helper()
	var all sync.WaitGroup
	for i := range n {
		object := manifest(t, "incident.yaml", namespace, fmt.Sprintf("%s-%03d", kind, i))
		set(t, object, "spec.remediationId", namespace+"/"+object.GetName())
		all.Go(func() {
			if err := c.Create(t.Context(), object); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// exactlyOnce holds one object against the calls that were made for it and the rows that are stored, and returns how many of its
// attempts were interrupted.
func exactlyOnce(t *testing.T, cr *v1alpha1.AIAnalysis, calls map[int]int, rows []storedEvent) (interrupted int) {
	t.Helper()
	events, err := aianalysis.EventsOf(cr)
	if err != nil {
		t.Fatal(err)
	}
	var want, got, kinds []string
	for _, e := range events {
		want = append(want, e.ID)
	}
	for _, row := range rows {
		got = append(got, row.ID)
		if row.Type == aianalysis.EventError && row.Class == string(aianalysis.ClassInterrupted) {
			interrupted++
			continue
		}
		kinds = append(kinds, strings.TrimPrefix(row.Type, "aianalysis."))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: of the events %v the store has %v", cr.Name, want, got)
	}
	if cr.Status.Phase != v1alpha1.PhaseCompleted || cr.Status.ConsecutiveFailures != 0 || !slices.Equal(kinds, happyTrail) {
		t.Errorf("%s: %s %s, %d failures, %d interrupted, events beside them %v", cr.Name, cr.Status.Phase, cr.Status.Message,
			cr.Status.ConsecutiveFailures, interrupted, kinds)
	}
	for attempt, n := range calls {
		if attempt < 1 || attempt > interrupted+1 || n != 1 {
			t.Errorf("%s: %d calls for attempt %d, %d attempts were interrupted", cr.Name, n, attempt, interrupted)
		}
	}
	if calls[interrupted+1] != 1 {
		t.Errorf("%s: %d calls for the attempt that succeeded: %v", cr.Name, calls[interrupted+1], calls)
	}
	return interrupted
}

// TestExactlyOnce: one call and seven events an analysis, whoever else writes to the objects; and when the controller is killed, at most
// one call and exactly one event more for each attempt that this interrupts.
func TestExactlyOnce(t *testing.T) {
	c, namespace := cluster(t)
	hapi := &countingHolmes{latency: 300 * time.Millisecond, calls: map[string]map[string]int{}, marks: map[int]chan struct{}{}}
	hapi.interfere = func(ctx context.Context, name string) {
		cr := &v1alpha1.AIAnalysis{}
		cr.Namespace, cr.Name = namespace, name
		touch := fmt.Sprintf(`{"metadata":{"annotations":{"touched":%q}}}`, time.Now().Format(time.RFC3339Nano))
		if err := c.Patch(ctx, cr, client.RawPatch(types.MergePatchType, []byte(touch))); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	}
	server := httptest.NewServer(hapi)
	t.Cleanup(server.Close)
	stack := newRealStack(t, leastAccess(t, c), "-race")
	p, metrics := stack.begin(server.URL)

	t.Run("200 at once, each changed by somebody else during its call", func(t *testing.T) {
		over := watchEnds(t, c, namespace, recorded)
		createCrowd(t, c, namespace, "conflict", crowd)
		found, rows := over.await(crowd), stack.stored(t)
		for _, cr := range found {
			if n := exactlyOnce(t, &cr, hapi.of(&cr), rows[cr.Spec.RemediationID]); n != 0 {
				t.Errorf("%s: %d attempts interrupted", cr.Name, n)
			}
		}
		now := scrape(t, metrics)
		if n := now.sum("rest_client_requests_total", "code", "409", "method", "PUT"); n < crowd {
			t.Errorf("only %v writes were refused for a conflict: this test proves nothing", n)
		}
		if n := now.sum("controller_runtime_reconcile_errors_total"); n != 0 {
			t.Errorf("%v reconciles ended with an error", n)
		}
	})
	t.Run("200 at once, the controller killed three times in the middle", func(t *testing.T) {
		over := watchEnds(t, c, namespace, func(cr *v1alpha1.AIAnalysis) bool { return strings.HasPrefix(cr.Name, "killed-") && recorded(cr) })
		mark := hapi.at(crowd / 5)
		createCrowd(t, c, namespace, "killed", crowd)
		for range 3 {
			select {
			case <-mark:
			case <-time.After(time.Minute):
				t.Fatal("the calls have stopped")
			}
			p.kill(t)
			mark = hapi.at(crowd / 5) // a killed process calls no more
			p, _ = stack.begin(server.URL)
		}
		found, rows := over.await(crowd), stack.stored(t)
		interrupted, events := 0, 0
		for _, cr := range found {
			interrupted += exactlyOnce(t, &cr, hapi.of(&cr), rows[cr.Spec.RemediationID])
			events += len(rows[cr.Spec.RemediationID])
		}
		t.Logf("%d analyses, %d interrupted attempts, %d events", len(found), interrupted, events)
		if interrupted < 3 || interrupted > 3*workers || events != 7*crowd+interrupted {
			t.Errorf("%d attempts interrupted by three kills, %d events", interrupted, events)
		}
	})
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if <-p.ended; p.err != nil {
		t.Errorf("the controller ended with %v", p.err)
	}
}
