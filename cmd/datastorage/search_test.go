//go:build integration

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// search is the answer to a search with these members besides the filters.
func (i installation) search(t *testing.T, filters, others members) string {
	t.Helper()
	status, text := i.call(t, http.MethodPost, workflowsPath+"/search", with(others, members{"filters": filters}))
	if status != http.StatusOK {
		t.Fatalf("%v: %d %s", filters, status, text)
	}
	return text
}

// S3: which workflows are found at all.
func TestSearchFilters(t *testing.T) {
	o := running(t)
	for name, changes := range map[string]members{
		"exact": nil, "any-component": {"component": "*"}, "any-environment": {"environment": "*"}, "any-priority": {"priority": "*"},
		"any": {"component": "*", "environment": "*", "priority": "*"}, "star-signal": {"signal_type": "*"},
		"component": {"component": "node"}, "environment": {"environment": "test"}, "priority": {"priority": "P2"},
		"signal": {"signal_type": "Evicted"}, "severity": {"severity": "low"},
	} {
		o.create(t, with(recipe(name, "1"), members{"labels": labels(changes)}))
	}
	for _, status := range []string{"active", "disabled", "deprecated", "archived"} {
		state := with(recipe(status, "1"), members{"status": status, "labels": labels(members{"signal_type": "State"})})
		o.create(t, state)
		o.create(t, with(state, members{"workflow_name": "old-" + status}))
		// its newer version is for something else
		o.create(t, with(recipe("old-"+status, "2"), members{"labels": labels(members{"signal_type": "Newer"})}))
	}
	if status, text := o.call(t, http.MethodPost, workflowsPath, with(recipe("w", "1"), members{"labels": labels(members{"severity": "*"})})); status != 400 {
		t.Errorf("a workflow for every severity: %d %s", status, text)
	}
	for _, name := range []string{"severity", "priority"} {
		if status, text := o.call(t, http.MethodPost, workflowsPath+"/search", members{"filters": labels(members{name: "*"})}); status != 400 {
			t.Errorf("a search for every %s: %d %s", name, status, text)
		}
	}
	const wild = "any any-component any-environment any-priority exact"
	state := members{"signal_type": "State"}
	for _, c := range []struct {
		filters, others members
		want            string
	}{
		{nil, nil, wild},
		{members{"component": "*"}, nil, "any any-component any-environment any-priority component exact"},
		{members{"environment": "*"}, nil, "any any-component any-environment any-priority environment exact"},
		{members{"component": "node"}, nil, "any any-component component"},
		{members{"environment": "test"}, nil, "any any-environment environment"},
		{members{"priority": "P2"}, nil, "any any-priority priority"},
		{members{"signal_type": "*"}, nil, "star-signal"},
		{members{"signal_type": "Evicted"}, nil, "signal"},
		{members{"severity": "low"}, nil, "severity"},
		{members{"severity": "high"}, nil, ""},
		{members{"component": "' OR 1=1 --"}, nil, "any any-component"},
		{state, nil, "active"},
		{state, members{"include_disabled": true}, "active disabled"},
		{with(state, members{"status": []string{"active", "disabled", "deprecated", "archived"}}), nil, "active archived deprecated disabled"},
		{with(state, members{"status": []string{"archived", "deprecated"}}), nil, "archived deprecated"},
		{with(state, members{"status": []string{"archived"}}), members{"include_disabled": true}, "archived"},
	} {
		var found []string
		for _, w := range object[struct{ Workflows []members }](t, o.search(t, labels(c.filters), with(members{"top_k": 100}, c.others))).Workflows {
			found = append(found, fmt.Sprint(w["title"]))
		}
		slices.Sort(found)
		if got := strings.Join(found, " "); got != c.want {
			t.Errorf("%v %v: %q, want %q", c.filters, c.others, got, c.want)
		}
	}
}

// S4: forty workflows with the same score and age, inserted in two orders and searched in two replicas each, 100 times in
// all: the answer is byte for byte the same.
func TestTies(t *testing.T) {
	all := make([]members, 40)
	for n := range all {
		all[n] = recipe(fmt.Sprintf("tie-%d", n), "1")
	}
	var replicas []outage
	for range 2 {
		o := running(t)
		rand.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
		if out, err := o.command(t, "seed", seedFile(t, all...)); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		// No two are created at one time, so the time is set past the trigger that forbids it.
		statement(t, o.admin(t), `SET session_replication_role = replica; UPDATE remediation_workflow_catalog SET created_at = '2026-01-02'`)
		other, port := o, freePort(t)
		other.url = fmt.Sprintf("http://127.0.0.1:%d", port)
		_, stop := other.start(t, fmt.Sprintf("DATASTORAGE_SERVER_PORT=%d", port))
		t.Cleanup(func() { _ = stop() })
		other.eventually(t, "/health/ready", `{"status":"ready","mode":"normal"}`)
		replicas = append(replicas, o, other)
	}
	question := members{"top_k": 30}
	want := replicas[0].search(t, labels(nil), question)
	if n := strings.Count(want, `"final_score":1,`); n != 30 || !strings.Contains(want, `"total_results":40`) {
		t.Fatalf("%d ties: %s", n, want)
	}
	for run := range 100 {
		if got := replicas[run%4].search(t, labels(nil), question); got != want {
			t.Fatalf("run %d: %s\nwant %s", run, got, want)
		}
	}
}

// S5: each search leaves one event of its own within 5 s, and while the writing of events is blocked no search is slower.
func TestSearchIsAudited(t *testing.T) {
	const patience = time.Second // a blocked write takes twice as long
	o := running(t)
	o.create(t, recipe("found", "1"))
	search := func(id string) {
		t.Helper()
		start := time.Now()
		o.search(t, labels(nil), members{"remediation_id": id})
		if took := time.Since(start); took > patience {
			t.Errorf("%s took %s", id, took)
		}
	}
	audit := func(id string) []members { return o.events(t, "correlation_id="+id) }
	start := time.Now()
	search("rr-free")
	until(t, "the search is audited", func() bool { return len(audit("rr-free")) > 0 })
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("audited after %s", took)
	}
	tx, err := o.connect(t).Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), `LOCK TABLE audit_event_ids IN ACCESS EXCLUSIVE MODE`)
	}
	if err != nil {
		t.Fatal(err)
	}
	search("rr-blocked")
	looking := o.connect(t)
	until(t, "the writing of its event is blocked", func() (waits bool) {
		if err := looking.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'audit_event_ids'::regclass)`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
		return waits
	})
	for n := range 30 {
		search(fmt.Sprintf("rr-behind-%d", n))
	}
	if n := len(audit("rr-blocked")); n > 0 {
		t.Errorf("%d events were written: it was not blocked", n)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "every search is audited", func() bool { return len(audit("rr-blocked")) == 1 && len(audit("rr-behind-29")) == 1 })
	for _, id := range []string{"rr-free", "rr-blocked", "rr-behind-0", "rr-behind-29"} {
		e := audit(id)
		if len(e) != 1 || e[0]["event_type"] != "workflow.catalog.search_completed" || e[0]["event_category"] != "workflow" ||
			!strings.Contains(fmt.Sprint(e[0]["event_data"]), "total_found:1") {
			t.Errorf("%s: %v", id, e)
		}
	}
}

// A client that leaves while PostgreSQL works for it is no failure of the database: it is not counted as one.
func TestClientLeaves(t *testing.T) {
	o := running(t)
	id := o.create(t, recipe("left", "1"))["workflow_id"]
	tx, err := o.connect(t).Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), `LOCK TABLE remediation_workflow_catalog IN ACCESS EXCLUSIVE MODE`)
	}
	if err != nil {
		t.Fatal(err)
	}
	looking := o.connect(t)
	waiting := func() (n int) {
		if err := looking.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'remediation_workflow_catalog'::regclass`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	question, err := json.Marshal(members{"filters": labels(nil)})
	if err != nil {
		t.Fatal(err)
	}
	for operation, c := range map[string]struct {
		method, path string
		body         []byte
	}{
		"get":    {http.MethodGet, fmt.Sprintf("%s/%v", workflowsPath, id), nil},
		"search": {http.MethodPost, workflowsPath + "/search", question},
	} {
		ctx, leave := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, c.method, o.url+c.path, bytes.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		left := make(chan error, 1)
		go func() {
			answer, err := http.DefaultClient.Do(r)
			if err == nil {
				_ = answer.Body.Close()
			}
			left <- err
		}()
		until(t, operation+" waits in PostgreSQL", func() bool { return waiting() == 1 })
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("%s was answered, or %v", operation, err)
		}
		until(t, operation+" is given up", func() bool { return waiting() == 0 && o.metric(t, `datastorage_inflight_requests{class="read"}`) == 0 })
		if n := o.metric(t, `datastorage_query_total{operation="`+operation+`",status="failure"}`); n != 0 {
			t.Errorf("%s: %v failures are counted", operation, n)
		}
	}
	if n := o.metric(t, `datastorage_rejected_total{class="read",reason="database_down"}`); n != 0 {
		t.Errorf("%v refused reads are counted", n)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}
