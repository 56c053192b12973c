//go:build integration

package main

import (
	"errors"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestPartitionsCommand(t *testing.T) {
	i := install(t)
	if _, err := i.command(t, "partitions"); exitCode(err) != 1 || !strings.Contains(err.Error(), "run datastorage migrate") {
		t.Errorf("before migrate: %v", err)
	}
	if out, err := i.command(t, "migrate"); err != nil {
		t.Fatalf("migrate: %v %s", err, out)
	}
	statement(t, i.admin(t), `INSERT INTO audit_events (event_id, event_date, event_timestamp, event_type, event_category, event_action, event_outcome,
		actor_type, actor_id, resource_type, resource_id, correlation_id, event_data)
		SELECT gen_random_uuid(), d, d, 't', 'analysis', 'a', 'success', 's', 's', 'r', 'r', 'rr', '{}'
		FROM unnest(ARRAY['2021-03-05'::date, '2021-03-06', '2021-04-01', now()::date]) AS d`)
	var mistake usageError
	for _, c := range []struct {
		args  []string
		wants []string
		usage bool
	}{
		{nil, []string{"audit_events_default: 3 events"}, false},
		{[]string{"--repair"}, []string{"moved to audit_events_2021_03: 2 events", "moved to audit_events_2021_04: 1 events"}, false},
		{[]string{"--repair"}, []string{"nothing to move"}, false},
		{[]string{"--drop-before", "2021-04"}, []string{"would drop audit_events_2021_03: 2 events"}, true},
		{nil, []string{"audit_events_2021_03: 2 events"}, false},
		{[]string{"--drop-before", "2021-04", "--yes"}, []string{"dropped audit_events_2021_03: 2 events"}, false},
		{[]string{"--drop-before", "2021-04", "--yes"}, []string{"nothing to drop"}, false},
		{nil, []string{"audit_events_2021_04: 1 events", time.Now().UTC().Format("audit_events_2006_01") + ": 1 events", "audit_events_default: 0 events"}, false},
	} {
		out, err := i.command(t, append([]string{"partitions"}, c.args...)...)
		if errors.As(err, &mistake) != c.usage || !c.usage && err != nil {
			t.Errorf("%v: error %v", c.args, err)
		}
		for _, want := range c.wants {
			if !strings.Contains(out, want) {
				t.Errorf("%v: no %q in\n%s", c.args, want, out)
			}
		}
	}
}

// M1: a file that fails ends migrate with exit code 1, and is named with its line and SQLSTATE; nothing of it stays.
func TestMigrateFails(t *testing.T) {
	i := install(t)
	statement(t, i.admin(t), `CREATE TABLE audit_event_ids ()`) // somebody else's
	out, err := i.command(t, "migrate")
	if exitCode(err) != 1 || !regexp.MustCompile(`^applying 00001_audit_events.sql, line \d+: .*42P07`).MatchString(err.Error()) {
		t.Errorf("exit code %d: %v\n%s", exitCode(err), err, out)
	}
	var tables int
	if err := i.connect(t).QueryRow(t.Context(), `SELECT count(*) FROM pg_class WHERE relname LIKE 'audit_events%'`).Scan(&tables); err != nil || tables != 0 {
		t.Errorf("%d tables stay, %v", tables, err)
	}
	statement(t, i.admin(t), `DROP TABLE audit_event_ids`)
	if out, err := i.command(t, "migrate"); err != nil || !strings.Contains(out, "3 files applied") {
		t.Errorf("afterwards: %v\n%s", err, out)
	}
}

func TestMigrateStatus(t *testing.T) {
	i := install(t)
	out, err := i.command(t, "migrate", "status")
	if err != nil || strings.Count(out, "pending") != 3 {
		t.Errorf("before: %v\n%s", err, out)
	}
	if out, err := i.command(t, "migrate"); err != nil {
		t.Fatalf("migrate: %v %s", err, out)
	}
	if out, err = i.command(t, "migrate", "status"); err != nil || strings.Count(out, "applied 2") != 3 {
		t.Errorf("after: %v\n%s", err, out)
	}
}

// A7: events of a month without a partition are stored and found, show in the gauge and are warned of once; --repair moves
// them with everything they have.
func TestMonthWithoutPartition(t *testing.T) {
	i := install(t)
	if out, err := i.command(t, "migrate"); err != nil {
		t.Fatalf("migrate: %v %s", err, out)
	}
	// serve runs the service, whose upkeep looks at the partitions at its start, and tells how often it warned.
	serve := func(unplaced float64, while func()) int {
		t.Helper()
		lines, stop := i.start(t, "DATASTORAGE_REDIS_DB=2", "DATASTORAGE_AUDIT_MAX_AGE=87600h")
		i.eventually(t, "/health/ready", `{"status":"ready","mode":"normal"}`)
		until(t, "the upkeep has looked", func() bool { return i.metric(t, "datastorage_partitions_ahead") == 3 })
		if got := i.metric(t, "datastorage_default_partition_rows"); got != unplaced {
			t.Errorf("the gauge is %v, want %v", got, unplaced)
		}
		while()
		if err := stop(); err != nil {
			t.Error(err)
		}
		return strings.Count(lines.String(), "datastorage partitions --repair")
	}
	found := func() {
		t.Helper()
		if status, body := i.get(t, "/api/v1/audit/events?correlation_id=unplaced"); status != 200 || !strings.Contains(body, `"total":3`) {
			t.Errorf("%d %s", status, body)
		}
	}
	if n := serve(0, func() {
		events := requests("unplaced", 3)
		for n := range events {
			events[n].EventTimestamp = events[n].EventTimestamp.AddDate(-n, -6, 0)
		}
		if r, err := i.send(t.Context(), events...); err != nil || r.Status != 201 {
			t.Fatalf("%+v %v", r, err)
		}
		found()
	}); n != 0 {
		t.Errorf("%d warnings before there was anything", n)
	}
	if n := serve(3, found); n != 1 {
		t.Errorf("%d warnings", n)
	}
	before := i.table(t)
	if out, err := i.command(t, "partitions", "--repair"); err != nil || strings.Count(out, ": 1 events") != 3 {
		t.Fatalf("repair: %v %s", err, out)
	}
	if after := i.table(t); len(before) != 3 || !reflect.DeepEqual(after, before) {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if n := serve(0, found); n != 0 {
		t.Errorf("%d warnings after the repair", n)
	}
}
