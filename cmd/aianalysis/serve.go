package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
	"github.com/kubernaut-ai/kubernaut/internal/aianalysis"
	"github.com/kubernaut-ai/kubernaut/internal/aianalysis/policy"
	"github.com/kubernaut-ai/kubernaut/internal/aianalysis/settings"
	"github.com/kubernaut-ai/kubernaut/internal/audit"
	"github.com/kubernaut-ai/kubernaut/internal/holmes"
)

const (
	leaderElectionID = "aianalysis.kubernaut.ai"
	serverGrace      = 500 * time.Millisecond // for lease and servers, after the drain
)

// everywhere is work that a standby does too.
type everywhere func(context.Context) error

func (e everywhere) Start(ctx context.Context) error { return e(ctx) }

// NeedLeaderElection tells the manager to start it at once.
func (e everywhere) NeedLeaderElection() bool { return false }

// serve wires the controller and runs it until ctx ends, then shuts it down in order: manager, policy watcher, audit, servers.
func serve(ctx context.Context, s *settings.Settings, logger logr.Logger) error {
	approval, err := policy.Open(ctx, s.PolicyPath, logger.WithName("policy"), metrics.Registry)
	if err != nil {
		return err
	}
	hapi, err := holmes.New(holmes.Config{
		URL: s.HolmesURL, MaxResponseBytes: int64(s.HolmesMaxResponse), TokenFile: s.HolmesTokenFile, CAFile: s.HolmesCAFile,
	})
	if err != nil {
		return err
	}
	mgr, err := newManager(s)
	if err != nil {
		return fmt.Errorf("reaching Kubernetes: %w", err)
	}
	waker := &aianalysis.Waker{}
	store := audit.NewClient(s.DataStorageURL, s.DataStorageTokenFile, s.DataStorageTimeout)
	trail := audit.New(audit.Config{BufferSize: s.AuditBuffer, BatchSize: s.AuditBatch, FlushInterval: s.AuditFlushInterval},
		store, audit.NewMetrics(metrics.Registry), logger.WithName("audit"), waker.Wake)

	drained, drain := context.WithCancel(context.Background())
	defer drain()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(s.DrainTimeout, drain) })()
	r := &aianalysis.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), HolmesGPT: hapi, Policy: approval, Audit: trail,
		Recorder: mgr.GetEventRecorderFor(aianalysis.Component), //nolint:staticcheck // core v1 Events are part of the interface, and the only ones the role grants
		Metrics:  aianalysis.NewMetrics(metrics.Registry),
		Options:  options(s), Now: time.Now, Jitter: func() float64 { return 2*rand.Float64() - 1 }, Drained: drained,
	}
	if err := r.SetupWithManager(mgr, s.Workers, waker); err != nil {
		return fmt.Errorf("registering the controller: %w", err)
	}
	synced := &atomic.Bool{}
	holmesUp, storeUp := newDependency(hapi.Ready, nil), newDependency(store.Ready, trail.Kick)
	background := []everywhere{
		func(ctx context.Context) error {
			_, err := mgr.GetCache().GetInformer(ctx, &v1alpha1.AIAnalysis{})
			synced.Store(err == nil)
			return nil
		},
		approval.Watch,
		func(ctx context.Context) error { holmesUp.watch(ctx); return nil },
		func(ctx context.Context) error { storeUp.watch(ctx); return nil },
	}
	for _, work := range background {
		if err := mgr.Add(work); err != nil {
			return err
		}
	}
	handler := probes{checks: []check{
		{name: "cache-sync", ask: syncCheck(ctx, synced)},
		{name: "approval-policy", informational: true, ask: policyCheck(approval)},
		{name: "holmesgpt-api", informational: true, ask: holmesUp.ask},
		{name: "datastorage", informational: true, ask: storeUp.ask},
	}}.handler()
	return runAll(ctx, s, mgr, trail, handler, logger)
}

func newManager(s *settings.Settings) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	access, err := ctrl.GetConfig()
	if err != nil {
		return nil, err
	}
	access.QPS, access.Burst = float32(s.KubeQPS), s.KubeBurst
	access.UserAgent = aianalysis.Component
	patience := s.DrainTimeout + serverGrace
	return ctrl.NewManager(access, ctrl.Options{
		Scheme:                        scheme,
		Metrics:                       metricsserver.Options{BindAddress: s.MetricsAddress},
		LeaderElection:                s.LeaderElection,
		LeaderElectionID:              leaderElectionID,
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       &patience,
		Cache:                         cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
	})
}

// runAll runs probes, sender and manager, and takes them down one after the other.
func runAll(ctx context.Context, s *settings.Settings, mgr ctrl.Manager, trail *audit.Log, handler http.Handler, logger logr.Logger) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.ProbeAddress)
	if err != nil {
		return fmt.Errorf("listening for probes: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: askLimit}
	var servers errgroup.Group
	servers.Go(func() error { return server.Serve(listener) })

	sending, stopSending := context.WithCancel(context.Background())
	sent := make(chan struct{})
	go func() { defer close(sent); trail.Run(sending) }()

	managed := mgr.Start(ctx)
	stopped := time.Now()
	stopSending()
	<-sent
	flush, cancel := context.WithTimeout(context.Background(), s.FlushTimeout)
	defer cancel()
	trail.Flush(flush)
	flushed := time.Now()
	_ = server.Close() // the process ends, whatever it says
	if err := servers.Wait(); !errors.Is(err, http.ErrServerClosed) {
		managed = errors.Join(managed, fmt.Errorf("serving probes: %w", err))
	}
	logger.Info("stopped: manager, policy watcher, audit, servers", "auditSeconds", flushed.Sub(stopped).Seconds(), "auditEventsLeft", trail.Left())
	return managed
}

func options(s *settings.Settings) aianalysis.Options {
	return aianalysis.Options{
		CallTimeout: s.HolmesTimeout, MaxCallTimeout: s.HolmesMaxTimeout, MaxRetries: int32(s.HolmesMaxRetries), //nolint:gosec // 0..20
		Backoff:       aianalysis.Backoff{Base: s.BackoffBase, Max: s.BackoffMax},
		PolicyTimeout: s.PolicyTimeout, FinalizerTimeout: s.FinalizerTimeout,
	}
}

// syncCheck is also what turns a process red that is going down.
func syncCheck(ctx context.Context, synced *atomic.Bool) func() (string, error) {
	return func() (string, error) {
		switch {
		case ctx.Err() != nil:
			return "", errors.New("shutting down")
		case !synced.Load():
			return "", errors.New("not synced yet")
		}
		return "", nil
	}
}

func policyCheck(approval *policy.File) func() (string, error) {
	return func() (string, error) {
		sum, refused := approval.Status()
		short := "sha256:" + sum[:12]
		if refused != nil {
			return "", fmt.Errorf("%w; in force %s", refused, short)
		}
		return short, nil
	}
}
