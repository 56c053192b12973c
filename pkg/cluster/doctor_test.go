package cluster

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/engine"
)

func TestFindings(t *testing.T) {
	now := time.Now()
	podman, docker := &engine.Engine{Name: engine.Podman}, &engine.Engine{Name: engine.Docker}
	orphan := Info{Name: "x", Ours: true, Owner: dead("old"), Whole: true, Expires: now.Add(-time.Hour)}
	kept := orphan
	kept.Expires = now.Add(time.Hour)
	half := kept
	half.Whole = false
	foreign := orphan
	foreign.Ours = false
	for name, c := range map[string]struct {
		got  engine.Finding
		want engine.Level
		says string
	}{
		"provider":                 {provider(podman), engine.OK, "podman"},
		"provider with options":    {provider(&engine.Engine{Name: engine.Podman, Global: []string{"--root=/r"}}), engine.Stop, "--root=/r"},
		"modules":                  {modules(podman, engine.Host{Modules: true}), engine.OK, ""},
		"no modules":               {modules(podman, engine.Host{}), engine.Stop, "no /lib/modules"},
		"no modules, docker":       {modules(docker, engine.Host{}), engine.OK, ""},
		"no modules, on a machine": {modules(&engine.Engine{Name: engine.Podman, Remote: true}, engine.Host{}), engine.OK, ""},
		"inotify":                  {inotify("max_user_instances", 128, 128), engine.OK, "128"},
		"inotify low":              {inotify("max_user_instances", 64, 128), engine.Warn, "64"},
		"no clusters":              {deadRuns(nil, now), engine.OK, ""},
		"expired":                  {deadRuns([]Info{orphan}, now), engine.Warn, "x of run old"},
		"kept":                     {deadRuns([]Info{kept}, now), engine.OK, ""},
		"half made":                {deadRuns([]Info{half}, now), engine.Warn, "x of run old"},
		"not ours":                 {deadRuns([]Info{foreign}, now), engine.OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if c.got.Level != c.want || !strings.Contains(c.got.Measured, c.says) || (c.got.Level != engine.OK && c.got.Mend == "") {
				t.Errorf("got %+v", c.got)
			}
		})
	}
}

// The ports of our own cluster are not in our way.
func TestOwnPortsAreFree(t *testing.T) {
	b := newBench(t)
	b.ensure(t, b.Clusters, b.config)
	b.listens = func(int32) bool { return true }
	level := func(name string) engine.Level {
		found := b.Findings(t.Context(), name, []byte(kindYAML), Fixed, engine.Host{Modules: true})
		return found[slices.IndexFunc(found, func(f engine.Finding) bool { return f.Check == "ports" })].Level
	}
	if own, other := level("trial"), level("another"); own != engine.OK || other != engine.Stop {
		t.Errorf("own %s, other %s", own, other)
	}
}

func TestListTellsOursFromForeign(t *testing.T) {
	b := newBench(t)
	b.ensure(t, b.Clusters, b.config)
	b.host.add("foreign", "zzz", time.Now())
	if err := b.write(Record{Name: "gone", Owner: dead("old"), Phase: ready}); err != nil {
		t.Fatal(err)
	}
	infos, err := b.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range infos {
		got = append(got, i.Name)
		if i.Ours != (i.Name != "foreign") || (len(i.Nodes) == 0) != (i.Name == "gone") || i.Orphan(time.Now()) != (i.Name == "gone") {
			t.Errorf("%+v", i)
		}
	}
	if !slices.Equal(got, []string{"foreign", "gone", "trial"}) {
		t.Errorf("got %v", got)
	}
}
