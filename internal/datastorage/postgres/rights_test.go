//go:build integration

package postgres

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

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
			"audit_ensure_partitions(integer)", "audit_prune_ids(integer)"}},
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

// M1: a file that fails is named with its line and SQLSTATE, and nothing of it stays.
func TestFailingMigration(t *testing.T) {
	for name, c := range map[string]struct{ file, line, code string }{
		"in a statement":   {"-- +goose Up\nCREATE TABLE half (id integer);\n\n-- why\nSELECT 1 / 0;\n", "line 5", "22012"},
		"at a place of it": {"-- +goose Up\nCREATE TABLE half (id integer);\nSELECT id,\n  -- ä\n  nothing\nFROM half;\n", "line 5", "42703"},
		"in a block":       {"-- +goose Up\nCREATE TABLE half (id integer);\n-- +goose StatementBegin\nDO $$\nBEGIN\n  PERFORM 1;\n  RAISE 'no';\nEND\n$$;\n-- +goose StatementEnd\n", "line 4", "P0001"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDatabase(t)
			m := d.migration()
			m.files = fstest.MapFS{
				"00001_good.sql": {Data: []byte("-- +goose Up\nCREATE TABLE good (id integer);\n")},
				"00002_bad.sql":  {Data: []byte(c.file)},
			}
			_, err := m.Run(t.Context())
			if err == nil {
				t.Fatal("a failing file was applied")
			}
			for _, want := range []string{"applying 00002_bad.sql, " + c.line + ":", c.code} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in %v", want, err)
				}
			}
			there := column(t, d.admin, `SELECT relname::text FROM pg_class WHERE relname IN ('good', 'half')`)
			if !slices.Equal(there, []string{"good"}) {
				t.Errorf("tables %v", there)
			}
			if files, err := m.Status(t.Context()); err != nil || files[0].Applied.IsZero() || !files[1].Applied.IsZero() {
				t.Errorf("status %+v, %v", files, err)
			}
		})
	}
}
