package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/dlq"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/httpapi"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/postgres"
)

const (
	probeInterval = 500 * time.Millisecond
	// probeTimeout is below audit.single_timeout: writes that hang know by their end that PostgreSQL does.
	probeTimeout = time.Second
	maxHeader    = 16 << 10
)

// service is everything that runs while the process serves.
type service struct {
	config  datastorage.Config
	log     *slog.Logger
	health  datastorage.Health
	metrics *httpapi.Metrics
	store   *postgres.Store
	queue   *dlq.Queue // nil: switched off
	seen    seen
	servers []*http.Server
	failed  chan error // what ends the service before a signal does
	running sync.WaitGroup
}

func (p program) serve(ctx context.Context) error {
	set, path := p.flags("serve")
	if _, err := p.parse(set, 0); err != nil {
		return err
	}
	c, log, err := p.config(*path)
	if err != nil {
		return err
	}
	s := &service{config: c, log: log, metrics: httpapi.NewMetrics(version, revision), failed: make(chan error, 4)}
	// Background work outlives the signal: requests that are being finished still need the pools.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	if err := s.open(background); err != nil {
		return err
	}
	if err := s.listen(ctx); err != nil {
		return err
	}
	s.watch(background)
	select {
	case <-ctx.Done():
	case err = <-s.failed:
	}
	return errors.Join(err, s.shutDown(stop))
}

// open makes the pools; it does not wait for a connection.
func (s *service) open(ctx context.Context) error {
	options, err := storeOptions(s.config)
	if err != nil {
		return err
	}
	if s.queue, err = openQueue(s.config); err != nil {
		return err
	}
	if s.queue == nil {
		s.health.SetQueue(datastorage.Off)
	}
	if s.config.Database.SSLMode == "disable" {
		s.log.Warn("the connection to PostgreSQL is not encrypted (database.ssl_mode: disable)")
	}
	s.store, err = postgres.Open(ctx, options)
	return err
}

// listen opens the ports, so that probes are answered from here on.
func (s *service) listen(ctx context.Context) error {
	audit := s.config.Audit
	ingest := &datastorage.Ingest{Store: s.store, Health: &s.health, SingleTimeout: audit.SingleTimeout,
		BatchTimeout: audit.BatchTimeout, DLQTimeout: audit.DLQTimeout, Observe: s.metrics.Ingested}
	if s.queue != nil {
		ingest.Queue = s.queue
	}
	handler, err := httpapi.New(httpapi.Options{Events: s.store, Ingest: ingest, Workflows: s.store, Health: &s.health,
		Window: audit.Window, Metrics: s.metrics, Log: s.log})
	if err != nil {
		return err
	}
	metrics := http.NewServeMux()
	metrics.Handle("GET /metrics", s.metrics.Handler())
	if err := s.listenOn(ctx, s.config.Server.Port, handler); err != nil {
		return err
	}
	if s.config.Server.MetricsPort == 0 {
		return nil
	}
	return s.listenOn(ctx, s.config.Server.MetricsPort, metrics)
}

func (s *service) listenOn(ctx context.Context, port int, handler http.Handler) error {
	c := s.config.Server
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(c.Host, strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: c.ReadHeaderTimeout, ReadTimeout: c.ReadTimeout,
		WriteTimeout: c.WriteTimeout, IdleTimeout: c.IdleTime, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	s.servers = append(s.servers, server)
	s.log.Info("listening", "address", listener.Addr().String())
	s.running.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("serving on %s: %w", listener.Addr(), err)
		}
	})
	return nil
}

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
	s.running.Go(func() { s.keepPartitions(ctx) })
}

// seen is what the probers saw last; each field belongs to one of them. It is not what Health says: a failed write may
// have been quicker, and that must not keep the reason out of the log.
type seen struct {
	database   datastorage.State
	cause      datastorage.Cause
	queueSafe  bool
	queueAlarm string
	dead       int
}

func (s *service) databaseIs(ctx context.Context, err error) {
	state := datastorage.StateOf(err)
	s.metrics.SetDependency("postgresql", state)
	cause := causeOf(err)
	if err != nil && (state != s.seen.database || cause != s.seen.cause) {
		s.log.Error("PostgreSQL cannot be used", "cause", cause, "error", err)
	}
	s.seen.database, s.seen.cause = state, cause
	if state == s.health.Database() {
		return
	}
	if state == datastorage.Connected {
		if err := s.inspect(ctx); err != nil {
			s.failed <- err
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

// keepPartitions makes the partitions of the coming months, now and then every interval.
func (s *service) keepPartitions(ctx context.Context) {
	const again = time.Second
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if s.health.Database() != datastorage.Connected {
			timer.Reset(again)
			continue
		}
		made, err := s.store.EnsurePartitions(ctx, s.config.Audit.PartitionMonthsAhead)
		if err != nil {
			s.log.Warn("partitions were not made", "error", err)
			timer.Reset(time.Minute)
			continue
		}
		if made > 0 {
			s.log.Info("partitions made", "count", made)
		}
		timer.Reset(s.config.Audit.MaintenanceInterval)
	}
}
