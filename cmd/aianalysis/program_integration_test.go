//go:build integration

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
	"testing"
)

// TestMain lets this test binary be the very program, in a process of its own that can be killed.
func TestMain(m *testing.M) {
	if os.Getenv("AIANALYSIS_TEST_PROGRAM") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program is one running controller.
type program struct {
	cmd   *exec.Cmd
	log   output
	ended chan struct{} // closed when the process is gone; err is its end
	err   error
}

// start runs a controller until owner, which may outlive t, has ended. It returns when the controller is ready.
func start(t, owner *testing.T, access, hapi, store string) *program {
	t.Helper()
	p := &program{ended: make(chan struct{})}
	p.cmd = exec.Command(os.Args[0],
		"--kubeconfig", access, "--holmesgpt-api-url", hapi, "--datastorage-url", store, "--rego-policy-path", policyPath(t),
		"--metrics-bind-address", "127.0.0.1:0", "--health-probe-bind-address", "127.0.0.1:0")
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
	until(t, "the controller is ready", func(ctx context.Context) bool {
		status, _ := p.get(ctx, "/readyz")
		return status == http.StatusOK
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

// get asks the probes. Status 0: no answer.
func (p *program) get(ctx context.Context, path string) (int, string) {
	address := p.log.find(probesAddress)
	if address == "" {
		return 0, "no address logged yet"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
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

var probesAddress = regexp.MustCompile(`"msg":"probes listening","address":"([^"]+)"`)

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

func policyPath(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../config/aianalysis/approval.rego")
	if err != nil {
		t.Fatal(err)
	}
	return path
}
