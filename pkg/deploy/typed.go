package deploy

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
)

// typed lists a store as Go structs, sorted by name.
func typed[T any](lister cache.GenericLister) ([]T, error) {
	list, err := lister.List(labels.Everything())
	if err != nil {
		return nil, err
	}
	objects := make([]*unstructured.Unstructured, 0, len(list))
	for _, item := range list {
		if o, ok := item.(*unstructured.Unstructured); ok {
			objects = append(objects, o)
		}
	}
	slices.SortFunc(objects, func(a, b *unstructured.Unstructured) int { return cmp.Compare(a.GetName(), b.GetName()) })
	out := make([]T, len(objects))
	for i, o := range objects {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &out[i]); err != nil {
			return nil, fmt.Errorf("decoding %s: %w", describe(o), err)
		}
	}
	return out, nil
}

// targets are the objects of a set that take time to become ready.
func targets(set Set) ([]target, error) {
	var out []target
	for _, o := range set {
		switch {
		case kindIs(o, "apps", "Deployment"), kindIs(o, "batch", "Job"):
			out = append(out, target{o.GetKind(), o.GetNamespace(), o.GetName(), o.GetUID(), o.GetGeneration()})
		case kindIs(o, "apps", "StatefulSet"), kindIs(o, "apps", "DaemonSet"):
			return nil, fmt.Errorf("waiting for %s: only Deployments and Jobs can be waited for", describe(o))
		}
	}
	return out, nil
}
