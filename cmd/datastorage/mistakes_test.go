package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// O1: a mistake in the configuration stops the start with exit code 2 and names the key; several are all listed, and no
// secret is.
func TestMistakesStopTheStart(t *testing.T) {
	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secret := file("secret.yaml", "username: u\npassword: hunter2\n")
	good := map[string]string{
		"server":   "port: 18080, metrics_port: 0",
		"database": "host: 127.0.0.1, port: 1, name: events, user: app, ssl_mode: disable, secrets_file: " + secret,
		"redis":    "enabled: false",
		"shutdown": "propagation_delay: 0s",
	}
	for _, c := range []struct {
		name, section, content, environ string
		says                            []string
	}{
		{"unknown key", "server", "prot: 1", "", []string{"server.prot: is not a known key"}},
		{"unknown section", "sever", "port: 1", "", []string{"sever.port: is not a known key"}},
		{"bad value", "database", "max_conns: 0", "", []string{"database.max_conns: must be between 2 and 200 (got 0)"}},
		{"bad type", "server", "port: [1]", "", []string{"server.port: must be between 1024 and 65535 (got [1])"}},
		{"bad value in the environment", "", "", "DATASTORAGE_SERVER_PORT=80", []string{"server.port: must be between 1024 and 65535 (got 80)"}},
		{"required", "database", "host: null", "", []string{"database.host: is required"}},
		{"missing secret", "database", "secrets_file: /nowhere/secret", "", []string{"/nowhere/secret"}},
		{"secret without the key", "database", "password_key: nope", "", []string{secret, `"nope"`}},
		{"missing secret of Redis", "redis", "enabled: true, addr: 'r:1', secrets_file: /nowhere/redis", "", []string{"/nowhere/redis"}},
		{"sum of a write", "audit", "batch_timeout: 3500ms", "", []string{"audit.batch_timeout: must leave audit.dlq_timeout within 4s (got 4.5s together)"}},
		{"sum of the shutdown", "shutdown", "total: 20s", "", []string{"shutdown.total: must be at least the sum of the steps"}},
		{"drain", "shutdown", "drain_timeout: 8s", "", []string{"shutdown.drain_timeout: must be at least query.timeout + 1s"}},
		{"password in the environment", "", "", "DATASTORAGE_DATABASE_PASSWORD=hunter2", []string{"DATASTORAGE_DATABASE_PASSWORD: secrets are taken from files only"}},
		{"token in the environment", "", "", "DATASTORAGE_AUTH_TOKEN=hunter2", []string{"DATASTORAGE_AUTH_TOKEN: secrets are taken from files only"}},
		{"review outside a pod", "auth", "mode: token_review", "", []string{"auth.mode: token_review works in a pod only"}},
		{"review without a token", "auth", "mode: token_review", "KUBERNETES_SERVICE_HOST=10.0.0.1 KUBERNETES_SERVICE_PORT=443", []string{"auth.mode: token_review needs a mounted token"}},
		{"several", "server", "port: 80, nope: 1, queue_timeout: 1h", "DATASTORAGE_REDIS_PASSWORD=hunter2 DATASTORAGE_LOGGING_LEVEL=loud", []string{
			"server.port:", "server.nope:", "server.queue_timeout:", "DATASTORAGE_REDIS_PASSWORD:", "logging.level: must be one of: debug, info, warn, error (got loud)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := ""
			for section, content := range good {
				if section == c.section {
					content = overridden(content, c.content)
				}
				config += section + ": {" + content + "}\n"
			}
			if _, there := good[c.section]; !there && c.section != "" {
				config += c.section + ": {" + c.content + "}\n"
			}
			var out bytes.Buffer
			p := program{args: []string{"serve", "--config", file("config.yaml", config)}, environ: strings.Fields(c.environ), stdout: &out, stderr: &out, serviceAccount: folder}
			err := p.run(t.Context())
			if exitCode(err) != 2 {
				t.Fatalf("exit code %d: %v", exitCode(err), err)
			}
			for _, want := range c.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in: %v", want, err)
				}
			}
			if strings.Contains(err.Error()+out.String(), "hunter2") {
				t.Error("the secret is shown")
			}
		})
	}
}

// overridden replaces the keys of one line of YAML that the other has too.
func overridden(line, with string) string {
	var kept []string
	for _, pair := range strings.Split(line, ", ") {
		key, _, _ := strings.Cut(pair, ":")
		if !strings.Contains(", "+with, ", "+key+":") {
			kept = append(kept, pair)
		}
	}
	return strings.Join(append(kept, with), ", ")
}
