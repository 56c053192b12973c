package deploy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"
)

var (
	deployments = appsv1.SchemeGroupVersion.WithResource("deployments")
	replicaSets = appsv1.SchemeGroupVersion.WithResource("replicasets")
	pods        = corev1.SchemeGroupVersion.WithResource("pods")
)

func whole(kind, text string) string {
	version := map[string]string{"Deployment": "apps/v1", "ReplicaSet": "apps/v1", "Pod": "v1"}[kind]
	text = strings.Replace(text, "namespace: ns, ", "", 1)
	return strings.Replace(text, "{metadata: {", "{apiVersion: "+version+", kind: "+kind+", metadata: {namespace: ns, ", 1)
}

// waiting starts n waits for the Deployment and returns their results.
func waiting(ctx context.Context, t *testing.T, f *cluster, n int) <-chan error {
	t.Helper()
	o, err := f.client.Observe(ctx, "ns")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	set := manifests(t, whole("Deployment", rolledOut), configYAML)
	ended := make(chan error, n)
	for range n {
		go func() { ended <- o.Wait(ctx, set) }()
	}
	return ended
}

func TestWaitsShareTheirWatches(t *testing.T) {
	f, ctx := newCluster(t, whole("Deployment", rolling)), bounded(t)
	ended := waiting(ctx, t, f, 3)
	f.awaitWatch(ctx, t, "deployments")
	f.set(t, deployments, whole("Deployment", rolledOut))
	for range 3 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	requests := map[string]int{}
	for _, a := range f.Actions() {
		if a.GetResource() == deployments {
			requests[a.GetVerb()]++
		}
	}
	if requests["list"] != 1 || requests["watch"] != 1 {
		t.Errorf("requests for Deployments are %v", requests)
	}
}

func TestWaitEndsWithTheCauseAndTheLog(t *testing.T) {
	f, ctx := newCluster(t, whole("Deployment", rolling), whole("ReplicaSet", newRS)), bounded(t)
	f.client.logs = fixedLog("bind: address in use")
	ended := waiting(ctx, t, f, 1)
	f.awaitWatch(ctx, t, "pods")
	f.set(t, pods, whole("Pod", podOf("r2", "containers: [{name: web}]",
		`containerStatuses: [{name: web, ready: false, restartCount: 1, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 2, finishedAt: "2026-03-02T12:00:00Z"}}}]`)))
	var failed *WaitError
	if err := <-ended; !errors.As(err, &failed) {
		t.Fatalf("got %v", err)
	}
	if want := "Deployment ns/web: crash loop: pod web-2-x: container web exited with code 2, 1 restart(s)"; failed.Line() != want {
		t.Errorf("line is %q, want %q", failed.Line(), want)
	}
	if want := []string{"bind: address in use of web previous=true lines=20"}; !slices.Equal(failed.Log, want) {
		t.Errorf("log is %q, want %q", failed.Log, want)
	}
}

func TestWaitSaysWhatIsMissingWhenItsTimeIsUp(t *testing.T) {
	f := newCluster(t, whole("Deployment", rolling))
	ctx, cancel := context.WithCancelCause(bounded(t))
	ended := waiting(ctx, t, f, 1)
	f.awaitWatch(ctx, t, "deployments")
	enough := errors.New("enough")
	cancel(enough)
	var late *TimeoutError
	if err := <-ended; !errors.As(err, &late) || late.Object != "Deployment ns/web" || !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
}

func TestWaitDoesNotGoOnWithoutRights(t *testing.T) {
	f := newCluster(t)
	f.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("no"))
	})
	if err := <-waiting(bounded(t), t, f, 1); !apierrors.IsForbidden(err) {
		t.Errorf("got %v", err)
	}
}

func TestWaitRefusesRolloutsThatItDoesNotKnow(t *testing.T) {
	set := manifests(t, `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: s, namespace: ns}}`)
	if _, err := targets(set); err == nil || !strings.Contains(err.Error(), "StatefulSet ns/s") {
		t.Errorf("got %v", err)
	}
}

func TestObserverIsSafeForConcurrentWaits(t *testing.T) {
	f, ctx := newCluster(t, whole("Deployment", rolling), whole("ReplicaSet", newRS)), bounded(t)
	ended := waiting(ctx, t, f, 8)
	var changes sync.WaitGroup
	f.awaitWatch(ctx, t, "deployments")
	changes.Go(func() { f.set(t, replicaSets, whole("ReplicaSet", oldRS)) })
	changes.Go(func() { f.set(t, deployments, whole("Deployment", rolledOut)) })
	changes.Wait()
	for range 8 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
