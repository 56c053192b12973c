//go:build faults

package main

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// dev is serve --dev in the two containers, because one has the programs of PostgreSQL, whatever this host has, and the
// other has not. With them it serves within 5 s, takes a seed by the configuration that it prints, and leaves nothing;
// without them it says what to install.
func (r rig) dev(t *testing.T) {
	binary := buildService(t)
	for _, container := range []string{r.postgres, r.redis} {
		r.do(t, "cp", binary, container+":/tmp/datastorage")
	}
	r.do(t, "cp", testClusterSeed, r.postgres+":/tmp/workflows.yaml")

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, r.engine, "exec", "--user=redis", r.redis, "/tmp/datastorage", "serve", "--dev").CombinedOutput()
	var failed *exec.ExitError
	if !errors.As(err, &failed) || failed.ExitCode() != 3 || !strings.Contains(string(out), "install the package postgresql") {
		t.Errorf("without PostgreSQL: %v\n%s", err, out)
	}

	best := time.Hour
	for range 3 { // a busy neighbour spoils one of them
		if best = min(best, r.devServes(t)); best <= 5*time.Second {
			return
		}
	}
	t.Errorf("serves after %s", best)
}

// devReady waits in the container until the service is ready.
const devReady = `until { printf 'GET /health/ready HTTP/1.0\r\nHost: dev\r\n\r\n' >&3 && grep -q '"ready"' <&3; } 3<>/dev/tcp/127.0.0.1/8080
	do sleep 0.05; done 2>/dev/null`

// devServes runs it once and tells how long it took until it was ready.
func (r rig) devServes(t *testing.T) time.Duration {
	t.Helper()
	const folder = "/tmp/dev"
	r.do(t, "exec", "--user=postgres", r.postgres, "mkdir", "-p", folder)
	var says, told bytes.Buffer
	start := time.Now()
	child := exec.Command(r.engine, "exec", "--user=postgres", "--env=TMPDIR="+folder, r.postgres,
		"bash", "-c", "echo $$ >/tmp/dev.pid; exec /tmp/datastorage serve --dev")
	child.Stdout, child.Stderr = &told, &says
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill() }) // it may have ended
	r.do(t, "exec", "--user=postgres", r.postgres, "timeout", "50", "bash", "-c", devReady)
	took := time.Since(start)
	t.Logf("serves after %s", took)
	config := r.output(t, "exec", "--user=postgres", r.postgres, "bash", "-c", "echo "+folder+"/datastorage-dev-*/config.yaml")
	if out := r.output(t, "exec", "--user=postgres", r.postgres, "/tmp/datastorage", "seed", "/tmp/workflows.yaml", "--config", config); !strings.Contains(out, "18 created") {
		t.Errorf("seed: %s", out)
	}
	r.do(t, "exec", "--user=postgres", r.postgres, "bash", "-c", "kill $(cat /tmp/dev.pid)")
	if err := child.Wait(); err != nil {
		t.Errorf("ended with %v\n%s", err, &says)
	}
	if !regexp.MustCompile(`(?m)^serving on http://127\.0\.0\.1:8080 until`).MatchString(told.String()) || !strings.Contains(told.String(), "--config "+config) {
		t.Errorf("it tells\n%s", &told)
	}
	if left := r.output(t, "exec", "--user=postgres", r.postgres, "ls", "-A", folder); left != "" {
		t.Errorf("left %s", left)
	}
	return took
}
