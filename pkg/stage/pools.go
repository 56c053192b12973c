package stage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Pools are counted tokens by name. All that a caller wants is granted at once
// or not at all, so no two callers can hold each other up; the first in the
// queue is served first.
type Pools struct {
	mu    sync.Mutex
	size  map[string]int64
	free  map[string]int64
	queue []*ticket
}

type ticket struct {
	want  map[string]int64
	ready chan struct{}
}

// NewPools makes pools of the given sizes.
func NewPools(size map[string]int64) *Pools {
	return &Pools{size: maps.Clone(size), free: maps.Clone(size)}
}

// Acquire waits for the tokens and gives the function that returns them. A
// demand above a pool's size is cut to it and so runs alone. Tokens of an
// unknown pool are an error. The stage of ctx shows what it waits for.
func (p *Pools) Acquire(ctx context.Context, want map[string]int64) (release func(), err error) {
	if len(want) == 0 {
		return func() {}, nil
	}
	if p == nil {
		return nil, fmt.Errorf("tokens wanted of a run without pools")
	}
	t := &ticket{want: map[string]int64{}, ready: make(chan struct{})}
	for name, n := range want {
		size, known := p.size[name]
		if !known {
			return nil, fmt.Errorf("no pool %q", name)
		}
		t.want[name] = min(n, size)
	}
	p.mu.Lock()
	p.queue = append(p.queue, t)
	p.grant()
	short := p.short(t)
	p.mu.Unlock()
	if h := From(ctx); h != nil && len(short) > 0 {
		h.waiting(short)
		defer h.granted()
	}
	select {
	case <-t.ready:
		if h := From(ctx); h != nil {
			h.holds(t.want)
		}
		return sync.OnceFunc(func() { p.release(t) }), nil
	case <-ctx.Done():
		p.abandon(t)
		return nil, fmt.Errorf("waiting for tokens: %w", context.Cause(ctx))
	}
}

// short names the pools that a ticket still in the queue waits for; the lock is held.
func (p *Pools) short(t *ticket) []string {
	if !slices.Contains(p.queue, t) {
		return nil
	}
	var names []string
	for name, n := range t.want {
		if p.free[name] < n {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// grant serves the queue from its head; the lock is held.
func (p *Pools) grant() {
	for len(p.queue) > 0 {
		head := p.queue[0]
		for name, n := range head.want {
			if p.free[name] < n {
				return
			}
		}
		for name, n := range head.want {
			p.free[name] -= n
		}
		p.queue = p.queue[1:]
		close(head.ready)
	}
}

func (p *Pools) release(t *ticket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, n := range t.want {
		p.free[name] += n
	}
	p.grant()
}

// abandon leaves the queue, or gives back what was granted in the same moment.
func (p *Pools) abandon(t *ticket) {
	p.mu.Lock()
	at := slices.Index(p.queue, t)
	if at >= 0 {
		p.queue = slices.Delete(p.queue, at, at+1)
		p.grant()
	}
	p.mu.Unlock()
	if at < 0 {
		p.release(t)
	}
}
