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

// HolmesGPT-API is reached by kubernaut's namespaces and by monitoring, and reaches the name server, Data Storage, and what
// stands behind HTTPS: the API server and a model outside. In the test cluster the host comes in and the model is a pod.
func TestNetworkOfHolmesGPTAPI(t *testing.T) {
	objects, app := read(t, "holmesgpt"), map[string]string{"app": "holmesgpt-api"}
	p := policy(t, objects["NetworkPolicy holmesgpt-api"])
	if !maps.Equal(p.PodSelector.MatchLabels, app) || len(p.PolicyTypes) != 2 || len(p.Ingress) != 1 || len(p.Egress) != 3 {
		t.Fatalf("for %v, %v: %d rules in, %d out", p.PodSelector, p.PolicyTypes, len(p.Ingress), len(p.Egress))
	}
	pod, _, _ := unstructured.NestedStringMap(objects["Deployment holmesgpt-api"].Object, "spec", "template", "metadata", "labels")
	if pod["app"] != "holmesgpt-api" {
		t.Errorf("the policy selects no pod labelled %v", pod)
	}
	namespaces := map[string]string{}
	for _, from := range p.Ingress[0].From {
		maps.Copy(namespaces, from.NamespaceSelector.MatchLabels)
	}
	want := map[string]string{"app.kubernetes.io/part-of": "kubernaut", "kubernetes.io/metadata.name": "monitoring"}
	if got := ports(p.Ingress[0].Ports); len(p.Ingress[0].From) != 2 || !maps.Equal(namespaces, want) || !slices.Equal(got, []int{8080}) {
		t.Errorf("reached from %v at %v", namespaces, got)
	}
	for i, out := range [][]int{{53, 53}, {8080}, {443, 6443}} {
		if got := ports(p.Egress[i].Ports); !slices.Equal(got, out) {
			t.Errorf("way %d out leads to %v, want %v", i, got, out)
		}
	}
	if to := p.Egress[1].To; len(to) != 1 || to[0].PodSelector.MatchLabels["app"] != "datastorage" || to[0].NamespaceSelector != nil {
		t.Errorf("port 8080 is open to %+v", to)
	}
	cluster := read(t, "e2e")
	host, model := policy(t, cluster["NetworkPolicy holmesgpt-api-from-host"]), policy(t, cluster["NetworkPolicy holmesgpt-api-to-model"])
	if !maps.Equal(host.PodSelector.MatchLabels, app) || !slices.Equal(ports(host.Ingress[0].Ports), []int{8080}) {
		t.Errorf("the host reaches %+v", host)
	}
	if to := model.Egress[0].To; !maps.Equal(model.PodSelector.MatchLabels, app) || to[0].PodSelector.MatchLabels["app"] != "mock-llm" {
		t.Errorf("the model is %+v", to)
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
