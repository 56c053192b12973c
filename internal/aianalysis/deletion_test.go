package aianalysis

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

func (w *world) delete() *v1alpha1.AIAnalysis {
	w.t.Helper()
	if err := w.r.Client.Delete(context.Background(), w.get()); err != nil {
		w.t.Fatal(err)
	}
	return w.get()
}

func (w *world) gone() bool {
	var cr v1alpha1.AIAnalysis
	return apierrors.IsNotFound(w.r.Client.Get(context.Background(), w.key, &cr))
}

func TestDeletedInTheCall(t *testing.T) {
	w := newWorld(t, noFuncs, sample())
	w.audit.up = true
	w.hapi.replies = []reply{{}}
	w.hapi.block = make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = w.r.Reconcile(context.Background(), ctrl.Request{NamespacedName: w.key}) // ends without a result
	}()
	<-w.hapi.block
	before := w.get()
	deleted := w.delete()
	if !w.r.wakes().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: deleted}) {
		t.Error("deletion does not wake the controller")
	}
	<-done
	w.reconcile()
	if !w.gone() {
		t.Fatalf("still there: %+v", w.get().Status)
	}
	var kinds []string
	for _, id := range w.audit.order {
		kinds = append(kinds, strings.TrimPrefix(w.audit.events[id].Type, "aianalysis."))
	}
	if want := []string{"phase.transition", "holmesgpt.call", "error.occurred", "phase.transition", "analysis.completed"}; !slices.Equal(kinds, want) {
		t.Errorf("events %v", kinds)
	}
}

// An object that is deleted or moved while a step is written is no failure of that step.
func TestSupersededIsNoError(t *testing.T) {
	moved := 0
	conflict := apierrors.NewConflict(schema.GroupResource{}, "cart-oom", errors.New("modified"))
	funcs := interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, patch client.Patch, opts ...client.PatchOption) error {
			if moved++; moved == 1 {
				return conflict // of the finalizer
			}
			return c.Patch(ctx, o, patch, opts...)
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			if o.(*v1alpha1.AIAnalysis).Status.Phase == v1alpha1.PhaseAnalyzing {
				if err := c.Delete(ctx, sample()); err != nil {
					return err
				}
				return conflict
			}
			return c.SubResource(sub).Update(ctx, o, opts...)
		},
	}
	w := newWorld(t, funcs, sample())
	w.audit.up = true
	w.hapi.replies = []reply{{answer: goodAnswer(), status: 200}}
	for _, what := range []string{"finalizer", "step"} {
		if wait := w.reconcile().RequeueAfter; wait != time.Millisecond {
			t.Errorf("%s: waits %s", what, wait)
		}
	}
	w.reconcile()
	if n := testutil.ToFloat64(w.r.Metrics.Reconciliations.WithLabelValues("Investigating", "error")); n != 0 || !w.gone() {
		t.Errorf("%v errors, gone %v", n, w.gone())
	}
}

func TestDeletedBeforeAnything(t *testing.T) {
	fresh := sample()
	fresh.Finalizers = []string{v1alpha1.Finalizer}
	w := newWorld(t, noFuncs, fresh)
	w.delete()
	w.reconcile()
	if !w.gone() || len(w.audit.order) != 0 {
		t.Errorf("gone %v, events %v", w.gone(), w.audit.order)
	}
}

func TestDeletedWhileDataStorageIsDown(t *testing.T) {
	w := newWorld(t, noFuncs, sample())
	w.hapi.replies = []reply{{answer: goodAnswer(), status: 200}}
	w.finish()
	deleted := w.delete()
	w.now = deleted.DeletionTimestamp.Add(29 * time.Second)
	if wait := w.reconcile().RequeueAfter; wait != time.Second || w.gone() {
		t.Errorf("waits %s", wait)
	}
	w.kubeEvents()
	w.now = w.now.Add(time.Second)
	w.reconcile()
	if events := w.kubeEvents(); !w.gone() || !slices.Equal(events, []string{"Warning AuditIncomplete 7 audit events not stored"}) {
		t.Errorf("gone %v, events %v", w.gone(), events)
	}
}
