//go:build bench

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

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
