package aianalysis

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// errSuperseded means that the object is no longer where the step was computed: another process moved it, or it is being deleted.
var errSuperseded = errors.New("the object has moved on")

const (
	writeTries   = 10
	writeWait    = 10 * time.Millisecond
	maxWriteWait = time.Second
)

// write stores a computed status and returns the object as stored. A foreign change of labels or annotations makes it read again and
// go on; a change of place in the state machine ends it with errSuperseded. A write whose reply was lost is recognised and not
// applied again. It never computes anything.
func (r *Reconciler) write(ctx context.Context, cr *v1alpha1.AIAnalysis, next *v1alpha1.AIAnalysisStatus) (*v1alpha1.AIAnalysis, error) {
	current, wait := cr, writeWait
	var failure error
	for range writeTries {
		attempt := current.DeepCopy()
		attempt.Status = *next.DeepCopy()
		if failure = r.Client.Status().Update(ctx, attempt); failure == nil {
			r.runs.stored(attempt)
			return attempt, nil
		}
		if apierrors.IsNotFound(failure) {
			return nil, errSuperseded
		}
		if apierrors.IsInvalid(failure) {
			break
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
		wait = min(2*wait, maxWriteWait)
		var live v1alpha1.AIAnalysis
		if err := r.Live.Get(ctx, client.ObjectKeyFromObject(cr), &live); err != nil {
			if apierrors.IsNotFound(err) {
				return nil, errSuperseded
			}
			failure = err
			continue
		}
		if live.UID == cr.UID && ownWrite(&live.Status, next, &cr.Status) {
			r.runs.stored(&live)
			return &live, nil
		}
		deletedMeanwhile := live.DeletionTimestamp != nil && cr.DeletionTimestamp == nil
		if live.UID != cr.UID || !samePlace(&live.Status, &cr.Status) || deletedMeanwhile {
			r.runs.stored(&live)
			return nil, errSuperseded
		}
		current = &live
	}
	return nil, fmt.Errorf("writing status of %q: %w", cr.Name, failure)
}

// ownWrite recognises, by the audit trail's microseconds, a write of ours whose reply never came.
func ownWrite(live, next, before *v1alpha1.AIAnalysisStatus) bool {
	n := len(next.AuditTrail)
	if n == len(before.AuditTrail) || len(live.AuditTrail) != n {
		return false
	}
	have, want := live.AuditTrail[n-1], next.AuditTrail[n-1]
	return have.Type == want.Type && have.Ordinal == want.Ordinal && have.At.Equal(&want.At) && live.Phase == next.Phase
}

func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
