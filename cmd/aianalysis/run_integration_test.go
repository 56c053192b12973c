//go:build integration

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
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

// start launches a controller and returns when it is ready.
func start(t, owner *testing.T, access, hapi, store string) *program {
	t.Helper()
	p := launch(t, owner, access, "--holmesgpt-api-url", hapi, "--datastorage-url", store)
	until(t, "the controller is ready", func(ctx context.Context) bool {
		status, _ := p.get(ctx, "/readyz")
		return status == http.StatusOK
	})
	return p
}

var happyTrail = []string{"phase.transition", "holmesgpt.call", "phase.transition", "rego.evaluation", "approval.decision", "phase.transition", "analysis.completed"}

// happyEvents are sorted: their times tell whole seconds only.
var happyEvents = []string{"Normal AIAnalysisCreated 1", "Normal AnalysisCompleted 1", "Normal InvestigationComplete 1"}

// kubeEvents lists type, reason and count of an object's Events, sorted.
func kubeEvents(ctx context.Context, c client.Client, namespace, name string) (all []string) {
	var events corev1.EventList
	if err := c.List(ctx, &events, client.InNamespace(namespace)); err != nil {
		return nil
	}
	for _, e := range events.Items {
		if e.InvolvedObject.Kind == "AIAnalysis" && e.InvolvedObject.Name == name {
			all = append(all, fmt.Sprintf("%s %s %d", e.Type, e.Reason, e.Count))
		}
	}
	slices.Sort(all)
	return all
}

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
	access, whole := leastAccess(t, c), t
	begin := func(t *testing.T) *program {
		t.Helper()
		return start(t, whole, access, hapiServer.URL, storeServer.URL)
	}
	p := begin(t)

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
			var told []string
			until(t, "Events of "+name, func(ctx context.Context) bool {
				told = kubeEvents(ctx, c, namespace, name)
				return len(told) >= len(happyEvents)
			})
			if !slices.Equal(told, happyEvents) {
				t.Errorf("Events of %s: %v", name, told)
			}
		}
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
		hapi.holdCalls(t)
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
		release := hapi.holdCalls(t)
		create(t, "incident.yaml", "killed")
		until(t, "the call", func(context.Context) bool { return hapi.count("killed") == 1 })
		p.kill(t)
		release()
		p = begin(t)
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
		p.kill(t)
		store.set(false)
		p = begin(t)
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
		if <-p.ended; p.err != nil || time.Since(begun) > 5*time.Second {
			t.Errorf("after %s: %v", time.Since(begun), p.err)
		}
	})
}
