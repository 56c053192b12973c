//go:build integration

package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// crdFile is the CRD of this tree, and full an object in which every member of spec is set.
const (
	crdFile  = "../../config/crd/kubernaut.ai_aianalyses.yaml"
	fullFile = "../../internal/holmes/testdata/full.yaml"
)

func readTree(t *testing.T, file string) map[string]any {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := yaml.Unmarshal(content, &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

func full(t *testing.T, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{Object: readTree(t, fullFile)}
	object.SetAPIVersion(v1alpha1.GroupVersion.String())
	object.SetKind("AIAnalysis")
	object.SetNamespace(namespace)
	object.SetName(name)
	return object
}

// required lists the dotted paths of all members that a schema requires, lists by their first element. have is an example with all of them.
func required(schema *apiextensions.JSONSchemaProps, at string, have any) (paths []string) {
	switch value := have.(type) {
	case map[string]any:
		for name, member := range value {
			if slices.Contains(schema.Required, name) {
				paths = append(paths, at+"."+name)
			}
			if property, ok := schema.Properties[name]; ok {
				paths = append(paths, required(&property, at+"."+name, member)...)
			}
		}
	case []any:
		paths = append(paths, required(schema.Items.Schema, at+".0", value[0])...)
	}
	return paths
}

// requiredCount counts what a schema requires, wherever an example would have it.
func requiredCount(schema *apiextensions.JSONSchemaProps) (n int) {
	n = len(schema.Required)
	for _, property := range schema.Properties {
		n += requiredCount(&property)
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		n += requiredCount(schema.Items.Schema)
	}
	return n
}

var element = regexp.MustCompile(`\.(\d+)`)

// Every required member of spec, missing and null, and spec itself.
func TestCRDRequiresEveryRequiredField(t *testing.T) {
	c, namespace := cluster(t)
	var crd apiextensions.CustomResourceDefinition
	content, err := os.ReadFile(crdFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, &crd); err != nil {
		t.Fatal(err)
	}
	spec := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
	paths := required(&spec, "spec", readTree(t, fullFile)["spec"])
	if n := requiredCount(&spec); len(paths) != n || n < 60 {
		t.Fatalf("%d required members in the example, %d in the schema", len(paths), n)
	}
	if err := c.Create(t.Context(), full(t, namespace, "full"), client.DryRunAll); err != nil {
		t.Fatalf("nothing missing: %v", err)
	}
	for _, path := range append(paths, "spec") {
		field := element.ReplaceAllString(path, "[$1]")
		for name, change := range map[string]func(*unstructured.Unstructured){
			"missing": func(object *unstructured.Unstructured) { set(t, object, path, nil) },
			"null":    func(object *unstructured.Unstructured) { setNull(object, strings.Split(path, ".")) },
		} {
			object := full(t, namespace, "incomplete")
			change(object)
			if err := c.Create(t.Context(), object); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), field+": Required value") {
				t.Errorf("%s %s: %v", field, name, err)
			}
		}
	}
}

func setNull(object *unstructured.Unstructured, steps []string) {
	var at any = object.Object
	for _, step := range steps[:len(steps)-1] {
		if list, ok := at.([]any); ok {
			at = list[step[0]-'0']
			continue
		}
		at = at.(map[string]any)[step]
	}
	at.(map[string]any)[steps[len(steps)-1]] = nil
}

// Every other refusal: the field, the words of the API server, and the nearest value that is accepted.
func TestCRDRefusesEveryRowAndAcceptsItsNeighbour(t *testing.T) {
	c, namespace := cluster(t)
	const (
		request  = "spec.analysisRequest."
		sc       = request + "signalContext."
		labels   = sc + "enrichmentResults.detectedLabels."
		failure  = "spec.previousExecutions.0.failure."
		calls    = "spec.timeoutConfig.investigatingTimeout"
		policies = "spec.timeoutConfig.analyzingTimeout"
		own      = "must be a Go duration such as 90s or 1m30s, zero or more"
		noTime   = "type conversion error from 'string' to 'google.protobuf.Duration' evaluating rule: " + own
		pattern  = `should match '^\d{4}-\d{2}-\d{2}T`
	)
	long := func(n int) string { return strings.Repeat("x", n) }
	type row struct {
		path      string
		bad       any
		want      string
		neighbour any
	}
	rows := []row{
		{"spec.remediationId", "", "should be at least 1 chars long", "x"},
		{"spec.remediationId", long(256), "Too long: may not be more than 255 bytes", long(255)},
		{"spec.remediationId", "a\x00b", "should match '^[^\\x00-\\x1f\\x7f-\\x9f]*$'", "a b é"},
		{"spec.remediationId", "a\u0085b", "should match '^[^\\x00-\\x1f\\x7f-\\x9f]*$'", "a\u00a0b"},
		{sc + "fingerprint", long(65), "Too long: may not be more than 64 bytes", long(64)},
		{request + "analysisTypes", []any{}, "should have at least 1 items", []any{"anything"}},
		{sc + "severity", "high", `Unsupported value: "high": supported values: "critical", "warning", "info"`, "critical"},
		{labels + "failedDetections", []any{"gitOpsTool"}, `failedDetections[0]: Unsupported value: "gitOpsTool": supported values: "gitOpsManaged", "pdbProtected", "hpaEnabled", "stateful", "helmManaged", "networkIsolated", "serviceMesh"`, []any{"serviceMesh"}},
		{labels + "gitOpsTool", "jenkins", `Unsupported value: "jenkins": supported values: "argocd", "flux", ""`, "flux"},
		{labels + "serviceMesh", "consul", `Unsupported value: "consul": supported values: "istio", "linkerd", ""`, "linkerd"},
		{sc + "enrichmentResults.customLabels.team", "x", `must be of type array: "string"`, []any{"x"}},
		{"spec.recoveryAttemptNumber", int64(0), "should be greater than or equal to 1", int64(1)},
		{"spec.recoveryAttemptNumber", "2", `must be of type integer: "string"`, int64(2)},
		{failure + "failedStepIndex", int64(-1), "should be greater than or equal to 0", int64(0)},
		{failure + "exitCode", int64(3000000000), "must be of type integer with format int32", int64(2147483647)},
		{failure + "failedAt", "yesterday", "must be of type date-time", "2025-12-29T09:02:44Z"},
		{failure + "failedAt", "2025-12-29t09:02:44z", pattern, "2025-12-29T09:02:44.123456789+05:30"},
		{failure + "failedAt", "2025-12-29T09:02:44+25:00", pattern, "2025-12-29T09:02:44+23:59"},
	}
	for _, name := range []string{"environment", "businessPriority"} {
		rows = append(rows, row{sc + name, "", "should be at least 1 chars long", "x"}, row{sc + name, long(64), "Too long: may not be more than 63 bytes", long(63)})
	}
	for _, path := range []string{calls, policies} {
		for _, bad := range []string{"abc", "5", "", "1 hour", "9999999999h"} {
			rows = append(rows, row{path, bad, noTime, "5s"})
		}
		rows = append(rows, row{path, "-5s", own, "0s"}, row{path, int64(90), `must be of type string: "integer"`, "1m30s"})
	}
	for _, row := range rows {
		field := element.ReplaceAllString(row.path, "[$1]")
		object := full(t, namespace, "row")
		set(t, object, "spec.timeoutConfig", map[string]any{})
		set(t, object, row.path, row.neighbour)
		if err := c.Create(t.Context(), object, client.DryRunAll); err != nil {
			t.Errorf("%s = %v, the neighbour: %v", field, row.neighbour, err)
		}
		set(t, object, row.path, row.bad)
		err := c.Create(t.Context(), object)
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), field) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s = %v:\n got %v\nwant %s", field, row.bad, err, row.want)
		}
	}
	var stored v1alpha1.AIAnalysisList
	if err := c.List(t.Context(), &stored, client.InNamespace(namespace)); err != nil || len(stored.Items) != 0 {
		t.Errorf("%d objects stored, %v", len(stored.Items), err)
	}
}

// What is accepted on purpose.
func TestCRDAcceptsWhatItShould(t *testing.T) {
	c, namespace := cluster(t)
	for path, value := range map[string]any{
		"spec.analysisRequest.signalContext.fingerprint":       "",
		"spec.analysisRequest.signalContext.signalType":        "",
		"spec.analysisRequest.signalContext.enrichmentResults": map[string]any{},
		"spec.remediationRequestRef":                           map[string]any{},
		"spec.previousExecutions":                              nil,
		"spec.recoveryAttemptNumber":                           nil,
		"spec.surprise":                                        "pruned",
		"spec.analysisRequest.analysisTypes":                   []any{"anything at all"},
	} {
		object := full(t, namespace, "accepted")
		set(t, object, path, value)
		if err := c.Create(t.Context(), object, client.DryRunAll); err != nil {
			t.Errorf("%s = %v: %v", path, value, err)
		}
		if _, kept, err := unstructured.NestedString(object.Object, "spec", "surprise"); kept || err != nil {
			t.Errorf("an unknown key was kept: %v", err)
		}
	}
}

func TestCRDSpecIsImmutableAndMetadataIsFree(t *testing.T) {
	c, namespace := cluster(t)
	object := full(t, namespace, "immutable")
	if err := c.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	for path, value := range map[string]any{
		"spec.remediationId": "another", "spec.isRecoveryAttempt": false, "spec.timeoutConfig": map[string]any{"analyzingTimeout": "9s"},
		"spec.previousExecutions.0.failure.message": "another", "spec.analysisRequest.signalContext.environment": "another",
	} {
		changed := object.DeepCopy()
		set(t, changed, path, value)
		if err := c.Update(t.Context(), changed); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec: Invalid value") ||
			!strings.Contains(err.Error(), "spec is immutable: create a new AIAnalysis instead") {
			t.Errorf("%s changed: %v", path, err)
		}
	}
	object.SetLabels(map[string]string{"a": "b"})
	object.SetAnnotations(map[string]string{"c": "d"})
	object.SetFinalizers([]string{"example.com/one", v1alpha1.Finalizer})
	if err := c.Update(t.Context(), object); err != nil {
		t.Errorf("metadata: %v", err)
	}
}
