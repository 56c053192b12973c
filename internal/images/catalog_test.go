package images_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubernaut-ai/kubernaut/internal/images"
)

const root = "../.."

// The catalog and the Dockerfiles of the tree name each other.
func TestCatalogAndFilesAgree(t *testing.T) {
	var listed []string
	for _, img := range images.Catalog {
		listed = append(listed, filepath.Clean(img.Dockerfile))
		dockerfile, err := os.ReadFile(filepath.Join(root, img.Dockerfile))
		if err != nil {
			t.Errorf("%s: %v", img.Name, err)
			continue
		}
		if !strings.Contains(string(dockerfile), "ARG "+img.Base) {
			t.Errorf("%s: %s has no ARG %s", img.Name, img.Dockerfile, img.Base)
		}
		ignore, err := os.ReadFile(filepath.Join(root, img.Ignore()))
		if err != nil {
			t.Errorf("%s: %v", img.Name, err)
		} else if !strings.HasPrefix(string(ignore), "*\n") {
			t.Errorf("%s: %s must admit, so begin with *", img.Name, img.Ignore())
		}
		if img.Memory <= 0 {
			t.Errorf("%s: no memory demand", img.Name)
		}
		if img.MaxBytes <= 0 {
			t.Errorf("%s: no limit of its size", img.Name)
		}
	}
	found, err := filepath.Glob(filepath.Join(root, "docker", "*.Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(found, filepath.Join(root, "holmesgpt-api", "Dockerfile")) {
		rel, err := filepath.Rel(root, file)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(listed, rel) {
			t.Errorf("%s is in no line of the catalog", rel)
		}
	}
}

// Service images say who they run as, install nothing from a distribution and compile nothing twice.
func TestDockerfilesKeepTheRules(t *testing.T) {
	for _, img := range images.Catalog {
		data, err := os.ReadFile(filepath.Join(root, img.Dockerfile))
		if err != nil {
			t.Errorf("%s: %v", img.Name, err)
			continue
		}
		text := string(data)
		final := text[strings.LastIndex(text, "\nFROM "):]
		if !strings.Contains(final, "USER 65532:65532") {
			t.Errorf("%s: the last stage does not say USER 65532:65532", img.Name)
		}
		if strings.Contains(final, "\nRUN ") {
			t.Errorf("%s: the last stage runs a command: it only copies what the stages before it made", img.Name)
		}
		for _, never := range []string{"apt-get", "apt ", "apk ", "dnf ", "yum ", "go build -a", "# syntax=", "<<EOF", "chown -R"} {
			if strings.Contains(text, never) {
				t.Errorf("%s: %q has no place in a service image", img.Name, never)
			}
		}
		if !strings.Contains(text, "--mount=type=cache") {
			t.Errorf("%s: no cache mount", img.Name)
		}
	}
}
