package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage/dlq"
)

// operatorTimeout bounds one call of dlq.
const operatorTimeout = time.Minute

// deadLetters is the command dlq: what waits in Redis, and what an operator can do about it.
func (p program) deadLetters(ctx context.Context) error {
	set, path := flags("dlq")
	dead := set.Bool("dead", false, "list what could not be stored")
	limit := set.Int("limit", 100, "list at most so many")
	args, err := p.parse(set, 1)
	if err != nil {
		return err
	}
	work, known := map[string]func(context.Context, *dlq.Queue) error{
		"status": p.queueStatus,
		"list":   func(ctx context.Context, q *dlq.Queue) error { return p.listDead(ctx, q, *limit) },
		"replay": p.replay,
	}[args[0]]
	switch {
	case !known:
		return usageError{fmt.Errorf("dlq: unknown %q: use status, list --dead or replay", args[0])}
	case args[0] == "list" && !*dead:
		return usageError{errors.New("dlq list: only the dead-letter stream is listed: add --dead")}
	case *limit < 1 || *limit > 10_000:
		return usageError{fmt.Errorf("--limit: must be between 1 and 10000 (got %d)", *limit)}
	}
	c, _, err := p.config(*path)
	if err != nil {
		return err
	}
	queue, err := openQueue(c)
	if err != nil {
		return err
	}
	if queue == nil {
		return usageError{errors.New("redis.enabled: is false, so there is no queue")}
	}
	defer func() { _ = queue.Close() }() // nothing is lost with it
	ctx, cancel := context.WithTimeout(ctx, operatorTimeout)
	defer cancel()
	return work(ctx, queue)
}

func (p program) queueStatus(ctx context.Context, queue *dlq.Queue) error {
	s, err := queue.Status(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "waiting %d of %d, oldest %s\ndead %d\n", s.Depth, s.MaxLen, s.OldestAge.Round(time.Second), s.Dead)
	return err
}

func (p program) listDead(ctx context.Context, queue *dlq.Queue, limit int) error {
	dead, err := queue.Dead(ctx, limit)
	if err != nil {
		return err
	}
	for _, d := range dead {
		if _, err := fmt.Fprintf(p.stdout, "%s  %s  %s  %s  %s\n", d.Entry, d.BuriedAt, d.Reason, d.EventID, d.EventType); err != nil {
			return err
		}
	}
	return nil
}

func (p program) replay(ctx context.Context, queue *dlq.Queue) error {
	n, err := queue.Replay(ctx)
	if err != nil && n == 0 {
		return err
	}
	_, printErr := fmt.Fprintf(p.stdout, "%d events put back to the queue\n", n)
	return errors.Join(err, printErr)
}
