package cluster

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files")

const product = "../../config/e2e/kind/aianalysis.yaml"

func TestRenderIsGolden(t *testing.T) {
	data, err := os.ReadFile(product)
	if err != nil {
		t.Fatal(err)
	}
	for name, limits := range map[string]Limits{
		"ordinary":   {},
		"restricted": {CgroupV1: true, KeepOOMScore: true, StaticCNI: true},
	} {
		t.Run(name, func(t *testing.T) {
			config, table, err := render(Config{Name: "trial", NodeImage: "node:1", Kind: data, Limits: limits})
			if err != nil {
				t.Fatal(err)
			}
			got, err := yaml.Marshal(withPorts(config, fixed(table)))
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestHashLooksPastPortsAndImageNames(t *testing.T) {
	of := func(yaml, image string, limits Limits) string {
		config, _, err := render(Config{Name: "trial", NodeImage: image, Kind: []byte(yaml), Limits: limits})
		if err != nil {
			t.Fatal(err)
		}
		return hash(withPorts(config, map[int32]int32{30088: 1234}))
	}
	base := of(kindYAML, "a", Limits{})
	if base != of(kindYAML, "b", Limits{}) {
		t.Error("the image's name counts")
	}
	if base == of(kindYAML, "a", Limits{CgroupV1: true}) || base == of(kindYAML+"featureGates: {X: true}\n", "a", Limits{}) {
		t.Error("a difference does not count")
	}
}

func TestRenderRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"unknown key":  kindYAML + "nodez: []\n",
		"other kind":   "kind: Pod\napiVersion: v1\n",
		"open address": "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes: [{extraPortMappings: [{containerPort: 1, hostPort: 2}]}]\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := render(Config{Name: "x", Kind: []byte(text)}); err == nil {
				t.Error("it was accepted")
			}
		})
	}
}
