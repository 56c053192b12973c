package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	// ContentAnnotation on a pod template holds the hash of the ConfigMaps and
	// Secrets that the pod uses: a change of them is a change of the template,
	// so the pods are replaced while all names stay as they are.
	ContentAnnotation = "kubernaut.ai/content-hash"
	// ReloadAnnotation with value "true" on a ConfigMap or Secret says that its
	// users notice a change themselves; it is left out of the hash.
	ReloadAnnotation = "kubernaut.ai/reloaded-by-user"
	// specAnnotation on a Job holds the hash of its own manifest.
	specAnnotation = "kubernaut.ai/manifest-hash"
)

// MissingError says that a pod needs an object that is neither in the set nor
// in the cluster. Nothing is created for it by stealth.
type MissingError struct {
	Object string // the workload
	Need   string // what it needs
}

// Error implements error.
func (e *MissingError) Error() string {
	return fmt.Sprintf("%s needs %s, which is neither part of this component nor in the cluster", e.Object, e.Need)
}

type reference struct {
	kind, name string
	optional   bool
}

// references are the ConfigMaps and Secrets of a pod, sorted, each once.
func references(pod map[string]any) []reference {
	var refs []reference
	add := func(kind, nameKey string, source any) {
		if m, ok := source.(map[string]any); ok {
			name, _ := m[nameKey].(string)
			optional, _ := m["optional"].(bool)
			refs = append(refs, reference{kind, name, optional})
		}
	}
	for _, volume := range maps(pod["volumes"]) {
		add("ConfigMap", "name", volume["configMap"])
		add("Secret", "secretName", volume["secret"])
		projected, _ := volume["projected"].(map[string]any)
		for _, source := range maps(projected["sources"]) {
			add("ConfigMap", "name", source["configMap"])
			add("Secret", "name", source["secret"])
		}
	}
	for _, container := range slices.Concat(maps(pod["initContainers"]), maps(pod["containers"])) {
		for _, from := range maps(container["envFrom"]) {
			add("ConfigMap", "name", from["configMapRef"])
			add("Secret", "name", from["secretRef"])
		}
		for _, env := range maps(container["env"]) {
			from, _ := env["valueFrom"].(map[string]any)
			add("ConfigMap", "name", from["configMapKeyRef"])
			add("Secret", "name", from["secretKeyRef"])
		}
	}
	slices.SortFunc(refs, func(a, b reference) int { return slices.Compare([]string{a.kind, a.name}, []string{b.kind, b.name}) })
	return slices.CompactFunc(refs, func(a, b reference) bool { return a.kind == b.kind && a.name == b.name })
}

// stamp returns the set with the content hash on every pod template and the
// manifest hash on every Job. The given set stays unchanged.
func (c *Client) stamp(ctx context.Context, set Set) (Set, error) {
	out := make(Set, len(set))
	for i, o := range set {
		out[i] = o.DeepCopy()
		template := podTemplate(out[i])
		if template == nil {
			continue
		}
		hash, err := c.contentHash(ctx, set, o)
		if err != nil {
			return nil, err
		}
		if hash != "" {
			annotate(&unstructured.Unstructured{Object: template}, ContentAnnotation, hash)
		}
		if kindIs(o, "batch", "Job") {
			sum, err := digest(out[i].Object)
			if err != nil {
				return nil, fmt.Errorf("hashing %s: %w", describe(o), err)
			}
			annotate(out[i], specAnnotation, sum)
		}
	}
	return out, nil
}

// annotate works on anything with metadata, a pod template too.
func annotate(o *unstructured.Unstructured, key, value string) {
	annotations := o.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[key] = value
	o.SetAnnotations(annotations)
}

func (c *Client) contentHash(ctx context.Context, set Set, owner *unstructured.Unstructured) (string, error) {
	var contents []any
	for _, ref := range references(podSpec(owner)) {
		source, err := c.source(ctx, set, owner, ref)
		if err != nil {
			return "", err
		}
		if source == nil || source.GetAnnotations()[ReloadAnnotation] == "true" {
			continue
		}
		contents = append(contents, ref.kind, ref.name, content(source))
	}
	if contents == nil {
		return "", nil
	}
	return digest(contents)
}

// source is the referenced object, from the set or else from the cluster; nil
// if it is optional and not there.
func (c *Client) source(ctx context.Context, set Set, owner *unstructured.Unstructured, ref reference) (*unstructured.Unstructured, error) {
	for _, o := range set {
		if kindIs(o, "", ref.kind) && o.GetName() == ref.name && o.GetNamespace() == owner.GetNamespace() {
			return o, nil
		}
	}
	want := &unstructured.Unstructured{}
	want.SetAPIVersion("v1")
	want.SetKind(ref.kind)
	want.SetName(ref.name)
	want.SetNamespace(owner.GetNamespace())
	endpoint, err := c.resource(want)
	if err != nil {
		return nil, err
	}
	found, err := endpoint.Get(ctx, ref.name, metav1.GetOptions{})
	switch {
	case err == nil:
		return found, nil
	case apierrors.IsNotFound(err) && ref.optional:
		return nil, nil
	case apierrors.IsNotFound(err):
		return nil, &MissingError{Object: describe(owner), Need: describe(want)}
	}
	return nil, fmt.Errorf("reading %s for %s: %w", describe(want), describe(owner), err)
}

// content is what a pod sees of a ConfigMap or Secret, spelled the same for a
// manifest (which may use stringData) and for the stored object.
func content(o *unstructured.Unstructured) map[string]any {
	all := map[string]any{}
	for _, key := range []string{"data", "binaryData"} {
		values, _ := o.Object[key].(map[string]any)
		for k, v := range values {
			all[k] = v
		}
	}
	values, _ := o.Object["stringData"].(map[string]any)
	for k, v := range values {
		text, _ := v.(string)
		all[k] = base64.StdEncoding.EncodeToString([]byte(text))
	}
	return all
}

// digest is a short hash of a value's JSON, whose maps have sorted keys.
func digest(v any) (string, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8]), nil
}
