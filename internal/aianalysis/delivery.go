package aianalysis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// How soon a CR whose audit is not complete is looked at again without being woken; the wait doubles.
const (
	firstRecheck = 30 * time.Second
	maxRecheck   = 10 * time.Minute
)

// submitAudit hands the whole trail to the audit log unless the store is known to have it. The log ignores what it has already, so
// this both sends new events and, after a restart, all old ones again.
func (r *Reconciler) submitAudit(cr *v1alpha1.AIAnalysis) error {
	if auditRecorded(cr) || len(cr.Status.AuditTrail) == 0 {
		return nil
	}
	events, err := EventsOf(cr)
	if err != nil {
		return err
	}
	r.Audit.Submit(client.ObjectKeyFromObject(cr), events)
	return nil
}

func auditRecorded(cr *v1alpha1.AIAnalysis) bool {
	return meta.IsStatusConditionTrue(cr.Status.Conditions, v1alpha1.ConditionAuditRecorded)
}

// settleAudit brings the condition AuditRecorded of a terminal CR up to date.
func (r *Reconciler) settleAudit(ctx context.Context, cr *v1alpha1.AIAnalysis) (ctrl.Result, error) {
	if auditRecorded(cr) {
		r.Audit.Forget(cr.UID)
		return ctrl.Result{}, nil
	}
	delivery, total := r.Audit.Delivery(cr.UID), len(cr.Status.AuditTrail)
	value, reason, message := auditCondition(delivery, total)
	next := cr.Status.DeepCopy()
	next.ObservedGeneration = cr.Generation
	newConditionSetter(next, cr.Generation, r.Now()).set(v1alpha1.ConditionAuditRecorded, value, reason, message)
	have := meta.FindStatusCondition(cr.Status.Conditions, v1alpha1.ConditionAuditRecorded)
	now := meta.FindStatusCondition(next.Conditions, v1alpha1.ConditionAuditRecorded)
	// The ids of refused events are told as they come; of all else the count alone is not worth a write.
	if have == nil || have.Status != value || have.Reason != reason || reason == v1alpha1.CondEventRejected && have.Message != now.Message {
		if _, err := r.write(ctx, cr, next); err != nil {
			return ctrl.Result{}, err
		}
	}
	r.Metrics.unrecorded(cr.UID, value != metav1.ConditionTrue)
	if value == metav1.ConditionTrue {
		r.Audit.Forget(cr.UID)
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: r.runs.recheck(cr.UID)}, nil
}

func auditCondition(d Delivery, total int) (metav1.ConditionStatus, string, string) {
	progress := fmt.Sprintf("%d of %d events stored", d.Stored, total)
	switch {
	case d.Stored == total:
		return metav1.ConditionTrue, v1alpha1.CondAllEventsStored, progress
	case len(d.Rejected) > 0:
		return metav1.ConditionFalse, v1alpha1.CondEventRejected,
			fmt.Sprintf("%s; refused: %s (%s)", progress, strings.Join(d.Rejected, ", "), d.Detail)
	case d.Failing:
		return metav1.ConditionFalse, v1alpha1.CondDataStorageUnavailable, progress
	default:
		return metav1.ConditionFalse, v1alpha1.CondPending, progress
	}
}

// finish handles a CR that is being deleted: it ends the analysis if need be, waits a bounded time for the audit, and lets go.
func (r *Reconciler) finish(ctx context.Context, cr *v1alpha1.AIAnalysis) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(cr, v1alpha1.Finalizer) {
		return ctrl.Result{}, nil
	}
	if cr.Status.Phase == "" || finishedByOlderController(cr) {
		return r.letGo(ctx, cr)
	}
	if !cr.Status.Phase.Terminal() {
		written, err := r.cancelled(ctx, cr)
		if err != nil {
			return ctrl.Result{RequeueAfter: time.Millisecond}, ignoreSuperseded(err)
		}
		cr = written
	}
	delivery, total := r.Audit.Delivery(cr.UID), len(cr.Status.AuditTrail)
	if auditRecorded(cr) || delivery.Stored+len(delivery.Rejected) >= total {
		return r.letGo(ctx, cr)
	}
	left := r.Options.FinalizerTimeout - r.Now().Sub(cr.DeletionTimestamp.Time)
	if left > 0 {
		return ctrl.Result{RequeueAfter: left}, nil
	}
	events, err := EventsOf(cr)
	if err != nil {
		return ctrl.Result{}, err
	}
	lost := r.Audit.Abandon(cr.UID, events)
	for _, id := range lost {
		log.FromContext(ctx).Info("audit event lost with its deleted object", "eventId", id)
	}
	r.Recorder.Eventf(cr, corev1.EventTypeWarning, "AuditIncomplete", "%d audit events not stored", len(lost))
	return r.letGo(ctx, cr)
}

// cancelled is the last step of an analysis that was deleted before its end.
func (r *Reconciler) cancelled(ctx context.Context, cr *v1alpha1.AIAnalysis) (*v1alpha1.AIAnalysis, error) {
	p := newPlan(cr, r.Now())
	p.audit(r.runs.unrecorded(cr.UID)...)
	p.audit(errorOccurred(p.now, cr.Status.Phase, ClassCancelled, msgDeleted))
	if err := p.fail(v1alpha1.ReasonAnalysisCancelled, v1alpha1.SubReasonResourceDeleted, msgDeleted); err != nil {
		return nil, err
	}
	if err := p.seal(); err != nil {
		return nil, err
	}
	written, err := r.write(ctx, cr, &p.next)
	if err != nil {
		return nil, err
	}
	r.stored(ctx, written, p)
	return written, nil
}

func (r *Reconciler) letGo(ctx context.Context, cr *v1alpha1.AIAnalysis) (ctrl.Result, error) {
	patched := cr.DeepCopy()
	controllerutil.RemoveFinalizer(patched, v1alpha1.Finalizer)
	err := r.patchMeta(ctx, cr, patched)
	if errors.Is(err, errSuperseded) {
		return ctrl.Result{RequeueAfter: time.Millisecond}, nil
	}
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("removing finalizer of %q: %w", cr.Name, err)
	}
	r.forget(cr.UID)
	return ctrl.Result{}, nil
}

func ignoreSuperseded(err error) error {
	if errors.Is(err, errSuperseded) {
		return nil
	}
	return err
}
