package holmes_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

const service = "../../holmesgpt-api"

// python is the interpreter of the environment that setup made for this lock file, or the one that is named.
func python(t *testing.T) string {
	t.Helper()
	if named := os.Getenv("KUBERNAUT_TEST_PYTHON"); named != "" {
		return named
	}
	sum := sha256.New()
	for _, name := range []string{"pyproject.toml", "uv.lock"} {
		text, err := os.ReadFile(filepath.Join(service, name))
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(text)
	}
	cache := os.Getenv("KUBERNAUT_CACHE")
	if cache == "" {
		folder, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		cache = filepath.Join(folder, "kubernaut")
	}
	program := filepath.Join(cache, "python", fmt.Sprintf("%.6x", sum.Sum(nil)), "bin", "python3")
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("no Python environment for this lock file: run `go tool mage setup`, or name one in KUBERNAUT_TEST_PYTHON (%v)", err)
	}
	return program
}

// output is what the child prints, safe to read while it runs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
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

// child is a program of the service's environment that serves.
type child struct {
	url  string
	took time.Duration // from its start until it was ready
	pid  int
	stop func() // waits until it has ended; at the end of the test at the latest
}

// scripted starts the real service without anything else, and returns its URL once it is ready.
func scripted(t *testing.T) string {
	t.Helper()
	return serve(t, settings(t, ""), "PYTHONPATH="+filepath.Join(service, "src"), "PYTHONDONTWRITEBYTECODE=1", "MOCK_LLM_MODE=true").url
}

// settings are the arguments of the service with the settings that every test has, and more of them.
func settings(t *testing.T, more string) func(port int) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	return func(port int) []string {
		text := fmt.Sprintf("server: {host: 127.0.0.1, port: %d}\nshutdown: {propagation_delay_seconds: 0}\n%s", port, more)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{"-m", "holmesgpt_api", "--config", file}
	}
}

// serve runs Python on a free port, with this environment and no other, and returns once /ready is 200.
func serve(t *testing.T, args func(port int) []string, env ...string) *child {
	t.Helper()
	var lc net.ListenConfig
	listener, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	program := exec.Command(python(t), args(listener.Addr().(*net.TCPAddr).Port)...)
	said := &output{}
	program.Env, program.Stdout, program.Stderr = env, said, said
	begun := time.Now()
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- program.Wait() }()
	stop := sync.OnceFunc(func() {
		_ = program.Process.Signal(os.Interrupt) // it may have ended
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the service ended with %v:\n%s", err, said)
			}
		case <-time.After(30 * time.Second):
			_ = program.Process.Kill()
			t.Errorf("the service did not stop:\n%s", said)
		}
	})
	t.Cleanup(stop)
	awaitReady(t, "http://"+address, ended, said)
	return &child{url: "http://" + address, took: time.Since(begun), pid: program.Process.Pid, stop: stop}
}

func awaitReady(t *testing.T, url string, ended chan error, said *output) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/ready", nil)
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := http.DefaultClient.Do(request); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the service ended before it was ready: %v\n%s", err, said)
		case <-ctx.Done():
			t.Fatalf("the service is not ready:\n%s", said)
		case <-tick.C:
		}
	}
}
