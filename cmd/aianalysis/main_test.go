package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func get(t *testing.T, handler http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestProbes(t *testing.T) {
	var cacheErr, policyErr, hapiErr error
	handler := probes{checks: []check{
		{name: "cache-sync", ask: func() (string, error) { return "", cacheErr }},
		{name: "approval-policy", informational: true, ask: func() (string, error) { return "sha256:0123456789ab", policyErr }},
		{name: "holmesgpt-api", informational: true, ask: func() (string, error) { return "", hapiErr }},
		{name: "datastorage", informational: true, ask: func() (string, error) { return "", nil }},
	}}.handler()
	expect := func(path string, status int, body string) {
		t.Helper()
		if code, text := get(t, handler, path); code != status || text != body {
			t.Errorf("%s: %d %q", path, code, text)
		}
	}
	expect("/healthz", 200, "ok")
	expect("/readyz", 200, "ok")
	expect("/readyz?verbose=true", 200, "[+]cache-sync ok\n[+]approval-policy ok sha256:0123456789ab\n[+]holmesgpt-api ok\n[+]datastorage ok\nreadyz check passed\n")
	expect("/readyz/approval-policy", 200, "[+]approval-policy ok sha256:0123456789ab\n")
	expect("/readyz/unknown", 404, "404 page not found\n")

	hapiErr, policyErr = errors.New("connection\nrefused"), errors.New("line 3: bad; in force sha256:0123456789ab")
	expect("/readyz", 200, "ok")
	expect("/readyz?verbose", 200, "[+]cache-sync ok\n[-]approval-policy: line 3: bad; in force sha256:0123456789ab\n[-]holmesgpt-api: connection refused\n[+]datastorage ok\nreadyz check passed\n")
	expect("/readyz/holmesgpt-api", 500, "[-]holmesgpt-api: connection refused\n")

	cacheErr = errors.New("not synced yet")
	if code, text := get(t, handler, "/readyz"); code != 500 || !strings.HasSuffix(text, "readyz check failed\n") {
		t.Errorf("%d %q", code, text)
	}
}

func TestDependency(t *testing.T) {
	var answer error
	ups := 0
	d := newDependency(func(context.Context) error { return answer }, func() { ups++ })
	if _, err := d.ask(); err == nil {
		t.Error("nobody has asked yet")
	}
	down := errors.New("down")
	for i, row := range []struct {
		answer error
		ups    int
	}{{nil, 1}, {nil, 1}, {down, 1}, {down, 1}, {nil, 2}, {nil, 2}} {
		answer = row.answer
		d.refresh(t.Context())
		if _, err := d.ask(); !errors.Is(err, row.answer) || ups != row.ups {
			t.Errorf("answer %d: %v, %d times up", i, err, ups)
		}
	}
}

// A process never starts with a bad configuration or without a policy.
func TestStartFailsFast(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "approval.rego")
	if err := os.WriteFile(bad, []byte("package aianalysis.approval\n\nreason := {"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"--holmesgpt-api-timeout: \"-1s\"": {"--holmesgpt-api-timeout=-1s"},
		bad + ":3":                         {"--rego-policy-path", bad},
	} {
		var out bytes.Buffer
		if err := run(t.Context(), args, func(string) string { return "" }, &out); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", args, err)
		}
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--version"}, func(string) string { return "" }, &out); err != nil || !strings.HasPrefix(out.String(), "aianalysis ") {
		t.Errorf("%v %s", err, out.String())
	}
}
