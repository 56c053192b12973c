//go:build integration

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// TestMain lets this test binary be the very program, in a process of its own that can be killed.
func TestMain(m *testing.M) {
	if os.Getenv("AIANALYSIS_TEST_PROGRAM") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program is one running controller.
type program struct {
	cmd    *exec.Cmd
	probes string
	ended  chan error
}

func start(t *testing.T, access, hapi, store string) *program {
	t.Helper()
	p := &program{probes: free(t), ended: make(chan error, 1)}
	p.cmd = exec.Command(os.Args[0],
		"--kubeconfig", access, "--holmesgpt-api-url", hapi, "--datastorage-url", store,
		"--rego-policy-path", policyPath(t), "--metrics-bind-address", free(t), "--health-probe-bind-address", p.probes)
	p.cmd.Env = append(os.Environ(), "AIANALYSIS_TEST_PROGRAM=1")
	var log strings.Builder
	p.cmd.Stderr = &log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended by itself
		if t.Failed() {
			t.Log(log.String())
		}
	})
	until(t, "the controller is ready", func(ctx context.Context) bool {
		status, _ := p.get(ctx, "/readyz")
		return status == http.StatusOK
	})
	return p
}

func (p *program) get(ctx context.Context, path string) (int, string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.probes+path, nil)
	if err != nil {
		return 0, err.Error()
	}
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		return 0, err.Error()
	}
	return reply.StatusCode, string(text)
}

func policyPath(t *testing.T) string {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return here + "/../../config/aianalysis/approval.rego"
}

func free(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

var happyTrail = []string{"phase.transition", "holmesgpt.call", "phase.transition", "rego.evaluation", "approval.decision", "phase.transition", "analysis.completed"}

// await returns the object once it is as wanted.
func await(t *testing.T, c client.Client, namespace, name, what string, there func(*v1alpha1.AIAnalysis) bool) *v1alpha1.AIAnalysis {
	t.Helper()
	cr := &v1alpha1.AIAnalysis{}
	until(t, name+": "+what, func(ctx context.Context) bool {
		*cr = v1alpha1.AIAnalysis{}
		return c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, cr) == nil && there(cr)
	})
	return cr
}

func recorded(cr *v1alpha1.AIAnalysis) bool {
	return cr.Status.Phase.Terminal() && meta.IsStatusConditionTrue(cr.Status.Conditions, v1alpha1.ConditionAuditRecorded)
}

func TestProgram(t *testing.T) {
	c, namespace := cluster(t)
	hapi := &fakeHolmes{calls: map[string]int{}}
	store := &fakeStore{namespace: namespace, events: map[string]map[string]any{}}
	hapiServer, storeServer := httptest.NewServer(hapi), httptest.NewServer(store)
	t.Cleanup(hapiServer.Close)
	t.Cleanup(storeServer.Close)
	create := func(t *testing.T, file, name string) {
		t.Helper()
		if err := c.Create(t.Context(), manifest(t, file, namespace, name)); err != nil {
			t.Fatal(err)
		}
	}
	// A program outlives the story that starts it, so it belongs to the whole test.
	access := leastAccess(t, c)
	begin := func() *program { return start(t, access, hapiServer.URL, storeServer.URL) }
	p := begin()

	t.Run("incident and recovery end well, each with its seven events", func(t *testing.T) {
		create(t, "incident.yaml", "incident")
		create(t, "recovery.yaml", "recovery")
		for _, name := range []string{"incident", "recovery"} {
			cr := await(t, c, namespace, name, "recorded", recorded)
			if cr.Status.Phase != v1alpha1.PhaseCompleted || cr.Status.ApprovalReason != "Auto-approved" || cr.Status.RootCauseAnalysis.Severity == "unknown" {
				t.Errorf("%+v", cr.Status)
			}
			if kinds := store.of(name); !slices.Equal(kinds, happyTrail) || hapi.count(name) != 1 {
				t.Errorf("events %v, %d calls", kinds, hapi.count(name))
			}
		}
		var events corev1.EventList
		until(t, "Events of the happy incident", func(ctx context.Context) bool {
			return c.List(ctx, &events, client.InNamespace(namespace)) == nil && len(events.Items) >= 6
		})
	})
	t.Run("probes", func(t *testing.T) {
		until(t, "all checks", func(ctx context.Context) bool {
			_, text := p.get(ctx, "/readyz?verbose=true")
			lines := strings.Split(text, "\n")
			return len(lines) == 6 && lines[0] == "[+]cache-sync ok" && strings.HasPrefix(lines[1], "[+]approval-policy ok sha256:") && len(lines[1]) == 41 &&
				lines[2] == "[+]holmesgpt-api ok" && lines[3] == "[+]datastorage ok" && lines[4] == "readyz check passed"
		})
	})
	t.Run("deleted in the call", func(t *testing.T) {
		hapi.mu.Lock()
		hapi.hold = make(chan struct{})
		hapi.mu.Unlock()
		create(t, "incident.yaml", "deleted")
		until(t, "the call", func(context.Context) bool { return hapi.count("deleted") == 1 })
		if err := c.Delete(t.Context(), manifest(t, "incident.yaml", namespace, "deleted")); err != nil {
			t.Fatal(err)
		}
		until(t, "it is gone", func(ctx context.Context) bool {
			return apierrors.IsNotFound(c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "deleted"}, &v1alpha1.AIAnalysis{}))
		})
		if kinds := store.of("deleted"); !slices.Equal(kinds, []string{"phase.transition", "holmesgpt.call", "error.occurred", "phase.transition", "analysis.completed"}) {
			t.Errorf("events %v", kinds)
		}
	})
	t.Run("killed in the call", func(t *testing.T) {
		create(t, "incident.yaml", "killed")
		until(t, "the call", func(context.Context) bool { return hapi.count("killed") == 1 })
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-p.ended
		hapi.mu.Lock()
		close(hapi.hold)
		hapi.hold = nil
		hapi.mu.Unlock()
		p = begin()
		cr := await(t, c, namespace, "killed", "recorded", recorded)
		want := slices.Insert(slices.Clone(happyTrail), 1, "error.occurred")
		if kinds := store.of("killed"); cr.Status.Phase != v1alpha1.PhaseCompleted || !slices.Equal(kinds, want) || hapi.count("killed") != 2 {
			t.Errorf("%s, events %v, %d calls", cr.Status.Phase, kinds, hapi.count("killed"))
		}
	})
	t.Run("killed with Data Storage down", func(t *testing.T) {
		store.set(true)
		create(t, "incident.yaml", "unrecorded")
		await(t, c, namespace, "unrecorded", "Data Storage unavailable", func(cr *v1alpha1.AIAnalysis) bool {
			condition := meta.FindStatusCondition(cr.Status.Conditions, v1alpha1.ConditionAuditRecorded)
			return cr.Status.Phase == v1alpha1.PhaseCompleted && condition != nil && condition.Reason == v1alpha1.CondDataStorageUnavailable
		})
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-p.ended
		store.set(false)
		p = begin()
		await(t, c, namespace, "unrecorded", "recorded", recorded)
		if kinds := store.of("unrecorded"); !slices.Equal(kinds, happyTrail) || hapi.count("unrecorded") != 1 {
			t.Errorf("events %v", kinds)
		}
	})
	t.Run("ends in good order", func(t *testing.T) {
		begun := time.Now()
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := <-p.ended; err != nil || time.Since(begun) > 5*time.Second {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
	})
}
