package deploy_test

import (
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubernaut-ai/kubernaut/pkg/deploy"
)

const config = "../../config"

var components = []string{"foundation", "datastorage", "mockllm", "catalog", "holmesgpt", "aianalysis"}

func read(t *testing.T, folder string) map[string]*unstructured.Unstructured {
	t.Helper()
	set, err := deploy.Read(filepath.Join(config, folder), nil)
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]*unstructured.Unstructured{}
	for _, o := range set {
		key := o.GetKind() + " " + o.GetName()
		if objects[key] != nil {
			t.Errorf("%s: %s is there twice", folder, key)
		}
		objects[key] = o
	}
	return objects
}

func podSpec(t *testing.T, o *unstructured.Unstructured) *corev1.PodSpec {
	t.Helper()
	fields, ok, err := unstructured.NestedMap(o.Object, "spec", "template", "spec")
	if err != nil || !ok {
		t.Fatalf("%s has no pod: %v", o.GetName(), err)
	}
	spec := &corev1.PodSpec{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(fields, spec, true); err != nil {
		t.Fatalf("%s: %v", o.GetName(), err)
	}
	return spec
}

func isWorkload(o *unstructured.Unstructured) bool {
	return slices.Contains([]string{"Deployment", "Job"}, o.GetKind())
}

func TestTheWholeIsTheSumOfItsComponents(t *testing.T) {
	sum := map[string]*unstructured.Unstructured{}
	for _, component := range components {
		for key, o := range read(t, "e2e/"+component) {
			if sum[key] != nil {
				t.Errorf("%s is part of two components", key)
			}
			sum[key] = o
		}
	}
	whole := read(t, "e2e")
	for key := range sum {
		if !reflect.DeepEqual(whole[key], sum[key]) {
			t.Errorf("%s is not in the whole as it is in its component", key)
		}
	}
	if len(whole) != len(sum) {
		t.Errorf("the whole has %d objects, its components %d", len(whole), len(sum))
	}
}

func TestNamesAreKept(t *testing.T) {
	whole := read(t, "e2e")
	for _, want := range []string{
		"Deployment datastorage", "Deployment holmesgpt-api", "Deployment aianalysis-controller", "Deployment mock-llm", "Deployment postgresql", "Deployment redis",
		"Service datastorage", "Service holmesgpt-api", "Service aianalysis-controller", "Service mock-llm", "Service postgresql", "Service redis",
		"ConfigMap datastorage-config", "ConfigMap holmesgpt-api-config", "ConfigMap aianalysis-config", "ConfigMap aianalysis-policies",
		"ConfigMap mock-llm-scenarios", "ConfigMap workflow-seed", "Secret datastorage-secret", "Job workflow-seed",
		"PersistentVolumeClaim postgresql", "PersistentVolumeClaim redis", "CustomResourceDefinition aianalyses.kubernaut.ai", "Namespace kubernaut-system",
	} {
		if whole[want] == nil {
			t.Errorf("there is no %s", want)
		}
	}
	hashed := regexp.MustCompile(`-[a-z0-9]{10}$`)
	clusterWide := []string{"Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "PersistentVolume"}
	for key, o := range whole {
		if o.GetKind() == "ConfigMap" || o.GetKind() == "Secret" {
			if hashed.MatchString(o.GetName()) {
				t.Errorf("%s looks hashed", key)
			}
		}
		if !slices.Contains(clusterWide, o.GetKind()) && o.GetNamespace() != "kubernaut-system" {
			t.Errorf("%s is in namespace %q", key, o.GetNamespace())
		}
		if o.GetKind() == "Deployment" {
			label, _, _ := unstructured.NestedString(o.Object, "spec", "template", "metadata", "labels", "app")
			if label != o.GetName() {
				t.Errorf("%s has pods labelled app=%s", key, label)
			}
		}
	}
}

func TestPodsAreRestricted(t *testing.T) {
	image := regexp.MustCompile(`^localhost/kubernaut-[a-z-]+$`)
	for key, o := range read(t, "e2e") {
		if !isWorkload(o) {
			continue
		}
		spec := podSpec(t, o)
		asks := o.GetName() == "aianalysis-controller" || o.GetName() == "holmesgpt-api"
		if (spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken) != asks {
			t.Errorf("%s: only the controller and HolmesGPT-API talk to the API server", key)
		}
		if spec.EnableServiceLinks == nil || *spec.EnableServiceLinks {
			t.Errorf("%s: enableServiceLinks", key)
		}
		pod := spec.SecurityContext
		if pod == nil || pod.RunAsNonRoot == nil || !*pod.RunAsNonRoot || pod.SeccompProfile == nil || pod.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: pod security is %+v", key, pod)
		}
		for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
			s := c.SecurityContext
			if s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem ||
				s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || s.RunAsUser != nil && *s.RunAsUser == 0 {
				t.Errorf("%s, container %s: security is %+v", key, c.Name, s)
			}
			if c.ImagePullPolicy != corev1.PullNever || !image.MatchString(c.Image) {
				t.Errorf("%s, container %s: image %s, pulled %s", key, c.Name, c.Image, c.ImagePullPolicy)
			}
		}
	}
}

func TestTimesOfTheTestCluster(t *testing.T) {
	for key, o := range read(t, "e2e") {
		if o.GetKind() != "Deployment" {
			continue
		}
		spec := podSpec(t, o)
		if replicas, _, _ := unstructured.NestedInt64(o.Object, "spec", "replicas"); replicas != 1 {
			t.Errorf("%s has %d replicas", key, replicas)
		}
		if g := spec.TerminationGracePeriodSeconds; g == nil || *g > 15 {
			t.Errorf("%s: grace period is not within 15 s", key)
		}
		for _, c := range spec.Containers {
			if p := c.StartupProbe; p == nil || p.PeriodSeconds != 1 || p.InitialDelaySeconds != 0 {
				t.Errorf("%s, container %s: startup probe is %+v", key, c.Name, p)
			}
		}
	}
}

func TestNodePorts(t *testing.T) {
	want := map[string]int64{
		"datastorage/http 8080": 30081, "holmesgpt-api/http 8080": 30088, "aianalysis-controller/http 8080": 30084,
		"aianalysis-controller/metrics 9090": 30184, "aianalysis-controller/health 8081": 30284,
	}
	got := map[string]int64{}
	for _, o := range read(t, "e2e") {
		ports, _, _ := unstructured.NestedSlice(o.Object, "spec", "ports")
		for _, port := range ports {
			p := port.(map[string]any)
			if node, ok := p["nodePort"].(int64); ok {
				got[fmt.Sprintf("%s/%s %v", o.GetName(), p["name"], p["port"])] = node
			}
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("node ports are %v, want %v", got, want)
	}
}

// What the overlay may change: times, endpoints, pull policy, replicas, ports.
func TestOverlayChangesNothingElse(t *testing.T) {
	env := map[string][]string{
		"datastorage": {"DATASTORAGE_DATABASE_SSL_MODE", "DATASTORAGE_SHUTDOWN_TOTAL", "DATASTORAGE_SHUTDOWN_PROPAGATION_DELAY",
			"DATASTORAGE_SHUTDOWN_DRAIN_TIMEOUT", "DATASTORAGE_SHUTDOWN_FLUSH_TIMEOUT", "DATASTORAGE_SHUTDOWN_CLOSE_TIMEOUT"},
		"holmesgpt":  {"LLM_MODEL", "LLM_ENDPOINT", "LLM_MAX_RETRIES", "DATA_STORAGE_URL"},
		"aianalysis": {},
	}
	for component, added := range env {
		base, overlay := read(t, component), read(t, "e2e/"+component)
		if len(base) != len(overlay) {
			t.Errorf("%s: base has %d objects, overlay %d", component, len(base), len(overlay))
		}
		for key, o := range base {
			changed := overlay[key]
			if changed == nil {
				t.Errorf("%s: the overlay lacks %s", component, key)
				continue
			}
			switch key {
			case "ConfigMap holmesgpt-api-config", "ConfigMap aianalysis-config":
				continue // endpoints and times
			}
			for _, side := range []*unstructured.Unstructured{o, changed} {
				forget(side, added)
			}
			if !reflect.DeepEqual(o.Object, changed.Object) {
				t.Errorf("%s: the overlay changes more of %s than it may:\n%v\n%v", component, key, o.Object, changed.Object)
			}
		}
	}
}

// forget removes what an overlay may change.
func forget(o *unstructured.Unstructured, env []string) {
	remove := func(path ...string) { unstructured.RemoveNestedField(o.Object, path...) }
	remove("metadata", "annotations", deploy.ReloadAnnotation)
	if annotations, ok, _ := unstructured.NestedMap(o.Object, "metadata", "annotations"); ok && len(annotations) == 0 {
		remove("metadata", "annotations")
	}
	if o.GetKind() == "Service" {
		remove("spec", "type")
		remove("spec", "ports")
	}
	if o.GetKind() != "Deployment" {
		return
	}
	remove("spec", "replicas")
	remove("spec", "template", "spec", "terminationGracePeriodSeconds")
	for _, list := range []string{"initContainers", "containers"} {
		containers, ok, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", list)
		if !ok {
			continue
		}
		for _, item := range containers {
			c := item.(map[string]any)
			delete(c, "imagePullPolicy")
			delete(c, "startupProbe")
			vars, _ := c["env"].([]any)
			vars = slices.DeleteFunc(vars, func(v any) bool {
				return slices.Contains(env, v.(map[string]any)["name"].(string))
			})
			if c["env"] = vars; len(vars) == 0 {
				delete(c, "env")
			}
		}
		if err := unstructured.SetNestedSlice(o.Object, containers, "spec", "template", "spec", list); err != nil {
			panic(err)
		}
	}
}
