package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// O7: PostgreSQL does not run as root.
func TestDevAsRoot(t *testing.T) {
	_, err := findPostgres(t.Context(), 0)
	if exitCode(err) != 3 || !strings.Contains(err.Error(), "run this as an ordinary user") {
		t.Errorf("exit code %d: %v", exitCode(err), err)
	}
}

// O7: of several the newest is taken; without one of 15 or newer the sentence says what to do, with exit code 3.
func TestNewestPostgres(t *testing.T) {
	installed := func(version string) string {
		folder := t.TempDir()
		for name, says := range map[string]string{"initdb": "unused", "postgres": "postgres (PostgreSQL) " + version} {
			script := "#!/bin/sh\necho '" + says + "'\n"
			if err := os.WriteFile(filepath.Join(folder, name), []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		return folder
	}
	empty, old, good, newest, broken := t.TempDir(), installed("14.9 (Debian)"), installed("15.4"), installed("17beta1"), installed("nothing")
	for name, c := range map[string]struct {
		folders []string
		want    string
	}{
		"several":       {[]string{empty, good, newest, old, broken}, newest},
		"one":           {[]string{good}, good},
		"none":          {[]string{empty, filepath.Join(empty, "absent")}, ""},
		"all too old":   {[]string{old}, ""},
		"not a version": {[]string{broken}, ""},
	} {
		got, err := newestPostgres(t.Context(), c.folders)
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if c.want == "" && (exitCode(err) != 3 || !strings.Contains(err.Error(), "install the package postgresql, or use a container: podman run")) {
			t.Errorf("%s: exit code %d: %v", name, exitCode(err), err)
		}
	}
}

// O7: without a Redis the queue is off, and that is said.
func TestDevWithoutRedis(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var says bytes.Buffer
	server, queue := program{stderr: &says}.startRedis(t.Context(), t.TempDir())
	if server != nil || queue != "" || !strings.Contains(says.String(), "no redis-server or valkey-server was found") {
		t.Errorf("%v %q: %s", server, queue, &says)
	}
	folder := t.TempDir()
	config := filepath.Join(folder, "config.yaml")
	if err := writeDevConfig(folder, config, queue); err != nil {
		t.Fatal(err)
	}
	if c, _, err := (program{stderr: &says}).config(config); err != nil || c.Redis.Enabled {
		t.Errorf("%v %v", c.Redis, err)
	}
}
