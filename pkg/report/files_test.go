package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/report"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

var update = flag.Bool("update", false, "write the golden reports again")

// passedRun is an E2E run on two cores: a build waits for a token, one spec is flaky, the cluster is removed.
func passedRun() *report.Run {
	r := &report.Run{
		Version: report.Version, ID: "20260110-141502-7c1e", Result: "passed", Mode: "ci", Started: at(0), Ended: at(200), Command: "e2e:aianalysis",
		Host: report.Host{Engine: "podman", EngineVersion: "4.3.1", ImageSource: "packages", Cores: 2}, Tree: report.Tree{Commit: "0123456789abcdef"},
		Images: []report.Image{
			{Name: "aianalysis", Decision: "build", Reason: "changed: api/v1alpha1/types.go", Cache: "warm", Seconds: 46, SizeBytes: 39e6, Attempts: []report.Attempt{{Result: "built"}}},
			{Name: "datastorage", Decision: "reuse", Reason: "unchanged since 2026-01-10T12:00:00Z", Cache: "reused", SizeBytes: 19e6, Attempts: []report.Attempt{}},
		},
		Loads: []report.Load{}, Notes: []string{"cluster aianalysis-e2e removed"},
	}
	for i := range 14 {
		outcome, attempts := "pass", 1
		if i == 5 {
			outcome, attempts = "flaky", 2
		}
		r.Specs = append(r.Specs, report.Spec{ID: fmt.Sprintf("FLOW-%02d", i+1), Text: "approves <b>& waits", Outcome: outcome, Attempts: attempts,
			Process: i%2 + 1, Started: at(122 + 8*(i/2)), Seconds: float64(4 + i%3)})
	}
	s := func(name, group, needs, note string, ready, start, end int) stage.Record {
		rec := stage.Record{Name: name, Group: group, State: stage.Done, Needs: strings.Fields(needs), Ready: at(ready), Start: at(start), End: at(end), Note: note,
			Log: "logs/" + strings.ReplaceAll(name, ":", "-") + ".log"}
		if start > ready {
			rec.WaitedFor = []string{"builder"}
		}
		if name == "build:holmesgpt" || name == "build:aianalysis" {
			rec.Tokens = map[string]int64{"builder": 1, "memory": 1024}
		}
		if strings.HasPrefix(note, "reuse") {
			rec.State = stage.Skipped
		}
		return rec
	}
	teardown := s("teardown", "teardown", "", "cluster removed", 190, 190, 199)
	teardown.Cleanup = true
	r.Time([]stage.Record{
		s("doctor", "doctor", "", "12 checks", 0, 0, 1),
		s("plan", "plan", "doctor", "4 images, 196 files read", 1, 1, 3),
		s("build:datastorage", "build", "plan", "reuse: unchanged since 2026-01-10T12:00:00Z", 3, 3, 4),
		s("build:holmesgpt", "build", "plan", "peak 2.1 GiB", 3, 3, 33),
		s("build:aianalysis", "build", "plan", "peak 1.1 GiB", 3, 33, 79),
		s("suite:compile", "build", "plan", "", 3, 3, 40),
		s("cluster:up", "cluster", "plan", "1 node Ready", 3, 3, 41),
		s("load:aianalysis", "load", "build:aianalysis cluster:up", "1 of 3 layers sent (12 MB), verified", 79, 79, 82),
		s("foundation", "deploy", "cluster:up", "14 objects, Ready", 41, 41, 66),
		s("deploy:aianalysis", "deploy", "load:aianalysis foundation", "9 objects, Ready", 82, 82, 120),
		s("suite:run", "suite", "suite:compile deploy:aianalysis", "14 passed, 0 failed, 1 flaky", 120, 120, 190),
		teardown,
	})
	return r
}

func TestGoldenReports(t *testing.T) {
	for name, run := range map[string]*report.Run{"passed": passedRun(), "failed": failedRun()} {
		dir, golden := t.TempDir(), filepath.Join("testdata", name)
		if *update {
			if err := os.MkdirAll(golden, 0o755); err != nil {
				t.Fatal(err)
			}
			dir = golden
		}
		if err := run.Write(dir); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"run.json", "summary.md", "timings.md", "timeline.html", "trace.json", "junit.xml"} {
			got, want := read(t, dir, file), read(t, golden, file)
			if !bytes.Equal(got, want) {
				t.Errorf("%s/%s is not what testdata holds; look at the difference, then: go test ./pkg/report -update", name, file)
			}
		}
		before := read(t, dir, "timeline.html")
		if _, err := report.Remake(dir); err != nil || !bytes.Equal(before, read(t, dir, "timeline.html")) {
			t.Errorf("made again, %s is another: %v", name, err)
		}
	}
}

func read(t *testing.T, dir, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// ACC-53: the critical path, waits for tokens included, is the wall within 1 %.
func TestThePathExplainsTheWall(t *testing.T) {
	r := passedRun()
	if got, want := r.Path(), "doctor > plan > build:holmesgpt > build:aianalysis > load:aianalysis > deploy:aianalysis > suite:run > teardown"; got != want {
		t.Errorf("path %s, want %s", got, want)
	}
	if share := r.Explained(); share < 0.99 || share > 1 {
		t.Errorf("%.3f of the wall is explained", share)
	}
	if build := r.CriticalPath[3]; build.Seconds != 46 || build.Waited != 0 {
		t.Errorf("%+v: what it waited for is the build that held the token", build)
	}
	for i, want := range map[int]float64{2: 16, 3: 16} { // then the deploy waits for the foundation, which ended at 66 instead of 82
		if free := r.WhatIf[i]; free.Seconds != want {
			t.Errorf("%+v, want %v", free, want)
		}
	}
}

// The rules of the trace event format: slices of one lane do not overlap, arrows come in pairs that lead forward.
func TestTraceIsOne(t *testing.T) {
	data, err := passedRun().Trace()
	if err != nil {
		t.Fatal(err)
	}
	var trace struct {
		TraceEvents []struct {
			Name, Ph     string
			Ts, Dur      int64
			Pid, Tid, ID int
		}
	}
	if err := json.Unmarshal(data, &trace); err != nil {
		t.Fatal(err)
	}
	free, arrows, path := map[[2]int]int64{}, map[int]int64{}, int64(0)
	for _, e := range trace.TraceEvents {
		lane := [2]int{e.Pid, e.Tid}
		switch e.Ph {
		case "X":
			if e.Ts < free[lane] {
				t.Errorf("%s begins at %d in a lane that is taken until %d", e.Name, e.Ts, free[lane])
			}
			free[lane] = e.Ts + e.Dur
			if e.Tid == 1 {
				path += e.Dur
			}
		case "s":
			arrows[e.ID] = e.Ts
		case "f":
			if from, ok := arrows[e.ID]; !ok || from > e.Ts {
				t.Errorf("arrow %d leads from %d to %d", e.ID, from, e.Ts)
			}
		}
	}
	if want := 199 * time.Second.Microseconds(); path != want || len(arrows) != 13 {
		t.Errorf("path of %d us, %d arrows; want %d us, 13 arrows", path, len(arrows), want)
	}
}

func TestTimelineNeedsNothingElse(t *testing.T) {
	for _, run := range []*report.Run{passedRun(), failedRun(), {Version: report.Version, Result: "cancelled"}} {
		page, err := run.Timeline()
		if err != nil {
			t.Fatal(err)
		}
		if found := regexp.MustCompile(`(?i)https?://|<script|<link|@import|src=|NaN|%!`).Find(page); found != nil {
			t.Errorf("the page holds %s", found)
		}
		if bytes.Contains(page, []byte("<b>&")) {
			t.Error("a spec's text is not escaped")
		}
	}
}

func TestJUnit(t *testing.T) {
	for name, c := range map[string]struct {
		run                      *report.Run
		tests, failures, skipped int
		want                     string
	}{
		"flaky is told":       {passedRun(), 26, 0, 0, `<property name="outcome" value="flaky"></property>`},
		"the cause is told":   {failedRun(), 4, 1, 1, `<failure message="pod x: CrashLoopBackOff">`},
		"a run of no stage":   {&report.Run{}, 0, 0, 0, `<testsuites`},
		"a spec that failed":  {&report.Run{Specs: []report.Spec{{ID: "FLOW-01", Outcome: "fail", Failure: "no\nmore"}}}, 1, 1, 0, `name="[FLOW-01]"`},
		"a control character": {&report.Run{Specs: []report.Spec{{ID: "X", Outcome: "fail", Failure: "\x1b[31mno"}}}, 1, 1, 0, "[31mno"},
	} {
		data, err := c.run.JUnit()
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Skipped  int `xml:"skipped,attr"`
		}
		if err := xml.Unmarshal(data, &got); err != nil || got.Tests != c.tests || got.Failures != c.failures || got.Skipped != c.skipped {
			t.Errorf("%s: %+v %v", name, got, err)
		}
		if !bytes.Contains(data, []byte(c.want)) {
			t.Errorf("%s: no %s in %s", name, c.want, data)
		}
		path := filepath.Join(t.TempDir(), "junit.xml")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if passed, failed, err := report.ReadJUnit(path); err != nil || passed != c.tests-c.failures-c.skipped || failed != c.failures {
			t.Errorf("%s: read back as %d passed, %d failed, %v", name, passed, failed, err)
		}
	}
}

func TestReadRefusesWhatItDoesNotKnow(t *testing.T) {
	dir := t.TempDir()
	if _, err := report.Remake(dir); err == nil {
		t.Error("a folder without run.json is no error")
	}
	if err := os.WriteFile(filepath.Join(dir, "run.json"), []byte(`{"version": 99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := report.Remake(dir); err == nil || !strings.Contains(err.Error(), "99") {
		t.Errorf("a later version: %v", err)
	}
}

func TestPast(t *testing.T) {
	out := t.TempDir()
	for i, seconds := range []int{900, 10, 30, 20} { // the oldest is beyond the three that are asked for
		dir := filepath.Join(out, fmt.Sprintf("20260110-14150%d-0000", i))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		run := &report.Run{Version: report.Version, Ended: at(1000)}
		run.Time([]stage.Record{{Name: "cluster:up", State: stage.Done, End: at(seconds), Ready: at(0), Start: at(0)}, {Name: "build:a", State: stage.Skipped, Ready: at(0), Start: at(0), End: at(1)}})
		if err := run.Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir(filepath.Join(out, "20260110-150000-dead"), 0o755), os.Symlink("20260110-141500-0000", filepath.Join(out, "latest-run"))); err != nil {
		t.Fatal(err)
	}
	if past := report.Past(out, 3); len(past) != 1 || past["cluster:up"] != 20 {
		t.Errorf("got %v", past)
	}
}
