package packages

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestKubernetesFollowsKind(t *testing.T) {
	k, err := kubernetesOf("kindest/node:v1.37.2@sha256:00")
	if err != nil || k != (kubernetes{version: "v1.37.2", minor: "37", staging: "v0.37.2"}) {
		t.Errorf("got %+v, %v", k, err)
	}
	if _, err := kubernetesOf("kindest/node:latest"); err == nil {
		t.Error("a version was read from latest")
	}
	if _, err := kindKubernetes(); err != nil {
		t.Error(err)
	}
}

func TestDebianArguments(t *testing.T) {
	got := root{name: "x", variant: "minbase", packages: []string{"redis-server"}, user: "redis", excludes: []string{"/opt/*"}, setup: []string{`touch "$1/x"`}}.argv("/t/root.tar", "http://mirror")
	want := []string{
		"mmdebstrap", "--variant=minbase", "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr", "--include=usr-is-merged,redis-server",
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/info/*", "--dpkgopt=path-exclude=/opt/*",
		"--dpkgopt=path-include=/usr/share/doc/*/copyright", "--dpkgopt=force-unsafe-io",
		`--essential-hook=echo 'redis:x:999:' >> "$1/etc/group"`,
		`--essential-hook=echo 'redis:x:999:999::/var/lib/redis:/bin/bash' >> "$1/etc/passwd"`,
		`--essential-hook=touch "$1/x"`,
		"bookworm", "/t/root.tar", "http://mirror",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if proxy := proxyRoot().argv("t", ""); proxy[1] != "--variant=extract" || proxy[len(proxy)-1] != "t" {
		t.Errorf("got %q", proxy)
	}
}

func TestGoArguments(t *testing.T) {
	got := program{name: "ctr", pkg: "example.org/ctr", tags: "a b", ldflags: "-X v=1"}.argv("out")
	want := []string{"nice", "-n", "10", "go", "build", "-trimpath", "-tags=a b", "-ldflags=-s -w -X v=1", "-o=out", "example.org/ctr"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestGoMod(t *testing.T) {
	m := module{name: "kubernetes", requires: "k8s.io/kubernetes@v1.37.0"}
	want := "module kubernaut.local/kubernetes\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes v1.37.0\n\nreplace k8s.io/api => k8s.io/api v0.37.0\n"
	if got := m.goMod("go1.26.8", []string{"k8s.io/api => k8s.io/api v0.37.0"}); got != want {
		t.Errorf("got %q", got)
	}
	if got := pauseModule().goMod("go1.26", nil); got != "module kubernaut.local/pause\n\ngo 1.26.0\n" {
		t.Errorf("got %q", got)
	}
}

func TestKeysTellModulesAndToolchainsApart(t *testing.T) {
	s, _, _ := newSource(t, Packages)
	seen := map[string]string{}
	for _, version := range []string{"go1.26.7", "go1.26.8"} {
		for _, m := range s.modules(kubernetes{"v1.37.0", "37", "v0.37.0"}) {
			key := m.key(goTools{version: version})
			if other, twice := seen[key]; twice {
				t.Errorf("%s with %s has the key of %s", m.name, version, other)
			}
			seen[key] = m.name
		}
	}
	if keyOf("a", "bc") == keyOf("ab", "c") {
		t.Error("two lists have one key")
	}
	source := corednsModule()
	before := source.key(goTools{})
	source.files = map[string]string{"coredns.go": "package main"}
	if source.key(goTools{}) == before {
		t.Error("the program's own source is not in its key")
	}
}

func TestBinaryOfHoldsPinsAgainstKubeadm(t *testing.T) {
	parts := nodeParts{kubernetes: "k", etcd: "e", coredns: "c", pause: "p"}
	for ref, want := range map[string]string{
		"registry.k8s.io/kube-proxy:v1.37.0":                "k/kube-proxy",
		"registry.k8s.io/etcd:" + etcdVersion[1:] + "-0":    "e/etcd",
		"registry.k8s.io/coredns/coredns:" + corednsVersion: "c/coredns",
		"registry.k8s.io/pause:3.10":                        "p/pause",
		"registry.k8s.io/etcd:3.6.1-0":                      "",
		"registry.k8s.io/coredns/coredns:v1.11.0":           "",
		"registry.k8s.io/surprise:v1":                       "",
	} {
		got, err := parts.binaryOf(ref)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("binaryOf(%s) = %q, %v", ref, got, err)
		}
	}
}

func TestSandboxImage(t *testing.T) {
	got, err := sandboxImage("[x]\n  # use fixed\n  sandbox_image = \"registry.k8s.io/pause:3.10\"\n")
	if err != nil || got != "registry.k8s.io/pause:3.10" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := sandboxImage(""); err == nil {
		t.Error("found an image in nothing")
	}
}

func TestRestrictOOMChangesOneLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte("a = 1\n  restrict_oom_score_adj = false\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := restrictOOM(path); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(path); string(data) != "a = 1\n  restrict_oom_score_adj = true\n" {
		t.Errorf("got %q", data)
	}
	if restrictOOM(path) == nil {
		t.Error("a configuration without the line was accepted")
	}
}

func TestBinaryImageIsReproducible(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "pause")
	if err := os.WriteFile(binary, []byte("ELF"), 0o755); err != nil {
		t.Fatal(err)
	}
	var digests []string
	for range 2 {
		image, err := binaryImage("pause", binary)
		if err != nil {
			t.Fatal(err)
		}
		config, err := image.ConfigFile()
		if err != nil || config.OS != "linux" || !slices.Equal(config.Config.Entrypoint, []string{"/usr/local/bin/pause"}) {
			t.Errorf("config %+v, %v", config, err)
		}
		digest, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest.String())
	}
	if digests[0] != digests[1] {
		t.Errorf("two digests: %v", digests)
	}
}

func TestProxyLayerKeepsToolsOnly(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "root.tar")
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for _, name := range []string{"./usr/sbin/nft", "./usr/share/doc/x", "./usr/lib/x/gconv/A.so", "./etc/resolv.conf", "./etc/protocols", "./lib64/ld.so"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), os.WriteFile(archive, packed.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
	layer, err := proxyLayer(archive)
	if err != nil {
		t.Fatal(err)
	}
	content, err := layer.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(content); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
	}
	if got := strings.Join(names[:3], " "); got != "./usr/sbin/nft ./etc/protocols ./lib64/ld.so" || !slices.Contains(names, "usr/sbin/iptables-restore") {
		t.Errorf("got %q", names)
	}
}
