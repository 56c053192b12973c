package stage_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

func at(s float64) time.Time { return time.Unix(0, int64(s*1e9)) }

func done(name, needs string, ready, end float64) stage.Record {
	return stage.Record{Name: name, Group: name, State: stage.Done, Needs: strings.Fields(needs), Ready: at(ready), Start: at(ready), End: at(end)}
}

func path(records ...stage.Record) string {
	var names []string
	for _, r := range stage.NewChain(records).CriticalPath() {
		names = append(names, r.Name)
	}
	return strings.Join(names, " > ")
}

func TestCriticalPath(t *testing.T) {
	cleanup := done("teardown", "", 12, 15)
	cleanup.Cleanup = true
	failed, cancelled, never := done("deploy", "plan", 1, 4), done("build", "plan", 1, 6), done("suite", "", 6, 6)
	failed.State, cancelled.State, never.State = stage.Failed, stage.Cancelled, stage.Cancelled
	for name, c := range map[string]struct {
		records []stage.Record
		want    string
	}{
		"nothing ran":                      {nil, ""},
		"the slower need":                  {[]stage.Record{done("plan", "", 0, 1), done("build", "plan", 1, 9), done("cluster", "plan", 1, 4), done("suite", "build cluster", 9, 12)}, "plan > build > suite"},
		"clean-ups wait for everything":    {[]stage.Record{done("plan", "", 0, 1), done("suite", "plan", 1, 12), cleanup}, "plan > suite > teardown"},
		"order of the caller":              {[]stage.Record{done("image", "", 0, 2), done("unit", "", 0, 9), done("integration", "image", 9.01, 12)}, "unit > integration"},
		"a need is preferred":              {[]stage.Record{done("plan", "", 0, 1), done("other", "", 0, 1.005), done("build", "plan", 1.01, 3)}, "plan > build"},
		"a failure, not what it cancelled": {[]stage.Record{done("plan", "", 0, 1), failed, cancelled, never}, "plan > deploy"},
		"what was interrupted":             {[]stage.Record{done("plan", "", 0, 1), cancelled, never}, "plan > build"},
		"all in one instant":               {[]stage.Record{done("a", "", 5, 5), done("b", "", 5, 5), done("c", "a b", 5, 5)}, "a"},
	} {
		if got := path(c.records...); got != c.want {
			t.Errorf("%s: path %q, want %q", name, got, c.want)
		}
	}
}

// fleet is a graph like that of an E2E run: name, needs, seconds.
var fleet = []struct {
	name, needs string
	seconds     int
}{
	{"doctor", "", 1}, {"plan", "doctor", 2}, {"node", "plan", 1}, {"build:a", "plan", 40}, {"build:b", "plan", 25}, {"cluster", "node", 28},
	{"foundation", "cluster", 12}, {"load:a", "build:a cluster", 3}, {"load:b", "build:b cluster", 4}, {"deploy:a", "load:a foundation", 9},
	{"deploy:b", "load:b foundation", 7}, {"compile", "plan", 20}, {"suite", "deploy:a deploy:b compile", 50},
}

// runFleet runs the graph on a clock that is never waited for, free taking no time.
func runFleet(t *testing.T, free string) (records []stage.Record) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		run, err := stage.New(t.Context(), dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		ended := map[string]chan struct{}{}
		for _, s := range fleet {
			ended[s.name] = make(chan struct{})
		}
		var group sync.WaitGroup
		for _, s := range fleet {
			group.Go(func() {
				for _, need := range strings.Fields(s.needs) {
					<-ended[need]
				}
				defer close(ended[s.name])
				err := run.Do(stage.Stage{Name: s.name, Needs: strings.Fields(s.needs)}, func(context.Context, *stage.Handle) error {
					if s.name != free {
						<-time.After(time.Duration(s.seconds) * time.Second)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		_ = run.Cleanup(stage.Stage{Name: "teardown"}, func(context.Context, *stage.Handle) error { <-time.After(5 * time.Second); return nil }) // read from the records
		records = run.Records()
	})
	return records
}

// ACC-53: what is said of a run without a stage is what a run without it does.
func TestWithoutIsWhatARunWithoutItTakes(t *testing.T) {
	whole := runFleet(t, "")
	if got, want := path(whole...), "doctor > plan > build:a > load:a > deploy:a > suite > teardown"; got != want {
		t.Errorf("path %s, want %s", got, want)
	}
	wall := func(records []stage.Record) time.Duration { return records[len(records)-1].End.Sub(records[0].Ready) }
	for _, s := range fleet {
		if said, took := stage.NewChain(whole).Without(s.name), wall(runFleet(t, s.name)); said != took {
			t.Errorf("without %s: said %s, took %s", s.name, said, took)
		}
	}
}

// A stage that takes all its slack does not delay the end; one second more does.
func TestSlack(t *testing.T) {
	whole := runFleet(t, "")
	slack := stage.NewChain(whole).Slack()
	for name, want := range map[string]time.Duration{"cluster": 2 * time.Second, "foundation": 2 * time.Second, "node": 2 * time.Second, "compile": 32 * time.Second, "load:b": 12 * time.Second, "build:b": 16 * time.Second, "build:a": 0, "plan": 0} {
		if slack[name] != want {
			t.Errorf("%s has %s, want %s", name, slack[name], want)
		}
	}
}

func TestGroups(t *testing.T) {
	a, b := done("build:a", "", 0, 8), done("build:b", "", 2, 9)
	a.Group, b.Group = "build", "build"
	if span := stage.Groups([]stage.Record{a, b})["build"]; span.Wall != 9*time.Second || span.Busy != 15*time.Second {
		t.Errorf("span %+v", span)
	}
}
