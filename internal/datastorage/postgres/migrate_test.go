//go:build integration

package postgres

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// M1: of ten at once one does the work, and all succeed.
func TestMigrate(t *testing.T) {
	d := newDatabase(t)
	outcomes := make([]Outcome, 10)
	var all sync.WaitGroup
	for i := range outcomes {
		all.Go(func() {
			var err error
			if outcomes[i], err = d.migration().Run(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	applied, created, partitions := 0, 0, 0
	for _, o := range outcomes {
		applied, partitions = applied+len(o.Applied), partitions+o.Partitions
		if o.RoleCreated {
			created++
		}
		if o.Owner.Superuser {
			t.Error("the owner of this test is no superuser")
		}
	}
	if applied != int(RequiredSchema()) || created != 1 || partitions != 5 {
		t.Errorf("together: %d files, %d roles, %d partitions; want %d, 1, 5", applied, created, partitions, RequiredSchema())
	}
}

func TestMigrateGivesUp(t *testing.T) {
	d := newDatabase(t)
	m := d.migration()
	m.Port, m.Wait = 1, 10*time.Millisecond // nothing listens there
	if _, err := m.Run(t.Context()); err == nil {
		t.Error("migrated a database that is not there")
	}
	m = d.migration()
	m.CreateAppRole = false
	if _, err := m.Run(t.Context()); err == nil {
		t.Error("granted a role that is not there")
	}
}

// M3: an outdated schema is seen, and that it is migrated; TestServe has it on the whole program.
func TestSchemaGate(t *testing.T) {
	d := newDatabase(t)
	exec(t, d.admin, `CREATE ROLE `+quoted(d.appRole)+` LOGIN PASSWORD '`+testPassword+`'`)
	s, err := Open(t.Context(), Options{Target: d.app, MaxConns: 2, ReadConns: 1, QueryTimeout: 5 * time.Second,
		SingleTimeout: 5 * time.Second, BatchTimeout: 5 * time.Second, ConnMaxLifetime: time.Hour, ConnMaxIdleTime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Check(t.Context()); !errors.Is(err, datastorage.ErrSchemaOutdated) {
		t.Errorf("an empty database: %v", err)
	}
	m := d.migration()
	m.CreateAppRole = false
	if _, err := m.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("after migrate: %v", err)
	}
	if standing, err := s.Standing(t.Context()); err != nil || standing.Superuser || standing.IsOwner || standing.Role != d.appRole {
		t.Errorf("standing %+v %v", standing, err)
	}
}

// A8: What is refused, to the application and, for audit data, to everybody.
func TestRights(t *testing.T) {
	s, d := newStore(t)
	if _, err := s.InsertEvents(t.Context(), []datastorage.Event{testEvent()}, datastorage.CheckParents); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateWorkflow(t.Context(), testWorkflow("w", "1"), datastorage.Origin{}); err != nil {
		t.Fatal(err)
	}
	owner, app := d.as(t, d.owner), d.as(t, d.app)
	month := time.Now().UTC().Format("audit_events_2006_01")
	for _, statement := range []string{
		`UPDATE audit_events SET event_type = 'x'`, `DELETE FROM audit_events`, `TRUNCATE audit_events`,
		`DELETE FROM ` + month, `TRUNCATE ` + month, `TRUNCATE audit_events_default`,
		`UPDATE remediation_workflow_catalog SET content = 'x'`, `UPDATE remediation_workflow_catalog SET labels = '{}'`,
		`DELETE FROM remediation_workflow_catalog`,
	} {
		for role, where := range map[string]string{"owner": owner, "app": app, "superuser": d.admin} {
			if try(where, statement) == nil {
				t.Errorf("%s may %s", role, statement)
			}
		}
	}
	for _, statement := range []string{
		`DELETE FROM audit_event_ids`, `UPDATE audit_event_ids SET event_date = '2026-01-01'`, `CREATE TABLE x (a int)`,
		`CREATE TEMPORARY TABLE x (a int)`, `SELECT datastorage_grant_app('postgres')`, `DROP TABLE audit_events`,
		`UPDATE remediation_workflow_catalog SET workflow_name = 'x'`,
	} {
		if try(app, statement) == nil {
			t.Errorf("the application may %s", statement)
		}
	}
	if err := try(app, `UPDATE remediation_workflow_catalog SET status = 'disabled'`); err != nil {
		t.Errorf("the application may not change a status: %v", err)
	}
}

func TestScramVerifier(t *testing.T) {
	// That a good one lets the application log in is proved by every other test.
	for _, bad := range []string{"", "pässword", "a\nb"} {
		if _, err := scramVerifier(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
