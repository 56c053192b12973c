//go:build integration

package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
)

// column reads a query of one text column, as whoever the URL says.
func column(t *testing.T, where, query string, args ...any) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), where)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	found, err := conn.Query(t.Context(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	values, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// M4: the application has these rights and no other.
func TestExactRights(t *testing.T) {
	_, d := newStore(t)
	for name, c := range map[string]struct {
		query string
		want  []string
	}{
		"tables": {`SELECT table_name || ' ' || privilege_type FROM information_schema.role_table_grants WHERE grantee = $1 ORDER BY 1`, []string{
			"audit_event_ids INSERT", "audit_event_ids SELECT", "audit_events INSERT", "audit_events SELECT", "goose_db_version SELECT",
			"remediation_workflow_catalog INSERT", "remediation_workflow_catalog SELECT"}},
		"columns": {`SELECT table_name || ' ' || column_name FROM information_schema.column_privileges
			WHERE grantee = $1 AND privilege_type = 'UPDATE' ORDER BY 1`, []string{
			"remediation_workflow_catalog actual_success_rate", "remediation_workflow_catalog disabled_at", "remediation_workflow_catalog disabled_by",
			"remediation_workflow_catalog disabled_reason", "remediation_workflow_catalog is_latest_version", "remediation_workflow_catalog row_version",
			"remediation_workflow_catalog status", "remediation_workflow_catalog successful_executions", "remediation_workflow_catalog total_executions",
			"remediation_workflow_catalog updated_at", "remediation_workflow_catalog updated_by"}},
		"functions": {`SELECT p.oid::regprocedure::text FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
			WHERE n.nspname = 'public' AND p.prorettype <> 'trigger'::regtype AND has_function_privilege($1, p.oid, 'EXECUTE') ORDER BY 1`, []string{
			"audit_default_rows()", "audit_ensure_partitions(integer)", "audit_months_ahead()", "audit_prune_ids(integer)"}},
		"database": {`SELECT word FROM unnest(ARRAY['CONNECT', 'CREATE', 'TEMPORARY']) AS word
			WHERE has_database_privilege($1, current_database(), word) ORDER BY 1`, []string{"CONNECT"}},
		"schema": {`SELECT word FROM unnest(ARRAY['USAGE', 'CREATE']) AS word WHERE has_schema_privilege($1, 'public', word) ORDER BY 1`, []string{"USAGE"}},
		"role":   {`SELECT rolname FROM pg_roles WHERE rolname = $1 AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls)`, nil},
	} {
		if got := column(t, d.admin, c.query, d.appRole); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// M2: at every month of ten years one run makes the partitions from the month before to three ahead, while inserts go on
// that would fail if they were blocked for 2 s.
func TestPartitionsOfTenYears(t *testing.T) {
	_, d := newStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() { insertUntil(ctx, t, d.as(t, d.app)) })
	first := time.Date(2031, 1, 15, 0, 0, 0, 0, time.UTC)
	for n := range 120 {
		exec(t, d.as(t, d.owner), fmt.Sprintf(`SELECT audit_ensure_partitions_at('%s', 3)`, first.AddDate(0, n, 0).Format(time.DateOnly)))
	}
	cancel()
	writer.Wait()
	there := column(t, d.admin, `SELECT c.relname::text FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
		WHERE i.inhparent = 'audit_events'::regclass`)
	for n := -1; n < 120+3; n++ {
		if want := first.AddDate(0, n, 0).Format("audit_events_2006_01"); !slices.Contains(there, want) {
			t.Errorf("no %s", want)
		}
	}
}

func insertUntil(ctx context.Context, t *testing.T, where string) {
	conn, err := pgx.Connect(context.WithoutCancel(ctx), where)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(context.WithoutCancel(ctx), `SET lock_timeout = '2s'`); err != nil {
		t.Error(err)
	}
	n := 0
	for ; ctx.Err() == nil; n++ {
		_, err := conn.Exec(context.WithoutCancel(ctx), `INSERT INTO audit_events (event_id, event_date, event_timestamp, event_type, event_category,
			event_action, event_outcome, actor_type, actor_id, resource_type, resource_id, correlation_id, event_data)
			SELECT gen_random_uuid(), (now() AT TIME ZONE 'UTC')::date, now(), 't', 'analysis', 'a', 'success', 's', 's', 'r', 'r', 'rr', '{}'`)
		if err != nil {
			t.Errorf("insert %d: %v", n, err)
			return
		}
	}
	if n == 0 {
		t.Error("nothing was inserted meanwhile")
	}
}

// M1: a file that fails is named with its SQLSTATE, and nothing of it stays.
func TestFailingMigration(t *testing.T) {
	d := newDatabase(t)
	m := d.migration()
	m.files = fstest.MapFS{
		"00001_good.sql": {Data: []byte("-- +goose Up\nCREATE TABLE good (id integer);\n")},
		"00002_bad.sql":  {Data: []byte("-- +goose Up\nCREATE TABLE half (id integer);\nSELECT 1 / 0;\n")},
	}
	_, err := m.Run(t.Context())
	if err == nil {
		t.Fatal("a failing file was applied")
	}
	for _, want := range []string{"00002_bad.sql", "22012"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %s in %v", want, err)
		}
	}
	there := column(t, d.admin, `SELECT relname::text FROM pg_class WHERE relname IN ('good', 'half')`)
	if !slices.Equal(there, []string{"good"}) {
		t.Errorf("tables %v", there)
	}
}
