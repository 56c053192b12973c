package deploy_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubernaut-ai/kubernaut/pkg/deploy"
)

func policy(t *testing.T, o *unstructured.Unstructured) (p networkingv1.NetworkPolicySpec) {
	t.Helper()
	if o == nil {
		t.Fatal("no such policy")
	}
	fields, _, err := unstructured.NestedMap(o.Object, "spec")
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(fields, &p, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func ports(list []networkingv1.NetworkPolicyPort) (numbers []int) {
	for _, p := range list {
		numbers = append(numbers, p.Port.IntValue())
	}
	return numbers
}

// Data Storage is reached by kubernaut's namespaces and by monitoring, and reaches the name server and its stores.
func TestNetworkOfDataStorage(t *testing.T) {
	objects := read(t, "datastorage")
	p := policy(t, objects["NetworkPolicy datastorage"])
	if want := map[string]string{"app": "datastorage"}; !maps.Equal(p.PodSelector.MatchLabels, want) || len(p.PolicyTypes) != 2 {
		t.Errorf("for %v, %v", p.PodSelector, p.PolicyTypes)
	}
	pod, _, _ := unstructured.NestedStringMap(objects["Deployment datastorage"].Object, "spec", "template", "metadata", "labels")
	if pod["app"] != "datastorage" {
		t.Errorf("the policy selects no pod labelled %v", pod)
	}
	namespaces := map[string]string{}
	for _, rule := range p.Ingress {
		for _, from := range rule.From {
			for key, value := range from.NamespaceSelector.MatchLabels {
				namespaces[key+"="+value] = rule.Ports[0].Port.String()
			}
		}
	}
	if want := map[string]string{"app.kubernetes.io/part-of=kubernaut": "8080", "kubernetes.io/metadata.name=monitoring": "9090"}; !maps.Equal(namespaces, want) {
		t.Errorf("reached from %v, want %v", namespaces, want)
	}
	if len(p.Egress) != 2 || !slices.Equal(ports(p.Egress[0].Ports), []int{53, 53}) || !slices.Equal(ports(p.Egress[1].Ports), []int{5432, 6379}) {
		t.Errorf("reaches %+v", p.Egress)
	}
	if labels := read(t, "e2e/foundation")["Namespace kubernaut-system"].GetLabels(); labels["app.kubernetes.io/part-of"] != "kubernaut" {
		t.Errorf("the namespace of the test cluster has labels %v", labels)
	}
}

// With the component for token reviews there are a token, one binding and the way to the API server, and nothing else.
func TestTokenReviewComponent(t *testing.T) {
	folder := t.TempDir()
	base, err := filepath.Abs(filepath.Join(config, "datastorage"))
	if err == nil {
		base, err = filepath.Rel(folder, base)
	}
	if err != nil {
		t.Fatal(err)
	}
	overlay := fmt.Sprintf("resources: [%q]\ncomponents: [%q]\n", base, base+"/token-review")
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(overlay), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := deploy.Read(folder, nil)
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]*unstructured.Unstructured{}
	for _, o := range set {
		objects[o.GetKind()+" "+o.GetName()] = o
	}
	if got, want := len(objects), len(read(t, "datastorage"))+2; got != want {
		t.Errorf("%d objects, want %d", got, want)
	}
	spec := podSpec(t, objects["Deployment datastorage"])
	env := spec.Containers[0].Env
	if !*spec.AutomountServiceAccountToken || env[len(env)-1].Name != "DATASTORAGE_AUTH_MODE" {
		t.Errorf("token %v, env %v", *spec.AutomountServiceAccountToken, env)
	}
	if got := ports(policy(t, objects["NetworkPolicy datastorage-to-api-server"]).Egress[0].Ports); !slices.Equal(got, []int{443, 6443}) {
		t.Errorf("opens %v", got)
	}
	role, _, _ := unstructured.NestedString(objects["ClusterRoleBinding kubernaut-datastorage-token-review"].Object, "roleRef", "name")
	if role != "system:auth-delegator" {
		t.Errorf("bound to %s", role)
	}
}
