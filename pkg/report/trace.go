package report

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// event is one of the Chrome trace event format, which Perfetto reads: X a slice, M a name, s and f the ends of an arrow.
type event struct {
	Name     string         `json:"name"`
	Category string         `json:"cat,omitempty"`
	Phase    string         `json:"ph"`
	At       int64          `json:"ts"` // microseconds since the run began
	Lasts    *int64         `json:"dur,omitempty"`
	Process  int            `json:"pid"`
	Thread   int            `json:"tid"`
	ID       int            `json:"id,omitempty"`
	Binding  string         `json:"bp,omitempty"`
	Color    string         `json:"cname,omitempty"`
	Args     map[string]any `json:"args,omitempty"`
}

type trace struct {
	began  time.Time
	events []event
	place  map[string]Stage // of each stage by name
	lane   map[string][2]int
}

// Trace is trace.json: the critical path as a process of its own, then a process for each group with as many lanes as
// stages of it were under way together, arrows along needs, and the suite's specs by Ginkgo process.
func (r *Run) Trace() ([]byte, error) {
	t := trace{began: r.Started, place: map[string]Stage{}, lane: map[string][2]int{}}
	for _, s := range r.Stages {
		t.place[s.Name] = s
	}
	t.name(1, 0, "critical path")
	for _, p := range r.CriticalPath {
		s := t.place[p.Stage]
		t.slice(event{Name: p.Stage, Category: "critical path", Process: 1, Thread: 1}, s.End.Add(-span(p.Seconds)), s.End)
	}
	process := 1
	for _, group := range r.inOrder() {
		if group == SetUp || group == Total {
			continue
		}
		process++
		t.name(process, 0, group)
		t.group(r, group, process)
	}
	t.arrows(r)
	t.specs(r, process+1)
	data, err := json.MarshalIndent(map[string]any{
		"displayTimeUnit": "ms", "traceEvents": t.events,
		"otherData": map[string]string{"run": r.ID, "command": r.Command, "result": r.Result, "commit": r.Tree.Commit},
	}, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encoding the trace: %w", err)
	}
	return append(data, '\n'), nil
}

func (t *trace) since(at time.Time) int64 { return at.Sub(t.began).Microseconds() }

// name names a process, or a thread of it.
func (t *trace) name(process, thread int, name string) {
	kind := "process"
	if thread > 0 {
		kind = "thread"
	}
	t.events = append(t.events,
		event{Name: kind + "_name", Phase: "M", Process: process, Thread: thread, Args: map[string]any{"name": name}},
		event{Name: kind + "_sort_index", Phase: "M", Process: process, Thread: thread, Args: map[string]any{"sort_index": process + thread}})
}

func (t *trace) slice(e event, from, to time.Time) {
	lasts := t.since(to) - t.since(from)
	e.Phase, e.At, e.Lasts = "X", t.since(from), &lasts
	t.events = append(t.events, e)
}

// group puts each stage into the first lane that is free: two slices of one lane may not overlap.
func (t *trace) group(r *Run, group string, process int) {
	var free []time.Time // of each lane
	for _, s := range r.Stages {
		if s.Group != group {
			continue
		}
		lane := slices.IndexFunc(free, func(at time.Time) bool { return !at.After(s.Ready) })
		if lane < 0 {
			lane = len(free)
			free = append(free, time.Time{})
			t.name(process, lane+1, fmt.Sprintf("%s %d", group, lane+1))
		}
		free[lane] = s.End
		t.lane[s.Name] = [2]int{process, lane + 1}
		if s.Start.After(s.Ready) {
			t.slice(event{Name: "waiting for " + strings.Join(s.WaitedFor, ", "), Category: "wait", Process: process, Thread: lane + 1, Color: "grey"}, s.Ready, s.Start)
		}
		e := event{Name: s.Name, Category: string(s.State), Process: process, Thread: lane + 1, Args: map[string]any{"state": s.State, "criticalPath": s.OnCriticalPath, "slack": s.Slack}}
		for key, value := range map[string]string{"note": s.Note, "error": s.Error, "log": s.Log} {
			if value != "" {
				e.Args[key] = value
			}
		}
		if s.State == stage.Failed {
			e.Color = "terrible"
		}
		t.slice(e, s.Start, s.End)
	}
}

// arrows lead from the last moment of a need to the first of the stage that needed it.
func (t *trace) arrows(r *Run) {
	id := 0
	for _, s := range r.Stages {
		for _, need := range s.Needs {
			from, ok := t.place[need]
			if !ok || from.End.After(s.Ready) {
				continue
			}
			id++
			a, b := t.lane[need], t.lane[s.Name]
			t.events = append(t.events,
				event{Name: "needs", Category: "needs", Phase: "s", At: max(t.since(from.Start), t.since(from.End)-1), Process: a[0], Thread: a[1], ID: id},
				event{Name: "needs", Category: "needs", Phase: "f", Binding: "e", At: t.since(s.Ready), Process: b[0], Thread: b[1], ID: id})
		}
	}
}

func (t *trace) specs(r *Run, process int) {
	seen := map[int]bool{}
	for _, s := range r.Specs {
		if s.Started.IsZero() {
			continue
		}
		if len(seen) == 0 {
			t.name(process, 0, "specs")
		}
		if !seen[s.Process] {
			seen[s.Process] = true
			t.name(process, s.Process, fmt.Sprintf("process %d", s.Process))
		}
		t.slice(event{Name: s.Name(), Category: s.Outcome, Process: process, Thread: s.Process, Args: map[string]any{"outcome": s.Outcome, "attempts": s.Attempts}}, s.Started, s.Ended())
	}
}
