//go:build integration

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

const (
	mutants  = 10_000
	fuzzSeed = 20251229
	creators = 8
	// lives is how often an object may be reconciled: once for all its steps, once a retry, and when its audit is stored or not.
	lives = 12
)

// mutant is the n-th object. It is always the same.
func mutant(t *testing.T, namespace string, n int) *unstructured.Unstructured {
	random := rand.New(rand.NewPCG(fuzzSeed, uint64(n)))
	name := fmt.Sprintf("mutant-%05d", n)
	object := manifest(t, []string{"incident.yaml", "recovery.yaml"}[random.IntN(2)], namespace, name)
	mutate(object.Object, random)
	return object
}

// settled tells whether an analysis is over and its whole audit stored.
func settled(cr *v1alpha1.AIAnalysis) bool {
	return cr.Status.Phase.Terminal() && meta.IsStatusConditionTrue(cr.Status.Conditions, v1alpha1.ConditionAuditRecorded)
}

// TestFuzz: whatever is sent, the API server stores nothing bad, and with what it stores the controller comes to an end.
func TestFuzz(t *testing.T) {
	c, namespace := cluster(t)
	hapi := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := answerSure
		if r.URL.Path == "/api/v1/recovery/analyze" {
			answer = answerRecovered
		}
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(hapi.Close)
	config := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(config, []byte("controller: {kubeQPS: 2000, kubeBurst: 2000}\nholmesgpt: {backoffBase: 10ms}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stack := newRealStack(t, leastAccess(t, c))
	p, metrics := stack.begin(hapi.URL, "--config", config)

	begun, over := time.Now(), watchEnds(t, c, namespace, settled)
	accepted := createMutants(t, c, namespace)
	t.Logf("%d of %d accepted, after %s", len(accepted), mutants, time.Since(begun))
	if len(accepted) < mutants/50 || len(accepted) > mutants/2 {
		t.Errorf("%d of %d accepted: this test proves little", len(accepted), mutants)
	}
	over.await(len(accepted))
	t.Logf("all settled after %s", time.Since(begun))
	now := scrape(t, metrics)
	for _, counter := range []string{"controller_runtime_reconcile_errors_total", "controller_runtime_reconcile_panics_total", "workqueue_depth"} {
		if n := now.sum(counter, "controller", "aianalysis"); n != 0 {
			t.Errorf("%s is %v", counter, n)
		}
	}
	reconciles := now.sum("controller_runtime_reconcile_total", "controller", "aianalysis")
	t.Logf("%v reconciles", reconciles)
	if most := float64(lives * len(accepted)); reconciles > most || reconciles < float64(len(accepted)) {
		t.Errorf("%v reconciles of %d objects, at most %v are due", reconciles, len(accepted), most)
	}
	select {
	case <-p.ended:
		t.Errorf("the controller has ended: %v", p.err)
	default:
	}
	noneBad(t, c, namespace, accepted)
}

// createMutants sends them all and returns the names of those that were accepted. A refusal must be the API server's own, with a cause.
func createMutants(t *testing.T, c client.Client, namespace string) map[string]bool {
	t.Helper()
	var next atomic.Int64
	var all sync.WaitGroup
	var mu sync.Mutex
	accepted := map[string]bool{}
	for range creators {
		all.Go(func() {
			for n := int(next.Add(1)); n <= mutants; n = int(next.Add(1)) {
				object := mutant(t, namespace, n)
				err := c.Create(t.Context(), object)
				switch {
				case err == nil:
					mu.Lock()
					accepted[object.GetName()] = true
					mu.Unlock()
				case !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err):
					t.Errorf("%s: %v", object.GetName(), err)
				}
			}
		})
	}
	all.Wait()
	return accepted
}

// noneBad reads back what is stored, as it is stored.
func noneBad(t *testing.T, c client.Client, namespace string, accepted map[string]bool) {
	t.Helper()
	var list unstructured.UnstructuredList
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: "kubernaut.ai", Version: "v1alpha1", Kind: "AIAnalysisList"})
	if err := c.List(t.Context(), &list, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != len(accepted) {
		t.Errorf("%d accepted, %d stored", len(accepted), len(list.Items))
	}
	phases := map[string]int{}
	for _, object := range list.Items {
		content, err := json.Marshal(object.Object)
		if err != nil {
			t.Fatal(err)
		}
		var cr v1alpha1.AIAnalysis
		strict := json.NewDecoder(bytes.NewReader(content))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&cr); err != nil {
			t.Errorf("%s is stored and cannot be read: %v", object.GetName(), err)
			continue
		}
		wrong := append(bad(&cr.Spec), absent(object.Object["spec"], reflect.TypeFor[v1alpha1.AIAnalysisSpec](), "spec")...)
		if len(wrong) > 0 || !accepted[cr.Name] {
			t.Errorf("%s is stored, and bad: %v", cr.Name, wrong)
		}
		if cr.Status.StartedAt == nil || len(cr.Status.AuditTrail) < 4 { // a status of its sender would have none
			t.Errorf("%s: %+v", cr.Name, cr.Status)
		}
		audit := meta.FindStatusCondition(cr.Status.Conditions, v1alpha1.ConditionAuditRecorded)
		key := fmt.Sprintf("%s %s/%s %s", cr.Status.Phase, cr.Status.Reason, cr.Status.SubReason, audit.Reason)
		if phases[key]++; phases[key] == 1 && audit.Status != "True" {
			t.Logf("%s: %s", cr.Name, audit.Message)
		}
	}
	t.Logf("ends: %v", phases)
}
