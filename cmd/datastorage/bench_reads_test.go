//go:build bench

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

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
