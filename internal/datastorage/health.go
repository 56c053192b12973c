package datastorage

import (
	"context"
	"errors"
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
	// Off by configuration.
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

// Health is what the probers last saw. Probes of Kubernetes read it; none of them touches a dependency.
type Health struct {
	database, queue atomic.Int32
	stopping        atomic.Bool
}

// SetDatabase notes the state of PostgreSQL and returns the one before.
func (h *Health) SetDatabase(s State) State { return State(h.database.Swap(int32(s))) }

// SetQueue notes the state of Redis and returns the one before.
func (h *Health) SetQueue(s State) State { return State(h.queue.Swap(int32(s))) }

// Database is the state of PostgreSQL.
func (h *Health) Database() State { return State(h.database.Load()) }

// Queue is the state of Redis.
func (h *Health) Queue() State { return State(h.queue.Load()) }

// Stop notes that the service is going down.
func (h *Health) Stop() { h.stopping.Store(true) }

// NotReady is the reason why no audit event can be taken durably, or nothing. Redis alone makes nothing durable: the
// dead-letter queue that would does not exist yet.
func (h *Health) NotReady() string {
	switch database := h.Database(); {
	case h.stopping.Load():
		return "shutting_down"
	case database == Unknown:
		return "starting"
	case database == SchemaOutdated:
		return "schema_outdated"
	case database != Connected:
		return "no_durable_store"
	}
	return ""
}

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
