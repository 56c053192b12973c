//go:build integration

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// cluster is a real API server with the CRD of this tree, and a namespace of its own for a test.
func cluster(t *testing.T) (client.WithWatch, string) {
	t.Helper()
	file := os.Getenv("KUBERNAUT_TEST_KUBECONFIG")
	if file == "" {
		t.Fatal("KUBERNAUT_TEST_KUBECONFIG names no kubeconfig: run `mage test:integration`")
	}
	access, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		t.Fatal(err)
	}
	access.QPS = -1
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme, apiextensions.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.NewWithWatch(access, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	installCRD(t, c)
	namespace := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace",
		"metadata": map[string]any{"generateName": "aianalysis-test-"}}}
	if err := c.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { empty(t, c, namespace) })
	return c, namespace.GetName()
}

// empty deletes what a test left behind, past the finalizers: no controller runs any more.
func empty(t *testing.T, c client.WithWatch, namespace client.Object) {
	ctx := context.WithoutCancel(t.Context())
	var left v1alpha1.AIAnalysisList
	if err := c.List(ctx, &left, client.InNamespace(namespace.GetName())); err != nil {
		t.Error(err)
	}
	for _, cr := range left.Items {
		free := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
		for _, err := range []error{c.Patch(ctx, &cr, free), c.Delete(ctx, &cr)} {
			if client.IgnoreNotFound(err) != nil {
				t.Error(err)
			}
		}
	}
	if err := c.Delete(ctx, namespace); err != nil {
		t.Error(err)
	}
}

func installCRD(t *testing.T, c client.WithWatch) {
	t.Helper()
	content, err := os.ReadFile("../../config/crd/kubernaut.ai_aianalyses.yaml")
	if err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(content, &object.Object); err != nil {
		t.Fatal(err)
	}
	if err := c.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("aianalysis-test"), client.ForceOwnership); err != nil {
		t.Fatal(err)
	}
	// A request through the new resource is the fact that counts.
	until(t, "the API serves aianalyses", func(ctx context.Context) bool {
		return c.List(ctx, &v1alpha1.AIAnalysisList{}, client.Limit(1)) == nil
	})
}

// manifest reads an example as a tree, into a namespace and under a name.
func manifest(t *testing.T, file, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	content, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(content, &object.Object); err != nil {
		t.Fatal(err)
	}
	object.SetNamespace(namespace)
	object.SetName(name)
	return object
}

func TestSchemaAcceptsTheExamples(t *testing.T) {
	c, namespace := cluster(t)
	for _, file := range []string{"incident.yaml", "recovery.yaml"} {
		if err := c.Create(t.Context(), manifest(t, file, namespace, "example-"+file[:3])); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	empty := manifest(t, "incident.yaml", namespace, "empty")
	set(t, empty, "spec.remediationRequestRef", map[string]any{})
	set(t, empty, "spec.analysisRequest.signalContext.enrichmentResults", map[string]any{})
	set(t, empty, "spec.timeoutConfig", map[string]any{"investigatingTimeout": "0s"})
	if err := c.Create(t.Context(), empty); err != nil {
		t.Error(err)
	}
	empty.SetLabels(map[string]string{"a": "b"})
	if err := c.Update(t.Context(), empty); err != nil {
		t.Errorf("labels: %v", err)
	}
	set(t, empty, "spec.remediationId", "another")
	if err := c.Update(t.Context(), empty); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec is immutable: create a new AIAnalysis instead") {
		t.Errorf("spec changed: %v", err)
	}
}

// set puts a value at a dotted path; nil removes it. A number selects an element of a list.
func set(t *testing.T, object *unstructured.Unstructured, path string, value any) {
	t.Helper()
	steps := strings.Split(path, ".")
	var at any = object.Object
	for i, step := range steps {
		if branch, ok := at.([]any); ok {
			at = branch[step[0]-'0']
			continue
		}
		branch := at.(map[string]any)
		switch {
		case i < len(steps)-1:
			at = branch[step]
		case value == nil:
			delete(branch, step)
		default:
			branch[step] = value
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	c, namespace := cluster(t)
	const (
		sc      = "spec.analysisRequest.signalContext"
		labels  = sc + ".enrichmentResults.detectedLabels"
		failure = "spec.previousExecutions.0.failure"
		timeout = "must be a Go duration such as 90s or 1m30s, zero or more"
	)
	for i, row := range []struct {
		path  string
		value any
		want  string
	}{
		{"spec", nil, "spec: Required value"},
		{"spec.remediationId", nil, "spec.remediationId: Required value"},
		{"spec.remediationId", "", "should be at least 1 chars long"},
		{"spec.remediationId", strings.Repeat("x", 256), "Too long: may not be more than 255 bytes"},
		{"spec.remediationRequestRef", nil, "spec.remediationRequestRef: Required value"},
		{"spec.analysisRequest.analysisTypes", []any{}, "should have at least 1 items"},
		{sc + ".severity", "high", `Unsupported value: "high": supported values: "critical", "warning", "info"`},
		{sc + ".fingerprint", strings.Repeat("x", 65), "Too long: may not be more than 64 bytes"},
		{sc + ".environment", strings.Repeat("x", 64), "Too long: may not be more than 63 bytes"},
		{sc + ".environment", "", "should be at least 1 chars long"},
		{sc + ".enrichmentResults", nil, sc + ".enrichmentResults: Required value"},
		{sc + ".targetResource.kind", nil, sc + ".targetResource.kind: Required value"},
		{sc + ".enrichmentResults.detectedLabels", map[string]any{"gitOpsManaged": true}, "detectedLabels.pdbProtected: Required value"},
		{labels, fullLabels("gitOpsTool", "jenkins"), `gitOpsTool: Unsupported value: "jenkins": supported values: "argocd", "flux", ""`},
		{labels, fullLabels("serviceMesh", "consul"), `serviceMesh: Unsupported value: "consul": supported values: "istio", "linkerd", ""`},
		{labels, fullLabels("failedDetections", []any{"gitOpsTool"}), `failedDetections[0]: Unsupported value: "gitOpsTool"`},
		{sc + ".enrichmentResults.customLabels", map[string]any{"team": "x"}, `customLabels.team: Invalid value: "string"`},
		{"spec.recoveryAttemptNumber", int64(0), "should be greater than or equal to 1"},
		{"spec.recoveryAttemptNumber", "2", `must be of type integer: "string"`},
		{failure + ".failedStepIndex", int64(-1), "should be greater than or equal to 0"},
		{failure + ".exitCode", int64(3000000000), "must be of type integer with format int32"},
		{failure + ".failedAt", "yesterday", "must be of type date-time"},
		{failure + ".failedAt", []any{"2025-12-29T09:02:44Z"}, "must be an RFC 3339 time"},
		{failure + ".failedAt", "2025-12-29t09:02:44z", "should match '^"},
		{failure + ".failedAt", "2025-12-29T09:02:44+25:00", "should match '^"},
		{"spec.timeoutConfig", map[string]any{"investigatingTimeout": "abc"}, timeout},
		{"spec.timeoutConfig", map[string]any{"analyzingTimeout": "-5s"}, timeout},
		{"spec.timeoutConfig", map[string]any{"analyzingTimeout": int64(90)}, `must be of type string: "integer"`},
	} {
		object := manifest(t, "recovery.yaml", namespace, fmt.Sprintf("bad-%d", i))
		set(t, object, row.path, row.value)
		err := c.Create(t.Context(), object)
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s = %v:\n got %v\nwant %s", row.path, row.value, err, row.want)
		}
	}
}

func fullLabels(name string, value any) map[string]any {
	labels := map[string]any{"gitOpsManaged": true, "pdbProtected": false, "hpaEnabled": true, "stateful": false, "helmManaged": false, "networkIsolated": true}
	labels[name] = value
	return labels
}

// constants are those of api/v1alpha1/enums.go, by the beginning of their names: what the controller can write into a status.
func constants(t *testing.T, kinds ...string) map[string][]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../api/v1alpha1/enums.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for node := range ast.Preorder(file) {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			continue
		}
		name := spec.Names[0].Name
		kind := slices.IndexFunc(kinds, func(kind string) bool { return strings.HasPrefix(name, kind) })
		if kind < 0 {
			t.Fatalf("constant %s: none of %v", name, kinds)
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatalf("constant %s: %v", name, err)
		}
		found[kinds[kind]] = append(found[kinds[kind]], value)
	}
	return found
}

// Every value that the controller can write is one that the API server takes.
func TestSchemaTakesEveryValue(t *testing.T) {
	c, namespace := cluster(t)
	object := manifest(t, "incident.yaml", namespace, "enums")
	if err := c.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	patch := func(status map[string]any) error {
		for key, value := range map[string]any{"phase": v1alpha1.PhasePending, "approvalRequired": false} {
			if _, set := status[key]; !set {
				status[key] = value
			}
		}
		content, err := json.Marshal(map[string]any{"status": status})
		if err != nil {
			return err
		}
		return c.Status().Patch(t.Context(), object, client.RawPatch(types.MergePatchType, content))
	}
	condition := func(kind, reason string) map[string]any {
		return map[string]any{"conditions": []metav1.Condition{{Type: kind, Status: metav1.ConditionTrue, Reason: reason, LastTransitionTime: metav1.Now()}}}
	}
	values := constants(t, "Phase", "Reason", "SubReason", "Condition", "Cond") // Condition before Cond
	for kind, status := range map[string]func(string) map[string]any{
		"Phase":     func(value string) map[string]any { return map[string]any{"phase": value} },
		"Reason":    func(value string) map[string]any { return map[string]any{"reason": value} },
		"SubReason": func(value string) map[string]any { return map[string]any{"subReason": value} },
		"Condition": func(value string) map[string]any { return condition(value, v1alpha1.CondPending) },
		"Cond":      func(value string) map[string]any { return condition(v1alpha1.ConditionReady, value) },
	} {
		if len(values[kind]) < 5 {
			t.Errorf("%s: only %v", kind, values[kind])
		}
		for _, value := range values[kind] {
			if err := patch(status(value)); err != nil {
				t.Errorf("%s %s: %v", kind, value, err)
			}
		}
	}
	if err := patch(map[string]any{"subReason": "Nonsense"}); !apierrors.IsInvalid(err) {
		t.Errorf("nonsense: %v", err)
	}
	entry := map[string]any{"type": "t", "ordinal": 1, "at": metav1.NowMicro(), "data": map[string]any{"free": []any{1, map[string]any{"x": "y"}}}}
	if err := patch(map[string]any{"auditTrail": []any{entry}}); err != nil {
		t.Errorf("audit trail: %v", err)
	}
}
