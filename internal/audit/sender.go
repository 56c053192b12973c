package audit

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const (
	maxBatchBytes = 4 << 20
	firstWait     = time.Second
	maxWait       = 30 * time.Second
	parkedWait    = 30 * time.Second // an event that Data Storage has only queued is sent again after this
	clockSkew     = 5 * time.Minute  // how far ahead of Data Storage's clock an event may be
)

// Run sends until ctx ends. There is one sender, so the order of events is kept.
func (l *Log) Run(ctx context.Context) {
	var wait time.Duration
	for ctx.Err() == nil {
		batch := l.take(false)
		if len(batch) == 0 {
			l.idle(ctx)
			continue
		}
		select {
		case <-l.kick: // of before this try: it says nothing about what comes of it
		default:
		}
		asked, ok := l.deliver(ctx, batch)
		if ok {
			wait = 0
			continue
		}
		wait = min(max(firstWait, 2*wait), maxWait)
		pause := max(asked, time.Duration(float64(wait)*(0.9+0.2*rand.Float64())))
		l.sleep(ctx, pause)
	}
}

// Flush sends what is left, once, and gives up when ctx ends or Data Storage is away. Run must have returned.
func (l *Log) Flush(ctx context.Context) {
	for ctx.Err() == nil {
		batch := l.take(true)
		if len(batch) == 0 {
			return
		}
		if _, ok := l.deliver(ctx, batch); !ok {
			return
		}
	}
}

// take removes the next batch from the queue; nothing if it is neither full nor old enough.
func (l *Log) take(now bool) []*item {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unpark()
	if len(l.queue) == 0 {
		return nil
	}
	due := l.now().Sub(l.queue[0].queued) >= l.config.FlushInterval
	if !now && !due && len(l.queue) < l.config.BatchSize {
		return nil
	}
	n, size := 0, 2
	for n < len(l.queue) && n < l.config.BatchSize {
		size += len(l.queue[n].body) + 1
		if n > 0 && size > maxBatchBytes {
			break
		}
		n++
	}
	batch := slices.Clone(l.queue[:n])
	l.queue = slices.Delete(l.queue, 0, n)
	return batch
}

// unpark needs the lock.
func (l *Log) unpark() {
	var waiting []*item
	for _, i := range l.parked {
		if i.notBefore.After(l.now()) {
			waiting = append(waiting, i)
			continue
		}
		l.queue = append(l.queue, i)
	}
	l.parked = waiting
}

// idle waits until a batch may be due.
func (l *Log) idle(ctx context.Context) {
	timer := time.NewTimer(l.untilDue())
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-l.more:
	case <-timer.C:
	}
}

func (l *Log) untilDue() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	wait := maxWait
	if len(l.queue) > 0 {
		wait = min(wait, l.queue[0].queued.Add(l.config.FlushInterval).Sub(l.now()))
	}
	for _, i := range l.parked {
		wait = min(wait, i.notBefore.Sub(l.now()))
	}
	return max(wait, time.Millisecond)
}

// sleep waits after a failure; Kick ends it early.
func (l *Log) sleep(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-l.kick:
	case <-timer.C:
	}
}

// deliver posts a batch, in parts if Data Storage refuses some of it. What it could not decide goes back to the front of the queue;
// ok is then false and asked is the wait that Data Storage asked for.
func (l *Log) deliver(ctx context.Context, batch []*item) (asked time.Duration, ok bool) {
	parts := [][]*item{batch}
	for len(parts) > 0 {
		part := parts[0]
		bodies := make([][]byte, len(part))
		for i, it := range part {
			bodies[i] = it.body
		}
		begun := time.Now()
		r := l.client.post(ctx, bodies)
		l.metrics.duration.Observe(time.Since(begun).Seconds())
		switch {
		case r.status == http.StatusCreated:
			l.stored(part, r)
		case r.status == http.StatusAccepted:
			l.park(part)
		case refused(r.status) && len(part) > 1:
			l.metrics.Failed.Inc()
			parts = append(split(part, r.invalid), parts[1:]...)
			continue
		case refused(r.status) && !r.date.IsZero() && part[0].at.After(r.date.Add(clockSkew)):
			l.config.Logger.Info("clock is ahead of Data Storage's, audit event held back", "eventId", part[0].id)
			l.park(part)
		case refused(r.status):
			l.metrics.Failed.Inc()
			l.reject(part[0], r.detail)
		default:
			l.metrics.Failed.Inc()
			l.away(slices.Concat(parts...), r)
			return r.retryAfter, false
		}
		parts = parts[1:]
	}
	return 0, true
}

func refused(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge || status == http.StatusUnprocessableEntity
}

// split separates the events that Data Storage named from the rest, or halves a batch of which it named none.
func split(batch []*item, invalid []int) [][]*item {
	bad := map[int]bool{}
	for _, index := range invalid {
		if index >= 0 && index < len(batch) {
			bad[index] = true
		}
	}
	if len(bad) == 0 {
		middle := len(batch) / 2
		return [][]*item{batch[:middle], batch[middle:]}
	}
	var rest []*item
	var parts [][]*item
	for i, it := range batch {
		if bad[i] {
			parts = append(parts, []*item{it})
			continue
		}
		rest = append(rest, it)
	}
	if len(rest) > 0 {
		parts = append([][]*item{rest}, parts...)
	}
	return parts
}

func (l *Log) stored(batch []*item, r reply) {
	l.mu.Lock()
	for i, it := range batch {
		if !l.mismatchLogged && i < len(r.ids) && r.ids[i] != it.id {
			l.mismatchLogged = true
			l.config.Logger.Info("Data Storage assigns its own event ids: events sent again may be stored twice")
		}
		l.metrics.Written.Inc()
		if t := l.tracks[it.uid]; t != nil {
			t.known[it.id] = true
			t.failing = false
		}
	}
	news := append(l.settled(batch), l.resubmit()...)
	l.mu.Unlock()
	l.tell(news)
}

func (l *Log) park(batch []*item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, it := range l.wanted(batch) {
		it.notBefore = l.now().Add(parkedWait)
		l.parked = append(l.parked, it)
	}
	l.measure()
}

func (l *Log) reject(it *item, detail string) {
	l.metrics.Dropped.Inc()
	l.config.Logger.Error(nil, "Data Storage refused an audit event", "eventId", it.id, "detail", detail)
	l.mu.Lock()
	if t := l.tracks[it.uid]; t != nil {
		t.rejected = append(t.rejected, it.id)
		t.detail = detail
	}
	news := l.settled([]*item{it})
	l.mu.Unlock()
	l.tell(news)
}

// away puts events back where they were and says so, once, to their CRs.
func (l *Log) away(batch []*item, r reply) {
	cause := r.detail
	if r.err != nil {
		cause = r.err.Error()
	}
	if r.status >= 400 && r.status < 500 {
		l.config.Logger.Error(r.err, "Data Storage does not let this controller write", "status", r.status, "detail", cause)
	} else {
		l.config.Logger.Info("Data Storage is away, audit events are kept", "status", r.status, "detail", cause)
	}
	l.mu.Lock()
	batch = l.wanted(batch)
	l.queue = slices.Concat(batch, l.queue)
	var news []types.NamespacedName
	for _, it := range batch {
		if t := l.tracks[it.uid]; t != nil && !t.failing {
			t.failing = true
			if t.ended {
				news = append(news, t.owner)
			}
		}
	}
	l.measure()
	l.mu.Unlock()
	l.tell(news)
}

// wanted drops what was abandoned while it was in flight; it needs the lock.
func (l *Log) wanted(batch []*item) []*item {
	kept := make([]*item, 0, len(batch))
	for _, it := range batch {
		if it.track.abandoned {
			l.metrics.Dropped.Inc()
			continue
		}
		kept = append(kept, it)
	}
	return kept
}

// settled returns the owners of a batch whose events are all decided now; it needs the lock.
func (l *Log) settled(batch []*item) (owners []types.NamespacedName) {
	seen := map[types.UID]bool{}
	for _, it := range batch {
		t := l.tracks[it.uid]
		if t == nil || seen[it.uid] || !t.ended {
			continue
		}
		seen[it.uid] = true
		undecided := -len(t.rejected)
		for _, stored := range t.known {
			if !stored {
				undecided++
			}
		}
		if undecided <= 0 {
			owners = append(owners, t.owner)
		}
	}
	l.measure()
	return owners
}

func (l *Log) tell(owners []types.NamespacedName) {
	for _, owner := range owners {
		l.config.Wake(owner)
	}
}
