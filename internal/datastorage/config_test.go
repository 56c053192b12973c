package datastorage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const goodConfig = `
database: {host: db, port: 5432, name: events, user: app, ssl_mode: require, secrets_file: /s}
redis: {addr: "redis:6379"}
`

func TestReadConfig(t *testing.T) {
	c, err := ReadConfig([]byte(goodConfig), []string{
		"DATASTORAGE_SERVICE_HOST=10.0.0.1", "DATASTORAGE_PORT_8080_TCP=tcp://10.0.0.1:8080", "PATH=/bin",
		"DATASTORAGE_DATABASE_PORT=6432", "DATASTORAGE_SHUTDOWN_PROPAGATION_DELAY=1s", "DATASTORAGE_REDIS_TLS=true",
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Database.Port != 6432 || c.Shutdown.PropagationDelay != time.Second || !c.Redis.TLS || c.Server.Port != 8080 ||
		c.Audit.Window.MaxAge != 168*time.Hour || !c.Redis.Enabled {
		t.Errorf("read as %+v", c)
	}
}

func TestConfigMistakes(t *testing.T) {
	for _, c := range []struct {
		name, file string
		environ    []string
		mistakes   []string
	}{
		{"empty", "", nil, []string{"database.host: is required", "database.ssl_mode: is required", "database.secrets_file: is required"}},
		{"no YAML", "a: [", nil, []string{"the file is not readable as YAML"}},
		{"twice", goodConfig + "redis: {}\n", nil, []string{"the file is not readable as YAML"}},
		{"no section", goodConfig + "server: 5\n", nil, []string{"server: must be a section"}},
		{"several", goodConfig + "server: {port: 80, metrics_port: abc, nope: 1}\nlogging: {level: loud}\naudit: {batch_timeout: 9s}\n", nil, []string{
			"server.port: must be between 1024 and 65535 (got 80)", "server.metrics_port: must be between", "server.nope: is not a known key",
			"logging.level: must be one of: debug, info, warn, error (got loud)", "audit.batch_timeout: must be between 100ms and 4s (got 9s)"}},
		{"fraction", goodConfig + "server: {port: 8080.5}\n", nil, []string{"server.port: must be between"}},
		{"ports", goodConfig + "server: {metrics_port: 8080}\n", nil, []string{"server.metrics_port: must differ"}},
		{"sums", goodConfig + "shutdown: {total: 10s}\n", nil, []string{"shutdown.total: must be at least the sum of the steps, 28s (got 10s)"}},
		{"drain", goodConfig + "shutdown: {drain_timeout: 5s}\n", nil, []string{"shutdown.drain_timeout: must be at least query.timeout + 1s"}},
		{"conns", goodConfig, []string{"DATASTORAGE_DATABASE_MAX_CONNS=8"}, []string{"database.read_conns: must be below"}},
		{"redis", goodConfig, []string{"DATASTORAGE_REDIS_ADDR="}, []string{"redis.addr: is required"}},
		{"password", goodConfig, []string{"DATASTORAGE_DATABASE_PASSWORD=hunter2"}, []string{"DATASTORAGE_DATABASE_PASSWORD: secrets are taken from files only"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ReadConfig([]byte(c.file), c.environ)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range c.mistakes {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in:\n%v", want, err)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the secret is in the message")
			}
		})
	}
}

func TestSecretFile(t *testing.T) {
	for _, c := range []struct {
		name, content, user, password string
		good                          bool
	}{
		{"both", "username: u\npassword: p\n", "u", "p", true},
		{"JSON", `{"password": "p"}`, "", "p", true},
		{"no password", "username: u\n", "", "", false},
		{"number", "password: 5\n", "", "", false},
		{"no YAML", "p: [hunter2", "", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			user, password, err := SecretFile{path, "username", "password"}.Read()
			if user != c.user && c.good || password != c.password || (err == nil) != c.good {
				t.Errorf("got %q %q %v", user, password, err)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Error("the secret is in the message")
			}
		})
	}
}
