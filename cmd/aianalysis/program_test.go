package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain lets this test binary be the very program, in a process of its own that can be killed.
func TestMain(m *testing.M) {
	if os.Getenv("AIANALYSIS_TEST_PROGRAM") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// The probes answer although Kubernetes does not, and the log tells the steps of the shutdown in their order.
func TestStopsInOrder(t *testing.T) {
	p := launch(t, t, kubeconfigToNowhere(t))
	until(t, "the probes answer", func(ctx context.Context) bool {
		status, _ := p.get(ctx, "/healthz")
		return status == http.StatusOK
	})
	if status, text := p.get(t.Context(), "/readyz/cache-sync"); status != http.StatusInternalServerError {
		t.Errorf("%d %s", status, text)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if <-p.ended; p.err != nil {
		t.Error(p.err)
	}
	order := regexp.MustCompile(`"msg":"stopped","managerSeconds":[^,]+,"policyWatcherSeconds":[^,]+,"auditSeconds":[^,]+,"probesSeconds":[^,]+,"auditEventsLeft":(0)}`)
	if p.log.find(order) == "" {
		t.Errorf("the steps are not told: %s", p.log.String())
	}
}

// kubeconfigToNowhere names an API server that does not answer.
func kubeconfigToNowhere(t *testing.T) string {
	t.Helper()
	access := filepath.Join(t.TempDir(), "kubeconfig")
	nowhere := "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n" +
		"contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\ncurrent-context: c\n"
	if err := os.WriteFile(access, []byte(nowhere), 0o600); err != nil {
		t.Fatal(err)
	}
	return access
}

// program is one running controller.
type program struct {
	cmd   *exec.Cmd
	log   output
	ended chan struct{} // closed when the process is gone; err is its end
	err   error
}

// launch starts a controller that runs until owner, which may outlive t, has ended.
func launch(t, owner *testing.T, access string, args ...string) *program {
	t.Helper()
	policy, err := filepath.Abs("../../config/aianalysis/approval.rego")
	if err != nil {
		t.Fatal(err)
	}
	p := &program{ended: make(chan struct{})}
	p.cmd = exec.Command(os.Args[0], append([]string{"--kubeconfig", access, "--rego-policy-path", policy,
		"--metrics-bind-address", "127.0.0.1:0", "--health-probe-bind-address", "127.0.0.1:0"}, args...)...)
	p.cmd.Env = append(os.Environ(), "AIANALYSIS_TEST_PROGRAM=1")
	p.cmd.Stderr = &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		p.err = p.cmd.Wait()
	}()
	owner.Cleanup(func() {
		p.kill(owner)
		if owner.Failed() {
			owner.Log(p.log.String())
		}
	})
	return p
}

// kill leaves the process no time for anything.
func (p *program) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	<-p.ended
}

var probesAddress = regexp.MustCompile(`"msg":"probes listening","address":"([^"]+)"`)

// get asks the probes. Status 0: no answer.
func (p *program) get(ctx context.Context, path string) (int, string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.log.find(probesAddress)+path, nil)
	if err != nil {
		return 0, err.Error()
	}
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		return 0, err.Error()
	}
	return reply.StatusCode, string(text)
}

// output is a log that can be read while it grows.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// find returns the first group of the first match, or "".
func (o *output) find(what *regexp.Regexp) string {
	if match := what.FindStringSubmatch(o.String()); match != nil {
		return match[1]
	}
	return ""
}

// until asks again and again: there is no watch for what it waits for.
func until(t *testing.T, what string, there func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !there(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("not in time: %s", what)
		case <-ticker.C:
		}
	}
}
