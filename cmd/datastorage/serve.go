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
)

// service is everything that runs while the process serves.
type service struct {
	config        datastorage.Config
	log           *slog.Logger
	health        datastorage.Health
	metrics       *httpapi.Metrics
	store         *postgres.Store
	selfAudit     *datastorage.SelfAudit
	queue         *dlq.Queue // nil: switched off
	seen          seen
	authenticator datastorage.Authenticator // nil: everybody may everything
	servers       []*http.Server
	failed        chan error // what ends the service before a signal does
	running       sync.WaitGroup
}

func (p program) serve(ctx context.Context) error {
	set, path := flags("serve")
	dev := set.Bool("dev", false, "serve from a throw-away PostgreSQL of this host; needs no configuration")
	if _, err := p.parse(set, 0); err != nil {
		return err
	}
	if *dev {
		return p.serveDev(ctx)
	}
	c, log, err := p.config(*path)
	if err != nil {
		return err
	}
	log.Info("effective configuration", "values", c.Effective)
	s := &service{config: c, log: log, metrics: httpapi.NewMetrics(version, revision), failed: make(chan error, 4)}
	if s.authenticator, err = p.authenticator(c); err != nil {
		return err
	}
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
	s.metrics.WatchPools(s.store.PoolStats)
	s.selfAudit = datastorage.NewSelfAudit(ingest.Write, s.metrics.SelfAuditDropped, s.log)
	handler, err := httpapi.New(httpapi.Options{Events: s.store, Ingest: ingest, Workflows: s.store, Rates: s.store, Health: &s.health,
		RequireIfMatch: s.config.Catalog.RequireIfMatch, Searched: s.selfAudit.Record,
		Window: audit.Window, MaxOffset: s.config.Query.MaxOffset, Limits: limits(s.config), Auth: s.config.Auth, Authenticator: s.authenticator,
		Metrics: s.metrics, Log: s.log})
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
	timeouts := httpapi.Timeouts{Header: c.ReadHeaderTimeout, Read: c.ReadTimeout, Write: c.WriteTimeout, Idle: c.IdleTime}
	server := httpapi.NewServer(handler, timeouts, slog.NewLogLogger(s.log.Handler(), slog.LevelWarn))
	s.servers = append(s.servers, server)
	s.log.Info("listening", "address", listener.Addr().String())
	s.running.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("serving on %s: %w", listener.Addr(), err)
		}
	})
	return nil
}
