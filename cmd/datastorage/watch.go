package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/dlq"
)

// watch starts the probers and the upkeep of partitions.
func (s *service) watch(ctx context.Context) {
	s.running.Go(func() {
		datastorage.Probe(ctx, probeInterval, probeTimeout, s.store.Check, func(err error) { s.databaseIs(ctx, err) })
	})
	if s.queue != nil {
		s.running.Go(func() { datastorage.Probe(ctx, probeInterval, probeTimeout, s.askQueue, s.queueIs) })
		drain := datastorage.Drain{Queue: s.queue, Store: s.store, Leader: s.store, Health: &s.health, Log: s.log,
			Batch: s.config.Redis.DrainBatch, Interval: s.config.Redis.DrainInterval,
			Timeout: s.config.Audit.BatchTimeout + 2*s.config.Audit.DLQTimeout, Observe: s.metrics.Drained}
		s.running.Go(func() { drain.Run(ctx) })
	}
	s.running.Go(func() { s.maintain(ctx) })
	s.running.Go(func() { s.selfAudit.Run(ctx) })
}

// tellAgain is how often an outdated schema is told of: somebody has to migrate, it does not end by itself.
const tellAgain = 30 * time.Second

// seen is what the probers and the upkeep saw last; each field belongs to one of them. It is not what Health says: a failed
// write may have been quicker, and that must not keep the reason out of the log.
type seen struct {
	database   datastorage.State
	cause      datastorage.Cause
	told       time.Time // that the database cannot be used
	queueSafe  bool
	queueAlarm string
	dead       int
	unplaced   bool // events of months without a partition
}

func (s *service) databaseIs(ctx context.Context, err error) {
	state := datastorage.StateOf(err)
	s.metrics.SetDependency("postgresql", state)
	s.metrics.SetSchemaVersion(s.store.SchemaVersion())
	cause := causeOf(err)
	news := state != s.seen.database || cause != s.seen.cause
	if err != nil && (news || state == datastorage.SchemaOutdated && time.Since(s.seen.told) >= tellAgain) {
		s.log.Error("PostgreSQL cannot be used", "cause", cause, "error", err)
		s.seen.told = time.Now()
	}
	s.seen.database, s.seen.cause = state, cause
	if state == s.health.Database() {
		return
	}
	if state == datastorage.Connected {
		if err := s.inspect(ctx); err != nil {
			select {
			case s.failed <- err:
			default: // it is ending already
			}
			return
		}
	}
	s.health.SetDatabase(state)
}

// causeOf is the class of a failed probe.
func causeOf(err error) datastorage.Cause {
	var failure *datastorage.Error
	switch {
	case errors.As(err, &failure):
		return failure.Cause
	case errors.Is(err, datastorage.ErrSchemaOutdated):
		return datastorage.CauseSchema
	}
	return ""
}

// inspect looks at the account once per connection: serving as owner or superuser makes the append-only promise weak.
func (s *service) inspect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	standing, err := s.store.Standing(ctx)
	if err != nil {
		s.log.Warn("the standing of the database role is unknown", "error", err)
		return nil
	}
	s.log.Info("PostgreSQL connected", "server_version", standing.ServerVersion, "role", standing.Role)
	if standing.ServerVersion < 160000 {
		s.log.Warn("PostgreSQL 16 or newer is supported; this one works", "server_version", standing.ServerVersion)
	}
	if !standing.Superuser && !standing.IsOwner {
		return nil
	}
	s.log.Error("the role is superuser or owner of the audit events; use the application role", "role", standing.Role)
	if s.config.Database.StrictRole {
		return fmt.Errorf("role %q is superuser or owner, which database.strict_role forbids", standing.Role)
	}
	return nil
}

// askQueue probes Redis and shows what waits there.
func (s *service) askQueue(ctx context.Context) error {
	status, err := s.queue.Status(ctx)
	if err != nil {
		return err
	}
	s.health.SetPending(status.Depth)
	s.metrics.SetQueue(status.Depth, status.Dead, status.MaxLen, status.OldestAge)
	s.alarm(status)
	if s.health.Queue() == datastorage.Connected || s.health.Queue() == datastorage.Off {
		return nil
	}
	unsafe := s.queue.CheckDurable(ctx)
	if unsafe != nil && !errors.Is(unsafe, dlq.ErrNotDurable) {
		return unsafe
	}
	s.metrics.SetQueueUnsafe(unsafe != nil)
	if unsafe != nil {
		s.log.Warn("queued events are not safe", "error", unsafe, "used", !s.config.Redis.RequireDurable)
	}
	s.seen.queueSafe = unsafe == nil
	return nil
}

// alarm tells once when the queue passes a level, and when an event is put aside.
func (s *service) alarm(status dlq.Status) {
	level := status.Alarm()
	switch level {
	case s.seen.queueAlarm:
	case "":
		s.log.Info("the queue has room again", "events", status.Depth, "room", status.MaxLen)
	default:
		s.log.Warn("the queue fills up", "level", level, "events", status.Depth, "room", status.MaxLen)
	}
	s.seen.queueAlarm = level
	if status.Dead > s.seen.dead {
		s.log.Error("events wait in the dead-letter stream for an operator (datastorage dlq)", "events", status.Dead)
	}
	s.seen.dead = status.Dead
}

func (s *service) queueIs(err error) {
	state := datastorage.StateOf(err)
	if state == datastorage.Connected && s.config.Redis.RequireDurable && !s.seen.queueSafe {
		state = datastorage.Off
	}
	s.metrics.SetDependency("redis", state)
	switch before := s.health.SetQueue(state); {
	case before == state:
	case err != nil:
		s.log.Warn("Redis cannot be used", "error", err)
	default:
		s.log.Info("Redis connected")
	}
}
