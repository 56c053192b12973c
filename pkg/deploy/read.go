package deploy

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// Read builds the kustomization in dir with the load restrictions that kubectl
// has too, and sets image references in memory: images maps a repository as
// the manifests write it ("localhost/kubernaut-datastorage") to the reference
// to run. With a nil map the images stay as written; otherwise an image that
// has neither a tag, a digest nor an entry is an error, because a cluster would
// read it as ":latest". Entries that this folder does not need are allowed.
func Read(dir string, images map[string]string) (Set, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, fmt.Errorf("building kustomization %q: %w", dir, err)
	}
	set := make(Set, 0, built.Size())
	for _, res := range built.Resources() {
		fields, err := res.Map()
		if err != nil {
			return nil, fmt.Errorf("building kustomization %q: %s: %w", dir, res.CurId(), err)
		}
		o := &unstructured.Unstructured{Object: fields}
		if err := normalise(o); err != nil {
			return nil, fmt.Errorf("building kustomization %q: %s: %w", dir, res.CurId(), err)
		}
		if images != nil {
			if err := setImages(o, images); err != nil {
				return nil, fmt.Errorf("building kustomization %q: %w", dir, err)
			}
		}
		set = append(set, o)
	}
	slices.SortStableFunc(set, func(a, b *unstructured.Unstructured) int { return rank(a) - rank(b) })
	return set, nil
}

// normalise turns the plain Go values that a YAML reader makes (int) into those
// that unstructured objects may hold (int64): their DeepCopy panics on others.
func normalise(o *unstructured.Unstructured) error {
	raw, err := o.MarshalJSON()
	if err != nil {
		return err
	}
	return o.UnmarshalJSON(raw)
}

func setImages(o *unstructured.Unstructured, images map[string]string) error {
	return eachContainer(o, func(container map[string]any) error {
		image, _ := container["image"].(string)
		repository, tagged := splitImage(image)
		ref, known := images[repository]
		switch {
		case known:
			container["image"] = ref
		case !tagged:
			return fmt.Errorf("%s: no reference for image %q of container %v", describe(o), image, container["name"])
		}
		return nil
	})
}

// splitImage cuts tag and digest off. A colon before the last slash is a port.
func splitImage(image string) (repository string, tagged bool) {
	repository, _, tagged = strings.Cut(image, "@")
	if i := strings.LastIndex(repository, ":"); i > strings.LastIndex(repository, "/") {
		return repository[:i], true
	}
	return repository, tagged
}

// podTemplate is the live pod template of a workload, nil for other objects.
func podTemplate(o *unstructured.Unstructured) map[string]any {
	switch o.GroupVersionKind().Group {
	case "apps", "batch":
		t, _, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "template") // no template means nil, whatever stands there
		m, _ := t.(map[string]any)
		return m
	}
	return nil
}

func podSpec(o *unstructured.Unstructured) map[string]any {
	spec, _ := podTemplate(o)["spec"].(map[string]any)
	return spec
}

func eachContainer(o *unstructured.Unstructured, visit func(map[string]any) error) error {
	spec := podSpec(o)
	for _, key := range []string{"initContainers", "containers"} {
		for _, container := range maps(spec[key]) {
			if err := visit(container); err != nil {
				return err
			}
		}
	}
	return nil
}

// maps are the objects of a list; anything else is left out.
func maps(list any) []map[string]any {
	items, _ := list.([]any)
	out := make([]map[string]any, 0, len(items))
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// rank is the order of Apply: what others need comes first.
func rank(o *unstructured.Unstructured) int {
	switch o.GetKind() {
	case "Namespace":
		return 0
	case "CustomResourceDefinition":
		return 1
	case "ServiceAccount", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding":
		return 2
	case "ConfigMap", "Secret", "PersistentVolumeClaim", "PersistentVolume", "StorageClass":
		return 3
	case "Service":
		return 5
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod":
		return 6
	case "Job", "CronJob":
		return 7
	}
	return 4
}
