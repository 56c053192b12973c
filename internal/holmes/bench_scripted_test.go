//go:build bench

package holmes_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// largestPackages of the image are told.
const largestPackages = 10

// scriptedMode is the service alone, and in turns with it a bare FastAPI route over the same models.
func (b *bench) scriptedMode() {
	last := b.starts("scripted", 1, func() *child { return serve(b.T, settings(b.T, ""), "PYTHONPATH="+b.source, "MOCK_LLM_MODE=true") })
	defer last.stop()
	status, answer := post(b.Context(), http.DefaultClient, last.url, mixed(b.T)[0])
	if status != http.StatusOK {
		b.Fatalf("the first answer is %d: %s", status, answer)
	}
	file := filepath.Join(b.TempDir(), "answer.json")
	if err := os.WriteFile(file, answer, 0o600); err != nil {
		b.Fatal(err)
	}
	b.memory("scripted", 100, last)
	bare := serve(b.T, func(port int) []string {
		return []string{filepath.Join(service, "bench", "bare.py"), strconv.Itoa(port), file}
	}, "PYTHONPATH="+b.source)
	defer bare.stop()
	if _, same := post(b.Context(), http.DefaultClient, bare.url, mixed(b.T)[0]); !reflect.DeepEqual(decoded(b.T, same), decoded(b.T, answer)) {
		b.Fatalf("the bare route does not answer what the service does: %s\nthe service: %s", same, answer)
	}
	b.drive(bare.url, 16, 0, 1000)
	b.throughput(last, bare)
}

func decoded(t *testing.T, text []byte) (value any) {
	t.Helper()
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatalf("%v: %.200s", err, text)
	}
	return value
}

func (b *bench) throughput(ours, bare *child) {
	var rate, slowest, bareRate, bareSlowest, ratios []float64
	var used, bareUsed [2]float64 // processor: ms of a request, and the part of the time
	for range rounds {
		one, other := b.loadedWith(ours, &used), b.loadedWith(bare, &bareUsed)
		rate, slowest = append(rate, one.perSecond), append(slowest, quantile(one.took, 0.99))
		bareRate, bareSlowest = append(bareRate, other.perSecond), append(bareSlowest, quantile(other.took, 0.99))
		ratios = append(ratios, one.perSecond/other.perSecond)
	}
	loop := fmt.Sprintf("a request takes %.2f ms of processor on the one event loop, which was busy %.0f %% of the last round", used[0], 100*used[1])
	b.record(goal{Name: "scripted, 16 connections", Unit: "req/s", Target: 500, InTheWay: loop}, rate...)
	b.record(goal{Name: "scripted p99, 16 connections", Unit: "ms", AtMost: true, Target: 50, InTheWay: loop}, slowest...)
	b.record(goal{Name: "bare FastAPI route, same models", Unit: "req/s"}, bareRate...)
	b.record(goal{Name: "bare FastAPI route p99, same models", Unit: "ms"}, bareSlowest...)
	b.record(goal{Name: "ratio (scripted : bare)", Unit: "ratio", Target: 0.35,
		InTheWay: fmt.Sprintf("a request takes %.2f ms of processor, that of the bare route %.2f ms", used[0], bareUsed[0])}, ratios...)
}

// loadedWith is one side of one round.
func (b *bench) loadedWith(c *child, used *[2]float64) measured {
	before, begun := processor(b.T, c.pid), time.Now()
	m := b.drive(c.url, 16, span, 0)
	busy := processor(b.T, c.pid) - before
	*used = [2]float64{1000 * busy / float64(len(m.took)), busy / time.Since(begun).Seconds()}
	return m
}

// scrubbing runs in a process of its own, as nothing but it is timed.
func (b *bench) scrubbing() {
	program := exec.CommandContext(b.Context(), python(b.T), filepath.Join(service, "bench", "scrub.py"))
	program.Env = []string{"PYTHONPATH=" + b.source}
	out, err := program.Output()
	var said struct {
		Runs    []float64
		Slowest string
	}
	if err == nil {
		err = json.Unmarshal(out, &said)
	}
	if err != nil || len(said.Runs) == 0 {
		b.Fatalf("scrub.py: %v\n%s", err, out)
	}
	b.record(goal{Name: "scrubbing 1 MiB of log text", Unit: "ms", AtMost: true, Target: 200, InTheWay: said.Slowest}, said.Runs...)
}

// image weighs KUBERNAUT_BENCH_IMAGE as KUBERNAUT_TEST_ENGINE has it, and asks the image itself for its packages.
func (b *bench) image() {
	engine, image := os.Getenv("KUBERNAUT_TEST_ENGINE"), os.Getenv("KUBERNAUT_BENCH_IMAGE")
	if engine == "" || image == "" {
		b.Fatal("KUBERNAUT_TEST_ENGINE and KUBERNAUT_BENCH_IMAGE name the engine and the image to weigh: run `go tool mage bench:holmesgpt`")
	}
	bytes, err := strconv.ParseFloat(strings.TrimSpace(b.output("", engine, "image", "inspect", "--format={{.Size}}", image)), 64)
	if err != nil {
		b.Fatal(err)
	}
	packages := b.output(filepath.Join(service, "size.py"), engine, "run", "--rm", "--interactive", "--network=none", "--user=0",
		"--entrypoint=python3", image, "-", "report", "/opt/venv")
	lines := strings.Split(strings.TrimSpace(packages), "\n")
	if len(lines) < largestPackages {
		b.Fatalf("the image tells of %d packages:\n%s", len(lines), packages)
	}
	largest := make([]string, largestPackages)
	for n := range largest {
		largest[n] = strings.Join(strings.Fields(lines[n]), " ")
		b.note("image: %s", largest[n])
	}
	whole := "its ten largest packages: " + strings.Join(largest, ", ")
	b.record(goal{Name: "image, uncompressed", Unit: "MB", AtMost: true, Target: 450, InTheWay: whole}, bytes/1e6)
	b.record(goal{Name: "image, hard limit", Unit: "MB", AtMost: true, Target: 600, InTheWay: whole}, bytes/1e6)
}

// output is what a command prints, given a file to read.
func (b *bench) output(file string, args ...string) string {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Minute)
	defer cancel()
	program := exec.CommandContext(ctx, args[0], args[1:]...)
	if file != "" {
		input, err := os.Open(file)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = input.Close() }()
		program.Stdin = input
	}
	var said strings.Builder
	program.Stderr = &said
	out, err := program.Output()
	if err != nil {
		b.Fatalf("%v: %v\n%s%s", args, err, out, said.String())
	}
	return string(out)
}
