//go:build integration

package postgres

import (
	"context"
	"net/url"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// database is one of its own for a test, with an owner that is no superuser.
type database struct {
	owner, app Target
	admin      string // URL of the superuser
	appRole    string
}

const testPassword = "test-only-password"

func newDatabase(t *testing.T) database {
	t.Helper()
	admin := os.Getenv("KUBERNAUT_TEST_POSTGRES")
	if admin == "" {
		t.Fatal("KUBERNAUT_TEST_POSTGRES is not set: the URL of a PostgreSQL superuser")
	}
	where, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(where.Port())
	if err != nil {
		port = 5432
	}
	name := "ds_" + uuid.NewString()
	owner, app := name+"_owner", name+"_app"
	exec(t, admin, `CREATE ROLE `+quoted(owner)+` LOGIN CREATEROLE PASSWORD '`+testPassword+`'`)
	exec(t, admin, `CREATE DATABASE `+quoted(name)+` OWNER `+quoted(owner))
	t.Cleanup(func() {
		exec(t, admin, `DROP DATABASE `+quoted(name)+` WITH (FORCE)`)
		exec(t, admin, `DROP ROLE IF EXISTS `+quoted(app))
		exec(t, admin, `DROP ROLE `+quoted(owner))
	})
	where.Path = "/" + name
	target := func(role string) Target {
		return Target{Host: where.Hostname(), Port: port, Name: name, SSLMode: "prefer", ConnectTimeout: 5 * time.Second,
			Credentials: func() (string, string, error) { return role, testPassword, nil }}
	}
	return database{owner: target(owner), app: target(app), admin: where.String(), appRole: app}
}

func (d database) migration() Migration {
	return Migration{Target: d.owner, Wait: 10 * time.Second, MonthsAhead: 3, AppRole: d.appRole, AppPassword: testPassword, CreateAppRole: true}
}

// newStore is a migrated database, used as the application does.
func newStore(t *testing.T) (*Store, database) {
	t.Helper()
	d := newDatabase(t)
	if _, err := d.migration().Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Options{
		Target: d.app, MaxConns: 12, ReadConns: 4, MinConns: 0, ConnMaxLifetime: time.Hour, ConnMaxIdleTime: time.Hour,
		SingleTimeout: 10 * time.Second, BatchTimeout: 10 * time.Second, QueryTimeout: 10 * time.Second, MaxCount: 50,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, d
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

func exec(t *testing.T, where, statement string) {
	t.Helper()
	if err := try(where, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// try runs a statement as whoever the URL says.
func try(where, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, where)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, statement)
	return err
}

// as is the URL of a role in the test's database.
func (d database) as(t *testing.T, target Target) string {
	t.Helper()
	where, err := url.Parse(d.admin)
	if err != nil {
		t.Fatal(err)
	}
	role, password, err := target.Credentials()
	if err != nil {
		t.Fatal(err)
	}
	where.User = url.UserPassword(role, password)
	return where.String()
}

func testEvent() datastorage.Event {
	return datastorage.Event{
		Version: "1.0", Type: "aianalysis.test", Time: time.Now(), Category: "analysis", Action: "test", Outcome: "success",
		CorrelationID: "rr-1", Data: []byte(`{"a": 1}`),
	}.Complete(uuid.New)
}
