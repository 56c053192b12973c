//go:build integration

package postgres

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

func testWorkflow(name, version string) datastorage.Workflow {
	content := "steps of " + name
	return datastorage.Workflow{Status: "active", Definition: datastorage.Definition{
		WorkflowName: name, Version: version, Title: name, Description: "d", Content: content,
		ContentHash: datastorage.ContentHash(content), ExecutionEngine: "tekton", Parameters: []byte(`{"schema": {"parameters": []}}`),
		Labels:       datastorage.Labels{SignalType: "OOMKilled", Severity: "critical", Component: "pod", Environment: "*", Priority: "P1"},
		CustomLabels: datastorage.CustomLabels{"team": {"payments"}}, DetectedLabels: datastorage.DetectedLabels{GitOpsManaged: true, GitOpsTool: "flux"},
	}}.Complete()
}

// W1: what is created comes back.
func TestCreateWorkflow(t *testing.T) {
	s, _ := newStore(t)
	created, err := s.CreateWorkflow(t.Context(), testWorkflow("w", "1"), datastorage.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.GetWorkflow(t.Context(), created.ID)
	if err != nil {
		t.Fatal(err)
	}
	if parts := testWorkflow("w", "1").Differences(got.Definition); len(parts) > 0 || !got.IsLatest || got.RowVersion != 1 || got.CreatedAt.IsZero() {
		t.Errorf("read back %+v, differences %v", got, parts)
	}
	var known *datastorage.Error
	if _, err := s.CreateWorkflow(t.Context(), testWorkflow("w", "1"), datastorage.Origin{}); !errors.As(err, &known) || known.Kind != datastorage.Conflict {
		t.Errorf("again: %v", err)
	}
	if _, err := s.GetWorkflow(t.Context(), uuid.New()); !errors.As(err, &known) || known.Kind != datastorage.NotFound {
		t.Errorf("unknown id: %v", err)
	}
	next, err := s.CreateWorkflow(t.Context(), testWorkflow("w", "2"), datastorage.Origin{})
	if err != nil || next.PreviousVersion != "1" || !next.IsLatest {
		t.Errorf("next version %+v, %v", next, err)
	}
	if former, err := s.GetWorkflow(t.Context(), created.ID); err != nil || former.IsLatest {
		t.Errorf("the former version is still the latest: %+v, %v", former, err)
	}
	disabled := testWorkflow("off", "1")
	disabled.Status = "disabled"
	if got, err := s.CreateWorkflow(t.Context(), disabled, datastorage.Origin{}); err != nil || got.DisabledAt == nil {
		t.Errorf("created disabled: %+v, %v", got, err)
	}
}

// W3: of the same version one is created, and always one version is the latest.
func TestConcurrentVersions(t *testing.T) {
	s, _ := newStore(t)
	var created, conflicts atomic.Int32
	var all sync.WaitGroup
	for i := range 20 {
		for _, w := range []datastorage.Workflow{testWorkflow("same", "1"), testWorkflow("many", strconv.Itoa(i))} {
			all.Go(func() {
				_, err := s.CreateWorkflow(t.Context(), w, datastorage.Origin{})
				var known *datastorage.Error
				switch {
				case err == nil:
					created.Add(1)
				case errors.As(err, &known) && known.Kind == datastorage.Conflict:
					conflicts.Add(1)
				default:
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	if created.Load() != 21 || conflicts.Load() != 19 {
		t.Errorf("%d created and %d conflicts, want 21 and 19", created.Load(), conflicts.Load())
	}
	var found []datastorage.Workflow
	total, err := s.ListWorkflows(t.Context(), datastorage.WorkflowFilter{}, datastorage.Page{Limit: 100}, func(w datastorage.Workflow) error {
		found = append(found, w)
		return nil
	})
	if err != nil || total != 21 {
		t.Fatalf("%d workflows, %v", total, err)
	}
	latest := map[string]int{}
	for _, w := range found {
		if w.IsLatest {
			latest[w.WorkflowName]++
		}
	}
	if latest["same"] != 1 || latest["many"] != 1 {
		t.Errorf("latest versions %v", latest)
	}
}

// W8: a second seed changes nothing, and one that differs writes nothing.
func TestSeed(t *testing.T) {
	s, _ := newStore(t)
	seed := []datastorage.Workflow{testWorkflow("a", "1"), testWorkflow("b", "1"), testWorkflow("a", "2")}
	for run, want := range []bool{true, false} {
		results, err := s.Seed(t.Context(), seed)
		if err != nil || len(results) != 3 {
			t.Fatalf("run %d: %v, %v", run, results, err)
		}
		for _, r := range results {
			if r.Created != want {
				t.Errorf("run %d: %+v", run, r)
			}
		}
	}
	if latest, err := s.GetWorkflow(t.Context(), seed[2].ID); err != nil || !latest.IsLatest || latest.PreviousVersion != "1" || latest.RowVersion != 1 {
		t.Errorf("the later version of one seed is not the latest: %+v, %v", latest, err)
	}
	changed := testWorkflow("b", "1")
	changed.Content = "other"
	changed.ContentHash = datastorage.ContentHash("other")
	_, err := s.Seed(t.Context(), []datastorage.Workflow{testWorkflow("c", "1"), changed})
	var known *datastorage.Error
	if !errors.As(err, &known) || known.Kind != datastorage.Conflict ||
		!strings.Contains(known.Detail, changed.ContentHash) || !strings.Contains(known.Detail, seed[1].ContentHash) {
		t.Errorf("another content: %v", err)
	}
	none := func(datastorage.Workflow) error { return nil }
	if total, err := s.ListWorkflows(t.Context(), datastorage.WorkflowFilter{}, datastorage.Page{Limit: 1}, none); err != nil || total != 3 {
		t.Errorf("%d workflows after a refused seed, %v", total, err)
	}
}

// S3: wildcards, states, and no old versions.
func TestCandidates(t *testing.T) {
	s, _ := newStore(t)
	add := func(name string, change func(*datastorage.Workflow)) {
		w := testWorkflow(name, "1")
		change(&w)
		if _, err := s.CreateWorkflow(t.Context(), w, datastorage.Origin{}); err != nil {
			t.Fatal(err)
		}
	}
	add("fits", func(*datastorage.Workflow) {})
	add("wild", func(w *datastorage.Workflow) { w.Labels.Component, w.Labels.Priority = "*", "*" })
	add("component", func(w *datastorage.Workflow) { w.Labels.Component = "node" })
	add("priority", func(w *datastorage.Workflow) { w.Labels.Priority = "P2" })
	add("severity", func(w *datastorage.Workflow) { w.Labels.Severity = "low" })
	add("signal", func(w *datastorage.Workflow) { w.Labels.SignalType = "Evicted" })
	add("disabled", func(w *datastorage.Workflow) { w.Status = "disabled" })
	add("old", func(*datastorage.Workflow) {})
	if _, err := s.CreateWorkflow(t.Context(), func() datastorage.Workflow {
		w := testWorkflow("old", "2")
		w.Labels.SignalType = "Evicted"
		return w
	}(), datastorage.Origin{}); err != nil {
		t.Fatal(err)
	}
	asked := datastorage.Labels{SignalType: "OOMKilled", Severity: "critical", Component: "pod", Environment: "prod", Priority: "P1"}
	anyComponent := asked
	anyComponent.Component = "*"
	nasty := asked
	nasty.Component = `' OR 1=1 --`
	for _, c := range []struct {
		name   string
		search datastorage.Search
		want   string
	}{
		{"usual", datastorage.Search{Labels: asked}, "wild fits"},
		{"with disabled", datastorage.Search{Labels: asked, IncludeDisabled: true}, "disabled wild fits"},
		{"only disabled", datastorage.Search{Labels: asked, Statuses: []string{"disabled"}}, "disabled"},
		{"any component asked", datastorage.Search{Labels: anyComponent}, "component wild fits"},
		{"quotes", datastorage.Search{Labels: nasty}, "wild"},
	} {
		found, err := s.Candidates(t.Context(), c.search, 100)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range found {
			names = append(names, f.Title)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if found, err := s.Candidates(t.Context(), datastorage.Search{Labels: asked}, 1); err != nil || len(found) != 1 || found[0].DetectedLabels.GitOpsTool != "flux" {
		t.Errorf("limit 1: %+v, %v", found, err)
	}
}
