package main

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// shutDown goes down in steps, each with its own limit: tell the probes, go on serving until the endpoints are removed,
// finish what runs, close. An error means that something was cut off.
func (s *service) shutDown(stopBackground context.CancelFunc) error {
	start, c := time.Now(), s.config.Shutdown
	step := func(name string, err error) error {
		s.log.Info("shutdown", "step", name, "after_ms", time.Since(start).Milliseconds(), "error", err)
		return err
	}
	s.health.Stop()
	_ = step("flag", nil)
	time.Sleep(c.PropagationDelay)
	_ = step("propagation", nil)
	drained := step("drain", s.drain(c.DrainTimeout))
	stopBackground()
	flushed := step("flush", s.flush(c.FlushTimeout))
	return errors.Join(drained, flushed, step("close", s.close(c.CloseTimeout)))
}

// flush writes the service's own audit events. What waits in Redis stays there.
func (s *service) flush(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return s.selfAudit.Flush(ctx)
}

// drain finishes running requests; what is left after the limit is cut and was not acknowledged.
func (s *service) drain(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var all sync.WaitGroup
	errs := make([]error, len(s.servers))
	for i, server := range s.servers {
		all.Go(func() { errs[i] = drainServer(ctx, server) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func drainServer(ctx context.Context, server *http.Server) error {
	if err := server.Shutdown(ctx); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}

// close ends pools and connections; it gives up waiting after the limit.
func (s *service) close(limit time.Duration) error {
	closed := make(chan error, 1)
	go func() {
		s.running.Wait()
		s.store.Close()
		if s.queue != nil {
			closed <- s.queue.Close()
			return
		}
		closed <- nil
	}()
	select {
	case err := <-closed:
		return err
	case <-time.After(limit):
		return errors.New("connections were still in use")
	}
}
