//go:build integration

package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// HolmesGPT-API hangs up on two calls and the circuit opens; it comes back, the program's own probes close the circuit, and the third attempt succeeds.
func TestProbesCloseTheCircuit(t *testing.T) {
	g := newRig(t)
	var away atomic.Bool
	away.Store(true)
	hapi := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			panic(http.ErrAbortHandler) // no answer at all: one with a status would not count
		}
		g.hapi.ServeHTTP(w, r)
	}))
	t.Cleanup(hapi.Close)
	config := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(config, []byte("holmesgpt: {breaker: {threshold: 2, probeInterval: 100ms}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	metrics := "127.0.0.1:" + unusedPort(t)
	g.begin(t, "--config", config, "--holmesgpt-api-url", hapi.URL, "--metrics-bind-address", metrics)
	circuit := func() float64 {
		families := scrape(t, "http://"+metrics+"/metrics")
		const name = "aianalysis_holmesgpt_circuit_state"
		if families[name] == nil {
			t.Fatalf("no %s among the metrics", name)
		}
		return families.sum(name)
	}
	if state := circuit(); state != 0 {
		t.Errorf("the circuit begins as %v", state)
	}
	g.create(t, "interrupted", nil)
	until(t, "the circuit is open", func(context.Context) bool { return circuit() == 2 })
	away.Store(false)
	until(t, "the circuit is closed", func(context.Context) bool { return circuit() == 0 })
	cr := await(t, g.c, g.namespace, "interrupted", "recorded", recorded)
	if cr.Status.Phase != v1alpha1.PhaseCompleted || cr.Status.InvestigationAttempt != 3 || g.hapi.count("interrupted") != 1 {
		t.Errorf("%s after attempt %d, %d calls answered", cr.Status.Phase, cr.Status.InvestigationAttempt, g.hapi.count("interrupted"))
	}
}
