package deploy

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
)

// Observer watches the workloads of one namespace: one LIST and one WATCH a
// kind, however many waits there are. It is safe for concurrent use.
type Observer struct {
	logs    LogReader
	listers map[schema.GroupVersionResource]cache.GenericLister
	stop    func()

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change
	refused error         // the API server does not let us watch
}

func watched() []schema.GroupVersionResource {
	return []schema.GroupVersionResource{
		appsv1.SchemeGroupVersion.WithResource("deployments"), appsv1.SchemeGroupVersion.WithResource("replicasets"),
		batchv1.SchemeGroupVersion.WithResource("jobs"),
		corev1.SchemeGroupVersion.WithResource("pods"), corev1.SchemeGroupVersion.WithResource("events"),
	}
}

// Observe starts watching a namespace, which need not exist yet. It does not
// wait for the first answer. The watches end with the context or with Close.
func (c *Client) Observe(ctx context.Context, namespace string) (*Observer, error) {
	ctx, cancel := context.WithCancel(ctx)
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(c.dynamic, 0, namespace, nil)
	o := &Observer{
		logs:    c.logs,
		listers: map[schema.GroupVersionResource]cache.GenericLister{},
		stop:    func() { cancel(); factory.Shutdown() },
		changed: make(chan struct{}),
	}
	for _, resource := range watched() {
		informer := factory.ForResource(resource)
		o.listers[resource] = informer.Lister()
		err := informer.Informer().SetWatchErrorHandlerWithContext(o.watchFailed)
		if err == nil {
			_, err = informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
				AddFunc:    func(any) { o.wake(nil) },
				UpdateFunc: func(any, any) { o.wake(nil) },
				DeleteFunc: func(any) { o.wake(nil) },
			})
		}
		if err != nil {
			cancel()
			return nil, fmt.Errorf("watching %s of %s: %w", resource.Resource, namespace, err)
		}
	}
	factory.Start(ctx.Done())
	return o, nil
}

// Close ends the watches and returns when they have ended.
func (o *Observer) Close() { o.stop() }

func (o *Observer) wake(refused error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if refused != nil {
		o.refused = refused
	}
	close(o.changed)
	o.changed = make(chan struct{})
}

// watchFailed keeps errors that trying again does not mend; the rest is the
// informer's to retry.
func (o *Observer) watchFailed(_ context.Context, _ *cache.Reflector, err error) {
	if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
		o.wake(fmt.Errorf("watching the namespace: %w", err))
	}
}

// next is a channel that closes at the next change.
func (o *Observer) next() (<-chan struct{}, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changed, o.refused
}

// Wait returns when every Deployment of the set is rolled out and every Job has
// completed: pass it what Apply returned. It ends early with a WaitError once
// one of them cannot succeed, and with a TimeoutError, which says what is
// missing, when the context ends. Objects of other kinds need no waiting, but
// StatefulSets and DaemonSets are refused: their rollouts are not understood.
func (o *Observer) Wait(ctx context.Context, set Set) error {
	targets, err := targets(set)
	if err != nil {
		return err
	}
	since := time.Now()
	for {
		changed, refused := o.next() // before looking, so that no change is missed
		if refused != nil {
			return refused
		}
		seen, err := o.look()
		if err != nil {
			return err
		}
		seen.since, seen.now = since, time.Now()
		var v verdict
		if targets, v, err = o.remaining(ctx, seen, targets); err != nil || len(targets) == 0 {
			return err
		}
		var again <-chan time.Time
		if !v.recheck.IsZero() {
			again = time.After(v.recheck.Sub(seen.now))
		}
		select {
		case <-changed:
		case <-again:
		case <-ctx.Done():
			return &TimeoutError{Object: targets[0].String(), Detail: v.state, Err: context.Cause(ctx)}
		}
	}
}

// remaining judges the targets and returns those that are not done, with the
// state of the first and the earliest time to look again.
func (o *Observer) remaining(ctx context.Context, seen *observed, all []target) (left []target, first verdict, err error) {
	for _, t := range all {
		v := judge(seen, t)
		if v.done {
			continue
		}
		if v.failed != nil {
			return nil, v, o.explain(ctx, t, v.failed)
		}
		if left = append(left, t); len(left) == 1 {
			first = v
		} else if first.recheck.IsZero() || !v.recheck.IsZero() && v.recheck.Before(first.recheck) {
			first.recheck = v.recheck
		}
	}
	return left, first, nil
}

const logLines = 20

func (o *Observer) explain(ctx context.Context, t target, f *finding) error {
	e := &WaitError{Object: t.String(), Cause: f.cause, Detail: f.detail, Image: f.image}
	if f.log == nil || o.logs == nil {
		return e
	}
	r := *f.log
	r.Lines = logLines
	text, err := o.logs.Logs(ctx, r)
	if err != nil {
		e.Log = []string{"(" + err.Error() + ")"}
	} else if text = strings.TrimRight(text, "\n"); text != "" {
		e.Log = strings.Split(text, "\n")
	}
	return e
}

// look copies what the watches have brought so far into typed objects.
func (o *Observer) look() (*observed, error) {
	seen := &observed{}
	for resource, lister := range o.listers {
		var err error
		switch resource.Resource {
		case "deployments":
			seen.deployments, err = typed[appsv1.Deployment](lister)
		case "replicasets":
			seen.replicaSets, err = typed[appsv1.ReplicaSet](lister)
		case "jobs":
			seen.jobs, err = typed[batchv1.Job](lister)
		case "pods":
			seen.pods, err = typed[corev1.Pod](lister)
		case "events":
			seen.events, err = typed[corev1.Event](lister)
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", resource.Resource, err)
		}
	}
	return seen, nil
}
