//go:build integration

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

const workflowsPath = "/api/v1/workflows"

// recipe is a small valid workflow.
func recipe(name, version string) members {
	content := name + "@" + version
	return members{"workflow_name": name, "version": version, "name": name, "description": "what it does", "content": content,
		"content_hash": datastorage.ContentHash(content), "execution_engine": "tekton", "status": "active", "labels": labels(nil)}
}

// labels are those that TestSearchFilters asks for, but for changes.
func labels(changes members) members {
	return with(members{"signal_type": "OOMKilled", "severity": "critical", "component": "pod", "environment": "production", "priority": "P1"}, changes)
}

// create adds a workflow and returns it as stored.
func (i installation) create(t *testing.T, w members) members {
	t.Helper()
	status, text := i.call(t, http.MethodPost, workflowsPath, w)
	if status != http.StatusCreated {
		t.Fatalf("%v: %d %s", w["workflow_name"], status, text)
	}
	return object[members](t, text)
}

// W1: create, get, list and versions return the same document, with everything that was sent.
func TestWorkflowComesBack(t *testing.T) {
	o := running(t)
	start := time.Now()
	sent := with(recipe("oom-raise-limit", "1.2.0"), members{
		"owner": "team", "maintainer": "team@example.com", "content": "steps:\n  - raise-memory-limit\n",
		"content_hash":    "a63d2cb8f264483bdb21c643dc0e345158943be73d18ac4096696a5a9829a51a",
		"parameters":      members{"schema": members{"parameters": []any{members{"name": "LIMIT", "required": true}}}},
		"container_image": "registry.example/oom:1", "container_digest": "sha256:" + strings.Repeat("a", 64),
		"custom_labels": members{"team": []any{"payments", "*"}}, "previous_version": "1.1.0", "deprecation_notice": "d", "version_notes": "v",
		"detected_labels": members{"gitOpsManaged": true, "gitOpsTool": "argocd", "serviceMesh": "istio", "failed_detections": []any{"stateful"}},
		"change_summary":  "c", "approved_by": "a", "approved_at": "2026-03-02T08:15:04.12Z", "expected_success_rate": 0.5,
		"expected_duration_seconds": 90.0, "created_by": "me",
	})
	created := o.create(t, sent)
	const id = "17954e75-d826-5302-ae8d-34acf0a4db3d" // the check value of the documentation
	for name, value := range with(sent, members{"workflow_id": id, "is_latest_version": true}) {
		if !reflect.DeepEqual(created[name], value) {
			t.Errorf("%s is %v, sent %v", name, created[name], value)
		}
	}
	if at, err := time.Parse(time.RFC3339, fmt.Sprint(created["created_at"])); err != nil || at.Before(start.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
		t.Errorf("created at %v, %v", created["created_at"], err)
	}
	type list struct{ Workflows, Versions []members }
	for path, pick := range map[string]func(string) []members{
		workflowsPath + "/" + id: func(s string) []members { return []members{object[members](t, s)} },
		workflowsPath:            func(s string) []members { return object[list](t, s).Workflows },
		workflowsPath + "/by-name/oom-raise-limit/versions": func(s string) []members { return object[list](t, s).Versions },
	} {
		if status, text := o.get(t, path); status != http.StatusOK || !reflect.DeepEqual(pick(text), []members{created}) {
			t.Errorf("%s: %d %s\nwant %v", path, status, text, created)
		}
	}
}

// W2: the hash is that of the content, in either case; it is stored in lower case, and a wrong one stores nothing.
func TestContentHash(t *testing.T) {
	o := running(t)
	w := recipe("hashed", "1")
	right, wrong := fmt.Sprint(w["content_hash"]), strings.Repeat("0", 64)
	status, text := o.call(t, http.MethodPost, workflowsPath, with(w, members{"content_hash": wrong}))
	message, _ := object[struct {
		Fields map[string]string `json:"field_errors"`
	}](t, text).Fields["content_hash"]
	if status != http.StatusBadRequest || !strings.Contains(message, right) || !strings.Contains(message, wrong) {
		t.Errorf("a wrong hash: %d %s", status, text)
	}
	if _, text := o.get(t, workflowsPath); !strings.Contains(text, `"total":0`) {
		t.Errorf("it was stored: %s", text)
	}
	id := fmt.Sprint(o.create(t, with(w, members{"content_hash": strings.ToUpper(right)}))["workflow_id"])
	if _, text := o.get(t, workflowsPath+"/"+id); object[members](t, text)["content_hash"] != right {
		t.Errorf("stored %s", text)
	}
}

// everything is each row of the catalog and each audit event, with all their columns.
func (i installation) everything(t *testing.T) []string {
	t.Helper()
	found, err := i.connect(t).Query(context.Background(), `SELECT to_jsonb(w)::text FROM remediation_workflow_catalog AS w
		UNION ALL SELECT to_jsonb(e)::text FROM audit_events AS e ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// seedFile writes workflows for the seed command.
func seedFile(t *testing.T, workflows ...members) string {
	t.Helper()
	text, err := json.Marshal(workflows)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "seed.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// W8: a second seed changes nothing, and another content under the same version ends with exit code 1 and writes nothing,
// not even what stands before it in the file.
func TestSeedTwice(t *testing.T) {
	i := install(t)
	if out, err := i.command(t, "migrate"); err != nil {
		t.Fatalf("migrate: %v %s", err, out)
	}
	seed := func(workflows ...members) (string, error) { return i.command(t, "seed", seedFile(t, workflows...)) }
	a, b := recipe("a", "1"), recipe("b", "1")
	if out, err := seed(a, b); err != nil || !strings.HasSuffix(out, "2 created, 0 skipped\n") {
		t.Fatalf("%v %s", err, out)
	}
	before := i.everything(t)
	if len(before) != 4 {
		t.Fatalf("%d rows of 2 workflows and their 2 events", len(before))
	}
	if out, err := seed(a, b); err != nil || !strings.HasSuffix(out, "0 created, 2 skipped\n") {
		t.Errorf("again: %v %s", err, out)
	}
	changed := with(b, members{"content": "other", "content_hash": datastorage.ContentHash("other")})
	_, err := seed(recipe("c", "1"), recipe("a", "2"), changed)
	if exitCode(err) != 1 || !strings.Contains(err.Error(), fmt.Sprint(b["content_hash"])) || !strings.Contains(err.Error(), fmt.Sprint(changed["content_hash"])) {
		t.Errorf("exit code %d: %v", exitCode(err), err)
	}
	if after := i.everything(t); !slices.Equal(after, before) {
		t.Errorf("before %v\nafter %v", before, after)
	}
}
