//go:build bench

package holmes_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// goal is one measured figure beside what is wanted of it. Figures of several runs are told by their median.
type goal struct {
	Name     string    `json:"name"`
	Unit     string    `json:"unit"`
	Runs     []float64 `json:"runs"`
	Median   float64   `json:"median"`
	Target   float64   `json:"target"`
	AtMost   bool      `json:"atMost"` // the target is an upper bound; otherwise a lower one, and 0 is none
	Met      bool      `json:"met"`
	InTheWay string    `json:"inTheWay,omitempty"` // of a missed goal: what was measured beside it
}

type bench struct {
	*testing.T
	source string // folder of the package, its bytecode beside it as in the image
	loaded string // of the host before anything ran
	goals  []goal
	notes  []string
}

const (
	rounds = 5
	// span is how long one side is measured in a round: five short runs in turn show the spread that one of 30 s hides.
	span = 10 * time.Second
	// healthSpan is a round of /health: it has no other work, and what waits in the queue may wait a minute at most.
	healthSpan = 2 * time.Second
)

// TestBench measures what the service promises, on this machine and over loopback: the service and a bare FastAPI route
// in turns, then the service around a model of known latency. KUBERNAUT_BENCH_OUT is the file for the figures.
func TestBench(t *testing.T) {
	b := &bench{T: t, source: t.TempDir()}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	b.loaded = strings.Fields(string(load))[0]
	b.note("load of the host before: %s on %d cores; %d rounds of %v a side, /health %v", b.loaded, runtime.NumCPU(), rounds, span, healthSpan)
	if err := os.CopyFS(b.source, os.DirFS(filepath.Join(service, "src"))); err != nil {
		t.Fatal(err)
	}
	b.scriptedMode()
	b.holmesMode()
	b.scrubbing()
	b.image()
	b.report()
}

func (b *bench) note(format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf(format, args...))
	b.Log(b.notes[len(b.notes)-1])
}

func (b *bench) record(g goal, runs ...float64) {
	sorted := slices.Sorted(slices.Values(runs))
	g.Runs, g.Median = runs, sorted[len(sorted)/2]
	g.Met = g.Median >= g.Target
	if g.AtMost {
		g.Met = g.Median <= g.Target
	}
	if g.Met {
		g.InTheWay = ""
	} else {
		g.InTheWay += "; load of the host before: " + b.loaded
	}
	b.goals = append(b.goals, g)
	b.Logf("%-58s %12.3f %-6s (%.3f .. %.3f)", g.Name, g.Median, g.Unit, sorted[0], sorted[len(sorted)-1])
}

// starts times starts with all files cached, and leaves the last process running.
func (b *bench) starts(name string, target float64, start func() *child) *child {
	b.Helper()
	start().stop() // reads the files, and writes the bytecode
	var runs []float64
	var last *child
	busy := 0.0
	for n := range rounds {
		last = start()
		busy = processor(b.T, last.pid)
		runs = append(runs, last.took.Seconds())
		if n < rounds-1 {
			last.stop()
		}
	}
	b.record(goal{Name: "start to ready, " + name, Unit: "s", AtMost: true, Target: target,
		InTheWay: fmt.Sprintf("%.2f s of processor until it was ready, most of it imports", busy)}, runs...)
	return last
}

// memory is what the process holds after 1,000 requests of 16 callers.
func (b *bench) memory(name string, target float64, c *child) {
	b.drive(c.url, 16, 0, 1000)
	kept := resident(b.T, c.pid)
	b.record(goal{Name: "memory after 1,000 requests, " + name, Unit: "MB", AtMost: true, Target: target,
		InTheWay: fmt.Sprintf("%.0f MB of heap, %.0f MB of mapped files", kept["RssAnon"], kept["RssFile"])}, kept["VmRSS"])
}

// report writes the figures and fails for every goal that was missed.
func (b *bench) report() {
	result := map[string]any{"go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH, "cores": runtime.NumCPU(),
		"at": time.Now().UTC().Format(time.RFC3339), "notes": b.notes, "goals": b.goals}
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
			b.Errorf("missed: %s is %.3f %s, wanted %v %.3f: %s", g.Name, g.Median, g.Unit,
				map[bool]string{true: "at most", false: "at least"}[g.AtMost], g.Target, g.InTheWay)
		}
	}
}
