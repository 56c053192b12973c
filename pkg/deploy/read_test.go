package deploy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func kustomization(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRead(t *testing.T) {
	dir := kustomization(t, map[string]string{
		"kustomization.yaml": "resources: [web.yaml]\nnamespace: ns\ngeneratorOptions: {disableNameSuffixHash: true}\nconfigMapGenerator: [{name: settings, literals: [a=1]}]\n",
		"web.yaml": `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 1, template: {spec: {
			initContainers: [{name: init, image: localhost/web}], containers: [{name: web, image: localhost/web}, {name: side, image: "reg:5000/side:v1"}]}}}}`,
	})
	set, err := Read(dir, map[string]string{"localhost/web": "localhost/web:abc", "localhost/unused": "x"})
	if err != nil {
		t.Fatal(err)
	}
	if len(set) != 2 || describe(set[0]) != "ConfigMap ns/settings" || describe(set[1]) != "Deployment ns/web" {
		t.Fatalf("got %v", set)
	}
	var images []string
	if err := eachContainer(set[1], func(c map[string]any) error { images = append(images, c["image"].(string)); return nil }); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(images, " "); got != "localhost/web:abc localhost/web:abc reg:5000/side:v1" {
		t.Errorf("images are %s", got)
	}
	if replicas, ok, _ := unstructured.NestedInt64(set[1].Object, "spec", "replicas"); !ok || replicas != 1 {
		t.Errorf("replicas are %d, %t", replicas, ok)
	}
	if _, err := Read(dir, map[string]string{}); err == nil || !strings.Contains(err.Error(), `no reference for image "localhost/web"`) {
		t.Errorf("an image without reference: %v", err)
	}
}

func TestReadRefuses(t *testing.T) {
	outside := kustomization(t, map[string]string{"x.yaml": configYAML})
	for name, text := range map[string]string{
		"file outside": "resources: [" + outside + "/x.yaml]\n",
		"no such file": "resources: [nothing.yaml]\n",
		"unknown key":  "resource: []\n",
	} {
		dir := kustomization(t, map[string]string{"kustomization.yaml": text})
		if set, err := Read(dir, nil); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: got %v, %v", name, set, err)
		}
	}
}

func TestSplitImage(t *testing.T) {
	for image, want := range map[string]string{
		"a": "a", "a:1": "a", "reg:5000/a": "reg:5000/a", "reg:5000/a:1": "reg:5000/a", "a@sha256:0": "a", "a:1@sha256:0": "a",
	} {
		repository, tagged := splitImage(image)
		if repository != want || tagged != (image != want) {
			t.Errorf("%s: got %s, %t", image, repository, tagged)
		}
	}
}
