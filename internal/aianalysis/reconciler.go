package aianalysis

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// errPanicked stands for the error of a step that panicked; controller-runtime recovers and reports it.
var errPanicked = errors.New("panicked")

//go:generate go run sigs.k8s.io/controller-tools/cmd/controller-gen rbac:roleName=aianalysis-controller paths=. output:rbac:dir=../../config/rbac

// +kubebuilder:rbac:groups=kubernaut.ai,resources=aianalyses,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=kubernaut.ai,resources=aianalyses/status,verbs=get;update;patch
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=get;create;update,namespace=kubernaut-system

// Options are the limits of the state machine.
type Options struct {
	CallTimeout      time.Duration // one call, unless the CR says otherwise
	MaxCallTimeout   time.Duration
	MaxRetries       int32
	Backoff          Backoff
	PolicyTimeout    time.Duration // one evaluation, unless the CR says otherwise
	FinalizerTimeout time.Duration // how long a deleted CR waits for its audit
}

// Reconciler carries one AIAnalysis after the other through the state machine.
type Reconciler struct {
	Client    client.Client
	Live      client.Reader // reads past the cache
	Recorder  record.EventRecorder
	HolmesGPT Investigator
	Circuit   Circuit
	Policy    Policy
	Audit     AuditLog
	Metrics   *Metrics
	Options   Options
	Now       func() time.Time
	Jitter    func() float64 // in [-1, 1]
	// OnDrained calls back once a shutdown has waited long enough for running steps: a reconcile outlives its own context until then.
	// It has the meaning of context.AfterFunc.
	OnDrained func(cancel func()) (stop func() bool)

	runs runs
}

// Reconcile does all steps that can be done now. ctx only says whether a new step may begin.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	begun := time.Now()
	defer func() { r.Metrics.Duration.WithLabelValues("overall").Observe(time.Since(begun).Seconds()) }()
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer r.OnDrained(cancel)()

	cr, err := r.fetch(work, req)
	if cr == nil || err != nil {
		return ctrl.Result{}, err
	}
	work = log.IntoContext(work, log.FromContext(work).WithValues("uid", cr.UID, "remediationId", cr.Spec.RemediationID))
	if err := r.submitAudit(cr); err != nil {
		return ctrl.Result{}, err
	}
	switch {
	case cr.DeletionTimestamp != nil:
		return r.finish(logging(work, cr), cr)
	case finishedByOlderController(cr):
		return ctrl.Result{}, nil
	}
	var result ctrl.Result
	if cr, err = r.ensureFinalizer(work, cr); err == nil {
		result, err = r.advance(ctx, work, cr)
	}
	if errors.Is(err, errSuperseded) {
		return ctrl.Result{RequeueAfter: time.Millisecond}, nil
	}
	return result, client.IgnoreNotFound(err)
}

// advance runs step after step on what the last write returned, until the object is terminal or has to wait.
func (r *Reconciler) advance(ctx, work context.Context, cr *v1alpha1.AIAnalysis) (ctrl.Result, error) {
	for ctx.Err() == nil {
		if cr.Status.Phase.Terminal() {
			return r.settleAudit(logging(work, cr), cr)
		}
		next, wait, err := r.step(logging(work, cr), cr)
		if err != nil || next == nil {
			return ctrl.Result{RequeueAfter: wait}, err
		}
		cr = next
	}
	return ctrl.Result{}, nil
}

// logging adds what tells the steps of one object apart in the log. In Investigating, attempt is the one that is due.
func logging(ctx context.Context, cr *v1alpha1.AIAnalysis) context.Context {
	attempt := cr.Status.InvestigationAttempt
	if cr.Status.Phase == v1alpha1.PhaseInvestigating {
		attempt = cr.Status.ConsecutiveFailures + 1
	}
	return log.IntoContext(ctx, log.FromContext(ctx).WithValues("phase", cr.Status.Phase, "attempt", attempt))
}

// step does the work of one phase and stores it, and counts that. Without a next object there is nothing to do before wait has passed.
func (r *Reconciler) step(ctx context.Context, cr *v1alpha1.AIAnalysis) (next *v1alpha1.AIAnalysis, wait time.Duration, err error) {
	begun := time.Now()
	phase := cr.Status.Phase
	var called time.Duration
	failed := errPanicked // until carryOut says otherwise
	defer func() {
		if phase != "" && (next != nil || failed != nil && !errors.Is(failed, errSuperseded)) {
			r.Metrics.step(phase, time.Since(begun), called, failed)
		}
	}()
	next, wait, called, err = r.carryOut(ctx, cr)
	failed = err
	return next, wait, err
}

// carryOut is step without its metrics; called is the time spent in the call to HolmesGPT-API.
func (r *Reconciler) carryOut(ctx context.Context, cr *v1alpha1.AIAnalysis) (next *v1alpha1.AIAnalysis, wait, called time.Duration, err error) {
	p := r.runs.resume(cr)
	if p == nil {
		if cr, p, wait, err = r.plan(ctx, cr); err != nil || p == nil {
			return nil, wait, 0, err
		}
		if err := p.seal(); err != nil {
			return nil, 0, 0, err
		}
		r.runs.keep(cr.UID, p)
		called = p.called
	}
	if next, err = r.write(ctx, cr, &p.next); err != nil {
		if errors.Is(err, errSuperseded) {
			log.FromContext(ctx).Info("result of this step dropped: the object has moved on")
		}
		return nil, 0, called, err
	}
	r.stored(ctx, next, p)
	return next, 0, called, nil
}

// plan computes the step of the object's phase. The returned object is the one that the plan is for: claiming an attempt writes.
func (r *Reconciler) plan(ctx context.Context, cr *v1alpha1.AIAnalysis) (*v1alpha1.AIAnalysis, *plan, time.Duration, error) {
	switch cr.Status.Phase {
	case "":
		p, err := r.create(cr)
		return cr, p, 0, err
	case v1alpha1.PhasePending:
		p, err := r.start(cr)
		return cr, p, 0, err
	case v1alpha1.PhaseInvestigating:
		return r.investigate(ctx, cr)
	case v1alpha1.PhaseAnalyzing:
		p, err := r.analyze(ctx, cr)
		return cr, p, 0, err
	default:
		return nil, nil, 0, fmt.Errorf("unknown phase %q", cr.Status.Phase)
	}
}

// stored does what a step promises for the time after its write.
func (r *Reconciler) stored(ctx context.Context, cr *v1alpha1.AIAnalysis, p *plan) {
	r.runs.done(cr.UID)
	if p.next.Phase == v1alpha1.PhaseInvestigating && p.from.Phase == v1alpha1.PhasePending {
		r.runs.first(cr.UID)
	}
	for _, effect := range p.effects {
		effect(r.Metrics)
	}
	for _, event := range p.events {
		kind := corev1.EventTypeNormal
		if event.warning {
			kind = corev1.EventTypeWarning
		}
		r.Recorder.Event(cr, kind, event.reason, cut(event.message, 1024))
	}
	logger := log.FromContext(ctx)
	if p.shortened {
		logger.Info("texts of the status shortened, together they were too long to be stored", "maxBytes", maxStatus)
	}
	if p.from.Phase != cr.Status.Phase {
		logger.Info("phase changed", "from", p.from.Phase, "to", cr.Status.Phase, "reason", cr.Status.Reason, "subReason", cr.Status.SubReason)
	}
	if err := r.submitAudit(cr); err != nil {
		logger.Error(err, "audit events of this step are not sent")
	}
}

// fetch reads the object, past the cache if the cache may be older than this process's own last write.
func (r *Reconciler) fetch(ctx context.Context, req ctrl.Request) (*v1alpha1.AIAnalysis, error) {
	cr := &v1alpha1.AIAnalysis{}
	err := r.Client.Get(ctx, req.NamespacedName, cr)
	if err == nil {
		if known := r.runs.lastWritten(cr.UID); known != "" && known != cr.ResourceVersion {
			uid := cr.UID
			cr = &v1alpha1.AIAnalysis{}
			if err = r.Live.Get(ctx, req.NamespacedName, cr); apierrors.IsNotFound(err) || err == nil && cr.UID != uid {
				r.forget(uid) // a read that merely failed says nothing about the object
			}
		}
	}
	if err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if timeouts := cr.Spec.TimeoutConfig; timeouts != nil {
		for _, text := range []string{timeouts.InvestigatingTimeout.Unreadable, timeouts.AnalyzingTimeout.Unreadable} {
			if text != "" {
				log.FromContext(ctx).Info("unreadable duration counts as absent", "value", cut(text, 64))
			}
		}
	}
	return cr, nil
}

// ensureFinalizer adds the finalizer by a patch of metadata alone: an update would rewrite the immutable spec in our spelling.
func (r *Reconciler) ensureFinalizer(ctx context.Context, cr *v1alpha1.AIAnalysis) (*v1alpha1.AIAnalysis, error) {
	if controllerutil.ContainsFinalizer(cr, v1alpha1.Finalizer) {
		return cr, nil
	}
	patched := cr.DeepCopy()
	controllerutil.AddFinalizer(patched, v1alpha1.Finalizer)
	if err := r.patchMeta(ctx, cr, patched); err != nil {
		return nil, fmt.Errorf("adding finalizer to %q: %w", cr.Name, err)
	}
	return patched, nil
}

func (r *Reconciler) patchMeta(ctx context.Context, cr, patched *v1alpha1.AIAnalysis) error {
	err := r.Client.Patch(ctx, patched, client.MergeFromWithOptions(cr, client.MergeFromWithOptimisticLock{}))
	if apierrors.IsConflict(err) {
		return errSuperseded
	}
	if err == nil {
		r.runs.stored(patched)
	}
	return err
}

func (r *Reconciler) forget(uid types.UID) {
	r.runs.forget(uid)
	r.Audit.Forget(uid)
	r.Metrics.unrecorded(uid, false)
}

// finishedByOlderController recognises a terminal object that carries nothing of ours.
func finishedByOlderController(cr *v1alpha1.AIAnalysis) bool {
	return cr.Status.Phase.Terminal() && len(cr.Status.AuditTrail) == 0 &&
		meta.FindStatusCondition(cr.Status.Conditions, v1alpha1.ConditionAuditRecorded) == nil
}
