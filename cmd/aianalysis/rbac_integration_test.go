//go:build integration

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	rbac "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// testAccount is no account of the manifests: other tests apply those to the same API server.
const testAccount = "aianalysis-test"

// leastAccess gives the shipped ClusterRole, and nothing else, to an account of its own and returns a kubeconfig that acts as it:
// a call that the role does not cover fails the test.
func leastAccess(t *testing.T, c client.Client) string {
	t.Helper()
	content, err := os.ReadFile("../../config/rbac/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var role unstructured.Unstructured
	if err := yaml.Unmarshal(bytes.SplitN(content, []byte("\n---\n"), 2)[0], &role.Object); err != nil {
		t.Fatal(err)
	}
	role.SetName(testAccount)
	binding := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": rbac.SchemeGroupVersion.String(), "kind": "ClusterRoleBinding", "metadata": map[string]any{"name": role.GetName()},
		"roleRef":  map[string]any{"apiGroup": rbac.GroupName, "kind": "ClusterRole", "name": role.GetName()},
		"subjects": []any{map[string]any{"apiGroup": rbac.GroupName, "kind": "User", "name": testAccount}},
	}}
	for _, object := range []*unstructured.Unstructured{&role, binding} {
		if err := c.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("aianalysis-test"), client.ForceOwnership); err != nil {
			t.Fatal(err)
		}
	}
	config, err := clientcmd.LoadFromFile(os.Getenv("KUBERNAUT_TEST_KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range config.AuthInfos {
		user.Impersonate = testAccount
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}
