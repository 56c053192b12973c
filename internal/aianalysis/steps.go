package aianalysis

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// create gives a new object its first phase.
func (r *Reconciler) create(cr *v1alpha1.AIAnalysis) (*plan, error) {
	p := newPlan(cr, r.Now())
	p.conditions().inProgress(msgCreated)
	return p, p.move(v1alpha1.PhasePending, msgCreated)
}

// start begins the analysis and claims the first attempt.
func (r *Reconciler) start(cr *v1alpha1.AIAnalysis) (*plan, error) {
	p := newPlan(cr, r.Now())
	started := metav1.NewTime(p.now)
	p.next.StartedAt = &started
	p.next.InvestigationAttempt = p.next.ConsecutiveFailures + 1
	p.conditions().inProgress(msgInvestigating)
	p.announce("AIAnalysisCreated", "Pending -> Investigating")
	if labels := cr.Spec.AnalysisRequest.SignalContext.EnrichmentResults.DetectedLabels; labels != nil {
		for _, field := range labels.FailedDetections {
			p.count(func(m *Metrics) { m.FailedDetections.WithLabelValues(field).Inc() })
		}
	}
	return p, p.move(v1alpha1.PhaseInvestigating, msgInvestigating)
}

// investigate makes one attempt, if one is due. The claim is stored before the call and the call is made by the claimer only, so an
// attempt is never sent twice; an attempt whose claimer is gone counts as a failure.
func (r *Reconciler) investigate(ctx context.Context, cr *v1alpha1.AIAnalysis) (*v1alpha1.AIAnalysis, *plan, time.Duration, error) {
	if next := cr.Status.NextRetryTime; next != nil {
		if wait := due(next.Time, r.Now()); wait > 0 {
			return cr, nil, wait, nil
		}
	}
	attempt := cr.Status.ConsecutiveFailures + 1
	claimed := cr.Status.InvestigationAttempt == attempt
	switch {
	case claimed && !r.runs.owns(cr.UID, attempt, cr.Status.NextRetryTime):
		p, err := r.attemptFailed(ctx, cr, interrupted(attempt))
		return cr, p, 0, err
	case r.Circuit.Open():
		p, err := r.attemptFailed(ctx, cr, circuitOpen())
		return cr, p, 0, err
	case !claimed:
		claim := cr.Status.DeepCopy()
		claim.InvestigationAttempt = attempt
		claim.NextRetryTime = r.runs.claim(cr.UID, attempt, r.Now())
		claim.ObservedGeneration = cr.Generation
		written, err := r.write(ctx, cr, claim)
		if err != nil {
			return cr, nil, 0, err
		}
		cr = written
	}
	if !r.runs.begin(cr.UID, attempt, cr.Status.NextRetryTime) {
		p, err := r.attemptFailed(ctx, cr, interrupted(attempt))
		return cr, p, 0, err
	}
	p, err := r.call(ctx, cr, attempt)
	return cr, p, 0, err
}

// call sends one request. A cancelled call yields no plan: whoever cancelled it decides what follows.
func (r *Reconciler) call(ctx context.Context, cr *v1alpha1.AIAnalysis, attempt int32) (*plan, error) {
	callCtx, cancel := context.WithTimeout(ctx, r.callTimeout(ctx, cr))
	defer cancel()
	r.runs.calling(cr.UID, cancel)
	defer r.runs.calling(cr.UID, nil)

	answer, made, err := r.HolmesGPT.Investigate(callCtx, cr, attempt)
	failure := failureOf(err)
	var records []entry
	if made.Endpoint != "" {
		records = append(records, callMade(r.Now(), made, attempt, failure))
		r.runs.callEnded(cr.UID, records[0])
	}
	if failure != nil && failure.Class == ClassCancelled {
		return nil, nil
	}
	if failure != nil {
		p, err := r.attemptFailed(ctx, cr, failure, records...)
		if p != nil {
			p.called = made.Duration
		}
		return p, err
	}
	p := newPlan(cr, r.Now())
	p.called = made.Duration
	p.audit(records...)
	p.next.InvestigationTime = max(1, made.Duration.Milliseconds())
	logger := log.FromContext(ctx)
	for _, note := range sanitise(answer, &cr.Spec, p.now) {
		logger.Info("answer of HolmesGPT-API adjusted", "what", note)
	}
	if _, known := reviewSubReason(answer.HumanReviewReason, nil); !known {
		logger.Info("unknown reason for human review", "value", cut(answer.HumanReviewReason, 64))
	}
	return p, p.investigated(answer, &cr.Spec)
}

// attemptFailed schedules the next attempt or ends the analysis. Without a request there is no record of one.
func (r *Reconciler) attemptFailed(ctx context.Context, cr *v1alpha1.AIAnalysis, failure *CallError, record ...entry) (*plan, error) {
	p := newPlan(cr, r.Now())
	n := cr.Status.ConsecutiveFailures + 1
	p.audit(record...)
	occurred := errorOccurred(p.now, cr.Status.Phase, failure.Class, failure.Text)
	occurred.data["attempt"] = n
	p.audit(occurred)
	p.next.ConsecutiveFailures = n
	logger := log.FromContext(ctx).WithValues("errorClass", failure.Class, "cause", failure.Text)
	if failure.Alert {
		logger.Error(failure, "attempt failed and needs attention")
	} else {
		logger.Info("attempt failed")
	}
	switch {
	case !failure.Class.Retryable():
		return p, p.fail(v1alpha1.ReasonAPIError, v1alpha1.SubReasonPermanentError, "Permanent error: "+failure.Text)
	case n > r.Options.MaxRetries:
		return p, p.fail(v1alpha1.ReasonAPIError, v1alpha1.SubReasonMaxRetriesExceeded,
			fmt.Sprintf("Transient error exceeded max retries (%d attempts): %s", n, failure.Text))
	}
	next := metav1.NewMicroTime(p.now.Add(r.Options.Backoff.Wait(n, r.Jitter(), failure)).Truncate(time.Microsecond))
	p.next.NextRetryTime = &next
	p.next.Reason, p.next.SubReason = v1alpha1.ReasonTransientError, v1alpha1.SubReasonTransientError
	p.next.Message = cut(transientMessage(n, r.Options.MaxRetries, failure, next.Time), maxMessage)
	p.count(func(m *Metrics) { m.Failures.WithLabelValues(v1alpha1.ReasonTransientError, "Retrying").Inc() })
	return p, nil
}

func (r *Reconciler) callTimeout(ctx context.Context, cr *v1alpha1.AIAnalysis) time.Duration {
	limit := r.Options.CallTimeout
	if own := cr.Spec.TimeoutConfig; own != nil && own.InvestigatingTimeout.Duration > 0 {
		limit = own.InvestigatingTimeout.Duration
	}
	if limit > r.Options.MaxCallTimeout {
		log.FromContext(ctx).Info("investigating timeout cut to the maximum", "asked", limit, "maximum", r.Options.MaxCallTimeout)
		limit = r.Options.MaxCallTimeout
	}
	return limit
}
