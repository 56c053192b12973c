package deploy

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/meta/testrestmapper"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/scheme"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"
)

var crdResource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// cluster is an API server in memory that understands server-side apply as far
// as these tests need it: create or replace, a uid, a generation.
type cluster struct {
	*fake.FakeDynamicClient
	client *Client

	mu       sync.Mutex
	applied  []string // kind/name in order
	lastUID  int
	watching chan string // resource names, one for each WATCH begun
	refuse   func(kind, name string) error
}

func newCluster(t *testing.T, objects ...string) *cluster {
	t.Helper()
	known := runtime.NewScheme()
	if err := scheme.AddToScheme(known); err != nil {
		t.Fatal(err)
	}
	var initial []runtime.Object
	for _, text := range objects {
		initial = append(initial, object(t, text))
	}
	lists := map[schema.GroupVersionResource]string{crdResource: "CustomResourceDefinitionList"}
	for gv, kinds := range map[schema.GroupVersion][]string{
		corev1.SchemeGroupVersion:  {"Namespace", "ServiceAccount", "ConfigMap", "Secret", "Service", "Pod", "Event"},
		appsv1.SchemeGroupVersion:  {"Deployment", "ReplicaSet"},
		batchv1.SchemeGroupVersion: {"Job"},
	} {
		for _, kind := range kinds {
			resource, _ := meta.UnsafeGuessKindToResource(gv.WithKind(kind))
			lists[resource] = kind + "List"
		}
	}
	f := &cluster{
		FakeDynamicClient: fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists, initial...),
		watching:          make(chan string, 100),
	}
	mapper := meta.MultiRESTMapper{testrestmapper.TestOnlyStaticRESTMapper(known)}
	crds := meta.NewDefaultRESTMapper(nil)
	crds.AddSpecific(crdResource.GroupVersion().WithKind("CustomResourceDefinition"), crdResource, crdResource, meta.RESTScopeRoot)
	f.client = New(f, append(mapper, crds), nil)
	f.PrependReactor("patch", "*", f.apply)
	f.PrependWatchReactor("*", func(a clienttesting.Action) (bool, watch.Interface, error) {
		w, err := f.Tracker().Watch(a.GetResource(), a.GetNamespace(), a.(clienttesting.WatchActionImpl).ListOptions)
		f.watching <- a.GetResource().Resource
		return true, w, err
	})
	return f
}

func (f *cluster) apply(action clienttesting.Action) (bool, runtime.Object, error) {
	patch := action.(clienttesting.PatchActionImpl)
	if patch.GetPatchType() != types.ApplyPatchType || patch.PatchOptions.FieldManager != FieldManager || *patch.PatchOptions.Force {
		return true, nil, fmt.Errorf("not an unforced apply of %s: %+v", FieldManager, patch)
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(patch.GetPatch()); err != nil {
		return true, nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied = append(f.applied, o.GetKind()+"/"+o.GetName())
	if f.refuse != nil {
		if err := f.refuse(o.GetKind(), o.GetName()); err != nil {
			return true, nil, err
		}
	}
	old, err := f.Tracker().Get(patch.GetResource(), patch.GetNamespace(), patch.GetName())
	if err != nil {
		f.lastUID++
		o.SetUID(types.UID(fmt.Sprint("uid-", f.lastUID)))
		o.SetGeneration(1)
		return true, o, f.Tracker().Create(patch.GetResource(), o, patch.GetNamespace())
	}
	before := old.(*unstructured.Unstructured)
	o.SetUID(before.GetUID())
	o.SetGeneration(before.GetGeneration() + 1)
	if status, ok := before.Object["status"]; ok {
		o.Object["status"] = status
	}
	return true, o, f.Tracker().Update(patch.GetResource(), o, patch.GetNamespace())
}

// awaitWatch returns when a WATCH of that resource has begun: what changes from
// then on is seen.
func (f *cluster) awaitWatch(ctx context.Context, t *testing.T, resource string) {
	t.Helper()
	for {
		select {
		case begun := <-f.watching:
			if begun == resource {
				return
			}
		case <-ctx.Done():
			t.Errorf("no watch of %s has begun", resource)
			return
		}
	}
}

func (f *cluster) set(t *testing.T, resource schema.GroupVersionResource, text string) {
	t.Helper()
	o := object(t, text)
	err := f.Tracker().Update(resource, o, o.GetNamespace())
	if err != nil {
		err = f.Tracker().Create(resource, o, o.GetNamespace())
	}
	if err != nil {
		t.Error(err)
	}
}

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(raw); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return o
}

// bounded ends a test that hangs long after it should have passed.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

type fixedLog string

func (l fixedLog) Logs(_ context.Context, r LogRequest) (string, error) {
	return fmt.Sprintf("%s of %s previous=%t lines=%d\n", string(l), r.Container, r.Previous, r.Lines), nil
}
