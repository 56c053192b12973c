//go:build bench

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// goal is one measured figure beside what is wanted of it. Figures of several runs are told by their median.
type goal struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit"`
	Runs   []float64 `json:"runs"`
	Median float64   `json:"median"`
	Target float64   `json:"target"`
	AtMost bool      `json:"atMost"` // the target is an upper bound; otherwise a lower one
	Met    bool      `json:"met"`
}

type bench struct {
	*testing.T
	installation
	owner   string // URL of the superuser, in the database of the service
	client  http.Client
	goals   []goal
	process *os.Process
}

func (b *bench) record(name, unit string, atMost bool, target float64, runs ...float64) {
	sorted := slices.Sorted(slices.Values(runs))
	g := goal{Name: name, Unit: unit, Runs: runs, Median: sorted[len(sorted)/2], Target: target, AtMost: atMost}
	g.Met = g.Median >= target
	if atMost {
		g.Met = g.Median <= target
	}
	b.goals = append(b.goals, g)
	b.Logf("%-58s %12.3f %-6s (%.3f .. %.3f)", name, g.Median, unit, sorted[0], sorted[len(sorted)-1])
}

const (
	rounds      = 5
	senders     = 4
	batchEvents = 1000
	batchesEach = 5 // of a sender in a round
	tableRows   = 1_000_000
)

// TestBench measures what the service promises, on this machine, against the very PostgreSQL and Redis: the service's way
// and the raw way take turns in one run. KUBERNAUT_BENCH_OUT is the file for the figures.
func TestBench(t *testing.T) {
	b := &bench{T: t, installation: install(t)}
	b.client.Timeout = 30 * time.Second
	b.client.Transport = &http.Transport{MaxIdleConnsPerHost: 64}
	b.owner = b.admin(t)
	program := filepath.Join(t.TempDir(), "datastorage")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := b.command(t, "migrate", "--create-app-role"); err != nil {
		t.Fatal(err)
	}
	b.startUp(program)
	b.ingest()
	b.singleEvents()
	b.fill()
	b.queries()
	b.search()
	b.bigPages()
	b.overload()
	b.record("memory: highest resident set", "MB", true, 100, float64(peak(b.T, b.process.Pid))/1e6)
	b.degraded()
	b.report()
}

// startUp times process start to ready and leaves the last process running.
func (b *bench) startUp(program string) {
	log, err := os.Create(filepath.Join(b.TempDir(), "log")) // not a pipe: reading it would take time of the measure
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = log.Close() }() // the service has it open itself
	b.Cleanup(func() {
		if text, err := os.ReadFile(log.Name()); b.Failed() && err == nil {
			told := slices.DeleteFunc(strings.Split(string(text), "\n"), func(line string) bool { return strings.Contains(line, `"level":"INFO"`) })
			b.Logf("the service warns, at the end:\n%s", strings.Join(told[max(0, len(told)-20):], "\n"))
		}
	})
	var runs []float64
	for n := range rounds {
		start := time.Now()
		cmd := exec.Command(program, "serve", "--config", b.config)
		// Memory and log as shipped; only the queue has room for all that is written degraded.
		cmd.Env = []string{"GOMEMLIMIT=" + memoryLimit(b.T), "DATASTORAGE_REDIS_DLQ_MAX_LEN=1000000"}
		cmd.Stderr = log
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		for b.get1("/health/ready") != http.StatusOK {
			if time.Since(start) > 30*time.Second {
				b.Fatal("not ready after 30 s")
			}
			time.Sleep(2 * time.Millisecond) // the measure's resolution
		}
		runs = append(runs, time.Since(start).Seconds())
		if n == rounds-1 {
			b.process = cmd.Process
			b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			break
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	b.record("start: process start to ready", "s", true, 1, runs...)
}

func (b *bench) get1(path string) int {
	answer, err := b.client.Get(b.url + path)
	if err != nil {
		return 0
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

// overload is 2,000 writers for three seconds, and then the time until a write is in order again.
func (b *bench) overload() {
	var runs []float64
	for range 3 {
		for _, a := range b.flood(b.Context(), 2000, 3*time.Second) {
			if a.err != nil || a.status != http.StatusCreated && (a.status != http.StatusServiceUnavailable || a.retryAfter == "") {
				b.Errorf("overload: %d %v", a.status, a.err)
			}
		}
		runs = append(runs, b.recovers(b.T).Seconds())
	}
	b.record("recovery after 2,000 writers", "s", true, 2, runs...)
}

// degraded writes to the queue while PostgreSQL is stopped, and times how the queue empties afterwards.
func (b *bench) degraded() {
	b.engine("stop", "--time=5", os.Getenv("KUBERNAUT_TEST_POSTGRES_CONTAINER"))
	until(b.T, "the outage is seen", func() bool { return b.get1("/health") != http.StatusOK })
	took, failures, _ := b.writeSingles(8, 5*time.Second, http.StatusAccepted)
	if failures > 0 {
		b.Errorf("%d degraded writes were not 202", failures)
	}
	b.record("degraded write p99, 8 writers", "ms", true, 50, quantile(took, 0.99))
	b.engine("start", os.Getenv("KUBERNAUT_TEST_POSTGRES_CONTAINER"))
	before, start, drained := 0.0, time.Time{}, 0.0
	until(b.T, "the queue is empty", func() bool {
		drained = b.metric(b.T, `datastorage_dlq_drained_total{result="stored",stream="events"}`) +
			b.metric(b.T, `datastorage_dlq_drained_total{result="duplicate",stream="events"}`)
		if drained > 0 && start.IsZero() {
			before, start = drained, time.Now()
		}
		return drained >= float64(len(took))
	})
	b.record("drain", "rows/s", false, 2000, (drained-before)/max(time.Since(start).Seconds(), 0.001))
}

func (b *bench) engine(args ...string) {
	if out, err := exec.CommandContext(b.Context(), setting(b.T, "KUBERNAUT_TEST_ENGINE"), args...).CombinedOutput(); err != nil {
		b.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// report writes the figures and fails for every goal that was missed.
func (b *bench) report() {
	result := map[string]any{"go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH, "cores": runtime.NumCPU(),
		"at": time.Now().UTC().Format(time.RFC3339), "goals": b.goals}
	if out := os.Getenv("KUBERNAUT_BENCH_OUT"); out != "" {
		raw, err := json.MarshalIndent(result, "", "  ")
		if err == nil {
			err = os.WriteFile(out, append(raw, '\n'), 0o644)
		}
		if err != nil {
			b.Error(err)
		}
	}
	for _, g := range b.goals {
		if !g.Met {
			b.Errorf("missed: %s is %.3f %s, wanted %v %.3f", g.Name, g.Median, g.Unit, map[bool]string{true: "at most", false: "at least"}[g.AtMost], g.Target)
		}
	}
}
