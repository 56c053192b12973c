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
	stages map[string]Stage
	lane   map[string]int // of each stage by name
	lanes  int
}

// Trace is trace.json: one process, so that Perfetto shows all of it at once. Its first lane is the critical path; then
// each group has as many lanes as stages of it were under way together, arrows lead along needs, and the suite's specs
// follow by Ginkgo process.
func (r *Run) Trace() ([]byte, error) {
	t := trace{began: r.Started, stages: map[string]Stage{}, lane: map[string]int{}}
	for _, s := range r.Stages {
		t.stages[s.Name] = s
	}
	t.events = append(t.events, event{Name: "process_name", Phase: "M", Process: 1, Args: map[string]any{"name": r.Command}})
	path := t.open("critical path")
	for _, p := range r.CriticalPath {
		s := t.stages[p.Stage]
		t.slice(event{Name: p.Stage, Category: "critical path", Thread: path}, s.End.Add(-span(p.Seconds)), s.End)
	}
	for _, group := range r.inOrder() {
		if group != SetUp && group != Total {
			t.group(r, group)
		}
	}
	t.arrows(r)
	t.specs(r)
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

// open adds a lane below the others.
func (t *trace) open(name string) int {
	t.lanes++
	t.events = append(t.events,
		event{Name: "thread_name", Phase: "M", Process: 1, Thread: t.lanes, Args: map[string]any{"name": name}},
		event{Name: "thread_sort_index", Phase: "M", Process: 1, Thread: t.lanes, Args: map[string]any{"sort_index": t.lanes}})
	return t.lanes
}

func (t *trace) slice(e event, from, to time.Time) {
	lasts := t.since(to) - t.since(from)
	e.Phase, e.Process, e.At, e.Lasts = "X", 1, t.since(from), &lasts
	t.events = append(t.events, e)
}

// group puts each stage into the first lane that is free: two slices of one lane may not overlap.
func (t *trace) group(r *Run, group string) {
	var lanes []int
	var free []time.Time // from when, of each lane
	for _, s := range r.Stages {
		if s.Group != group {
			continue
		}
		i := slices.IndexFunc(free, func(at time.Time) bool { return !at.After(s.Ready) })
		if i < 0 {
			i = len(free)
			lanes, free = append(lanes, t.open(fmt.Sprintf("%s %d", group, i+1))), append(free, time.Time{})
		}
		free[i], t.lane[s.Name] = s.End, lanes[i]
		if s.Start.After(s.Ready) {
			t.slice(event{Name: "waiting for " + strings.Join(s.WaitedFor, ", "), Category: "wait", Thread: lanes[i], Color: "grey"}, s.Ready, s.Start)
		}
		e := event{Name: s.Name, Category: string(s.State), Thread: lanes[i], Args: map[string]any{"state": s.State, "criticalPath": s.OnCriticalPath, "slack": s.Slack}}
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
			from, ok := t.stages[need]
			if !ok || from.End.After(s.Ready) {
				continue
			}
			id++
			t.events = append(t.events,
				event{Name: "needs", Category: "needs", Phase: "s", At: max(t.since(from.Start), t.since(from.End)-1), Process: 1, Thread: t.lane[need], ID: id},
				event{Name: "needs", Category: "needs", Phase: "f", Binding: "e", At: t.since(s.Ready), Process: 1, Thread: t.lane[s.Name], ID: id})
		}
	}
}

func (t *trace) specs(r *Run) {
	started := slices.DeleteFunc(slices.Clone(r.Specs), func(s Spec) bool { return s.Started.IsZero() })
	slices.SortStableFunc(started, func(a, b Spec) int { return a.Process - b.Process })
	lane := 0
	for i, s := range started {
		if i == 0 || s.Process != started[i-1].Process {
			lane = t.open(fmt.Sprintf("specs, process %d", s.Process))
		}
		t.slice(event{Name: s.Name(), Category: s.Outcome, Thread: lane, Args: map[string]any{"outcome": s.Outcome, "attempts": s.Attempts}}, s.Started, s.Ended())
	}
}
