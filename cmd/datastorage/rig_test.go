//go:build faults

package main

import (
	"context"
	"errors"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	api "github.com/kubernaut-ai/kubernaut/api/openapi/datastorage"
)

// rig is the real program, and the containers of its two stores, which it stops, kills and starts. The Redis is emptied.
type rig struct {
	binary, engine, postgres, redis string
	client                          *redis.Client
}

func newRig(t *testing.T) rig {
	t.Helper()
	r := rig{
		binary: filepath.Join(t.TempDir(), "datastorage"), engine: setting(t, "KUBERNAUT_TEST_ENGINE"),
		postgres: setting(t, "KUBERNAUT_TEST_POSTGRES_CONTAINER"), redis: setting(t, "KUBERNAUT_TEST_REDIS_CONTAINER"),
		client: redis.NewClient(&redis.Options{Addr: setting(t, "KUBERNAUT_TEST_REDIS"), MaxRetries: -1}),
	}
	t.Cleanup(func() { _ = r.client.Close() })
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-race", "-o", r.binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	return r
}

func (r rig) do(t *testing.T, args ...string) { t.Helper(); _ = r.output(t, args...) }

// output is what the engine says.
func (r rig) output(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, r.engine, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", r.engine, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r rig) stopPostgres(t *testing.T) { t.Helper(); r.do(t, "stop", "-t", "1", r.postgres) }
func (r rig) killPostgres(t *testing.T) { t.Helper(); r.do(t, "kill", r.postgres) }
func (r rig) killRedis(t *testing.T)    { t.Helper(); r.do(t, "kill", r.redis) }

func (r rig) startPostgres(t *testing.T) {
	t.Helper()
	r.do(t, "start", r.postgres)
	until(t, "PostgreSQL answers", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, setting(t, "KUBERNAUT_TEST_POSTGRES"))
		if err != nil {
			return false
		}
		_ = conn.Close(ctx)
		return true
	})
}

func (r rig) startRedis(t *testing.T) {
	t.Helper()
	r.do(t, "start", r.redis)
	until(t, "Redis answers", func() bool { return r.client.Ping(context.Background()).Err() == nil })
}

// migrated is an installation that serve can work on, with an empty queue.
func (r rig) migrated(t *testing.T) installation {
	t.Helper()
	if err := r.client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	i := install(t)
	if out, err := i.command(t, "migrate", "--create-app-role"); err != nil {
		t.Fatalf("migrate: %v %s", err, out)
	}
	return i
}

func (r rig) depth(t *testing.T) int64 {
	t.Helper()
	n, err := r.client.XLen(context.Background(), "audit:dlq:events").Result()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// settled waits until everything works and nothing waits, and finds that nothing was put aside.
func (r rig) settled(t *testing.T, i installation) {
	t.Helper()
	i.eventually(t, "/health", `{"status":"healthy","database":"connected","dlq":"connected"}`)
	until(t, "the queue is empty", func() bool { return r.depth(t) == 0 })
	if dead, err := r.client.XLen(context.Background(), "audit:dead-letter:events").Result(); err != nil || dead != 0 {
		t.Errorf("%d events in the dead-letter stream, %v", dead, err)
	}
}

// process is the program that serves.
type process struct {
	installation
	cmd   *exec.Cmd
	lines *log
	ended chan struct{}
	err   error
}

func (r rig) serve(t *testing.T, i installation, environ ...string) *process {
	t.Helper()
	p := &process{installation: i, cmd: exec.Command(r.binary, "serve", "--config", i.config), lines: &log{}, ended: make(chan struct{})}
	p.cmd.Env = append(environ, "GORACE=halt_on_error=1")
	p.cmd.Stdout, p.cmd.Stderr = p.lines, p.lines
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.err = p.cmd.Wait(); close(p.ended) }()
	t.Cleanup(func() {
		p.kill()
		noCanary(t, "the log", p.lines.String())
		if text := p.lines.String(); strings.Contains(text, "DATA RACE") || strings.Contains(text, "panic") {
			t.Errorf("the program says:\n%s", text)
		} else if t.Failed() {
			t.Logf("the program says, at the end:\n%s", text[max(0, len(text)-4000):])
		}
	})
	return p
}

// kill is SIGKILL: the program cannot do anything any more.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// stop is SIGTERM, and the program must end well.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.metricsHaveNoCanary(t)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if <-p.ended; p.err != nil {
		t.Errorf("serve ended with %v", p.err)
	}
}

// tally counts answers.
type tally struct{ stored, queued, refused, lost atomic.Int64 }

func (c *tally) log(t *testing.T) {
	t.Helper()
	t.Logf("events answered 201: %d, 202: %d; requests answered 503: %d, without an answer: %d",
		c.stored.Load(), c.queued.Load(), c.refused.Load(), c.lost.Load())
}

// deliver posts until the events are acknowledged, with the same ids, as the product's senders do; only that those give
// up after three times and wait longer between them. Any answer that would make a sender drop its events, and any bug, is
// an error of the test.
func (c *tally) deliver(t *testing.T, i installation, events ...api.AuditEventRequest) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		r, err := i.send(context.Background(), events...)
		var mistake error
		switch {
		case err != nil:
			c.lost.Add(1)
		case r.Status == http.StatusCreated && r.acknowledges(events):
			c.stored.Add(int64(len(events)))
			return
		case r.Status == http.StatusAccepted && r.acknowledges(events):
			c.queued.Add(int64(len(events)))
			return
		case r.Status == http.StatusServiceUnavailable && r.RetryAfter != "":
			c.refused.Add(1)
		default:
			mistake = errors.New("an answer that a sender must not get")
		}
		if mistake != nil {
			t.Errorf("%v: %+v", mistake, r)
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Errorf("not acknowledged within a minute: %+v, %v", r, err)
			return
		}
	}
}

func (c *tally) acknowledged() int64 { return c.stored.Load() + c.queued.Load() }
