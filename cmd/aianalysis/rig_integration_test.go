//go:build integration

package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// rig is a namespace on a real API server, behind a proxy, with a HolmesGPT-API and a Data Storage that do as told.
type rig struct {
	c          client.WithWatch
	namespace  string
	proxy      *apiProxy
	access     string
	hapi       *fakeHolmes
	store      *fakeStore
	hapiURL    string
	storeURL   string
	hapiServer *httptest.Server

	mu  sync.Mutex
	ids map[string]int // X-Request-ID: calls
}

func newRig(t *testing.T) *rig {
	t.Helper()
	g := &rig{hapi: &fakeHolmes{calls: map[string]int{}}, ids: map[string]int{}}
	g.c, g.namespace = cluster(t)
	g.store = &fakeStore{namespace: g.namespace, events: map[string]map[string]any{}}
	g.proxy, g.access = newAPIProxy(t, leastAccess(t, g.c))
	storeServer := httptest.NewServer(g.store)
	g.hapiServer = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := r.Header.Get("X-Request-ID"); id != "" {
			g.mu.Lock()
			g.ids[id]++
			g.mu.Unlock()
		}
		g.hapi.ServeHTTP(w, r)
	}))
	t.Cleanup(g.hapiServer.Close)
	t.Cleanup(storeServer.Close)
	g.hapiURL, g.storeURL = g.hapiServer.URL, storeServer.URL
	return g
}

// begin launches a controller and returns when it is ready; later args win.
func (g *rig) begin(t *testing.T, args ...string) *program {
	t.Helper()
	p := launch(t, t, g.access, append([]string{"--holmesgpt-api-url", g.hapiURL, "--datastorage-url", g.storeURL}, args...)...)
	until(t, "the controller is ready", func(ctx context.Context) bool {
		status, _ := p.get(ctx, "/readyz")
		return status == http.StatusOK
	})
	return p
}

func (g *rig) create(t *testing.T, name string, paths map[string]any) {
	t.Helper()
	object := manifest(t, "incident.yaml", g.namespace, name)
	for path, value := range paths {
		set(t, object, path, value)
	}
	if err := g.c.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

// happy checks that an analysis has ended well, after one call and with its seven events.
func (g *rig) happy(t *testing.T, name string) *v1alpha1.AIAnalysis {
	t.Helper()
	cr := await(t, g.c, g.namespace, name, "recorded", recorded)
	if kinds := g.store.of(name); cr.Status.Phase != v1alpha1.PhaseCompleted || !slices.Equal(kinds, happyTrail) || g.hapi.count(name) != 1 {
		t.Errorf("%s: %s, events %v, %d calls", name, cr.Status.Phase, kinds, g.hapi.count(name))
	}
	return cr
}

// once checks that no request was sent twice.
func (g *rig) once(t *testing.T) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, n := range g.ids {
		if n != 1 {
			t.Errorf("request %s was sent %d times", id, n)
		}
	}
}

func (g *rig) stop(t *testing.T, p *program) (took time.Duration) {
	t.Helper()
	begun := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if <-p.ended; p.err != nil {
		t.Errorf("ended with %v", p.err)
	}
	return time.Since(begun)
}
