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
	for _, link := range stage.NewChain(records).CriticalPath() {
		names = append(names, link.Name)
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

// A stage that waited for tokens waited for the one that gave them back; the sum of the path is the wall.
func TestCriticalPathThroughAQueue(t *testing.T) {
	node := map[string]int64{"node": 1}
	first, second, third := done("first", "up", 2, 12), done("second", "up", 2, 15), done("third", "up", 2, 19)
	second.Start, second.WaitedFor, third.Start, third.WaitedFor = at(12), []string{"node"}, at(15), []string{"node"}
	for name, tokens := range map[string]map[string]int64{"up > first > second > third": node, "up > third": nil} {
		first.Tokens, second.Tokens, third.Tokens = tokens, tokens, tokens
		chain := stage.NewChain([]stage.Record{done("up", "", 0, 2), third, second, first})
		var names []string
		var took, waited time.Duration
		for _, link := range chain.CriticalPath() {
			names, took, waited = append(names, link.Name), took+link.Took, waited+link.Waited
		}
		if got := strings.Join(names, " > "); got != name || took != 19*time.Second {
			t.Errorf("path %s of %s, want %s of 19s", got, took, name)
		}
		if want := map[bool]time.Duration{true: 13 * time.Second}[tokens == nil]; waited != want {
			t.Errorf("%s: %s of waiting that nobody explains, want %s", name, waited, want)
		}
	}
}

// fleet is a graph like that of an E2E run: name, needs, seconds. Loads queue for the one node.
var fleet = []struct {
	name, needs string
	seconds     int
}{
	{"doctor", "", 1}, {"plan", "doctor", 2}, {"node", "plan", 1}, {"build:a", "plan", 34}, {"build:b", "plan", 25}, {"cluster", "node", 28},
	{"foundation", "cluster", 12}, {"mirror", "cluster", 1}, {"load:a", "build:a mirror", 5}, {"load:b", "build:b cluster", 17}, {"deploy:a", "load:a foundation", 9},
	{"deploy:b", "load:b foundation", 7}, {"compile", "plan", 20}, {"suite", "deploy:a deploy:b compile", 50},
}

const gone time.Duration = -1

// runFleet runs the graph on a clock that is never waited for, one stage taking longer by so much, or no time at all.
func runFleet(t *testing.T, name string, longer time.Duration) (records []stage.Record) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		run, err := stage.New(t.Context(), dir, stage.NewPools(map[string]int64{"node": 1}))
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
				tokens, takes := map[string]int64{}, time.Duration(s.seconds)*time.Second
				if strings.HasPrefix(s.name, "load:") {
					tokens["node"] = 1
				}
				if s.name == name && longer == gone {
					takes, tokens = 0, nil
				} else if s.name == name {
					takes += longer
				}
				err := run.Do(stage.Stage{Name: s.name, Needs: strings.Fields(s.needs), Tokens: tokens}, func(context.Context, *stage.Handle) error {
					<-time.After(takes)
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

func wall(records []stage.Record) time.Duration {
	return records[len(records)-1].End.Sub(records[0].Ready) // the teardown ends last
}

// ACC-53: what is said of a run without a stage is what a run without it does.
func TestWithoutIsWhatARunWithoutItTakes(t *testing.T) {
	whole := runFleet(t, "", 0)
	if got, want := path(whole...), "doctor > plan > node > cluster > load:b > load:a > deploy:a > suite > teardown"; got != want {
		t.Errorf("path %s, want %s", got, want)
	}
	for _, s := range fleet {
		if said, took := stage.NewChain(whole).Without(s.name), wall(runFleet(t, s.name, gone)); said != took {
			t.Errorf("without %s: said %s, took %s", s.name, said, took)
		}
	}
}

// A stage that takes all its slack does not delay the end; one second more does.
func TestSlackIsWhatAStageMayTakeLonger(t *testing.T) {
	whole := runFleet(t, "", 0)
	slack := stage.NewChain(whole).Slack()
	for _, s := range fleet {
		if all := wall(runFleet(t, s.name, slack[s.name])); all != wall(whole) {
			t.Errorf("%s has %s: with it the run takes %s instead of %s", s.name, slack[s.name], all, wall(whole))
		}
		if more := wall(runFleet(t, s.name, slack[s.name]+time.Second)); more != wall(whole)+time.Second {
			t.Errorf("%s has %s: with a second more the run takes %s instead of %s", s.name, slack[s.name], more, wall(whole))
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
