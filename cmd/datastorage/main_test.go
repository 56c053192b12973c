package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

func TestUsage(t *testing.T) {
	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	bad := file("bad.yaml", "server: {port: 1, nope: 2}\n")
	good := "database: {host: db, port: 5432, name: events, user: app, ssl_mode: require, secrets_file: " +
		file("secret", "password: p\n") + "}\nredis: {addr: 'redis:6379'}\n"
	noSecret := file("no-secret.yaml", strings.Replace(good, folder+"/secret", folder+"/absent", 1))
	goodPath := file("good.yaml", good)
	seed := file("seed.yaml", "- {workflow_name: w}\n- {version: '1'}\n")
	object := file("object.yaml", "workflows: [{workflow_name: w}]\n")
	words := file("words.yaml", "- w\n- {version: '1'}\n")
	nothing, noList := file("nothing.yaml", "# nothing yet\n"), file("no-list.json", "[]")
	for _, c := range []struct {
		name, args, environ string
		code                int
		says                []string
	}{
		{"nothing", "", "", 2, []string{"usage: datastorage"}},
		{"help", "help", "", 0, nil},
		{"version", "version", "", 0, nil},
		{"unknown command", "fly", "", 2, []string{`unknown command "fly"`}},
		{"unknown flag", "serve --fast", "", 2, []string{"serve: flag provided but not defined: -fast", "datastorage serve [--dev]"}},
		{"help for a command that is not there", "help fly", "", 2, []string{`unknown command "fly"`}},
		{"version takes nothing", "version now", "", 2, []string{"1 arguments instead of 0"}},
		{"openapi takes nothing", "openapi --config x", "", 2, []string{"openapi: flag provided but not defined"}},
		{"openapi", "openapi", "", 0, nil},
		{"unknown part of migrate", "migrate down --config " + goodPath, "", 2, []string{`migrate: unknown "down"`}},
		{"status of migrate without an owner", "migrate --config " + goodPath + " status", "", 2, []string{"database.owner_secrets_file"}},
		{"partitions without an owner", "partitions --config " + goodPath, "", 2, []string{"database.owner_secrets_file"}},
		{"no month", "partitions --drop-before 2026-13", "", 2, []string{"--drop-before: must be a month as YYYY-MM (got"}},
		{"a month to come", "partitions --drop-before 2962-04 --yes", "", 2, []string{"--drop-before: must not be after this month (got 2962-04)"}},
		{"two at a time", "partitions --drop-before 2021-04 --repair", "", 2, []string{"one at a time"}},
		{"yes to nothing", "partitions --yes", "", 2, []string{"--yes: is for --drop-before"}},
		{"dlq without a part", "dlq", "", 2, []string{"0 arguments instead of 1", "datastorage dlq replay"}},
		{"unknown part of dlq", "dlq empty", "", 2, []string{`unknown "empty"`}},
		{"list of what", "dlq list", "", 2, []string{"add --dead"}},
		{"list of nothing", "dlq list --dead --limit 0", "", 2, []string{"--limit: must be between 1 and 10000 (got 0)"}},
		{"dlq without a queue", "dlq status --config " + goodPath, "DATASTORAGE_REDIS_ENABLED=false", 2, []string{"redis.enabled: is false"}},
		{"too many arguments", "serve now", "", 2, []string{"1 arguments instead of 0"}},
		{"no seed file", "seed", "", 2, []string{"0 arguments instead of 1"}},
		{"no configuration", "serve", "", 2, []string{"--config or CONFIG_PATH"}},
		{"configuration is not there", "serve --config /nowhere", "", 2, []string{"/nowhere"}},
		{"every mistake", "serve", "CONFIG_PATH=" + bad, 2, []string{"server.port:", "server.nope:", "database.host: is required"}},
		{"secret is not there", "serve --config " + noSecret, "", 2, []string{"absent"}},
		{"no owner", "migrate --config " + goodPath, "", 2, []string{"database.owner_secrets_file"}},
		{"seed of bad workflows", "seed " + seed + " --config " + goodPath, "", 1, []string{"workflow 1 (w)", "workflow 2", "is required"}},
		{"seed that is no list", "seed " + object + " --config " + goodPath, "", 1, []string{`object.yaml": must be a YAML or JSON list of workflows`}},
		{"seed of words", "seed " + words + " --config " + goodPath, "", 1, []string{"workflow 1: must be an object", "workflow 2", "is required"}},
		{"seed of nothing", "seed " + nothing + " --config " + goodPath, "", 1, []string{`nothing.yaml": holds no workflow`}},
		{"seed of an empty list", "seed " + noList + " --config " + goodPath, "", 1, []string{`no-list.json": holds no workflow`}},
		{"replay without Redis", "dlq replay --config " + goodPath, "DATASTORAGE_REDIS_ADDR=127.0.0.1:1", 1, []string{"reading the dead-letter stream"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, log bytes.Buffer
			p := program{args: strings.Fields(c.args), environ: []string{c.environ}, stdout: &out, stderr: &log}
			err := p.run(t.Context())
			if got := exitCode(err); got != c.code {
				t.Fatalf("exit code %d, want %d: %v", got, c.code, err)
			}
			if err != nil && out.Len() > 0 {
				t.Errorf("says before its error: %s", &out)
			}
			for _, want := range c.says {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in: %v", want, err)
				}
			}
		})
	}
}

// Every command explains itself, on stdout, without a configuration.
func TestHelp(t *testing.T) {
	for command := range details {
		if !strings.Contains(usage, "\n  "+command) {
			t.Errorf("%s is not in the list of commands", command)
		}
		for _, args := range [][]string{{"help", command}, {command, "-h"}, {command, "--help"}} {
			var out, errs bytes.Buffer
			if err := (program{args: args, stdout: &out, stderr: &errs}).run(t.Context()); err != nil || errs.Len() > 0 {
				t.Errorf("%v: %v %s", args, err, &errs)
			}
			if !strings.HasPrefix(out.String(), "usage: datastorage "+command) {
				t.Errorf("%v says:\n%s", args, &out)
			}
		}
	}
}

const testClusterSeed = "../../config/e2e/seed/workflows.yaml"

func TestSeedOfTheTestCluster(t *testing.T) {
	workflows, err := readSeed(testClusterSeed)
	if err != nil {
		t.Fatal(err)
	}
	if len(workflows) != 18 {
		t.Errorf("%d workflows", len(workflows))
	}
	byID := map[string]datastorage.Workflow{}
	for _, w := range workflows {
		byID[w.ID.String()] = w
		if w.Version != "1.0.0" || w.Status != "active" || w.Labels.Component != "*" || !strings.Contains(string(w.Parameters), `"required":true`) {
			t.Errorf("%+v", w)
		}
	}
	for id, name := range map[string]string{
		"a075949c-3e59-5585-aecb-59fa16dad7e7": "oomkill-increase-memory-v1",
		"6d40c0e2-749c-5919-8b8c-15c252cc03d4": "generic-restart-v1-recovery",
		"96fc29a8-bf41-5963-8e03-55ca13043a6c": "low-confidence-workflow-v1",
		"cf009093-a20d-5c67-b385-2b984f7b87a8": "alternative-2-v1",
	} {
		if byID[id].WorkflowName != name {
			t.Errorf("%s is %q, want %q", id, byID[id].WorkflowName, name)
		}
	}
}

func TestSeedContentFile(t *testing.T) {
	folder := t.TempDir()
	seed := `[{"workflow_name":"w","version":"1","name":"w","description":"w","execution_engine":"tekton","status":"active",
		"labels":{"signal_type":"a","severity":"low","component":"*","environment":"*","priority":"*"},"content_file":"w.txt"}]`
	for name, content := range map[string]string{"w.txt": "the content", "seed.json": seed} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	workflows, err := readSeed(filepath.Join(folder, "seed.json"))
	if err != nil || len(workflows) != 1 || workflows[0].Content != "the content" ||
		workflows[0].ContentHash != datastorage.ContentHash("the content") {
		t.Errorf("got %+v, %v", workflows, err)
	}
}
