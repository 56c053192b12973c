//go:build integration || faults || bench

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// sender is a client that can keep many connections.
func sender(connections int) *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: connections, IdleConnTimeout: time.Minute}}
}

// answer of one write.
type answer struct {
	status     int
	retryAfter string
	took       time.Duration
	err        error
}

func (i installation) post(ctx context.Context, client *http.Client, id uuid.UUID) (a answer) {
	body := fmt.Sprintf(`{"event_id":%q,"version":"1.0","event_type":"aianalysis.test","event_timestamp":%q,"event_category":"analysis",
		"event_action":"test","event_outcome":"success","correlation_id":"overload","event_data":{"canary":%q}}`,
		id, time.Now().UTC().Format(time.RFC3339Nano), strings.Repeat("x", 700))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, i.url+"/api/v1/audit/events", strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	r.Header.Set("Content-Type", "application/json")
	start := time.Now()
	got, err := client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = got.Body.Close() }()
	text, err := io.ReadAll(got.Body)
	if bytes.Contains(text, []byte("canary")) {
		err = fmt.Errorf("the answer shows event data (O5): %s", text)
	}
	return answer{got.StatusCode, got.Header.Get("Retry-After"), time.Since(start), err}
}

// flood has writers that write one event after the other until the time is over; it tells what they were answered.
func (i installation) flood(ctx context.Context, writers int, lasting time.Duration) []answer {
	client, end := sender(writers), time.Now().Add(lasting)
	defer client.CloseIdleConnections()
	answers := make([][]answer, writers)
	var all sync.WaitGroup
	for n := range writers {
		all.Go(func() {
			for time.Now().Before(end) {
				answers[n] = append(answers[n], i.post(ctx, client, uuid.New()))
			}
		})
	}
	all.Wait()
	return slices.Concat(answers...)
}

// recovers waits until nothing is in work, and then a write must succeed; it tells how long both took.
func (i installation) recovers(t *testing.T) time.Duration {
	t.Helper()
	start := time.Now()
	until(t, "nothing is in work", func() bool {
		return i.metric(t, `datastorage_inflight_requests{class="write"}`)+i.metric(t, "datastorage_inflight_bytes") == 0
	})
	if a := i.post(t.Context(), sender(1), uuid.New()); a.status != http.StatusCreated || a.err != nil {
		t.Errorf("after an overload: %+v", a)
	}
	return time.Since(start)
}

// buildService makes the program as the image has it; with the race detector its memory would say nothing.
func buildService(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "datastorage")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the service: %v\n%s", err, out)
	}
	return path
}

// memoryLimit is what the manifest tells the Go runtime.
func memoryLimit(t *testing.T) string {
	t.Helper()
	manifest, err := os.ReadFile("../../config/datastorage/deployment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`name: GOMEMLIMIT, value: (\w+)`).FindSubmatch(manifest)
	if found == nil {
		t.Fatal("no GOMEMLIMIT in the manifest")
	}
	return string(found[1])
}

// peak is the highest resident memory of a process so far, in bytes.
func peak(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`).FindSubmatch(status)
	if found == nil {
		t.Fatal("no VmHWM")
	}
	kilobytes, err := strconv.Atoi(string(bytes.TrimSpace(found[1])))
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}
