package stage

import (
	"slices"
	"time"
)

// Span is a group's share of a run: the first start, the last end, and the sum
// of its stages' own times.
type Span struct {
	Start time.Time     `json:"start"`
	End   time.Time     `json:"end"`
	Wall  time.Duration `json:"-"`
	Busy  time.Duration `json:"-"`
}

// Groups are the spans of all groups that had a stage.
func Groups(records []Record) map[string]Span {
	spans := map[string]Span{}
	for _, r := range records {
		s, seen := spans[r.Group]
		if !seen || r.Start.Before(s.Start) {
			s.Start = r.Start
		}
		if r.End.After(s.End) {
			s.End = r.End
		}
		s.Busy += r.Wall()
		s.Wall = s.End.Sub(s.Start)
		spans[r.Group] = s
	}
	return spans
}

// handOver is how long the step from a stage's end to the start of one that
// needed it may take: above it, the stage waited for something else.
const handOver = 250 * time.Millisecond

// Chain is a finished run seen as who waited for whom. Stages that the first
// failure cancelled are not in it; without a failure, a cancelled stage is what
// the run was about when it was ended.
type Chain struct {
	records []Record
	before  []int // of each record, what it waited for; -1 is nothing
}

// NewChain reads a run's records, which are in the order in which they became ready.
func NewChain(records []Record) Chain {
	failed := slices.ContainsFunc(records, func(r Record) bool { return r.State == Failed && !r.Cleanup })
	c := Chain{records: slices.DeleteFunc(slices.Clone(records), func(r Record) bool {
		return r.State == Cancelled && (failed || !r.End.After(r.Start))
	})}
	for i := range c.records {
		c.before = append(c.before, c.waitedFor(i))
	}
	return c
}

// waitedFor is the need that ended last; or, where the caller put stages one
// after the other without a need, as with clean-ups, the stage that ended last
// until this one was ready.
func (c Chain) waitedFor(i int) int {
	r, need, last := c.records[i], -1, -1
	later := func(a, b int) bool { return b < 0 || c.records[a].End.After(c.records[b].End) }
	for j, other := range c.records[:i] {
		if other.End.After(r.Ready) {
			continue
		}
		if slices.Contains(r.Needs, other.Name) && later(j, need) {
			need = j
		}
		if later(j, last) {
			last = j
		}
	}
	if need >= 0 && r.Ready.Sub(c.records[need].End) <= handOver {
		return need
	}
	return last
}

// CriticalPath is what the end of the run waited for, first stage first: from
// the stage that ended last, always back to what it waited for.
func (c Chain) CriticalPath() []Record {
	last := -1
	for i, r := range c.records {
		if last < 0 || r.End.After(c.records[last].End) {
			last = i
		}
	}
	var path []Record
	for ; last >= 0; last = c.before[last] {
		path = append(path, c.records[last])
	}
	slices.Reverse(path)
	return path
}

// Without is how long the run would have taken had the stage of that name taken
// no time, all other times and waits for tokens being equal: from the first
// stage's Ready to the last end.
func (c Chain) Without(name string) time.Duration {
	end := map[string]time.Duration{}
	var total time.Duration
	for i, r := range c.records {
		var start time.Duration
		for _, need := range r.Needs {
			start = max(start, end[need])
		}
		if before := c.before[i]; before >= 0 {
			start = max(start, end[c.records[before].Name])
		}
		if r.Name != name {
			start += r.End.Sub(r.Ready)
		}
		end[r.Name] = start
		total = max(total, start)
	}
	return total
}

// Slack is how much longer each stage could have taken before the run had ended
// later, all other times and waits for tokens being equal.
func (c Chain) Slack() map[string]time.Duration {
	var ended time.Time
	for _, r := range c.records {
		if r.End.After(ended) {
			ended = r.End
		}
	}
	latest := map[string]time.Time{} // end of each stage
	for i := len(c.records) - 1; i >= 0; i-- {
		r := c.records[i]
		if latest[r.Name].IsZero() {
			latest[r.Name] = ended
		}
		start := r.Ready.Add(latest[r.Name].Sub(r.End))
		before := slices.Clone(r.Needs)
		if c.before[i] >= 0 {
			before = append(before, c.records[c.before[i]].Name)
		}
		for _, name := range before {
			if latest[name].IsZero() || start.Before(latest[name]) {
				latest[name] = start
			}
		}
	}
	slack := map[string]time.Duration{}
	for _, r := range c.records {
		slack[r.Name] = max(0, latest[r.Name].Sub(r.End))
	}
	return slack
}
