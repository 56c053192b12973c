//go:build integration

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A schema older than the program: not ready, but nothing is refused while the queue works, and migrate mends it.
func TestOutdatedSchemaQueues(t *testing.T) {
	o := prepareOutage(t, install(t))
	_, stop := o.start(t)
	o.eventually(t, "/health/ready", `{"status":"not_ready","reason":"schema_outdated"}`)
	events := requests("outdated", 30)
	if !o.post(t, events[0]) || !o.post(t, events[1:]...) {
		t.Error("stored where no table is")
	}
	if out, err := o.command(t, "migrate", "--create-app-role"); err != nil {
		t.Fatalf("migrate: %v %s", err, out)
	}
	o.eventually(t, "/health/ready", `{"status":"ready","mode":"normal"}`)
	o.drained(t)
	o.holdsExactly(t, events)
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// The password is changed under the running service: like PostgreSQL away, named in the log, and over once the secret file
// has the new one.
func TestWrongPasswordQueues(t *testing.T) {
	o := newOutage(t)
	lines, stop := o.start(t)
	o.eventually(t, "/health/ready", `{"status":"ready","mode":"normal"}`)
	c := o.settings(t)
	role, _, err := c.Database.Secrets.Read()
	if err != nil {
		t.Fatal(err)
	}
	admin := o.connect(t)
	for _, text := range []string{
		`ALTER ROLE ` + pgx.Identifier{role}.Sanitize() + ` PASSWORD 'canary-of-the-new-secret'`,
		`SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
	} {
		if _, err := admin.Exec(context.Background(), text); err != nil {
			t.Fatal(err)
		}
	}
	events := requests("password", 30)
	if !o.post(t, events[0]) || !o.post(t, events[1:]...) {
		t.Error("stored without the password")
	}
	o.eventually(t, "/health/ready", `{"status":"ready","mode":"degraded"}`)
	until(t, "the log names the cause", func() bool { return strings.Contains(lines.String(), `"cause":"auth"`) })
	secret := fmt.Sprintf("username: %q\npassword: canary-of-the-new-secret\n", role)
	if err := os.WriteFile(c.Database.Secrets.Path, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	o.eventually(t, "/health/ready", `{"status":"ready","mode":"normal"}`) // without a restart
	o.drained(t)
	o.holdsExactly(t, events)
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// PostgreSQL is replaced by another host: old connections get no answer any more, not even their end; new ones work.
func TestPostgreSQLVanishes(t *testing.T) {
	o := newOutage(t)
	_, stop := o.start(t)
	o.eventually(t, "/health/ready", `{"status":"ready","mode":"normal"}`)
	events := requests("vanished", 40)
	if o.post(t, events[:10]...) {
		t.Fatal("queued without need")
	}
	o.proxy.vanish()
	start := time.Now()
	o.post(t, events[10])
	if took := time.Since(start); took > senderPatience {
		t.Errorf("decided after %s", took)
	}
	o.post(t, events[11:20]...)
	o.eventually(t, "/health/ready", `{"status":"ready","mode":"normal"}`)
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the new server was found after %s", took)
	}
	if o.post(t, events[20:]...) {
		t.Error("a connection of before was used again")
	}
	o.drained(t)
	o.holdsExactly(t, events)
	o.proxy.stall() // and nobody says goodbye
	if err := stop(); err != nil {
		t.Error(err)
	}
}
