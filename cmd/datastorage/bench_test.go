//go:build bench

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
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
	b.record("memory: highest resident set", "MB", true, 100, b.peakMB())
	b.degraded()
	b.report()
}

// startUp times process start to ready and leaves the last process running.
func (b *bench) startUp(program string) {
	var runs []float64
	for n := range rounds {
		start := time.Now()
		cmd := exec.Command(program, "serve", "--config", b.config)
		cmd.Env = append(os.Environ(), "GOMEMLIMIT=76MiB", "DATASTORAGE_LOGGING_LEVEL=error",
			"DATASTORAGE_REDIS_DLQ_MAX_LEN=1000000") // the memory as shipped, room for all that is written degraded
		cmd.Stderr = os.Stderr
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

// benchEvent is about 1 kB as JSON.
func benchEvent(n int, at time.Time) map[string]any {
	return map[string]any{
		"event_id": uuid.NewString(), "version": "1.0", "event_type": fmt.Sprintf("bench.type.%d", n%200), "event_timestamp": at.Format(time.RFC3339Nano),
		"event_category": "analysis", "event_action": "bench", "event_outcome": []string{"success", "success", "success", "failure"}[n%4],
		"correlation_id": fmt.Sprintf("rr-bench-%d", n%20_000), "namespace": "bench", "severity": []string{"info", "info", "warning"}[n%3],
		"event_data": map[string]any{"n": n, "text": strings.Repeat("x", 620), "nested": map[string]any{"a": 1, "b": []int{1, 2, 3}}},
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// post returns the status; an error of the connection is 0.
func (b *bench) post(path string, body []byte) int {
	answer, err := b.client.Post(b.url+path, "application/json", bytes.NewReader(body))
	if err != nil {
		return 0
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

func (b *bench) ingest() {
	pool, err := pgxpool.New(b.Context(), b.owner)
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	var ratios, ours, raw []float64
	for range rounds {
		a := b.apiBatches()
		c := b.rawCopy(pool)
		ours, raw, ratios = append(ours, a), append(raw, c), append(ratios, a/c)
	}
	b.record("batch ingest through the API", "rows/s", false, 0, ours...)
	b.record("batch ingest by raw COPY", "rows/s", false, 0, raw...)
	b.record("batch ingest ratio (API : COPY)", "ratio", false, 0.5, ratios...)
}

func (b *bench) apiBatches() float64 {
	bodies := make([][]byte, senders*batchesEach)
	for i := range bodies {
		events := make([]map[string]any, batchEvents)
		for n := range events {
			events[n] = benchEvent(i*batchEvents+n, time.Now().UTC())
		}
		bodies[i] = encode(b.T, events)
	}
	return b.concurrently(senders, func(sender int) {
		for n := range batchesEach {
			if status := b.post("/api/v1/audit/events/batch", bodies[sender*batchesEach+n]); status != http.StatusCreated {
				b.Errorf("batch: %d", status)
			}
		}
	})
}

var copyColumns = []string{"event_id", "event_date", "event_version", "event_timestamp", "event_type", "event_category", "event_action",
	"event_outcome", "actor_type", "actor_id", "resource_type", "resource_id", "correlation_id", "namespace", "event_data", "severity"}

func copyRows(batch int) [][]any {
	rows := make([][]any, batchEvents)
	for n := range rows {
		at := time.Now().UTC()
		e := benchEvent(batch*batchEvents+n, at)
		data, _ := json.Marshal(e["event_data"])
		rows[n] = []any{uuid.New(), at, "1.0", at, e["event_type"], "analysis", "bench", e["event_outcome"], "service", "analysis-service",
			"analysis", e["correlation_id"], e["correlation_id"], "bench", data, e["severity"]}
	}
	return rows
}

func (b *bench) rawCopy(pool *pgxpool.Pool) float64 {
	all := make([][][]any, senders*batchesEach)
	for i := range all {
		all[i] = copyRows(i)
	}
	return b.concurrently(senders, func(sender int) {
		for n := range batchesEach {
			if _, err := pool.CopyFrom(b.Context(), pgx.Identifier{"audit_events"}, copyColumns, pgx.CopyFromRows(all[sender*batchesEach+n])); err != nil {
				b.Error(err)
			}
		}
	})
}

// concurrently returns rows per second of senders that each send their batches.
func (b *bench) concurrently(n int, work func(sender int)) float64 {
	var all sync.WaitGroup
	start := time.Now()
	for sender := range n {
		all.Go(func() { work(sender) })
	}
	all.Wait()
	return float64(n*batchesEach*batchEvents) / time.Since(start).Seconds()
}

// singleEvents is closed-loop: every writer sends the next event when the last one is answered.
func (b *bench) singleEvents() {
	const writers, span = 50, 60 * time.Second
	took, failures, elapsed := b.writeSingles(writers, span, http.StatusCreated)
	if failures > 0 {
		b.Errorf("%d single events were not 201", failures)
	}
	b.record("single event p99, 50 writers", "ms", true, 100, quantile(took, 0.99))
	b.record("single events, 50 writers", "1/s", false, 1000, float64(len(took))/elapsed.Seconds())
}

func (b *bench) writeSingles(writers int, span time.Duration, want int) (took []float64, failures int64, elapsed time.Duration) {
	ctx, cancel := context.WithTimeout(b.Context(), span)
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	var failed atomic.Int64
	start := time.Now()
	for writer := range writers {
		all.Go(func() {
			var own []float64
			for n := 0; ctx.Err() == nil; n++ {
				body := encode(b.T, benchEvent(writer*1_000_000+n, time.Now().UTC()))
				sent := time.Now()
				if b.post("/api/v1/audit/events", body) != want {
					failed.Add(1)
				}
				own = append(own, float64(time.Since(sent).Microseconds())/1000)
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, own...)
		})
	}
	all.Wait()
	return took, failed.Load(), time.Since(start)
}

func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// fill brings the table to its size, over the last two days, and lets PostgreSQL look at it.
func (b *bench) fill() {
	statement(b.T, b.owner, fmt.Sprintf(`
		INSERT INTO audit_events (event_id, event_date, event_timestamp, event_type, event_category, event_action, event_outcome,
			actor_type, actor_id, resource_type, resource_id, correlation_id, namespace, event_data, severity)
		SELECT gen_random_uuid(), (t AT TIME ZONE 'UTC')::date, t, 'bench.type.' || n %% 200,
			(ARRAY['gateway','notification','analysis','signalprocessing','workflow','execution','orchestration'])[n %% 7 + 1],
			'bench', CASE WHEN n %% 50 = 0 THEN 'failure' ELSE 'success' END, 'service', 'bench', 'bench', 'bench',
			'rr-bench-' || n %% 20000, 'bench', jsonb_build_object('n', n, 'text', repeat('x', 200)),
			CASE WHEN n %% 100 = 0 THEN 'critical' ELSE 'info' END
		FROM (SELECT n, now() - n * interval '170 milliseconds' AS t
			FROM generate_series(1, %d - (SELECT count(*)::int FROM audit_events)) AS n) AS s`, tableRows))
	statement(b.T, b.owner, `VACUUM (ANALYZE, PARALLEL 0) audit_events`)
}

func (b *bench) timed(times int, path func(n int) string) float64 {
	took := make([]float64, times)
	for n := range took {
		start := time.Now()
		if status := b.get1(path(n)); status != http.StatusOK {
			b.Errorf("%s: %d", path(n), status)
		}
		took[n] = float64(time.Since(start).Microseconds()) / 1000
	}
	return quantile(took, 0.95)
}

func (b *bench) queries() {
	const events = "/api/v1/audit/events?"
	b.record("query p95: correlation_id, limit 50, total", "ms", true, 15,
		b.timed(200, func(n int) string { return events + "correlation_id=rr-bench-" + strconv.Itoa(n*97%20_000) }))
	b.record("query p95: event_type and since=24h, total", "ms", true, 50,
		b.timed(100, func(n int) string { return events + "since=24h&event_type=bench.type." + strconv.Itoa(n%200) }))
	for _, filter := range []string{"event_category=analysis", "event_outcome=success", "event_outcome=failure", "severity=critical",
		"severity=info", "event_type=bench.type.7", "since=24h", "until=24h"} {
		b.record("query p95: "+filter+", total", "ms", true, 300, b.timed(20, func(int) string { return events + filter }))
	}
	cursor := ""
	for range 500 {
		cursor = b.nextCursor(cursor)
	}
	b.record("query p95: page 500,000 rows deep by cursor", "ms", true, 20,
		b.timed(100, func(int) string { return events + "limit=50&cursor=" + cursor }))
}

func (b *bench) nextCursor(cursor string) string {
	path := "/api/v1/audit/events?limit=1000&include_total=false"
	if cursor != "" {
		path += "&cursor=" + cursor
	}
	status, body := b.get(b.T, path)
	var page struct {
		Pagination struct {
			NextCursor string `json:"next_cursor"`
		} `json:"pagination"`
	}
	if err := json.Unmarshal([]byte(body), &page); status != http.StatusOK || err != nil || page.Pagination.NextCursor == "" {
		b.Fatalf("%d %v %.200s", status, err, body)
	}
	return page.Pagination.NextCursor
}

func (b *bench) search() {
	statement(b.T, b.owner, `
		INSERT INTO remediation_workflow_catalog (workflow_id, workflow_name, version, name, description, content, content_hash, labels,
			status, is_latest_version)
		SELECT gen_random_uuid(), 'bench-' || n, '1.0.0', 'bench ' || n, 'bench', 'steps', encode(sha256('steps'), 'hex'),
			jsonb_build_object('signal_type', 'Signal' || n % 50, 'severity', 'high', 'component', '*', 'environment', 'production', 'priority', 'P1'),
			'active', true
		FROM generate_series(1, 1000) AS n`)
	took := make([]float64, 300)
	for n := range took {
		body := encode(b.T, map[string]any{"filters": map[string]any{"signal_type": fmt.Sprintf("Signal%d", n%50), "severity": "high",
			"component": "deployment", "environment": "production", "priority": "P1"}})
		start := time.Now()
		if status := b.post("/api/v1/workflows/search", body); status != http.StatusOK {
			b.Errorf("search: %d", status)
		}
		took[n] = float64(time.Since(start).Microseconds()) / 1000
	}
	b.record("search p95: 1,000 workflows, 20 candidates", "ms", true, 20, quantile(took, 0.95))
}

// bigPages reads 20 large pages at once; what counts is the memory that this takes.
func (b *bench) bigPages() {
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if status := b.get1("/api/v1/audit/events?limit=1000"); status != http.StatusOK {
				b.Errorf("limit=1000: %d", status)
			}
		})
	}
	all.Wait()
}

func (b *bench) peakMB() float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib * 1024 / 1e6
		}
	}
	b.Fatal("no VmHWM")
	return 0
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
