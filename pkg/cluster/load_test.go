package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

const (
	head  = "REF TYPE DIGEST SIZE PLATFORMS LABELS\n"
	line  = "%s application/vnd.docker.distribution.manifest.v2+json sha256:%s 12.3 MiB %s %s\n"
	where = "linux/amd64"
)

func row(ref, digest, labels string) string { return fmt.Sprintf(line, ref, digest, where, labels) }

// managed is an image as the CRI shows it: its name, and its config digest, on one manifest.
func managed(ref, config, digest, labels string) string {
	return row(ref, digest, labels) + row("sha256:"+config, digest, "io.cri-containerd.image=managed")
}

func TestPresence(t *testing.T) {
	const ref, id = "localhost/a:1", "c0ffee"
	for name, c := range map[string]struct {
		store string
		has   bool
	}{
		"empty":                            {"", false},
		"docker id is the config digest":   {managed(ref, id, "m1", "-"), true},
		"docker with containerd's store":   {managed(ref, "other", id, "-"), true},
		"podman: label":                    {managed(ref, "other", "m1", "io.cri-containerd.image=managed,"+sourceLabel+"="+source(id, "m1")), true},
		"label of another manifest":        {managed(ref, "other", "m2", sourceLabel+"="+source(id, "m1")), false},
		"label without manifest":           {managed(ref, "other", "m1", sourceLabel+"="+id), false},
		"same tag, other content":          {managed(ref, "other", "m2", "-"), false},
		"same content, other tag":          {managed("localhost/a:2", id, "m1", "-"), false},
		"same content, other repository":   {managed("docker.io/library/a:1", id, "m1", "-"), false},
		"the CRI does not know it":         {row(ref, id, "-"), false},
		"other platform":                   {strings.ReplaceAll(managed(ref, id, "m1", "-"), where, "linux/arm64"), false},
		"several platforms":                {strings.ReplaceAll(managed(ref, id, "m1", "-"), where, "linux/arm64,linux/amd64"), true},
		"platform of a variant":            {strings.ReplaceAll(managed(ref, id, "m1", "-"), where, "linux/amd64/v2"), true},
		"another image has a similar name": {managed("localhost/a:10", id, "m1", "-"), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := parseStore(head+c.store).has(ref, id, where); got != c.has {
				t.Errorf("has is %v", got)
			}
		})
	}
}

func TestFullName(t *testing.T) {
	for ref, want := range map[string]string{
		"redis":               "docker.io/library/redis:latest",
		"kindest/node:v1":     "docker.io/kindest/node:v1",
		"localhost/a":         "localhost/a:latest",
		"localhost:5000/a/b":  "localhost:5000/a/b:latest",
		"quay.io/x/y:2":       "quay.io/x/y:2",
		"quay.io/x@sha256:ab": "quay.io/x@sha256:ab",
	} {
		if got := fullName(ref); got != want {
			t.Errorf("%s: got %s, want %s", ref, got, want)
		}
	}
}

func TestSnapshotter(t *testing.T) {
	for name, c := range map[string]struct{ config, want string }{
		"containerd 2": {"[plugins.'io.containerd.cri.v1.images']\n  snapshotter = 'fuse-overlayfs'\n", "fuse-overlayfs"},
		"other plugin": {"[plugins.\"io.containerd.x\"]\nsnapshotter = \"native\"\n", "overlayfs"},
		"empty":        {"[plugins.'io.containerd.cri.v1.images']\nsnapshotter = ''\n", "overlayfs"},
	} {
		if got := parseSnapshotter(c.config); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// standing is a cluster of two nodes over a fake host; imports arrive as podman's do.
func standing(t *testing.T) (*Cluster, *fakeHost) {
	t.Helper()
	h := newHost()
	h.images = map[string]string{"localhost/a:1": "ida", "localhost/b:1": "idb"}
	e, runner := h.engine(t)
	h.onImport = func(h *fakeHost, node string, args []string) {
		label := strings.TrimPrefix(args[slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "--label=") })], "--label=")
		id := strings.TrimPrefix(label, sourceLabel+"=")
		ref := map[string]string{"ida": "localhost/a:1", "idb": "localhost/b:1"}[id]
		h.store[node] += managed(ref, "config-of-"+id, "manifest-of-"+id, label)
	}
	return &Cluster{Name: "x", Nodes: []Node{{Name: "n1", Platform: where}, {Name: "n2", Platform: where}}, engine: e, runner: runner, stream: &sync.Mutex{}}, h
}

func TestLoadSendsOnlyWhatANodeLacks(t *testing.T) {
	c, h := standing(t)
	h.store["n1"] = managed("localhost/a:1", "ida", "m", "-")
	results, err := c.Load(t.Context(), "localhost/a:1", "localhost/b:1")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range results {
		got = append(got, fmt.Sprintf("%s %s %s %d %v", r.Image, r.Node, r.Method, r.BytesSent, r.Verified))
	}
	want := []string{
		"localhost/a:1 n1 present 0 true", "localhost/b:1 n1 full 24 true",
		"localhost/a:1 n2 full 24 true", "localhost/b:1 n2 full 24 true",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !strings.Contains(h.store["n2"], "label "+sourceLabel+"=idb_manifest-of-idb") {
		t.Error("the engine's id was not bound to the manifest")
	}
	if h.saves != 3 {
		t.Errorf("%d archives were asked for", h.saves)
	}
}

func TestImportThatLeavesNothingIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // its clock jumps over the wait
		c, h := standing(t)
		h.onImport = nil
		results, err := c.Load(t.Context(), "localhost/a:1")
		if !errors.Is(err, ErrNotLoaded) || len(results) != 1 || results[0].Verified {
			t.Errorf("results %+v, error %v", results, err)
		}
	})
}

func TestImageThatTheEngineLacks(t *testing.T) {
	c, h := standing(t)
	if _, err := c.Load(t.Context(), "localhost/gone:1"); err == nil || h.saves > 0 {
		t.Errorf("error %v", err)
	}
}
