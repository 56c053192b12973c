package report_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/report"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

func at(s int) time.Time { return time.Unix(int64(s), 0).UTC() }

func failedRun() *report.Run {
	r := &report.Run{
		Version: report.Version, ID: "r1", Result: "failed", ExitCode: 14, Mode: "ci", Started: at(0), Ended: at(20), Command: "e2e:aianalysis",
		Host: report.Host{Engine: "podman", EngineVersion: "4.3.1", ImageSource: "packages", Cores: 2}, Tree: report.Tree{Commit: "abc", Dirty: true},
		Images: []report.Image{{Name: "aianalysis", Decision: "build", Reason: "changed: a|b", Cache: "warm", Seconds: 61, SizeBytes: 30e6, Attempts: []report.Attempt{}}},
		Loads:  []report.Load{}, Specs: []report.Spec{}, Notes: []string{"cluster kept"},
	}
	r.Time([]stage.Record{
		{Name: "build:aianalysis", Group: "build", State: stage.Done, Ready: at(0), Start: at(2), End: at(10)},
		{Name: "cluster:up", Group: "cluster", State: stage.Done, Ready: at(0), Start: at(0), End: at(6)},
		{Name: "deploy:aianalysis", Group: "deploy", State: stage.Failed, Needs: []string{"build:aianalysis", "cluster:up"}, Ready: at(10), Start: at(10), End: at(20), Error: "pod x: CrashLoopBackOff", Log: "logs/deploy-aianalysis.log"},
		{Name: "deploy:holmesgpt", Group: "deploy", State: stage.Cancelled, Needs: []string{"cluster:up"}, Ready: at(6), Start: at(6), End: at(20)},
	})
	return r
}

func TestTimes(t *testing.T) {
	r := failedRun()
	if got := r.Path(); got != "build:aianalysis > deploy:aianalysis" {
		t.Errorf("path %s", got)
	}
	for group, want := range map[string][2]float64{"build": {8, 8}, "cluster": {6, 6}, "deploy": {14, 24}, report.SetUp: {20, 30}, report.Total: {20, 38}} {
		if g := r.Groups[group]; g.Wall != want[0] || g.Busy != want[1] {
			t.Errorf("%s: wall %v busy %v, want %v", group, g.Wall, g.Busy, want)
		}
	}
	if share := r.CriticalPath[0]; share.Seconds != 10 || share.Share != 0.5 {
		t.Errorf("the token wait belongs to the path: %+v", share)
	}
	if w := r.WhatIf[0]; w.Seconds != 4 { // then the deploy waits for the cluster; what its failure cancelled holds up nothing
		t.Errorf("what if %+v", w)
	}
}

func TestSummaryPutsFailuresFirst(t *testing.T) {
	lines := strings.Split(failedRun().Summary(), "\n")
	head := strings.Join(lines[:min(20, len(lines))], "\n")
	for _, want := range []string{"failed (exit 14)", "deploy:aianalysis", "CrashLoopBackOff", "logs/deploy-aianalysis.log", "## Cancelled"} {
		if !strings.Contains(head, want) {
			t.Errorf("the first 20 lines lack %q:\n%s", want, head)
		}
	}
	if !strings.Contains(failedRun().Summary(), `changed: a\|b`) {
		t.Error("a bar in a reason breaks the table")
	}
}

// The schema names exactly the keys that the code writes.
func TestSchemaAgreesWithTheCode(t *testing.T) {
	data, err := os.ReadFile("../../docs/schema/run.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Required   []string
		Properties map[string]json.RawMessage
	}
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	for field := range reflect.TypeFor[report.Run]().Fields() {
		key := field.Tag.Get("json")
		if _, ok := schema.Properties[key]; !ok || !slices.Contains(schema.Required, key) {
			t.Errorf("schema lacks %s, or does not require it", key)
		}
		delete(schema.Properties, key)
	}
	if len(schema.Properties) > 0 {
		t.Errorf("schema has keys that nothing writes: %v", schema.Properties)
	}
}

func TestWriteIsReadableAndWithoutNulls(t *testing.T) {
	dir := t.TempDir()
	if err := failedRun().Write(dir); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "run.json"))
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var back report.Run
	if err := decoder.Decode(&back); err != nil || back.ExitCode != 14 || len(back.Stages) != 4 {
		t.Errorf("%v %+v", err, back)
	}
	if bytes.Contains(data, []byte("null")) {
		t.Errorf("a null in run.json: %s", data)
	}
}

func TestReadSpecs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ginkgo.json")
	text := `[{"SpecReports":[
{"LeafNodeType":"SynchronizedBeforeSuite","State":"passed"},
{"LeafNodeType":"It","LeafNodeText":"[FLOW-03] auto-approves in staging","State":"passed","RunTime":1500000000,"NumAttempts":1,"ParallelProcess":2},
{"LeafNodeType":"It","LeafNodeText":"[FLOW-01] x","State":"failed","NumAttempts":1,"Failure":{"Message":"no","Location":{"FileName":"f.go","LineNumber":3}}},
{"LeafNodeType":"It","LeafNodeText":"[FLOW-02] y","State":"passed","NumAttempts":2},
{"LeafNodeType":"It","LeafNodeText":"[FLOW-04] z","State":"skipped"}]}]`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	specs, err := report.ReadSpecs(path)
	if err != nil || len(specs) != 3 {
		t.Fatal(specs, err)
	}
	if s := specs[0]; s.ID != "FLOW-03" || s.Text != "auto-approves in staging" || s.Outcome != "pass" || s.Seconds != 1.5 || s.Process != 2 {
		t.Errorf("%+v", s)
	}
	if s := specs[1]; s.Outcome != "fail" || !strings.Contains(s.Failure, "f.go:3") {
		t.Errorf("%+v", s)
	}
	if specs[2].Outcome != "flaky" {
		t.Errorf("%+v", specs[2])
	}
	if _, err := report.ReadSpecs(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing report is no error")
	}
}
