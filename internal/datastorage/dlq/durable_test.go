//go:build integration

package dlq

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// D8: the Redis of the tests writes no append-only file. One that does not answer is another matter.
func TestNotDurable(t *testing.T) {
	q := newQueue(t, 10)
	if err := q.CheckDurable(t.Context()); !errors.Is(err, ErrNotDurable) {
		t.Errorf("%v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := q.CheckDurable(gone); err == nil || errors.Is(err, ErrNotDurable) {
		t.Errorf("no answer: %v", err)
	}
}

// settings answers CONFIG GET in place of Redis; the Redis of the tests is shared, so it keeps its own.
type settings map[string]string

func (settings) DialHook(next redis.DialHook) redis.DialHook { return next }
func (settings) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (s settings) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		get, ok := cmd.(*redis.MapStringStringCmd)
		if !ok {
			return next(ctx, cmd)
		}
		name := fmt.Sprint(get.Args()[2])
		get.SetVal(map[string]string{name: s[name]})
		return nil
	}
}

// D8: each setting that can lose what is queued is named; with all of them right nothing is.
func TestDurableSettings(t *testing.T) {
	for _, c := range []struct {
		appendonly, appendfsync, policy, names string
	}{
		{"yes", "always", "noeviction", ""},
		{"no", "always", "noeviction", "appendonly"},
		{"yes", "everysec", "noeviction", "appendfsync"},
		{"yes", "always", "allkeys-lru", "maxmemory-policy"},
		{"yes", "always", "volatile-ttl", "maxmemory-policy"},
	} {
		q := newQueue(t, 10)
		q.client.AddHook(settings{"appendonly": c.appendonly, "appendfsync": c.appendfsync, "maxmemory-policy": c.policy})
		err := q.CheckDurable(t.Context())
		if errors.Is(err, ErrNotDurable) != (c.names != "") || c.names != "" && !strings.Contains(err.Error(), c.names) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
