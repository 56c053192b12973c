//go:build bench

package holmes_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	threads = 16 // that run an investigation at once, as shipped
	queued  = 64 // that may wait for one, as shipped
)

// holmesMode is the service with the real SDK around a model that answers after 200 ms.
func (b *bench) holmesMode() {
	surroundings := newSurroundings(b.T)
	file := fmt.Sprintf("limits: {max_concurrent: %d, queue: %d, queue_timeout_seconds: 60}\n", threads, queued)
	last := b.starts("holmes", 5, func() *child {
		return serve(b.T, settings(b.T, file), "PYTHONPATH="+b.source, "LLM_MODEL=bench", "LLM_ENDPOINT="+surroundings.url,
			"LLM_API_KEY=bench", "DATA_STORAGE_URL="+surroundings.url)
	})
	defer last.stop()
	status, answer := post(b.Context(), http.DefaultClient, last.url, mixed(b.T)[0])
	if status != http.StatusOK || !strings.Contains(string(answer), `"workflow_id":"`+benchWorkflow) {
		b.Fatalf("the first answer is %d: %s", status, answer)
	}
	b.memory("holmes", 400, last)
	b.overhead(last)
	b.fullPool(last, surroundings)
}

func (b *bench) overhead(c *child) {
	var own, sdk, rate []float64
	busy := 0.0
	for range rounds {
		before, used := scrape(b.T, c.url), processor(b.T, c.pid)
		m := b.drive(c.url, 8, span, 0)
		after, each := scrape(b.T, c.url), 1000/float64(len(m.took))
		busy = (processor(b.T, c.pid) - used) * each
		passed := func(name string) float64 { return (after.value(name) - before.value(name)) * each }
		own = append(own, 1000*between(before, after, "overhead_seconds", 0.95))
		sdk = append(sdk, passed("investigations_duration_seconds")-passed("overhead_seconds")-
			passed("llm_call_duration_seconds")-passed("catalog_request_duration_seconds"))
		rate = append(rate, m.perSecond)
	}
	b.record(goal{Name: "own time around the model p95, 8 connections", Unit: "ms", AtMost: true, Target: 30,
		InTheWay: fmt.Sprintf("a request takes %.1f ms of processor, the SDK's threads share it with the event loop", busy)}, own...)
	b.record(goal{Name: "the SDK's own time, mean of a request", Unit: "ms"}, sdk...)
	b.record(goal{Name: "holmes, 8 connections, two answers of 200 ms", Unit: "req/s"}, rate...)
}

// fullPool asks for the health while no thread is free and no place in the queue.
func (b *bench) fullPool(c *child, s *surroundings) {
	release := s.block()
	defer release()
	client := http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: threads + queued}}
	defer client.CloseIdleConnections()
	body := mixed(b.T)[0]
	var all sync.WaitGroup
	for range threads + queued {
		all.Go(func() {
			if status, answer := post(b.Context(), &client, c.url, body); status != http.StatusOK {
				b.Errorf("a request that waited: %d %.200s", status, answer)
			}
		})
	}
	b.await("a full pool", func() bool {
		now := scrape(b.T, c.url)
		return now.value("workers_busy") == threads && now.value("queue_length") == queued
	})
	var slowest []float64
	var last float64
	for range rounds {
		var took []float64
		used, begun := processor(b.T, c.pid), time.Now()
		for time.Since(begun) < healthSpan {
			at := time.Now()
			if status, _ := get(b.Context(), &client, c.url+"/health"); status != http.StatusOK {
				b.Errorf("/health: %d", status)
			}
			took = append(took, time.Since(at).Seconds()*1000)
		}
		slowest = append(slowest, quantile(took, 0.99))
		last = (processor(b.T, c.pid) - used) / time.Since(begun).Seconds()
	}
	if now := scrape(b.T, c.url); now.value("workers_busy") != threads || now.value("queue_length") != queued {
		b.Error("the pool was not full until the end: the time of /health says nothing")
	}
	b.record(goal{Name: fmt.Sprintf("/health p99, %d blocked threads, %d queued", threads, queued), Unit: "ms", AtMost: true, Target: 100,
		InTheWay: fmt.Sprintf("the process was busy %.0f %% of the time", 100*last)}, slowest...)
	release()
	all.Wait()
}

func (b *bench) await(what string, holds func() bool) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			b.Fatalf("%s did not come", what)
		case <-tick.C:
		}
	}
}
