//go:build integration && bench

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

const (
	benchCRs        = 1000
	benchWorkers    = 10
	benchLatency    = time.Second // of HolmesGPT-API: less than any model, and room below the request limit that ships
	profileVariable = "AIANALYSIS_BENCH_PROFILES"
)

// goal is one measured figure beside what is wanted of it.
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
	goals []goal
}

func (b *bench) record(name, unit string, atMost bool, target, value float64) {
	g := goal{Name: name, Unit: unit, Runs: []float64{value}, Median: value, Target: target, AtMost: atMost, Met: value >= target}
	if atMost {
		g.Met = value <= target
	}
	b.goals = append(b.goals, g)
	b.Logf("%-58s %12.3f %s", name, value, unit)
}

// init is the controller in a process that profiles itself, for the second part of the bench.
func init() {
	folder := os.Getenv(profileVariable)
	if folder == "" {
		return
	}
	file, err := os.Create(filepath.Join(folder, "cpu.pprof"))
	if err == nil {
		err = pprof.StartCPUProfile(file)
	}
	if err != nil {
		panic(err)
	}
	main() // a signal ends it
	pprof.StopCPUProfile()
	heap, err := os.Create(filepath.Join(folder, "allocs.pprof"))
	if err == nil {
		err = pprof.Lookup("allocs").WriteTo(heap, 0)
	}
	if err != nil {
		panic(err)
	}
	os.Exit(0)
}

// TestBench measures the controller as it ships against a real API server, a HolmesGPT-API of known latency and a Data Storage that
// stores everything. KUBERNAUT_BENCH_OUT is the file for the figures; the profiles are put beside it.
func TestBench(t *testing.T) {
	b := &bench{T: t}
	c, namespace := cluster(t)
	hapi := &countingHolmes{latency: benchLatency, calls: map[string]map[string]int{}}
	store := &fakeStore{namespace: namespace, events: map[string]map[string]any{}}
	hapiServer, storeServer := httptest.NewServer(hapi), httptest.NewServer(store)
	t.Cleanup(hapiServer.Close)
	t.Cleanup(storeServer.Close)
	stack := &realStack{t: t, controller: filepath.Join(t.TempDir(), "aianalysis"), access: leastAccess(t, c), store: storeServer.URL}
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-gcflags=all=-l", "-ldflags=-s -w -funcalign=8", "-o", stack.controller, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil { // as docker/aianalysis.Dockerfile does
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv("GOMEMLIMIT", "130MiB") // as config/aianalysis sets it
	p, metrics := stack.begin(hapiServer.URL)
	before := scrape(t, metrics)
	over, all := watchEnds(t, c, namespace, func(cr *v1alpha1.AIAnalysis) bool { return cr.Status.Phase.Terminal() }), watchEnds(t, c, namespace, recorded)
	begun := time.Now()
	createCrowd(t, c, namespace, "bench", benchCRs)
	over.await(benchCRs) // the queue is fair: what is stored is looked at when every analysis had its turn
	took := time.Since(begun)
	ended, rows, events := all.await(benchCRs), store.sent(), 0
	for _, cr := range ended { // none makes up for another
		mine := rows[cr.Spec.RemediationID]
		if events += len(mine); exactlyOnce(t, &cr, hapi.of(&cr), mine) != 0 || len(mine) != 7 {
			t.Errorf("%s: not one call and seven events: calls by attempt %v, events %v", cr.Name, hapi.of(&cr), mine)
		}
	}
	b.figures(before, scrape(t, metrics), took, hapi.total, events, peakMB(t, p))
	b.profile(stack, func() {
		again := watchEnds(t, c, namespace, func(cr *v1alpha1.AIAnalysis) bool { return strings.HasPrefix(cr.Name, "profile-") && recorded(cr) })
		createCrowd(t, c, namespace, "profile", benchCRs/5)
		again.await(benchCRs / 5)
	}, p, hapiServer.URL)
	b.report()
}

func (b *bench) figures(before, after scraped, took time.Duration, calls, events int, peak float64) {
	per := func(n float64) float64 { return n / benchCRs }
	const requests, overhead = "rest_client_requests_total", "aianalysis_reconciler_overhead_seconds"
	for _, family := range []string{requests, overhead, "process_cpu_seconds_total", "go_goroutines"} {
		if len(before[family].GetMetric()) == 0 || len(after[family].GetMetric()) == 0 {
			b.Fatalf("the controller has no metric %s: nothing can be said of it", family)
		}
	}
	for _, phase := range []string{"Pending", "Investigating", "Analyzing"} {
		p95, seen := quantileOf(after[overhead], 0.95, "phase", phase)
		if seen < benchCRs {
			b.Errorf("%s: only %d steps measured", phase, seen)
		}
		b.record("step overhead p95, "+phase, "ms", true, 10, 1000*p95)
	}
	b.record("memory: highest resident set", "MB", true, 150, peak)
	b.record("requests to the API server", "1/CR", true, 11, per(after.sum(requests)-before.sum(requests)))
	for _, method := range []string{"GET", "POST", "PUT", "PATCH"} {
		b.record("requests to the API server, "+method, "1/CR", true, 7, per(after.sum(requests, "method", method)-before.sum(requests, "method", method)))
	}
	b.record("calls to HolmesGPT-API", "1/CR", true, 1, per(float64(calls)))
	b.record("audit events stored", "1/CR", false, 7, per(float64(events)))
	b.record("audit events stored, at most", "1/CR", true, 7, per(float64(events)))
	ideal := benchLatency.Seconds() * benchCRs / benchWorkers
	b.record("time of all, of what the calls alone take", "ratio", true, 1.25, took.Seconds()/ideal)
	b.record("processor time", "ms/CR", true, 50, 1000*per(after.sum("process_cpu_seconds_total")-before.sum("process_cpu_seconds_total")))
	b.record("goroutines more than before", "", true, 10, after.sum("go_goroutines")-before.sum("go_goroutines"))
}

// quantileOf reads a quantile of a histogram, evenly spread within a bucket, and of how many values it is; above the last bucket it
// is that one's bound. Of no values at all there is none.
func quantileOf(family *dto.MetricFamily, q float64, labels ...string) (value float64, of uint64) {
	for _, m := range family.GetMetric() {
		if !carries(m, labels) {
			continue
		}
		wanted, bound, below := q*float64(m.GetHistogram().GetSampleCount()), 0.0, 0.0
		for _, bucket := range m.GetHistogram().GetBucket() {
			count := float64(bucket.GetCumulativeCount())
			if count >= wanted && count > below {
				return bound + (min(bucket.GetUpperBound(), 10)-bound)*(wanted-below)/(count-below), m.GetHistogram().GetSampleCount()
			}
			bound, below = bucket.GetUpperBound(), count
		}
		return bound, m.GetHistogram().GetSampleCount()
	}
	return math.Inf(1), 0
}

func peakMB(t *testing.T, p *program) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib * 1024 / 1e6
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

// profile does work once more with a controller that profiles itself, after the first has ended.
func (b *bench) profile(stack *realStack, work func(), first *program, hapi string) {
	out := os.Getenv("KUBERNAUT_BENCH_OUT")
	if out == "" {
		return
	}
	stopped := func(p *program) {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		if <-p.ended; p.err != nil {
			b.Errorf("the controller ended with %v", p.err)
		}
	}
	stopped(first)
	b.Setenv(profileVariable, filepath.Dir(out))
	stack.controller = os.Args[0]
	p, _ := stack.begin(hapi)
	work()
	stopped(p)
	top := exec.CommandContext(context.WithoutCancel(b.Context()), "go", "tool", "pprof", "-top", "-nodecount=25", os.Args[0], filepath.Join(filepath.Dir(out), "cpu.pprof"))
	text, err := top.CombinedOutput()
	if err != nil {
		b.Errorf("reading the profile: %v", err)
	}
	b.Logf("%s", text)
}

// report writes the figures and fails for every goal that was missed.
func (b *bench) report() {
	if out := os.Getenv("KUBERNAUT_BENCH_OUT"); out != "" {
		raw, err := json.MarshalIndent(map[string]any{"go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH, "cores": runtime.NumCPU(),
			"at": time.Now().UTC().Format(time.RFC3339), "goals": b.goals}, "", "  ")
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
