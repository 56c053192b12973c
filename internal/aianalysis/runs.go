package aianalysis

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// runs is what this process alone knows of the CRs it works on. It is lost with the process, and the state machine expects that.
type runs struct {
	mu  sync.Mutex
	all map[types.UID]*run
}

type run struct {
	written string // resource version of the last write; a cache that shows another is perhaps stale
	claimed int32  // attempt that this process claimed, or tried to
	mark    *metav1.MicroTime
	called  int32 // attempt whose call this process has begun
	kept    *plan // computed, not yet stored
	ended   []entry
	recheck time.Duration // the last wait for the audit
	deleted bool
	cancel  context.CancelFunc // of the call in flight
}

// with runs fn with the run of one CR, under the lock.
func (r *runs) with(uid types.UID, fn func(*run)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[types.UID]*run{}
	}
	if r.all[uid] == nil {
		r.all[uid] = &run{}
	}
	fn(r.all[uid])
}

func (r *runs) forget(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, uid)
}

// lastWritten returns the resource version of this process's last write, or "".
func (r *runs) lastWritten(uid types.UID) (version string) {
	r.with(uid, func(x *run) { version = x.written })
	return version
}

// stored notes a successful write.
func (r *runs) stored(cr *v1alpha1.AIAnalysis) {
	r.with(cr.UID, func(x *run) { x.written = cr.ResourceVersion })
}

// first notes that this process owns the first attempt: the write that claims it is known by its audit trail.
func (r *runs) first(uid types.UID) {
	r.with(uid, func(x *run) { x.claimed, x.mark = 1, nil })
}

// claim notes that this process claims an attempt, and returns what to store with the claim as the time since when the attempt is due.
// By it the claim is known as this process's own even if no reply to its write ever came: it lies within the second before now, at
// a microsecond that another process hardly picks.
func (r *runs) claim(uid types.UID, attempt int32, now time.Time) (mark *metav1.MicroTime) {
	r.with(uid, func(x *run) {
		if x.claimed != attempt {
			since := metav1.NewMicroTime(now.Add(-rand.N(time.Second)).Truncate(time.Microsecond))
			x.claimed, x.mark = attempt, &since
		}
		mark = x.mark.DeepCopy()
	})
	return mark
}

// begin notes that the call of an attempt starts. mark is what the stored claim carries. It reports false if this process does not own
// the attempt, or has begun that call before: then its result is lost and it must not be sent again.
func (r *runs) begin(uid types.UID, attempt int32, mark *metav1.MicroTime) (ok bool) {
	r.with(uid, func(x *run) {
		if ok = x.owns(attempt, mark); ok {
			x.called = attempt
		}
	})
	return ok
}

// owns reports whether begin would let the call of a claimed attempt start.
func (r *runs) owns(uid types.UID, attempt int32, mark *metav1.MicroTime) (ok bool) {
	r.with(uid, func(x *run) { ok = x.owns(attempt, mark) })
	return ok
}

func (x *run) owns(attempt int32, mark *metav1.MicroTime) bool {
	return x.claimed == attempt && x.mark.Equal(mark) && x.called < attempt
}

// recheck returns how long to wait before a CR whose audit is not complete is looked at again without being woken: ever longer.
func (r *runs) recheck(uid types.UID) (wait time.Duration) {
	r.with(uid, func(x *run) {
		x.recheck = min(max(firstRecheck, 2*x.recheck), maxRecheck)
		wait = x.recheck
	})
	return wait
}

// calling registers the cancel function of the call in flight; nil takes it away. A CR already deleted is cancelled at once.
func (r *runs) calling(uid types.UID, cancel context.CancelFunc) {
	r.with(uid, func(x *run) {
		x.cancel = cancel
		if x.deleted && cancel != nil {
			cancel()
		}
	})
}

// cancelCall ends the call of a deleted CR.
func (r *runs) cancelCall(uid types.UID) {
	r.with(uid, func(x *run) {
		x.deleted = true
		if x.cancel != nil {
			x.cancel()
		}
	})
}

// callEnded remembers the audit entry of a finished call until a write has taken it.
func (r *runs) callEnded(uid types.UID, e entry) {
	r.with(uid, func(x *run) { x.ended = append(x.ended, e) })
}

func (r *runs) unrecorded(uid types.UID) (entries []entry) {
	r.with(uid, func(x *run) { entries = x.ended })
	return entries
}

// keep holds a plan until it is stored.
func (r *runs) keep(uid types.UID, p *plan) { r.with(uid, func(x *run) { x.kept = p }) }

// done drops the plan and what it recorded.
func (r *runs) done(uid types.UID) { r.with(uid, func(x *run) { x.kept, x.ended = nil, nil }) }

// resume returns the kept plan of a CR if it was computed on exactly the state that the CR is in.
func (r *runs) resume(cr *v1alpha1.AIAnalysis) (p *plan) {
	r.with(cr.UID, func(x *run) {
		if x.kept != nil && samePlace(&x.kept.from, &cr.Status) {
			p = x.kept
		}
	})
	return p
}

// samePlace compares what identifies a place in the state machine. Nobody but this controller writes the rest of a status.
func samePlace(a, b *v1alpha1.AIAnalysisStatus) bool {
	return a.Phase == b.Phase && a.InvestigationAttempt == b.InvestigationAttempt && a.ConsecutiveFailures == b.ConsecutiveFailures
}
