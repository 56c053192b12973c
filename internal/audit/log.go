package audit

import (
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubernaut-ai/kubernaut/internal/aianalysis"
)

// Config bounds the buffer and the batches, and says whom to tell.
type Config struct {
	BufferSize    int
	BatchSize     int
	FlushInterval time.Duration
	Logger        logr.Logger
	// Wake is called, without locks held, when there is news of a CR whose analysis has ended.
	Wake func(types.NamespacedName)
}

// Log is an aianalysis.AuditLog in memory, with a sender that empties it; see Run. What it holds is lost with the process and is
// derived again from the objects' status by the next one.
type Log struct {
	config  Config
	client  *Client
	metrics *Metrics
	now     func() time.Time

	more chan struct{} // something was submitted
	kick chan struct{} // Data Storage is back: do not wait any longer

	mu             sync.Mutex
	queue          []*item
	parked         []*item // not before their time
	tracks         map[types.UID]*track
	deferred       map[types.NamespacedName]bool // owners whose events found the buffer full
	mismatchLogged bool
}

// item is one event on its way.
type item struct {
	id        string
	uid       types.UID
	track     *track    // that it was submitted for
	at        time.Time // of the event
	body      []byte
	queued    time.Time
	notBefore time.Time
}

// track is what is known of the events of one CR.
type track struct {
	owner    types.NamespacedName
	known    map[string]bool // id: stored
	rejected []string
	detail   string
	failing  bool
	ended    bool // the last event of the analysis is among them

	abandoned bool // what is in flight is dropped if it comes back
}

// New makes a log that sends through client.
func New(config Config, client *Client, metrics *Metrics) *Log {
	metrics.fill(0, config.BufferSize)
	return &Log{
		config: config, client: client, metrics: metrics, now: time.Now,
		more: make(chan struct{}, 1), kick: make(chan struct{}, 1), tracks: map[types.UID]*track{}, deferred: map[types.NamespacedName]bool{},
	}
}

// Submit implements aianalysis.AuditLog.
func (l *Log) Submit(owner types.NamespacedName, events []aianalysis.AuditEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		t := l.tracks[e.UID]
		if t == nil {
			t = &track{owner: owner, known: map[string]bool{}}
			l.tracks[e.UID] = t
		}
		t.ended = t.ended || e.Type == aianalysis.EventCompleted
		if _, known := t.known[e.ID]; known {
			continue
		}
		if len(l.queue)+len(l.parked) >= l.config.BufferSize {
			l.metrics.Deferred.Inc()
			l.deferred[owner] = true
			continue
		}
		body, err := encode(e)
		if err != nil {
			l.config.Logger.Error(err, "audit event cannot be encoded", "eventId", e.ID)
			continue
		}
		t.known[e.ID] = false
		l.queue = append(l.queue, &item{id: e.ID, uid: e.UID, track: t, at: e.At, body: body, queued: l.now()})
		l.metrics.Buffered.Inc()
	}
	l.measure()
	signal(l.more)
}

// Delivery implements aianalysis.AuditLog.
func (l *Log) Delivery(uid types.UID) aianalysis.Delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tracks[uid]
	if t == nil {
		return aianalysis.Delivery{}
	}
	result := aianalysis.Delivery{Rejected: append([]string(nil), t.rejected...), Detail: t.detail, Failing: t.failing}
	for _, stored := range t.known {
		if stored {
			result.Stored++
		}
	}
	return result
}

// Abandon implements aianalysis.AuditLog. An event in flight is among the lost ones, and counts as dropped if it comes back.
func (l *Log) Abandon(uid types.UID, events []aianalysis.AuditEvent) (lost []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tracks[uid]
	if t == nil {
		t = &track{}
	}
	t.abandoned = true
	delete(l.tracks, uid)
	waiting := map[string]bool{}
	for _, i := range slices.Concat(l.queue, l.parked) {
		waiting[i.id] = true
	}
	for _, e := range events {
		stored, known := t.known[e.ID]
		if stored {
			continue
		}
		lost = append(lost, e.ID)
		if !known || waiting[e.ID] {
			l.metrics.Dropped.Inc()
		}
	}
	gone := func(i *item) bool { return i.uid == uid }
	l.queue, l.parked = slices.DeleteFunc(l.queue, gone), slices.DeleteFunc(l.parked, gone)
	l.measure()
	return lost
}

// Forget implements aianalysis.AuditLog. Events still in the buffer are sent all the same.
func (l *Log) Forget(uid types.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.tracks, uid)
}

// Left is the number of events not yet stored.
func (l *Log) Left() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) + len(l.parked)
}

// Kick ends a wait after an outage: Data Storage answers again.
func (l *Log) Kick() {
	signal(l.kick)
	l.mu.Lock()
	owners := l.resubmit()
	l.mu.Unlock()
	l.tell(owners)
}

// resubmit returns owners of deferred events, no more than there is room for; they submit them again. It needs the lock.
func (l *Log) resubmit() (owners []types.NamespacedName) {
	room := l.config.BufferSize - len(l.queue) - len(l.parked)
	for owner := range l.deferred {
		if len(owners) >= room {
			break
		}
		owners = append(owners, owner)
		delete(l.deferred, owner)
	}
	return owners
}

// measure needs the lock.
func (l *Log) measure() { l.metrics.fill(len(l.queue)+len(l.parked), l.config.BufferSize) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
