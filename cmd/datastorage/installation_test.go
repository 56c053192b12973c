//go:build integration || faults || bench

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

func setting(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set", name)
	}
	return value
}

// installation is an empty database of its own and a configuration for it.
type installation struct{ config, url, database, serviceAccount string }

func install(t *testing.T) installation {
	t.Helper()
	where, err := url.Parse(setting(t, "KUBERNAUT_TEST_POSTGRES"))
	if err != nil {
		t.Fatal(err)
	}
	name := "ds_" + uuid.NewString()
	statement(t, where.String(), `CREATE DATABASE `+pgx.Identifier{name}.Sanitize())
	// The role is there before its rights, so that serve can connect and see that nothing is migrated.
	statement(t, where.String(), `CREATE ROLE `+pgx.Identifier{name + "_app"}.Sanitize()+` LOGIN PASSWORD 'canary-of-the-secret'`)
	t.Cleanup(func() {
		statement(t, where.String(), `DROP DATABASE `+pgx.Identifier{name}.Sanitize()+` WITH (FORCE)`)
		statement(t, where.String(), `DROP ROLE IF EXISTS `+pgx.Identifier{name + "_app"}.Sanitize())
	})
	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	password, _ := where.User.Password()
	owner := file("owner.yaml", fmt.Sprintf("username: %q\npassword: %q\n", where.User.Username(), password))
	app := file("app.yaml", fmt.Sprintf("username: %q\npassword: canary-of-the-secret\n", name+"_app"))
	port := freePort(t)
	return installation{
		database: name,
		url:      fmt.Sprintf("http://127.0.0.1:%d", port),
		config: file("config.yaml", fmt.Sprintf(`
server: {host: 127.0.0.1, port: %d, metrics_port: 0}
database: {host: %q, port: %s, name: %q, user: ignored, ssl_mode: disable, secrets_file: %q, owner_secrets_file: %q}
redis: {addr: %q}
shutdown: {propagation_delay: 0s}
`, port, where.Hostname(), where.Port(), name, app, owner, setting(t, "KUBERNAUT_TEST_REDIS"))),
	}
}

func statement(t *testing.T, where, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, where)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}

// command runs one to its end.
func (i installation) command(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, errs bytes.Buffer
	err := program{args: append(args, "--config", i.config), stdout: &out, stderr: &errs}.run(t.Context())
	noCanary(t, "the output of "+args[0], fmt.Sprint(&out, &errs, err))
	return out.String(), err
}

// log collects lines from several goroutines.
type log struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// start serves until stop is called, which returns what serve ended with. The environment overrides the file.
func (i installation) start(t *testing.T, environ ...string) (lines *log, stop func() error) {
	t.Helper()
	lines = &log{}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- program{args: []string{"serve", "--config", i.config}, environ: environ, stdout: io.Discard, stderr: lines,
			serviceAccount: i.serviceAccount}.run(ctx)
	}()
	stop = sync.OnceValue(func() (err error) {
		defer cancel()
		select {
		case err = <-ended: // by itself
		default:
			i.metricsHaveNoCanary(t)
			cancel()
			err = <-ended
		}
		noCanary(t, "the log", lines.String())
		return err
	})
	t.Cleanup(func() { _ = stop() }) // a test that cares for the error stops it itself
	return lines, stop
}

// noCanary is O5: secrets and event_data of all tests hold the word, which nothing that others can read may show.
func noCanary(t *testing.T, where, text string) {
	t.Helper()
	if strings.Contains(text, "canary") {
		t.Errorf("a secret or event data is in %s (O5)", where)
	}
}

// metricsHaveNoCanary reads the metrics of a service that is up.
func (i installation) metricsHaveNoCanary(t *testing.T) {
	t.Helper()
	status, metrics := i.get(t, "/metrics")
	if status != http.StatusOK {
		t.Errorf("/metrics at the end: %d %s", status, metrics)
	}
	noCanary(t, "the metrics", metrics)
}

func (i installation) get(t *testing.T, path string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, i.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode >= 400 {
		noCanary(t, "a problem", string(body))
	}
	return answer.StatusCode, string(body)
}

// eventually asks until the answer is the wanted one.
func (i installation) eventually(t *testing.T, path, want string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		_, body := i.get(t, path)
		if body == want {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s stays %s, want %s", path, body, want)
		}
	}
}

// admin is the URL of the superuser in the installation's database.
func (i installation) admin(t *testing.T) string {
	t.Helper()
	where, err := url.Parse(setting(t, "KUBERNAUT_TEST_POSTGRES"))
	if err != nil {
		t.Fatal(err)
	}
	where.Path = "/" + i.database
	return where.String()
}
