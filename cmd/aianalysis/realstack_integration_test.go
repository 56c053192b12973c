//go:build integration

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// queueDatabase is the Redis database of this package's Data Storage: other packages' tests use the first one at the same time.
const queueDatabase = 7

// realStack is the built controller beside a built Data Storage that serves.
type realStack struct {
	t          *testing.T // whose end is theirs
	controller string     // the binary
	access     string     // kubeconfig of the controller
	store      string     // URL of Data Storage
	database   string     // URL of its owner
}

// newRealStack builds both programs, with these flags, and starts Data Storage on a database of its own.
func newRealStack(t *testing.T, access string, flags ...string) *realStack {
	t.Helper()
	folder := t.TempDir()
	s := &realStack{t: t, controller: filepath.Join(folder, "aianalysis"), access: access}
	program := filepath.Join(folder, "datastorage")
	for binary, source := range map[string]string{s.controller: ".", program: "../datastorage"} {
		if out, err := exec.CommandContext(t.Context(), "go", append(append([]string{"build"}, flags...), "-o", binary, source)...).CombinedOutput(); err != nil {
			t.Fatalf("building %s: %v\n%s", source, err, out)
		}
	}
	config := s.configure(folder)
	if out, err := exec.CommandContext(t.Context(), program, "migrate", "--create-app-role", "--config", config).CombinedOutput(); err != nil {
		t.Fatalf("migrate: %v\n%s", err, out)
	}
	s.run(program, "serve", "--config", config)
	until(t, "Data Storage is ready", func(ctx context.Context) bool { return reached(ctx, s.store+"/health/ready") })
	return s
}

func neededSetting(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set: run `mage test:integration`", name)
	}
	return value
}

// configure makes an empty database and an empty queue, and returns the configuration for them.
func (s *realStack) configure(folder string) string {
	t := s.t
	t.Helper()
	where, err := url.Parse(neededSetting(t, "KUBERNAUT_TEST_POSTGRES"))
	if err != nil {
		t.Fatal(err)
	}
	queue := neededSetting(t, "KUBERNAUT_TEST_REDIS")
	client := redis.NewClient(&redis.Options{Addr: queue, DB: queueDatabase})
	defer client.Close()
	if err := client.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	name, superuser := "aia_"+uuid.NewString(), where.String()
	role := pgx.Identifier{name + "_app"}.Sanitize()
	sql(t, superuser, `CREATE DATABASE `+pgx.Identifier{name}.Sanitize())
	sql(t, superuser, `CREATE ROLE `+role+` LOGIN PASSWORD 'test'`)
	t.Cleanup(func() {
		sql(t, superuser, `DROP DATABASE `+pgx.Identifier{name}.Sanitize()+` WITH (FORCE)`)
		sql(t, superuser, `DROP ROLE IF EXISTS `+role)
	})
	password, _ := where.User.Password()
	port := unusedPort(t)
	s.store = "http://127.0.0.1:" + port
	files := map[string]string{
		"owner.yaml": fmt.Sprintf("username: %q\npassword: %q\n", where.User.Username(), password),
		"app.yaml":   fmt.Sprintf("username: %q\npassword: test\n", name+"_app"),
		"config.yaml": fmt.Sprintf(`
server: {host: 127.0.0.1, port: %s, metrics_port: 0}
database: {host: %q, port: %s, name: %q, user: ignored, ssl_mode: disable, secrets_file: %q, owner_secrets_file: %q}
redis: {addr: %q, db: %d}
shutdown: {propagation_delay: 0s}
`, port, where.Hostname(), where.Port(), name, filepath.Join(folder, "app.yaml"), filepath.Join(folder, "owner.yaml"), queue, queueDatabase),
	}
	for file, content := range files {
		if err := os.WriteFile(filepath.Join(folder, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	where.Path = "/" + name
	s.database = where.String()
	return filepath.Join(folder, "config.yaml")
}

// run starts a program that lives as long as the stack. A data race or a panic in it fails the test.
func (s *realStack) run(binary string, args ...string) *program {
	s.t.Helper()
	p := &program{ended: make(chan struct{}), cmd: exec.Command(binary, args...)}
	p.cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1")
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		p.err = p.cmd.Wait()
	}()
	s.t.Cleanup(func() {
		p.kill(s.t)
		said := p.log.String()
		for _, bad := range []string{"DATA RACE", "panic", "goroutine 1 ["} {
			if at := strings.Index(said, bad); at >= 0 {
				s.t.Errorf("%s says: %s", filepath.Base(binary), said[at:min(len(said), at+4000)])
			}
		}
		if s.t.Failed() {
			s.t.Logf("%s, at its end:\n%s", filepath.Base(binary), said[max(0, len(said)-8000):])
		}
	})
	return p
}

// begin starts a controller and returns it and the URL of its metrics, once it is ready.
func (s *realStack) begin(hapi string, args ...string) (*program, string) {
	s.t.Helper()
	policy, err := filepath.Abs("../../config/aianalysis/approval.rego")
	if err != nil {
		s.t.Fatal(err)
	}
	metrics := "127.0.0.1:" + unusedPort(s.t)
	p := s.run(s.controller, append([]string{"--kubeconfig", s.access, "--rego-policy-path", policy, "--holmesgpt-api-url", hapi,
		"--datastorage-url", s.store, "--metrics-bind-address", metrics, "--health-probe-bind-address", "127.0.0.1:0"}, args...)...)
	until(s.t, "the controller is ready", func(ctx context.Context) bool {
		status, _ := p.get(ctx, "/readyz")
		return status == http.StatusOK
	})
	return p, "http://" + metrics + "/metrics"
}

// storedEvent is what a row tells that no other place can.
type storedEvent struct{ ID, Type, Class string }

// stored returns all rows by correlation id; one that is there twice comes twice.
func (s *realStack) stored(t *testing.T) map[string][]storedEvent {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT correlation_id, event_id::text, event_type, coalesce(event_data->>'error_class', '')
		FROM audit_events WHERE event_type LIKE 'aianalysis.%' ORDER BY event_timestamp`)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]storedEvent{}
	var correlation string
	var e storedEvent
	_, err = pgx.ForEachRow(rows, []any{&correlation, &e.ID, &e.Type, &e.Class}, func() error {
		all[correlation] = append(all[correlation], e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func sql(t *testing.T, where, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, where)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(ctx, text)
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		t.Errorf("%s: %v", text, err)
	}
}

func unusedPort(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

func reached(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return reply.Body.Close() == nil && reply.StatusCode == http.StatusOK
}
