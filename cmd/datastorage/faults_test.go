//go:build faults

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	api "github.com/kubernaut-ai/kubernaut/api/openapi/datastorage"
)

// The promise of the service, against real servers that are stopped and killed: nothing acknowledged is lost or doubled.
func TestFaults(t *testing.T) {
	r := newRig(t)
	t.Run("O7 serve --dev with and without PostgreSQL", r.dev)
	t.Run("D1 queued events become the same rows as direct ones", r.sameRows)
	t.Run("D2 degraded within seconds, quick afterwards", r.degraded)
	t.Run("D3 both stores away", r.bothAway)
	t.Run("D4 Redis has no memory left", r.outOfMemory)
	t.Run("D5 killed at random moments", r.killed)
	t.Run("D7 two replicas drain in order", r.twoReplicas)
	t.Run("ten thousand events through every fault", r.everyFault)
}

const (
	normal   = `{"status":"ready","mode":"normal"}`
	degraded = `{"status":"ready","mode":"degraded"}`
)

func (r rig) sameRows(t *testing.T) {
	direct, queued := r.migrated(t), r.migrated(t)
	events := family("D1", 100)
	parts := [][]api.AuditEventRequest{events[:1], events[1:90], events[90:91], events[91:]}
	p := r.serve(t, direct)
	direct.eventually(t, "/health/ready", normal)
	var c tally
	for _, part := range parts {
		c.deliver(t, direct, part...)
	}
	p.stop(t)
	if c.stored.Load() != 100 {
		t.Fatalf("%d of 100 stored directly", c.stored.Load())
	}

	p = r.serve(t, queued)
	queued.eventually(t, "/health/ready", normal)
	r.stopPostgres(t)
	var q tally
	for _, part := range parts {
		q.deliver(t, queued, part...)
	}
	if q.queued.Load() != 100 || r.depth(t) != 100 {
		t.Errorf("%d of 100 queued, %d in the stream", q.queued.Load(), r.depth(t))
	}
	r.startPostgres(t)
	r.settled(t, queued)
	p.stop(t)
	want, got := direct.rowsAsJSON(t), queued.rowsAsJSON(t)
	if len(want) != 100 || !slices.Equal(got, want) {
		t.Errorf("%d direct rows, %d of the queue, and they are not the same", len(want), len(got))
		for n := range min(len(want), len(got)) {
			if got[n] != want[n] {
				t.Fatalf("queued %s\ndirect %s", got[n], want[n])
			}
		}
	}
}

// rowsAsJSON is every column of every row, but for when and how it came.
func (i installation) rowsAsJSON(t *testing.T) []string {
	t.Helper()
	found, err := i.connect(t).Query(context.Background(),
		`SELECT (to_jsonb(e) - 'recorded_at' - 'event_metadata')::text FROM audit_events AS e ORDER BY event_id`)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// family is events of which each but the first is the child of one before.
func family(correlation string, n int) []api.AuditEventRequest {
	events := make([]api.AuditEventRequest, n)
	for at := range events {
		events[at] = fullRequest(correlation, at)
		if at > 0 {
			events[at].ParentEventID = api.NewOptNilUUID(events[at/2].EventID.Value)
		}
	}
	return events
}

func (r rig) degraded(t *testing.T) {
	i := r.migrated(t)
	p := r.serve(t, i)
	i.eventually(t, "/health/ready", normal)
	var c tally
	sent := family("D2", 321)
	c.deliver(t, i, sent[:20]...)
	r.killPostgres(t)
	stopped := time.Now()
	c.deliver(t, i, sent[20])
	if took := time.Since(stopped); took > 4*time.Second || c.queued.Load() != 1 {
		t.Errorf("the first event after the stop: %d queued, after %s", c.queued.Load(), took)
	}
	i.eventually(t, "/health/ready", degraded)
	i.eventually(t, "/health", `{"status":"unhealthy","database":"unreachable","error":"database unreachable"}`)
	best := time.Hour
	for window := range 3 { // a busy neighbour spoils one of them, a write that waits for PostgreSQL all
		took := make([]time.Duration, 100)
		for n := range took {
			start := time.Now()
			c.deliver(t, i, sent[21+100*window+n])
			took[n] = time.Since(start)
		}
		slices.Sort(took)
		best = min(best, took[98])
	}
	t.Logf("p99 of degraded writes: %s", best)
	// The promise, 50 ms, is for the program as it is shipped, and bench:dataStorage measures it. This one is built with the race
	// detector; here it counts that nothing waits for PostgreSQL, which would be 2 s.
	if best > 500*time.Millisecond {
		t.Errorf("p99 of degraded writes is %s", best)
	}
	if c.queued.Load() != 301 || c.refused.Load()+c.lost.Load() > 0 {
		c.log(t)
		t.Error("not every event was queued at once")
	}
	r.startPostgres(t)
	r.settled(t, i)
	p.stop(t)
	i.holdsExactly(t, sent)
}

func (r rig) bothAway(t *testing.T) {
	i := r.migrated(t)
	p := r.serve(t, i)
	i.eventually(t, "/health/ready", normal)
	var c tally
	kept := family("D3", 60)
	r.killRedis(t) // alone it is no failure
	c.deliver(t, i, kept[:20]...)
	c.deliver(t, i, kept[20])
	i.eventually(t, "/health", `{"status":"healthy","database":"connected","dlq":"unreachable"}`)
	c.deliver(t, i, kept[21:40]...)
	if c.stored.Load() != 40 {
		t.Errorf("%d of 40 stored without Redis", c.stored.Load())
	}
	r.startRedis(t)
	i.eventually(t, "/health", `{"status":"healthy","database":"connected","dlq":"connected"}`)
	r.killPostgres(t)
	r.killRedis(t)
	for n := range 20 { // the first ones come before the probers know
		refused := family("D3 refused", 1+n%3*10)
		a, err := i.send(t.Context(), refused...)
		if err != nil || a.Status != http.StatusServiceUnavailable || a.RetryAfter != "5" {
			t.Errorf("request %d: %+v %v", n, a, err)
		}
	}
	i.eventually(t, "/health/ready", `{"status":"not_ready","reason":"no_durable_store"}`)
	r.startRedis(t)
	i.eventually(t, "/health/ready", degraded)
	c.deliver(t, i, kept[40:]...)
	r.startPostgres(t)
	r.settled(t, i)
	p.stop(t)
	i.holdsExactly(t, kept) // and nothing of what was refused
}

// killRounds is D5's number of SIGKILLs.
const killRounds = 50

func (r rig) killed(t *testing.T) {
	i := r.migrated(t)
	var c tally
	var sent []api.AuditEventRequest
	var mu sync.Mutex
	var writers sync.WaitGroup
	var enough atomic.Bool
	for w := range 6 {
		writers.Go(func() {
			for n := 0; !enough.Load() && !t.Failed(); n++ {
				events := family(fmt.Sprintf("D5-%d-%d", w, n), 1+n%2*29)
				mu.Lock()
				sent = append(sent, events...)
				mu.Unlock()
				c.deliver(t, i, events...)
			}
		})
	}
	for round := range killRounds {
		switch round % 10 { // three rounds of ten go without PostgreSQL, so that others begin with a queue to drain
		case 3:
			r.killPostgres(t)
		case 6:
			r.startPostgres(t)
		}
		before, p := c.acknowledged(), r.serve(t, i)
		until(t, "an event is acknowledged", func() bool { return c.acknowledged() > before || t.Failed() })
		<-time.After(rand.N(200 * time.Millisecond)) // the random moment
		p.kill()
	}
	p := r.serve(t, i)
	enough.Store(true)
	writers.Wait()
	r.settled(t, i)
	p.stop(t)
	c.log(t)
	if c.queued.Load() == 0 || c.stored.Load() == 0 || c.lost.Load() == 0 {
		t.Error("the rounds did not meet every way of a write")
	}
	i.holdsExactly(t, sent)
}

func (r rig) twoReplicas(t *testing.T) {
	i := r.migrated(t)
	other := i
	port := freePort(t)
	other.url = fmt.Sprintf("http://127.0.0.1:%d", port)
	replicas := []installation{i, other}
	processes := []*process{r.serve(t, i), r.serve(t, other, fmt.Sprintf("DATASTORAGE_SERVER_PORT=%d", port))}
	for _, replica := range replicas {
		replica.eventually(t, "/health/ready", normal)
	}
	r.killPostgres(t)
	var c tally
	var sent []api.AuditEventRequest
	for n := range 60 {
		events := family(fmt.Sprintf("D7-%d", n), 50)
		sent = append(sent, events...)
		c.deliver(t, replicas[n%2], events...)
	}
	if c.queued.Load() != 3000 {
		t.Errorf("%d of 3000 queued", c.queued.Load())
	}
	r.startPostgres(t)
	for _, replica := range replicas {
		r.settled(t, replica)
	}
	stored := 0.0
	for _, replica := range replicas {
		stored += replica.metric(t, `datastorage_dlq_drained_total{result="stored",stream="events"}`)
		if n := replica.metric(t, `datastorage_dlq_drained_total{result="duplicate",stream="events"}`); n > 0 {
			t.Errorf("%s stored %.0f events that were stored already: two workers at a time", replica.url, n)
		}
	}
	if stored != 3000 {
		t.Errorf("%.0f of 3000 drained", stored)
	}
	for _, p := range processes {
		p.stop(t)
	}
	i.holdsExactly(t, sent)
	i.cameInOrder(t, sent)
}

// cameInOrder holds recorded_at against the order in which the events were accepted.
func (i installation) cameInOrder(t *testing.T, sent []api.AuditEventRequest) {
	t.Helper()
	found, err := i.connect(t).Query(context.Background(), `SELECT event_id::text, recorded_at FROM audit_events`)
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]time.Time{}
	var id string
	var recorded time.Time
	if _, err := pgx.ForEachRow(found, []any{&id, &recorded}, func() error { at[id] = recorded; return nil }); err != nil {
		t.Fatal(err)
	}
	for n := 1; n < len(sent); n++ {
		if at[sent[n].EventID.Value.String()].Before(at[sent[n-1].EventID.Value.String()]) {
			t.Fatalf("event %d came before event %d", n, n-1)
		}
	}
}
