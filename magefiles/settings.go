//go:build mage

package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settings are what the environment says, checked. Nothing else reads it.
type settings struct {
	Mode, Engine, Source, Cluster, Ports, Keep string
	Jobs, BuildMemory                          int64 // 0 is from the host
	Timeout                                    time.Duration
	Out, Cache, State, Group, CA               string
	ContainersConf, JobSummary                 string // the user's own podman configuration; file of a CI job's summary
	Plain, NoColor                             bool   // lines only, as CI and a dumb terminal want them; no colours
	notes                                      []string
}

const prefix = "KUBERNAUT_"

// known are the variables by name, with the values that are allowed; an empty
// list allows any. The first value is the default.
var known = map[string][]string{
	"MODE": {"dev", "ci"}, "ENGINE": {"auto", "podman", "docker"}, "IMAGE_SOURCE": {"auto", "registry", "packages"},
	"PORTS": {"auto", "fixed", "free"}, "CLUSTER": nil, "KEEP": nil, "JOBS": nil, "BUILD_MEMORY": nil,
	"TIMEOUT": nil, "OUT": nil, "CACHE": nil, "RUN_GROUP": nil,
}

// readSettings names every mistake at once.
func readSettings(env func(string) string, all []string) (settings, error) {
	var wrong []error
	for _, entry := range all {
		name, _, _ := strings.Cut(entry, "=")
		short, ours := strings.CutPrefix(name, prefix)
		if _, ok := known[short]; ours && !ok && !strings.HasPrefix(short, "TEST_") {
			wrong = append(wrong, fmt.Errorf("%s is no setting of ours: unset it, or look at docs/development.md", name))
		}
	}
	get := func(name, byDefault string) string {
		value, allowed := cmp.Or(env(prefix+name), byDefault), known[name]
		if allowed != nil && !slices.Contains(allowed, value) {
			wrong = append(wrong, fmt.Errorf("%s%s is %q: it must be one of %s", prefix, name, value, strings.Join(allowed, ", ")))
		}
		return value
	}
	number := func(name string) int64 {
		n, err := strconv.ParseInt(get(name, "0"), 10, 64)
		if err != nil || n < 0 || n == 0 && env(prefix+name) != "" {
			wrong = append(wrong, fmt.Errorf("%s%s is %q: it must be a whole number from 1 up", prefix, name, env(prefix+name)))
		}
		return n
	}
	s := settings{
		Mode: get("MODE", defaultMode(env)), Engine: get("ENGINE", "auto"), Source: get("IMAGE_SOURCE", "auto"), Ports: get("PORTS", "auto"),
		ContainersConf: env("CONTAINERS_CONF"), JobSummary: env("GITHUB_STEP_SUMMARY"),
		Cluster: get("CLUSTER", "aianalysis-e2e"), Group: get("RUN_GROUP", ""), Jobs: number("JOBS"), BuildMemory: number("BUILD_MEMORY"),
	}
	s.Plain, s.NoColor = s.Mode == "ci" || env("TERM") == "dumb", env("NO_COLOR") != ""
	var err error
	if s.Timeout, err = time.ParseDuration(get("TIMEOUT", "60m")); err != nil || s.Timeout <= 0 {
		wrong = append(wrong, fmt.Errorf("%sTIMEOUT is %q: it must be a span such as 60m", prefix, env(prefix+"TIMEOUT")))
	}
	s.Keep = s.keep(env)
	if _, err := keepSpan(s.Keep, true); err != nil {
		wrong = append(wrong, err)
	}
	if !clusterName(s.Cluster) {
		wrong = append(wrong, fmt.Errorf("%sCLUSTER is %q: lower-case letters, digits and dashes, at most 40, beginning with a letter", prefix, s.Cluster))
	}
	wrong = append(wrong, s.folders(env))
	return s, errors.Join(wrong...)
}

func defaultMode(env func(string) string) string {
	if env("CI") == "true" {
		return "ci"
	}
	return "dev"
}

func clusterName(name string) bool {
	valid := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' }
	return name != "" && len(name) <= 40 && name[0] >= 'a' && strings.IndexFunc(name, func(r rune) bool { return !valid(r) }) < 0
}

// keep reads our variable first, then the two that people know from elsewhere.
func (s *settings) keep(env func(string) string) string {
	if value := env(prefix + "KEEP"); value != "" {
		return value
	}
	if env("KEEP_CLUSTER") != "" || env("SKIP_CLEANUP") == "true" {
		s.notes = append(s.notes, "KEEP_CLUSTER or SKIP_CLEANUP is set: read as "+prefix+"KEEP=always")
		return "always"
	}
	if s.Mode == "ci" {
		return "never"
	}
	return "by-mode"
}

// keepSpan is how long the cluster stays: 0 is not at all.
func keepSpan(keep string, passed bool) (time.Duration, error) {
	const ever, onFailure, onSuccess = 10 * 365 * 24 * time.Hour, 8 * time.Hour, 2 * time.Hour
	switch {
	case keep == "never", keep == "on-failure" && passed:
		return 0, nil
	case keep == "always":
		return ever, nil
	case keep == "on-failure", keep == "by-mode" && !passed:
		return onFailure, nil
	case keep == "by-mode":
		return onSuccess, nil
	}
	span, err := time.ParseDuration(keep)
	if err != nil || span < 0 {
		return 0, fmt.Errorf("%sKEEP is %q: it must be never, on-failure, always or a span such as 2h", prefix, keep)
	}
	return span, nil
}

func (s *settings) folders(env func(string) string) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("no cache folder: %w: set HOME, or %sCACHE", err, prefix)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return fmt.Errorf("no home folder: %w: set HOME", err)
	}
	s.Cache = cmp.Or(env(prefix+"CACHE"), filepath.Join(cache, "kubernaut"))
	s.Out = cmp.Or(env(prefix+"OUT"), filepath.Join(".kubernaut", "runs"))
	s.State = filepath.Join(cmp.Or(env("XDG_STATE_HOME"), filepath.Join(home, ".local", "state")), "kubernaut")
	for _, file := range []string{env("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"} {
		if _, err := os.Stat(file); file != "" && err == nil {
			s.CA = file
			break
		}
	}
	for _, path := range []*string{&s.Cache, &s.Out} {
		if *path, err = filepath.Abs(*path); err != nil {
			return fmt.Errorf("finding the folder %s: %w", *path, err)
		}
	}
	return nil
}

// pools sizes the token pools: what is set, else memory less 1 GiB for the
// rest, and as many builders as there are cores and memory for, at least one.
func (s settings) pools(available int64) map[string]int64 {
	const mib, least = 1 << 20, 1024
	memory := cmp.Or(s.BuildMemory, max(least, available/mib-1024))
	builders := cmp.Or(s.Jobs, max(1, min(int64(runtime.NumCPU()), memory/least)))
	return map[string]int64{"memory": memory, "builder": builders, "node": 1}
}
