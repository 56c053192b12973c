package deploy

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"
)

const (
	namespaceYAML  = `{apiVersion: v1, kind: Namespace, metadata: {name: ns}}`
	accountYAML    = `{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: ns}}`
	configYAML     = `{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: ns}, data: {a: "1"}}`
	serviceYAML    = `{apiVersion: v1, kind: Service, metadata: {name: web, namespace: ns}}`
	deploymentYAML = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: ns}, spec: {template: {spec: {
		containers: [{name: web, image: web}], volumes: [{name: c, configMap: {name: settings}}]}}}}`
	jobYAML = `{apiVersion: batch/v1, kind: Job, metadata: {name: seed, namespace: ns}, spec: {template: {spec: {
		containers: [{name: seed, image: web}], volumes: [{name: c, configMap: {name: settings}}]}}}}`
	crdYAML = `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: things.example.com}}`
)

var jobResource = batchv1.SchemeGroupVersion.WithResource("jobs")

func manifests(t *testing.T, texts ...string) Set {
	t.Helper()
	var set Set
	for _, text := range texts {
		set = append(set, object(t, text))
	}
	return set
}

func TestApplyKeepsTheOrder(t *testing.T) {
	f := newCluster(t, accountYAML)
	set := manifests(t, jobYAML, deploymentYAML, serviceYAML, configYAML, namespaceYAML)
	stored, err := f.client.Apply(bounded(t), set)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Namespace/ns", "ConfigMap/settings", "Service/web", "Deployment/web", "Job/seed"}
	if !slices.Equal(f.applied, want) {
		t.Errorf("applied %v, want %v", f.applied, want)
	}
	if len(stored) != len(want) || stored[3].GetUID() == "" {
		t.Errorf("stored objects are %v", stored)
	}
	if template := podTemplate(set[1]); template["metadata"] != nil {
		t.Error("the caller's set was changed")
	}
}

func TestApplyWaitsForANamespaceToBeUsable(t *testing.T) {
	f, ctx := newCluster(t), bounded(t)
	ended := make(chan error, 1)
	go func() {
		_, err := f.client.Apply(ctx, manifests(t, namespaceYAML, configYAML))
		ended <- err
	}()
	f.awaitWatch(ctx, t, "serviceaccounts")
	f.mu.Lock()
	before := slices.Clone(f.applied)
	f.mu.Unlock()
	if !slices.Equal(before, []string{"Namespace/ns"}) {
		t.Errorf("applied %v before the namespace was usable", before)
	}
	f.set(t, corev1.SchemeGroupVersion.WithResource("serviceaccounts"), accountYAML)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestContentHash(t *testing.T) {
	hash := func(t *testing.T, texts ...string) string {
		t.Helper()
		out, err := newCluster(t).client.stamp(bounded(t), manifests(t, texts...))
		if err != nil {
			t.Fatal(err)
		}
		annotations, _, _ := unstructured.NestedStringMap(podTemplate(out[0]), "metadata", "annotations")
		return annotations[ContentAnnotation]
	}
	plain := hash(t, deploymentYAML, configYAML)
	if len(plain) != 16 {
		t.Fatalf("hash is %q", plain)
	}
	if other := hash(t, deploymentYAML, strings.ReplaceAll(configYAML, `"1"`, `"2"`)); other == plain {
		t.Error("a changed ConfigMap does not roll the pod")
	}
	reloaded := strings.ReplaceAll(configYAML, "namespace: ns}", `namespace: ns, annotations: {kubernaut.ai/reloaded-by-user: "true"}}`)
	if got := hash(t, deploymentYAML, reloaded); got != "" {
		t.Errorf("a ConfigMap that its user reloads rolls the pod: %q", got)
	}
	secretPod := strings.ReplaceAll(deploymentYAML, "configMap: {name: settings}", "secret: {secretName: s}")
	asText := hash(t, secretPod, `{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: ns}, stringData: {k: v}}`)
	stored := hash(t, secretPod, `{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: ns}, data: {k: dg==}}`)
	if asText != stored {
		t.Error("a Secret as written and as stored give different hashes")
	}
}

func TestContentOfAnotherComponent(t *testing.T) {
	alone := manifests(t, deploymentYAML)
	var missing *MissingError
	if _, err := newCluster(t).client.Apply(bounded(t), alone); !errors.As(err, &missing) || missing.Need != "ConfigMap ns/settings" {
		t.Fatalf("a ConfigMap that nobody made: %v", err)
	}
	f := newCluster(t, configYAML)
	stored, err := f.client.Apply(bounded(t), alone)
	if err != nil {
		t.Fatal(err)
	}
	together, err := newCluster(t).client.stamp(bounded(t), manifests(t, deploymentYAML, configYAML))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(podTemplate(stored[0]), podTemplate(together[0])) {
		t.Errorf("the hash depends on where the ConfigMap is: %v, %v", podTemplate(stored[0]), podTemplate(together[0]))
	}
	optional := strings.ReplaceAll(deploymentYAML, "name: settings", "name: settings, optional: true")
	if _, err := newCluster(t).client.Apply(bounded(t), manifests(t, optional)); err != nil {
		t.Errorf("an optional ConfigMap is missing: %v", err)
	}
}

func TestReferencesOfAllKinds(t *testing.T) {
	o := object(t, `{apiVersion: apps/v1, kind: Deployment, spec: {template: {spec: {
		initContainers: [{env: [{valueFrom: {secretKeyRef: {name: a}}}, {valueFrom: {configMapKeyRef: {name: b}}}, {valueFrom: {fieldRef: {}}}, {name: plain}]}],
		containers: [{envFrom: [{configMapRef: {name: c}}, {secretRef: {name: d}}, {configMapRef: {name: c}}]}],
		volumes: [{secret: {secretName: e}}, {projected: {sources: [{secret: {name: f}}, {configMap: {name: g}}]}}, {emptyDir: {}}]}}}}`)
	var got []string
	for _, r := range references(podSpec(o)) {
		got = append(got, r.kind+" "+r.name)
	}
	want := []string{"ConfigMap b", "ConfigMap c", "ConfigMap g", "Secret a", "Secret d", "Secret e", "Secret f"}
	if !slices.Equal(got, want) {
		t.Errorf("references are %v, want %v", got, want)
	}
}

func TestJobIsReplacedOnlyIfItMust(t *testing.T) {
	changed := strings.ReplaceAll(jobYAML, "image: web", "image: web2")
	for name, row := range map[string]struct {
		second   string
		state    string
		replaced bool
	}{
		"complete, same":   {jobYAML, "Complete", false},
		"running, same":    {jobYAML, "", false},
		"failed, same":     {jobYAML, "Failed", true},
		"complete, edited": {changed, "Complete", true},
	} {
		t.Run(name, func(t *testing.T) {
			f, ctx := newCluster(t, configYAML), bounded(t)
			first, err := f.client.Apply(ctx, manifests(t, jobYAML))
			if err != nil {
				t.Fatal(err)
			}
			if row.state != "" {
				finished := first[0].DeepCopy()
				finished.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": row.state, "status": "True"}}}
				if err := f.Tracker().Update(jobResource, finished, "ns"); err != nil {
					t.Fatal(err)
				}
			}
			second, err := f.client.Apply(ctx, manifests(t, row.second))
			if err != nil {
				t.Fatal(err)
			}
			if replaced := second[0].GetUID() != first[0].GetUID(); replaced != row.replaced {
				t.Errorf("replaced is %t, want %t", replaced, row.replaced)
			}
		})
	}
}

func TestCRD(t *testing.T) {
	status := func(kind, status string) string {
		return strings.TrimSuffix(crdYAML, "}") + `, status: {conditions: [{type: ` + kind + `, status: "` + status + `", reason: Why, message: because}]}}`
	}
	for name, row := range map[string]struct {
		then string
		want string // in the error; empty is success
	}{
		"established": {status("Established", "True"), ""},
		"names taken": {status("NamesAccepted", "False"), "CustomResourceDefinition things.example.com: CRD not usable: names not accepted: Why: because"},
	} {
		t.Run(name, func(t *testing.T) {
			f, ctx := newCluster(t), bounded(t)
			ended := make(chan error, 1)
			go func() {
				_, err := f.client.Apply(ctx, manifests(t, crdYAML))
				ended <- err
			}()
			f.awaitWatch(ctx, t, crdResource.Resource)
			f.set(t, crdResource, row.then)
			err := <-ended
			if row.want == "" && err != nil || row.want != "" && (err == nil || err.Error() != row.want) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}

func TestApplyRefused(t *testing.T) {
	deployments := schema.GroupResource{Group: "apps", Resource: "deployments"}
	conflict := apierrors.NewApplyConflict([]metav1.StatusCause{{Type: metav1.CauseTypeFieldManagerConflict,
		Field: ".spec.replicas", Message: `conflict with "kubectl" using apps/v1`}}, "Apply failed with 1 conflict")
	invalid := apierrors.NewInvalid(schema.GroupKind{Kind: "Deployment"}, "web", nil)
	invalid.ErrStatus.Details.Causes = []metav1.StatusCause{{Field: "spec.selector", Message: "Required value"}}
	for name, row := range map[string]struct {
		err  error
		want string
	}{
		"conflict":  {conflict, `applying Deployment ns/web: Conflict: field .spec.replicas is owned by "kubectl"`},
		"invalid":   {invalid, "applying Deployment ns/web: Invalid: field spec.selector: Required value"},
		"forbidden": {apierrors.NewForbidden(deployments, "web", errors.New("no")), `applying Deployment ns/web: Forbidden: deployments.apps "web" is forbidden: no`},
	} {
		t.Run(name, func(t *testing.T) {
			f := newCluster(t, configYAML)
			f.refuse = func(string, string) error { return row.err }
			_, err := f.client.Apply(bounded(t), manifests(t, deploymentYAML))
			var refused *ApplyError
			if !errors.As(err, &refused) || err.Error() != row.want {
				t.Errorf("got %v, want %s", err, row.want)
			}
		})
	}
}

func TestDelete(t *testing.T) {
	f := newCluster(t, configYAML, deploymentYAML)
	if err := f.client.Delete(bounded(t), manifests(t, configYAML, deploymentYAML, serviceYAML)); err != nil {
		t.Fatal(err)
	}
	var deleted []string
	for _, a := range f.Actions() {
		if d, ok := a.(clienttesting.DeleteActionImpl); ok {
			deleted = append(deleted, a.GetResource().Resource+"/"+d.GetName())
		}
	}
	if want := []string{"deployments/web", "services/web", "configmaps/settings"}; !slices.Equal(deleted, want) {
		t.Errorf("deleted %v, want %v", deleted, want)
	}
}

func TestDeleteIsBoundedByItsContext(t *testing.T) {
	f := newCluster(t, configYAML)
	f.PrependReactor("delete", "*", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, nil }) // a finalizer holds it
	ctx, cancel := context.WithCancelCause(bounded(t))
	ended := make(chan error, 1)
	go func() { ended <- f.client.Delete(ctx, manifests(t, configYAML)) }()
	f.awaitWatch(ctx, t, "configmaps")
	enough := errors.New("enough")
	cancel(enough)
	var timeout *TimeoutError
	if err := <-ended; !errors.As(err, &timeout) || !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
}
