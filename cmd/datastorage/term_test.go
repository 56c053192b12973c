//go:build integration

package main

import (
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/uuid"
)

// O2: what is sent before the endpoints are removed is answered 201, although SIGTERM has come; the steps stand in the log
// in their order, and the exit code is 0.
func TestTermination(t *testing.T) {
	i := install(t)
	if out, err := i.command(t, "migrate"); err != nil {
		t.Fatalf("migrate: %v %s", err, out)
	}
	child, lines := i.process(t, "DATASTORAGE_REDIS_DB=2", "DATASTORAGE_SHUTDOWN_PROPAGATION_DELAY=2s")
	i.eventually(t, "/health/ready", `{"status":"ready","mode":"normal"}`)
	stop, failed := make(chan struct{}), make(chan answer, 8)
	var writers, writing sync.WaitGroup
	writing.Add(8)
	for range 8 {
		writers.Go(func() {
			client := sender(1)
			first := sync.OnceFunc(writing.Done)
			defer first()
			for {
				select {
				case <-stop:
					return
				default:
				}
				if a := i.post(t.Context(), client, uuid.New()); a.status != http.StatusCreated {
					failed <- a
					return
				}
				first()
			}
		})
	}
	writing.Wait() // each has been answered once: the signal comes under load
	if err := child.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	i.eventually(t, "/health/ready", `{"status":"not_ready","reason":"shutting_down"}`)
	close(stop) // the endpoints are removed: nobody begins anything new
	writers.Wait()
	close(failed)
	for a := range failed {
		t.Errorf("sent before the removal: %+v", a)
	}
	if err := child.Wait(); err != nil {
		t.Errorf("ended with %v", err)
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

// noCanary holds the log of a child against O5, whatever the test was about.
func noCanary(t *testing.T, path string) {
	t.Helper()
	if text, err := os.ReadFile(path); err != nil || strings.Contains(string(text), "canary") {
		t.Errorf("a secret or event data is in the log, or %v", err)
	}
}
