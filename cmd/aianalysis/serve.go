package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
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
	podNamespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
	serverGrace      = 500 * time.Millisecond // for lease and servers, after the drain
)

// everywhere is work that a standby does too.
type everywhere func(context.Context) error

func (e everywhere) Start(ctx context.Context) error { return e(ctx) }

// NeedLeaderElection tells the manager to start it at once.
func (e everywhere) NeedLeaderElection() bool { return false }

// controller is everything that runs, wired but not yet started.
type controller struct {
	settings *settings.Settings
	logger   logr.Logger
	manager  ctrl.Manager
	policy   *policy.File
	holmes   *holmes.Client
	circuit  *holmes.Breaker
	store    *audit.Client
	trail    *audit.Log
	synced   atomic.Bool
}

// serve wires the controller and runs it until ctx ends.
func serve(ctx context.Context, s *settings.Settings, logger logr.Logger) (err error) {
	c := &controller{settings: s, logger: logger}
	if c.policy, err = policy.Open(s.PolicyPath, logger.WithName("policy"), metrics.Registry); err != nil {
		return err
	}
	c.holmes, err = holmes.New(holmes.Config{
		URL: s.HolmesURL, MaxResponseBytes: int64(s.HolmesMaxResponse), TokenFile: s.HolmesTokenFile, CAFile: s.HolmesCAFile,
	})
	if err != nil {
		return err
	}
	c.circuit = holmes.NewBreaker(c.holmes, holmes.BreakerConfig{
		Threshold: s.BreakerThreshold, ProbeInterval: s.BreakerProbeInterval, Probe: c.holmes.Ready, Logger: logger.WithName("circuit"),
	}, holmes.NewMetrics(metrics.Registry))
	namespace, err := leaseNamespace(s, podNamespaceFile)
	if err != nil {
		return err
	}
	if c.manager, err = newManager(s, namespace); err != nil {
		return fmt.Errorf("reaching Kubernetes: %w", err)
	}
	if err := c.reconcile(ctx); err != nil {
		return fmt.Errorf("registering the controller: %w", err)
	}
	handler, err := c.background(ctx)
	if err != nil {
		return err
	}
	return c.run(ctx, handler)
}

// reconcile registers the reconciler. Its running steps outlive ctx for as long as a shutdown may take.
func (c *controller) reconcile(ctx context.Context) error {
	s, waker := c.settings, &aianalysis.Waker{}
	c.store = audit.NewClient(s.DataStorageURL, s.DataStorageTokenFile, s.DataStorageTimeout)
	c.trail = audit.New(audit.Config{
		BufferSize: s.AuditBuffer, BatchSize: s.AuditBatch, FlushInterval: s.AuditFlushInterval,
		Logger: c.logger.WithName("audit"), Wake: waker.Wake,
	}, c.store, audit.NewMetrics(metrics.Registry))

	drained, drain := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { time.AfterFunc(s.DrainTimeout, drain) })
	r := &aianalysis.Reconciler{
		Client: c.manager.GetClient(), Live: c.manager.GetAPIReader(), HolmesGPT: c.circuit, Circuit: c.circuit, Policy: c.policy, Audit: c.trail,
		Recorder: c.manager.GetEventRecorderFor(aianalysis.Component), //nolint:staticcheck // core v1 Events are part of the interface, and the only ones the role grants
		Metrics:  aianalysis.NewMetrics(metrics.Registry),
		Options:  options(s), Now: time.Now, Jitter: func() float64 { return 2*rand.Float64() - 1 }, OnDrained: func(cancel func()) func() bool { return context.AfterFunc(drained, cancel) },
	}
	return r.SetupWithManager(c.manager, s.Workers, waker)
}

// background adds what a standby does too, and returns the probes that show it.
func (c *controller) background(ctx context.Context) (http.Handler, error) {
	holmesUp, storeUp := newDependency(c.holmes.Ready, nil), newDependency(c.store.Ready, c.trail.Kick)
	for _, work := range []everywhere{
		func(ctx context.Context) error {
			_, err := c.manager.GetCache().GetInformer(ctx, &v1alpha1.AIAnalysis{})
			c.synced.Store(err == nil)
			return nil
		},
		func(ctx context.Context) error { c.circuit.Run(ctx); return nil },
		func(ctx context.Context) error { holmesUp.watch(ctx); return nil },
		func(ctx context.Context) error { storeUp.watch(ctx); return nil },
	} {
		if err := c.manager.Add(work); err != nil {
			return nil, err
		}
	}
	return probes{checks: []check{
		{name: "cache-sync", ask: c.syncCheck(ctx)},
		{name: "approval-policy", informational: true, ask: c.policyCheck},
		{name: "holmesgpt-api", informational: true, ask: holmesUp.ask},
		{name: "datastorage", informational: true, ask: storeUp.ask},
	}}.handler(), nil
}

// leaseNamespace is where the lease of the leader lies: as set, else the namespace of this pod.
func leaseNamespace(s *settings.Settings, podFile string) (string, error) {
	if s.LeaseNamespace != "" || !s.LeaderElection {
		return s.LeaseNamespace, nil
	}
	content, err := os.ReadFile(podFile)
	namespace := strings.TrimSpace(string(content))
	if err == nil && namespace == "" {
		err = fmt.Errorf("%s is empty", podFile)
	}
	if err != nil {
		return "", fmt.Errorf("--leader-elect needs a namespace for its lease; outside a pod set --leader-election-namespace: %w", err)
	}
	return namespace, nil
}

func newManager(s *settings.Settings, leaseNamespace string) (ctrl.Manager, error) {
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
		LeaderElectionNamespace:       leaseNamespace,
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       &patience,
		Cache:                         cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
	})
}

// run starts probes, policy watcher, sender and manager, and takes them down one after the other: manager, policy watcher, audit,
// probes. The manager comes first because its steps need all the others.
func (c *controller) run(ctx context.Context, handler http.Handler) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.settings.ProbeAddress)
	if err != nil {
		return fmt.Errorf("listening for probes: %w", err)
	}
	c.logger.Info("probes listening", "address", listener.Addr().String())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: askLimit}
	var servers errgroup.Group
	servers.Go(func() error { return server.Serve(listener) })
	stopWatching := beside(ctx, c.policy.Watch)
	stopSending := beside(ctx, c.trail.Run)

	asked := make(chan time.Time, 1)
	defer context.AfterFunc(ctx, func() { asked <- time.Now() })()
	managed := c.manager.Start(ctx)
	steps := since(asked)
	steps.took("managerSeconds")
	stopWatching()
	steps.took("policyWatcherSeconds")
	stopSending()
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.settings.FlushTimeout)
	defer cancel()
	c.trail.Flush(flush)
	steps.took("auditSeconds")
	_ = server.Close() // the process ends, whatever it says
	if err := servers.Wait(); !errors.Is(err, http.ErrServerClosed) {
		managed = errors.Join(managed, fmt.Errorf("serving probes: %w", err))
	}
	steps.took("probesSeconds")
	c.logger.Info("stopped", append(steps.all, "auditEventsLeft", c.trail.Left())...)
	return managed
}

// beside runs work that outlives ctx, until stop; stop waits for its end.
func beside(ctx context.Context, work func(context.Context)) (stop func()) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() { defer close(ended); work(own) }()
	return func() {
		cancel()
		<-ended
	}
}

// steps are those of a shutdown and their times, as keys and values of a log line.
type steps struct {
	begun time.Time
	all   []any
}

// since begins at the moment that was asked for, or now if nobody has asked.
func since(asked <-chan time.Time) *steps {
	select {
	case begun := <-asked:
		return &steps{begun: begun}
	default:
		return &steps{begun: time.Now()}
	}
}

func (s *steps) took(name string) {
	now := time.Now()
	s.all = append(s.all, name, now.Sub(s.begun).Seconds())
	s.begun = now
}

func options(s *settings.Settings) aianalysis.Options {
	return aianalysis.Options{
		CallTimeout: s.HolmesTimeout, MaxCallTimeout: s.HolmesMaxTimeout, MaxRetries: int32(s.HolmesMaxRetries), //nolint:gosec // 0..20
		Backoff:       aianalysis.Backoff{Base: s.BackoffBase, Max: s.BackoffMax},
		PolicyTimeout: s.PolicyTimeout, FinalizerTimeout: s.FinalizerTimeout,
	}
}

// syncCheck is also what turns a process red that is going down.
func (c *controller) syncCheck(ctx context.Context) func() (string, error) {
	return func() (string, error) {
		switch {
		case ctx.Err() != nil:
			return "", errors.New("shutting down")
		case !c.synced.Load():
			return "", errors.New("not synced yet")
		}
		return "", nil
	}
}

func (c *controller) policyCheck() (string, error) {
	sum, refused := c.policy.Status()
	short := "sha256:" + sum[:12]
	if refused != nil {
		return "", fmt.Errorf("%w; in force %s", refused, short)
	}
	return short, nil
}
