//go:build integration

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// members are a JSON object as a client without our code sees it.
type members = map[string]any

// exchange is the answer to one request.
type exchange struct {
	status int
	header http.Header
	text   string
}

// request sends a body as it is; without headers it says that it is JSON.
func (i installation) request(t *testing.T, method, path string, body io.Reader, headers ...string) exchange {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, i.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for n := 0; n < len(headers); n += 2 {
		r.Header.Set(headers[n], headers[n+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode >= 400 {
		noCanary(t, "a problem", string(got))
	}
	return exchange{answer.StatusCode, answer.Header, string(got)}
}

// call sends a value as JSON, byte for byte what encoding/json makes of it, and returns the answer's status and text.
func (i installation) call(t *testing.T, method, path string, body any) (int, string) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	got := i.request(t, method, path, bytes.NewReader(text))
	return got.status, got.text
}

// object is the value of a JSON text, which must be of that type.
func object[T any](t *testing.T, text string) (value T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return value
}

// running is an installation whose service works, with an empty queue.
func running(t *testing.T, environ ...string) outage {
	t.Helper()
	o, _ := logged(t, environ...)
	return o
}

// logged is running with the lines that the service writes.
func logged(t *testing.T, environ ...string) (outage, *log) {
	t.Helper()
	o := newOutage(t)
	lines, stop := o.start(t, environ...)
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("serve ended with %v", err)
		}
	})
	o.eventually(t, "/health", `{"status":"healthy","database":"connected","dlq":"connected"}`)
	return o, lines
}

// events is the answer to a query.
func (i installation) events(t *testing.T, query string) []members {
	t.Helper()
	status, text := i.get(t, "/api/v1/audit/events?"+query)
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", query, status, text)
	}
	return object[struct{ Data []members }](t, text).Data
}

// least is the smallest valid event.
func least(correlation string) members {
	return members{"version": "1.0", "event_type": "aianalysis.test", "event_category": "analysis", "event_action": "test",
		"event_outcome": "success", "correlation_id": correlation, "event_data": members{"secret": "canary"},
		"event_timestamp": time.Now().UTC().Format("2006-01-02T15:04:05.999999Z07:00")}
}

// with is a copy with other members.
func with(base, other members) members {
	all := maps.Clone(base)
	maps.Copy(all, other)
	return all
}

// A1: every member that is sent comes back unchanged, those that are not have the defaults, and there is no other.
func TestEventComesBack(t *testing.T) {
	o := running(t)
	parent := uuid.NewString()
	every := members{
		"version": "2.0", "event_id": parent, "event_type": "workflow.step.ended", "event_category": "workflow",
		"event_action": "step_ended", "event_outcome": "failure", "actor_type": "user", "actor_id": "someone",
		"resource_type": "Pod", "resource_id": "cart-1", "namespace": "shop", "cluster_name": "east", "severity": "critical",
		"duration_ms": 12345.0, "event_data": members{"text": "ä \u0001 '\" <&>", "amount": 1.5, "none": nil, "list": []any{true, members{"deep": 1.0}}},
	}
	defaults := members{"actor_type": "service", "actor_id": "analysis-service", "resource_type": "analysis", "severity": "info"}
	for _, c := range []struct {
		name     string
		sent     members
		defaults members
	}{
		{"every member", with(least("every"), every), nil},
		{"no time taken, child", with(with(least("zero"), every), members{"event_id": uuid.NewString(), "parent_event_id": parent,
			"duration_ms": 0.0, "correlation_id": "zero"}), nil},
		{"required members", with(least("required"), members{"event_id": uuid.NewString()}), with(defaults, members{"resource_id": "required"})},
		{"no id", least("no id"), with(defaults, members{"resource_id": "no id"})},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, text := o.call(t, http.MethodPost, "/api/v1/audit/events", c.sent)
			answer := object[members](t, text)
			if status != http.StatusCreated || answer["message"] != "Audit event created successfully" || answer["event_timestamp"] != c.sent["event_timestamp"] {
				t.Fatalf("%d %s", status, text)
			}
			want := with(c.sent, c.defaults)
			want["event_date"] = strings.SplitN(fmt.Sprint(want["event_timestamp"]), "T", 2)[0]
			if want["event_id"] == nil {
				want["event_id"] = answer["event_id"]
			}
			found := o.events(t, "correlation_id="+url.QueryEscape(fmt.Sprint(c.sent["correlation_id"])))
			if len(found) != 1 || !reflect.DeepEqual(found[0], want) {
				t.Errorf("got  %v\nwant %v", found, want)
			}
		})
	}
}

// A6: a parent in the same batch, one that is stored, one that is unknown, and one that may wait in the queue.
func TestParents(t *testing.T) {
	o := running(t, "DATASTORAGE_REDIS_DRAIN_INTERVAL=1m") // what is queued stays
	parent := uuid.NewString()
	child := func(id string) members { return with(least("family"), members{"parent_event_id": id}) }
	post := func(name, path string, body any, want int, says string) {
		t.Helper()
		before := o.count(t)
		status, text := o.call(t, http.MethodPost, path, body)
		if status != want || !strings.Contains(text, says) || (o.count(t) > before) != (want == http.StatusCreated) {
			t.Errorf("%s: %d %s, %d rows before and %d after", name, status, text, before, o.count(t))
		}
	}
	const one, batch = "/api/v1/audit/events", "/api/v1/audit/events/batch"
	stranger := child(uuid.NewString())
	post("in the same batch, behind its child", batch, []any{child(parent), with(least("family"), members{"event_id": parent})}, 201, "event_ids")
	post("stored", one, child(parent), 201, "event_id")
	post("unknown", one, stranger, 400, "parent event does not exist")
	post("unknown in a batch", batch, []any{child(parent), stranger}, 400, `"invalid_indexes":[1]`)
	entry := redis.XAddArgs{Stream: "audit:dlq:events", Values: []any{"v", "1", "event", "{}"}}
	if err := o.redis.XAdd(t.Context(), &entry).Err(); err != nil {
		t.Fatal(err)
	}
	until(t, "the service sees the entry", func() bool { return o.metric(t, `datastorage_dlq_depth{stream="events"}`) == 1 })
	post("unknown while something is queued", one, stranger, 201, "event_id")
	if n := o.redis.XLen(t.Context(), "audit:dlq:events").Val(); n != 1 {
		t.Errorf("%d entries in the queue: it was not what let the child in", n)
	}
}

// Q2: the same instant in every form gives the same rows, as lower and as upper bound, both inclusive.
func TestBoundsOfTime(t *testing.T) {
	o := running(t)
	now := time.Now().UTC()
	midnight, span := now.AddDate(0, 0, -3).Truncate(24*time.Hour), now.Add(-48*time.Hour)
	times := []time.Time{midnight.Add(-time.Microsecond), midnight, midnight.Add(time.Microsecond), span.Add(-10 * time.Minute), span.Add(10 * time.Minute)}
	batch := make([]any, len(times))
	for n, at := range times {
		batch[n] = with(least("bounds"), members{"event_timestamp": at.Format(time.RFC3339Nano), "event_action": fmt.Sprint(n)})
	}
	if status, text := o.call(t, http.MethodPost, "/api/v1/audit/events/batch", batch); status != http.StatusCreated {
		t.Fatalf("%d %s", status, text)
	}
	rows := func(bound, value string) string {
		t.Helper()
		var actions []string
		for _, e := range o.events(t, url.Values{"correlation_id": {"bounds"}, bound: {value}}.Encode()) {
			actions = append(actions, fmt.Sprint(e["event_action"]))
		}
		slices.Sort(actions)
		return strings.Join(actions, "")
	}
	zone := func(hours float64) *time.Location { return time.FixedZone("", int(hours*3600)) }
	for _, c := range []struct {
		since, until string
		forms        []string
	}{
		{"1234", "01", []string{midnight.Format(time.DateOnly), midnight.Format("2006-01-02T15:04:05"), midnight.Format(time.RFC3339),
			midnight.Format("2006-01-02T15:04:05.000000000Z"), midnight.In(zone(2)).Format(time.RFC3339), midnight.In(zone(-5.5)).Format(time.RFC3339)}},
		{"4", "0123", []string{span.Format(time.RFC3339), span.Format(time.RFC3339Nano), span.Format("2006-01-02T15:04:05"),
			span.In(zone(5.75)).Format(time.RFC3339Nano), "2d", "48h", "2880m", "47h59m60s", "172800s"}},
	} {
		for _, form := range c.forms {
			if since, until := rows("since", form), rows("until", form); since != c.since || until != c.until {
				t.Errorf("%s: since it %s, until it %s; want %s and %s", form, since, until, c.since, c.until)
			}
		}
	}
}
