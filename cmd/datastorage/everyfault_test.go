//go:build faults

package main

import (
	"fmt"
	"sync"
	"testing"

	api "github.com/kubernaut-ai/kubernaut/api/openapi/datastorage"
)

// everyFault: 10,000 events of 8 writers, while PostgreSQL is stopped and started three times, Redis is killed once in the
// midst of an outage, and the service is killed once. A part of the events is sent while each fault happens, and a part
// before the next one.
func (r rig) everyFault(t *testing.T) {
	const writers, each, part = 8, 1250, 500
	i := r.migrated(t)
	p := r.serve(t, i)
	i.eventually(t, "/health/ready", normal)
	faults := []func(){
		func() {},
		func() { r.stopPostgres(t) },
		func() { r.startPostgres(t) },
		func() { r.stopPostgres(t) },
		func() { p.kill(); p = r.serve(t, i) },
		func() { r.startPostgres(t) },
		func() { r.killPostgres(t) },
		func() { r.killRedis(t); r.startRedis(t) },
		func() { r.startPostgres(t) },
		func() {},
	}
	var c tally
	sent := make([][]api.AuditEventRequest, writers)
	permits := make(chan struct{}, writers*each) // one an event
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() { sent[w] = c.write(t, i, fmt.Sprintf("writer-%d", w), each, permits) })
	}
	allow := func() {
		for range part {
			permits <- struct{}{}
		}
	}
	for n, fault := range faults {
		allow()
		fault()
		allow()
		// Writers may hold some permits for a batch that is not complete yet.
		until(t, fmt.Sprintf("most events of phase %d are acknowledged", n), func() bool {
			return c.acknowledged() >= int64(2*part*(n+1)-writers*20) || t.Failed()
		})
	}
	all.Wait()
	r.settled(t, i)
	p.stop(t)
	c.log(t)
	var events []api.AuditEventRequest
	for _, of := range sent {
		events = append(events, of...)
	}
	if c.acknowledged() != writers*each || len(events) != writers*each {
		t.Errorf("%d of %d events acknowledged", c.acknowledged(), writers*each)
	}
	if c.stored.Load() == 0 || c.queued.Load() == 0 || c.refused.Load() == 0 || c.lost.Load() == 0 {
		t.Error("the faults did not meet every answer")
	}
	i.holdsExactly(t, events)
}

// write sends a batch of twenty and then five single events, again and again; each single one is the child of the event
// that was acknowledged before it, wherever that is kept. It returns what was sent.
func (c *tally) write(t *testing.T, i installation, name string, events int, permits <-chan struct{}) []api.AuditEventRequest {
	all := family(name, events)
	for at := 0; at < events && !t.Failed(); {
		size := 1
		if at%25 == 0 {
			size = 20
		}
		for range size {
			<-permits
		}
		if size == 1 {
			all[at].ParentEventID = api.NewOptNilUUID(all[at-1].EventID.Value)
		}
		c.deliver(t, i, all[at:at+size]...)
		at += size
	}
	return all
}
