//go:build integration

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	api "github.com/kubernaut-ai/kubernaut/api/openapi/datastorage"
)

// outage is a service whose PostgreSQL can be taken away without touching the server, and its queue.
type outage struct {
	installation
	environ []string
	proxy   *proxy
	redis   *redis.Client
}

func newOutage(t *testing.T) outage {
	t.Helper()
	i := install(t)
	if out, err := i.command(t, "migrate", "--create-app-role"); err != nil {
		t.Fatalf("migrate: %v %s", err, out)
	}
	return prepareOutage(t, i)
}

func prepareOutage(t *testing.T, i installation) outage {
	t.Helper()
	d := i.settings(t).Database
	o := outage{installation: i, proxy: newProxy(t, net.JoinHostPort(d.Host, strconv.Itoa(d.Port)))}
	o.environ = []string{"DATASTORAGE_REDIS_DB=2", "DATASTORAGE_DATABASE_HOST=127.0.0.1", fmt.Sprintf("DATASTORAGE_DATABASE_PORT=%d", o.proxy.port)}
	o.redis = redis.NewClient(&redis.Options{Addr: setting(t, "KUBERNAUT_TEST_REDIS"), DB: 2})
	t.Cleanup(func() { _ = o.redis.Close() })
	if err := o.redis.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o outage) start(t *testing.T, environ ...string) (*log, func() error) {
	t.Helper()
	return o.installation.start(t, append(environ, o.environ...)...)
}

// operate runs a command that needs the same configuration as the service.
func (o outage) operate(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if err := (program{args: append(args, "--config", o.config), environ: o.environ, stdout: &out, stderr: io.Discard}).run(t.Context()); err != nil {
		t.Errorf("%v: %v", args, err)
	}
	return out.String()
}

// post sends events, one alone or several as a batch, and tells whether they were queued.
func (o outage) post(t *testing.T, events ...api.AuditEventRequest) (queued bool) {
	t.Helper()
	r, err := o.send(t.Context(), events...)
	if err != nil || !r.acknowledges(events) {
		t.Errorf("%+v %v", r, err)
	}
	return r.Status == http.StatusAccepted
}

func (o outage) drained(t *testing.T) {
	t.Helper()
	until(t, "the queue is empty", func() bool { return o.redis.XLen(t.Context(), "audit:dlq:events").Val() == 0 })
}

func requests(correlation string, n int) []api.AuditEventRequest {
	all := make([]api.AuditEventRequest, n)
	for i := range all {
		all[i] = fullRequest(correlation, i)
	}
	return all
}

// The answer to a COMMIT is lost: the events are queued although they are stored, and stay single.
func TestAmbiguousCommit(t *testing.T) {
	o := newOutage(t)
	_, stop := o.start(t)
	o.eventually(t, "/health/ready", `{"status":"ready","mode":"normal"}`)
	events := requests("ambiguous", 30)
	o.proxy.loseNextCommit()
	if !o.post(t, events...) {
		t.Fatal("the answer to the commit came through")
	}
	if n := o.count(t); n != 30 {
		t.Errorf("%d rows: the commit was not ambiguous", n)
	}
	o.drained(t)
	o.holdsExactly(t, events)
	until(t, "30 repeats are counted", func() bool {
		return o.metric(t, `datastorage_dlq_drained_total{result="duplicate",stream="events"}`) == 30
	})
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// PostgreSQL hangs: it neither answers nor closes anything.
func TestPostgreSQLHangs(t *testing.T) {
	o := newOutage(t)
	lines, stop := o.start(t)
	o.eventually(t, "/health/ready", `{"status":"ready","mode":"normal"}`)
	direct := requests("direct", 20)
	if o.post(t, direct...) {
		t.Fatal("queued without need")
	}
	events := append(direct, requests("hanging", 40)...)
	o.proxy.stall()
	type answer struct {
		queued bool
		took   time.Duration
	}
	answers := make(chan answer, 2)
	for _, part := range [][]api.AuditEventRequest{events[20:21], events[21:40]} {
		go func() {
			start := time.Now()
			queued := o.post(t, part...)
			answers <- answer{queued, time.Since(start)}
		}()
	}
	for range 2 {
		if a := <-answers; !a.queued || a.took > senderPatience {
			t.Errorf("queued %v after %s", a.queued, a.took)
		}
	}
	o.eventually(t, "/health/ready", `{"status":"ready","mode":"degraded"}`)
	o.eventually(t, "/health", `{"status":"unhealthy","database":"unreachable","error":"database unreachable"}`)
	for _, e := range events[40:] {
		start := time.Now()
		if queued := o.post(t, e); !queued || time.Since(start) > o.settings(t).Audit.SingleTimeout/2 {
			t.Errorf("queued %v after %s: the write waited for PostgreSQL", queued, time.Since(start))
		}
	}
	if status, body := o.get(t, "/api/v1/audit/events"); status != 503 {
		t.Errorf("reading: %d %s", status, body)
	}
	o.proxy.flow()
	o.eventually(t, "/health", `{"status":"healthy","database":"connected","dlq":"connected"}`)
	o.drained(t)
	o.holdsExactly(t, events)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(lines.String(), `"cause":"timeout"`) {
		t.Error("the log does not name the cause")
	}
}
