package httpapi

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// Limits of what is worked on at a time. Beyond them requests wait, and beyond the queue they are refused.
type Limits struct {
	Writes, Reads int // requests
	Bytes         int // of request bodies in memory
	QueueLength   int // requests of one class that wait
	QueueTimeout  time.Duration
}

// class of a request. A free one is never made to wait.
type class string

const (
	free  class = ""
	write class = "write"
	read  class = "read"
)

// rule is what stands before the handler of an operation, and how the metrics name what is behind it.
type rule struct {
	class class
	right datastorage.Right
	query string // of a read
	table string // of a write to the catalog
}

// rules are those of the data. Operations that are not here are probes.
var rules = map[string]rule{
	"createAuditEvent":          {class: write, right: datastorage.MayWrite},
	"createAuditEventsBatch":    {class: write, right: datastorage.MayWrite},
	"createWorkflow":            {class: write, right: datastorage.MayChangeCatalog, table: tableCatalog},
	"updateWorkflow":            {class: write, right: datastorage.MayChangeCatalog, table: tableCatalog},
	"disableWorkflow":           {class: write, right: datastorage.MayChangeCatalog, table: tableCatalog},
	"queryAuditEvents":          {class: read, right: datastorage.MayRead, query: "filter"},
	"listWorkflows":             {class: read, right: datastorage.MayRead, query: "list"},
	"getWorkflowByID":           {class: read, right: datastorage.MayRead, query: "get"},
	"listWorkflowVersions":      {class: read, right: datastorage.MayRead, query: "versions"},
	"successRateByIncidentType": {class: read, right: datastorage.MayRead},
	"successRateByWorkflow":     {class: read, right: datastorage.MayRead},
	"successRateByDimensions":   {class: read, right: datastorage.MayRead},
	"searchWorkflows":           {class: read, right: datastorage.MayRead, query: "search"},
}

// gate keeps the work, and the memory of it, within the limits. Every class has slots and a queue of its own, so that a
// flood of reads refuses no write.
type gate struct {
	limits  Limits
	bytes   *semaphore.Weighted
	slots   map[class]*semaphore.Weighted
	waiting map[class]*atomic.Int64
	metrics *Metrics
}

func newGate(limits Limits, metrics *Metrics) *gate {
	return &gate{
		limits: limits, metrics: metrics, bytes: semaphore.NewWeighted(int64(limits.Bytes)),
		slots: map[class]*semaphore.Weighted{
			write: semaphore.NewWeighted(int64(limits.Writes)), read: semaphore.NewWeighted(int64(limits.Reads))},
		waiting: map[class]*atomic.Int64{write: {}, read: {}},
	}
}

// visit is one request on its way through the gate.
type visit struct {
	gate  *gate
	class class
	since time.Time // its waiting counts from here
	bytes int64
	slot  bool
}

// reserve takes room for a body before it is read.
func (v *visit) reserve(ctx context.Context, bytes int64) error {
	if err := v.wait(ctx, v.gate.bytes, bytes, "bytes"); err != nil {
		return err
	}
	v.bytes = bytes
	v.gate.metrics.inflightBytes.Add(float64(bytes))
	return nil
}

// shrink gives back what a body of unknown length did not need.
func (v *visit) shrink(bytes int64) {
	v.gate.bytes.Release(v.bytes - bytes)
	v.gate.metrics.inflightBytes.Sub(float64(v.bytes - bytes))
	v.bytes = bytes
}

// enter takes a slot.
func (v *visit) enter(ctx context.Context) error {
	if err := v.wait(ctx, v.gate.slots[v.class], 1, "queue_timeout"); err != nil {
		return err
	}
	v.slot = true
	v.gate.metrics.inflight.WithLabelValues(string(v.class)).Inc()
	return nil
}

// leave gives everything back.
func (v *visit) leave() {
	v.shrink(0)
	if v.slot {
		v.gate.slots[v.class].Release(1)
		v.gate.metrics.inflight.WithLabelValues(string(v.class)).Dec()
	}
}

// wait takes its turn. It ends the request of a client that has gone meanwhile.
func (v *visit) wait(ctx context.Context, room *semaphore.Weighted, n int64, late string) error {
	if n == 0 || room.TryAcquire(n) {
		return nil
	}
	waiting := v.gate.waiting[v.class]
	defer waiting.Add(-1)
	if waiting.Add(1) > int64(v.gate.limits.QueueLength) {
		return v.refuse("queue_full")
	}
	turn, cancel := context.WithDeadline(ctx, v.since.Add(v.gate.limits.QueueTimeout))
	defer cancel()
	if room.Acquire(turn, n) == nil {
		return nil
	}
	if ctx.Err() != nil {
		panic(http.ErrAbortHandler)
	}
	return v.refuse(late)
}

// refuse says 503 to a write and 429 to a read: existing senders drop a batch on any 4xx.
func (v *visit) refuse(reason string) error {
	known := &datastorage.Error{Kind: datastorage.Unavailable, Detail: "too many writes at a time", RetryAfter: time.Second}
	if v.class == read {
		known = &datastorage.Error{Kind: datastorage.Overloaded, Detail: "too many reads at a time", RetryAfter: time.Second}
	}
	return &refusal{known, reason}
}

// refusal is overload, with its reason as the metrics name it.
type refusal struct {
	known  *datastorage.Error
	reason string
}

func (r *refusal) Error() string { return r.known.Detail }
func (r *refusal) Unwrap() error { return r.known }
