//go:build faults

package main

import (
	"context"
	"fmt"
	"net/http"
	"testing"
)

// outOfMemory: Redis refuses what needs memory. That is a full queue: nothing of a refused request is kept, what was queued
// before stays, and it drains although Redis still has no memory.
func (r rig) outOfMemory(t *testing.T) {
	i := r.migrated(t)
	p := r.serve(t, i)
	i.eventually(t, "/health/ready", normal)
	r.stopPostgres(t)
	var c tally
	kept := family("D4", 30)
	c.deliver(t, i, kept...)
	if c.queued.Load() != 30 {
		t.Errorf("%d of 30 queued", c.queued.Load())
	}
	limit := func(bytes int) {
		if err := r.client.ConfigSet(context.Background(), "maxmemory", fmt.Sprint(bytes)).Err(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { limit(0) })
	limit(1)
	for _, n := range []int{1, 20} {
		a, err := i.send(t.Context(), family("D4 refused", n)...)
		if err != nil || a.Status != http.StatusServiceUnavailable || a.RetryAfter != "30" {
			t.Errorf("%d events without memory: %+v %v", n, a, err)
		}
	}
	if r.depth(t) != 30 {
		t.Errorf("%d entries instead of 30", r.depth(t))
	}
	r.startPostgres(t)
	r.settled(t, i)
	p.stop(t)
	i.holdsExactly(t, kept)
}
