package aianalysis

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

const (
	firstErrorWait = 10 * time.Millisecond
	maxErrorWait   = 10 * time.Second
)

// SetupWithManager registers the controller. waker brings CRs back whose audit has moved on.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, workers int, waker *Waker) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.AIAnalysis{}, builder.WithPredicates(r.wakes())).
		WatchesRawSource(source.Func(waker.attach)).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: workers,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstErrorWait, maxErrorWait),
		}).
		Complete(r)
}

// wakes lets creation, a change of generation and deletion through; our own writes need no waking. It also cancels the call of an
// object that is being deleted: the worker that waits for that call is the only one that may reconcile the object.
func (r *Reconciler) wakes() predicate.Predicate {
	return predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			deleted := e.ObjectNew.GetDeletionTimestamp() != nil && e.ObjectOld.GetDeletionTimestamp() == nil
			if deleted {
				r.runs.cancelCall(e.ObjectNew.GetUID())
			}
			return deleted || e.ObjectNew.GetGeneration() != e.ObjectOld.GetGeneration()
		},
		DeleteFunc: func(e event.DeleteEvent) bool {
			r.runs.cancelCall(e.Object.GetUID())
			r.forget(e.Object.GetUID())
			return false
		},
	}
}

// Waker puts objects back into the controller's queue. It never blocks; before the controller runs it does nothing.
type Waker struct {
	mu    sync.Mutex
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
}

// Wake reconciles an object soon.
func (w *Waker) Wake(name types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queue != nil {
		w.queue.Add(reconcile.Request{NamespacedName: name})
	}
}

func (w *Waker) attach(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = queue
	return nil
}
