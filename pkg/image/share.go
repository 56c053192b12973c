package image

import (
	"context"
	"fmt"
	"sync"
)

// Share builds one digest once: whoever asks for it again, at the same time or
// later, gets the first build's result. A failed build is not remembered.
func Share(b Builder) Builder { return &share{next: b, calls: map[string]*call{}} }

type share struct {
	next  Builder
	mu    sync.Mutex
	calls map[string]*call
}

type call struct {
	done   chan struct{}
	result Result
	err    error
}

func (s *share) Build(ctx context.Context, p Plan) (Result, error) {
	s.mu.Lock()
	c, running := s.calls[p.Digest]
	if !running {
		c = &call{done: make(chan struct{})}
		s.calls[p.Digest] = c
	}
	s.mu.Unlock()
	if running {
		select {
		case <-c.done:
			return c.result, c.err
		case <-ctx.Done():
			return Result{}, fmt.Errorf("waiting for the same build: %w", context.Cause(ctx))
		}
	}
	c.result, c.err = s.next.Build(ctx, p)
	if c.err != nil {
		s.mu.Lock()
		delete(s.calls, p.Digest)
		s.mu.Unlock()
	}
	close(c.done)
	return c.result, c.err
}
