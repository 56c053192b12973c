//go:build mage

package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/cluster"
	"github.com/kubernaut-ai/kubernaut/pkg/e2e"
	"github.com/kubernaut-ai/kubernaut/pkg/image"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

func TestSettings(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	for name, c := range map[string]struct {
		env   map[string]string
		wrong []string
		check func(settings) bool
	}{
		"defaults": {nil, nil, func(s settings) bool {
			return s.Mode == "dev" && s.Engine == "auto" && s.Keep == "by-mode" && s.Timeout == time.Hour
		}},
		"ci":             {map[string]string{"CI": "true"}, nil, func(s settings) bool { return s.Mode == "ci" && s.Keep == "never" }},
		"mode wins":      {map[string]string{"CI": "true", "KUBERNAUT_MODE": "dev"}, nil, func(s settings) bool { return s.Mode == "dev" }},
		"keep of old":    {map[string]string{"KEEP_CLUSTER": "1"}, nil, func(s settings) bool { return s.Keep == "always" && len(s.notes) == 1 }},
		"test variables": {map[string]string{"KUBERNAUT_TEST_REDIS": "x"}, nil, func(settings) bool { return true }},
		"serial":         {map[string]string{"KUBERNAUT_JOBS": "1"}, nil, func(s settings) bool { return s.pools(8 << 30)["builder"] == 1 }},
		"a terminal":     {map[string]string{"TERM": "xterm"}, nil, func(s settings) bool { return !s.Plain && !s.NoColor }},
		"no colour":      {map[string]string{"NO_COLOR": "1"}, nil, func(s settings) bool { return !s.Plain && s.NoColor }},
		"dumb":           {map[string]string{"TERM": "dumb"}, nil, func(s settings) bool { return s.Plain }},
		"lines in ci":    {map[string]string{"CI": "true"}, nil, func(s settings) bool { return s.Plain }},
		"all mistakes at once": {map[string]string{"KUBERNAUT_ENGINE": "lxc", "KUBERNAUT_JOBS": "0", "KUBERNAUT_KEEP": "soon", "KUBERNAUT_CLUSTER": "Ä", "KUBERNAUT_TIMEOUT": "1", "KUBERNAUT_COLOUR": "red"},
			[]string{"auto, podman, docker", "KUBERNAUT_JOBS", "never, on-failure, always", "KUBERNAUT_CLUSTER", "KUBERNAUT_TIMEOUT", "KUBERNAUT_COLOUR is no setting"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var all []string
			for key, value := range c.env {
				all = append(all, key+"="+value)
			}
			s, err := readSettings(func(key string) string {
				if key == "HOME" {
					return t.TempDir()
				}
				return c.env[key]
			}, all)
			for _, text := range c.wrong {
				if err == nil || !strings.Contains(err.Error(), text) {
					t.Errorf("error %v lacks %q", err, text)
				}
			}
			if c.wrong == nil && (err != nil || !c.check(s)) {
				t.Errorf("%+v, error %v", s, err)
			}
		})
	}
}

func TestKeepSpan(t *testing.T) {
	for _, c := range []struct {
		keep   string
		passed bool
		want   time.Duration
	}{{"never", true, 0}, {"on-failure", true, 0}, {"on-failure", false, 8 * time.Hour}, {"by-mode", true, 2 * time.Hour}, {"by-mode", false, 8 * time.Hour}, {"30m", false, 30 * time.Minute}} {
		if got, err := keepSpan(c.keep, c.passed); err != nil || got != c.want {
			t.Errorf("%s, passed %v: %s, %v", c.keep, c.passed, got, err)
		}
	}
}

func TestPools(t *testing.T) {
	for available, want := range map[int64]int64{24 << 30: 23 << 10, 1 << 30: 1024} {
		if got := (settings{}).pools(available)["memory"]; got != want {
			t.Errorf("%d bytes: %d MiB, want %d", available, got, want)
		}
	}
}

func TestExitCodes(t *testing.T) {
	in := func(group string, err error) error {
		return &stage.Failure{Stage: group + ":x", Group: group, Err: err}
	}
	plain := errors.New("x")
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0}, {plain, 1}, {usageError{plain}, 2}, {in("doctor", plain), 10}, {in("build", plain), 11}, {in("cluster", plain), 12},
		{in("cluster", fmt.Errorf("a: %w", cluster.ErrPort)), 10}, {in("load", plain), 13}, {in("deploy", plain), 14}, {in("suite", plain), 15}, {in("suite", e2e.ErrNoSpecs), 2},
		{in("build", fmt.Errorf("a: %w", image.ErrLedger)), 17}, {in("teardown", plain), 19}, {in("cluster", fmt.Errorf("a: %w", cluster.ErrNotOurs)), 20},
		{in("build", &e2e.MissingImageError{}), 14}, {in("check", plain), 1}, {fmt.Errorf("%w: 1h", errTimeout), 124}, {fmt.Errorf("%w by x", errInterrupted), 130}, {errTerminated, 143},
	} {
		if got := codeOf(c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}

// Every need is a stage, every group has an exit code, and nothing needs itself.
func TestGraphIsWhole(t *testing.T) {
	current.session = &session{}
	defer func() { current.session = nil }()
	all := map[string]node{}
	for _, n := range graph() {
		if _, twice := all[n.name]; twice {
			t.Errorf("%s stands twice", n.name)
		}
		if groupCode[n.group] == 0 {
			t.Errorf("%s: group %s has no exit code", n.name, n.group)
		}
		all[n.name] = n
	}
	var walk func(name string, path []string)
	walk = func(name string, path []string) {
		n, ok := all[name]
		if !ok || len(path) > len(all) {
			t.Fatalf("%s, by %v: unknown, or a circle", name, path)
		}
		for _, need := range strings.Fields(n.needs) {
			walk(need, append(path, name))
		}
	}
	for name := range all {
		walk(name, nil)
	}
}
