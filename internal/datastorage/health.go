package datastorage

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// ErrSchemaOutdated means that the database answers but is not migrated far enough for this program.
var ErrSchemaOutdated = errors.New("database schema outdated")

// State of something this service depends on.
type State int32

const (
	// Unknown: not probed yet.
	Unknown State = iota
	// Connected: usable.
	Connected
	// Unreachable: it does not answer.
	Unreachable
	// SchemaOutdated: the database answers, but this program cannot use it.
	SchemaOutdated
	// Off by configuration, or because it would not keep what it takes.
	Off
)

// StateOf translates the result of a probe.
func StateOf(err error) State {
	switch {
	case err == nil:
		return Connected
	case errors.Is(err, ErrSchemaOutdated):
		return SchemaOutdated
	}
	return Unreachable
}

// Health is what the probers and the writes last saw. Probes of Kubernetes read it; none of them touches a dependency.
type Health struct {
	database, queue atomic.Int32
	pending         atomic.Int64
	stopping        atomic.Bool
	mu              sync.Mutex
	recovered       chan struct{} // closed when the database becomes usable
}

// SetDatabase notes what the prober sees of PostgreSQL and returns the state before.
func (h *Health) SetDatabase(s State) State {
	before := State(h.database.Swap(int32(s)))
	if s == Connected && before != Connected {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.recovered != nil {
			close(h.recovered)
			h.recovered = nil
		}
	}
	return before
}

// DatabaseFailed notes that a write found PostgreSQL unusable; the prober takes it back.
func (h *Health) DatabaseFailed() { h.database.CompareAndSwap(int32(Connected), int32(Unreachable)) }

// Recovered is closed when PostgreSQL becomes usable after the call.
func (h *Health) Recovered() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.recovered == nil {
		h.recovered = make(chan struct{})
	}
	return h.recovered
}

// SetQueue notes the state of Redis and returns the one before.
func (h *Health) SetQueue(s State) State { return State(h.queue.Swap(int32(s))) }

// Database is the state of PostgreSQL.
func (h *Health) Database() State { return State(h.database.Load()) }

// Queue is the state of Redis.
func (h *Health) Queue() State { return State(h.queue.Load()) }

// QueueUsable tells whether a write may try the queue. Before the first probe it may.
func (h *Health) QueueUsable() bool { return h.Queue() == Connected || h.Queue() == Unknown }

// SetPending notes how many events wait in the queue.
func (h *Health) SetPending(events int) { h.pending.Store(int64(events)) }

// AddPending notes events that this process has just queued.
func (h *Health) AddPending(events int) { h.pending.Add(int64(events)) }

// Pending is how many events wait in the queue, at most a second old.
func (h *Health) Pending() int { return int(h.pending.Load()) }

// Stop notes that the service is going down.
func (h *Health) Stop() { h.stopping.Store(true) }

// NotReady is the reason why no audit event can be taken durably, or nothing.
func (h *Health) NotReady() string {
	switch database := h.Database(); {
	case h.stopping.Load():
		return "shutting_down"
	case database == Unknown:
		return "starting"
	case database == SchemaOutdated:
		return "schema_outdated"
	case database != Connected && h.Queue() != Connected:
		return "no_durable_store"
	}
	return ""
}

// Degraded tells that audit events go to the queue and nothing can be read.
func (h *Health) Degraded() bool { return h.Database() != Connected }

// Probe asks again and again, at once and then every interval, until the context ends. Each question has the timeout.
func Probe(ctx context.Context, every, timeout time.Duration, ask func(context.Context) error, report func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		probe, cancel := context.WithTimeout(ctx, timeout)
		err := ask(probe)
		cancel()
		if ctx.Err() != nil {
			return
		}
		report(err)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// PoolStats are the figures of one pool of connections to PostgreSQL.
type PoolStats struct {
	Pool                string // write or read
	Acquired, Idle, Max int
	Wait                time.Duration // for a connection, since the start
}
