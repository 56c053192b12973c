//go:build integration

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
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

// migrator starts the real program as an init container does; wait returns its exit code and what it said.
func (i installation) migrator(t *testing.T, binary string) (wait func() (code int, out, errs string)) {
	t.Helper()
	var out, errs bytes.Buffer
	child := exec.CommandContext(t.Context(), binary, "migrate", "--create-app-role", "--config", i.config)
	child.Env, child.Stdout, child.Stderr = []string{}, &out, &errs
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	return func() (int, string, string) {
		_ = child.Wait() // the exit code tells it
		return child.ProcessState.ExitCode(), out.String(), errs.String()
	}
}

// M1: ten processes at once on an empty database all end with exit code 0, and each file is applied once.
func TestMigrateTenAtOnce(t *testing.T) {
	i, binary := install(t), buildService(t)
	waits := make([]func() (int, string, string), 10)
	for n := range waits {
		waits[n] = i.migrator(t, binary)
	}
	said := ""
	for _, wait := range waits {
		code, out, errs := wait()
		if code != 0 {
			t.Errorf("exit code %d: %s", code, errs)
		}
		said += out
	}
	out, err := i.command(t, "migrate", "status")
	if files := strings.Fields(out); err != nil || len(files) != 9 {
		t.Fatalf("status: %v\n%s", err, out)
	}
	for line := range strings.Lines(out) {
		if file := strings.Fields(line)[0]; strings.Count(said, "applied "+file) != 1 || !strings.Contains(line, "applied 2") {
			t.Errorf("%s in\n%s", line, said)
		}
	}
	var versions string
	if err := i.connect(t).QueryRow(t.Context(), `SELECT string_agg(version_id::text, ' ' ORDER BY version_id, id) FROM goose_db_version`).Scan(&versions); err != nil || versions != "0 1 2 3" {
		t.Errorf("versions %s, %v", versions, err)
	}
}

// schema is each table, index, sequence, column, constraint, function and trigger, but for the list of applied files.
func (i installation) schema(t *testing.T) (all string) {
	t.Helper()
	conn := i.connect(t)
	defer func() { _ = conn.Close(t.Context()) }()
	if err := conn.QueryRow(t.Context(), `SELECT coalesce(string_agg(what, E'\n' ORDER BY what), '') FROM (
		SELECT relkind::text || ' ' || relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
		UNION ALL SELECT attrelid::regclass::text || '.' || attname FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid WHERE relnamespace = 'public'::regnamespace
		UNION ALL SELECT conrelid::regclass::text || ' ' || conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace
		UNION ALL SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
		UNION ALL SELECT tgrelid::regclass::text || ' ' || tgname FROM pg_trigger) AS s (what) WHERE what NOT LIKE '%goose_db_version%'`).Scan(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

// M1: a file that fails, the first or a later one, ends migrate with exit code 1 and is named with its line and SQLSTATE;
// nothing of it stays.
func TestMigrateFails(t *testing.T) {
	binary := buildService(t)
	for file, theirs := range map[string]string{"00001_audit_events.sql": "audit_event_ids", "00002_workflow_catalog.sql": "idx_workflow_catalog_status"} {
		t.Run(file, func(t *testing.T) {
			i := install(t)
			statement(t, i.admin(t), `CREATE TABLE `+theirs+` ()`) // somebody else's
			before := i.schema(t)
			code, out, errs := i.migrator(t, binary)()
			if told := strings.Contains(out, "applied 00001_audit_events.sql"); told != (file != "00001_audit_events.sql") {
				t.Errorf("the files before it: %s", out)
			}
			if code != 1 || !regexp.MustCompile(`applying `+file+`, line \d+: .*42P07`).MatchString(errs) {
				t.Errorf("exit code %d: %s\n%s", code, errs, out)
			}
			held := i.schema(t) // the files before it are applied
			if file == "00001_audit_events.sql" && held != before || strings.Contains(held, "remediation_workflow_catalog") {
				t.Errorf("before\n%s\nafter\n%s", before, held)
			}
			if code, _, errs := i.migrator(t, binary)(); code != 1 || i.schema(t) != held {
				t.Errorf("again: exit code %d: %s", code, errs)
			}
			statement(t, i.admin(t), `DROP TABLE `+theirs)
			if code, out, errs := i.migrator(t, binary)(); code != 0 {
				t.Errorf("afterwards: exit code %d: %s\n%s", code, errs, out)
			}
		})
	}
}

// An owner who may not make roles: migrate fails, but tells the files that it has applied before.
func TestMigrateWithoutCreateRole(t *testing.T) {
	i := install(t)
	owner := pgx.Identifier{i.database + "_owner"}.Sanitize()
	statement(t, i.admin(t), `CREATE ROLE `+owner+` LOGIN PASSWORD 'canary-of-the-owner'`)
	t.Cleanup(func() {
		statement(t, i.admin(t), `DROP OWNED BY `+owner+` CASCADE`)
		statement(t, i.admin(t), `DROP ROLE `+owner)
	})
	statement(t, i.admin(t), `ALTER SCHEMA public OWNER TO `+owner)
	statement(t, i.admin(t), `GRANT CREATE, TEMPORARY ON DATABASE `+pgx.Identifier{i.database}.Sanitize()+` TO `+owner)
	secret := fmt.Sprintf("username: %q\npassword: canary-of-the-owner\n", i.database+"_owner")
	if err := os.WriteFile(i.settings(t).Database.OwnerSecretsFile, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := i.command(t, "migrate", "--create-app-role")
	if exitCode(err) != 1 || !strings.Contains(err.Error(), "the owner needs CREATEROLE") || strings.Count(out, "applied 0") != 3 {
		t.Errorf("%v\n%s", err, out)
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
