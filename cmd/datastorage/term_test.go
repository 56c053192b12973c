//go:build integration

package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

// O2: what is sent while the endpoints are being removed is answered 201, although SIGTERM has come, on connections that are
// there and on new ones; then the steps follow in their order, and the exit code is 0 within 30 s.
func TestTermination(t *testing.T) {
	const delay, writing, budget = 4 * time.Second, 3 * time.Second, 30 * time.Second
	i := install(t)
	if out, err := i.command(t, "migrate"); err != nil {
		t.Fatalf("migrate: %v %s", err, out)
	}
	child, lines := i.process(t, "DATASTORAGE_REDIS_DB=2", fmt.Sprintf("DATASTORAGE_SHUTDOWN_PROPAGATION_DELAY=%s", delay))
	i.eventually(t, "/health/ready", `{"status":"ready","mode":"normal"}`)
	load := i.steadyLoad(t)
	i.metricsHaveNoCanary(t)
	signalled := time.Now()
	if err := child.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	i.eventually(t, "/health/ready", `{"status":"not_ready","reason":"shutting_down"}`)
	before := load.answered.Load()
	<-time.After(time.Until(signalled.Add(writing))) // in Kubernetes the endpoints are still known somewhere
	if load.end(); load.answered.Load() <= before {
		t.Error("nothing was written while the endpoints were being removed")
	}
	lasted := ends(t, child, signalled.Add(budget)).Sub(signalled)
	if lasted < delay || lasted > budget {
		t.Errorf("ended %s after the signal, want at least %s and at most %s", lasted, delay, budget)
	}
	log, err := os.ReadFile(lines.Name())
	if err != nil {
		t.Fatal(err)
	}
	text := string(log)
	for _, step := range []string{"flag", "propagation", "drain", "flush", "close"} {
		_, rest, found := strings.Cut(text, `"step":"`+step+`"`)
		if !found {
			t.Fatalf("no step %s in order in the log", step)
		}
		text = rest
	}
}

// load is writers that write one event after the other until its end; an answer other than 201 is an error of the test.
type load struct {
	answered atomic.Int64
	end      func()
}

// steadyLoad begins with eight writers, of which half make a new connection for every event. Each has been answered once
// when it returns.
func (i installation) steadyLoad(t *testing.T) *load {
	t.Helper()
	l, stop := &load{}, make(chan struct{})
	var writers, begun sync.WaitGroup
	begun.Add(8)
	for n := range 8 {
		writers.Go(func() {
			client := sender(1)
			client.Transport.(*http.Transport).DisableKeepAlives = n%2 == 1
			first := sync.OnceFunc(begun.Done)
			defer first()
			for {
				select {
				case <-stop:
					return
				default:
				}
				if a := i.post(t.Context(), client, uuid.New()); a.status != http.StatusCreated || a.err != nil {
					t.Errorf("sent before the endpoints were removed: %d, %v", a.status, a.err)
					return
				}
				l.answered.Add(1)
				first()
			}
		})
	}
	l.end = sync.OnceFunc(func() { close(stop); writers.Wait() })
	t.Cleanup(l.end)
	begun.Wait()
	return l
}

// ends waits for the good end of a child, which is killed after its time, and tells when that was.
func ends(t *testing.T, child *exec.Cmd, limit time.Time) time.Time {
	t.Helper()
	late := time.AfterFunc(time.Until(limit)+time.Second, func() { _ = child.Process.Kill() })
	defer late.Stop()
	if err := child.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
	return time.Now()
}
