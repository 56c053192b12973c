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
	records []Record // in the order in which they started
	before  []int    // of each record, what it waited for; -1 is nothing
	queued  []bool   // of each record, that it waited for the tokens of that one
}

// Link is a stage of the critical path and its part of it: from the end of what
// it waited for, or from its start if that gave it its tokens, to its own end.
type Link struct {
	Record
	Took   time.Duration
	Waited time.Duration // of Took, for tokens that no stage is known to have held
}

// NewChain reads a run's records, which are in the order in which they became ready.
func NewChain(records []Record) Chain {
	failed := slices.ContainsFunc(records, func(r Record) bool { return r.State == Failed && !r.Cleanup })
	c := Chain{records: slices.DeleteFunc(slices.Clone(records), func(r Record) bool {
		return r.State == Cancelled && (failed || !r.End.After(r.Start))
	})}
	slices.SortStableFunc(c.records, func(a, b Record) int { return a.Start.Compare(b.Start) })
	for i := range c.records {
		holder := c.last(i, c.records[i].Start, func(other Record) bool { return holdsAny(other, c.records[i].WaitedFor) })
		queued := c.records[i].Start.After(c.records[i].Ready) && holder >= 0 && c.records[i].Start.Sub(c.records[holder].End) <= handOver
		if !queued {
			holder = c.waitedFor(i)
		}
		c.before, c.queued = append(c.before, holder), append(c.queued, queued)
	}
	return c
}

func holdsAny(r Record, pools []string) bool {
	return slices.ContainsFunc(pools, func(pool string) bool { return r.Tokens[pool] > 0 })
}

// waitedFor is the need that ended last; or, where the caller put stages one
// after the other without a need, as with clean-ups, the stage that ended last
// until this one was ready.
func (c Chain) waitedFor(i int) int {
	r := c.records[i]
	need := c.last(i, r.Ready, func(other Record) bool { return slices.Contains(r.Needs, other.Name) })
	if need >= 0 && r.Ready.Sub(c.records[need].End) <= handOver {
		return need
	}
	return c.last(i, r.Ready, func(Record) bool { return true })
}

// last is, of the stages before i that ended until then and that fit, the one that ended last.
func (c Chain) last(i int, until time.Time, fits func(Record) bool) int {
	last := -1
	for j, other := range c.records[:i] {
		if !other.End.After(until) && fits(other) && (last < 0 || other.End.After(c.records[last].End)) {
			last = j
		}
	}
	return last
}

// begin is when only the stage itself was left to do.
func (c Chain) begin(i int) time.Time {
	if c.queued[i] {
		return c.records[i].Start
	}
	return c.records[i].Ready
}

// CriticalPath is what the end of the run waited for, first stage first: from
// the stage that ended last, always back to what it waited for.
func (c Chain) CriticalPath() []Link {
	last := -1
	for i, r := range c.records {
		if last < 0 || r.End.After(c.records[last].End) {
			last = i
		}
	}
	var path []Link
	for ; last >= 0; last = c.before[last] {
		r, begin := c.records[last], c.begin(last)
		path = append(path, Link{r, r.End.Sub(begin), max(0, r.Start.Sub(begin))})
	}
	slices.Reverse(path)
	return path
}

// Without is how long the run would have taken had the stage of that name taken
// no time and no tokens, all other times and the order of the queues being
// equal: from the first stage's Ready to the last end.
func (c Chain) Without(name string) time.Duration {
	end, released := map[string]time.Duration{}, make([]time.Duration, len(c.records))
	var total time.Duration
	for i, r := range c.records {
		var start, granted time.Duration
		for _, need := range r.Needs {
			start = max(start, end[need])
		}
		if before := c.before[i]; before >= 0 && c.queued[i] {
			granted = released[before]
		} else if before >= 0 {
			start = max(start, end[c.records[before].Name])
		}
		end[r.Name], released[i] = start, granted
		if r.Name != name {
			end[r.Name] = max(start, granted) + r.End.Sub(c.begin(i))
			released[i] = end[r.Name]
		}
		total = max(total, end[r.Name])
	}
	return total
}

// Slack is how much longer each stage could have taken before the run had ended
// later, all other times and the order of the queues being equal.
func (c Chain) Slack() map[string]time.Duration {
	var ended time.Time
	for _, r := range c.records {
		if r.End.After(ended) {
			ended = r.End
		}
	}
	latest := map[string]time.Time{} // end of each stage
	for i, r := range slices.Backward(c.records) {
		if latest[r.Name].IsZero() {
			latest[r.Name] = ended
		}
		begin := c.begin(i).Add(latest[r.Name].Sub(r.End))
		before := slices.Clone(r.Needs)
		if c.before[i] >= 0 {
			before = append(before, c.records[c.before[i]].Name)
		}
		for _, name := range before {
			if latest[name].IsZero() || begin.Before(latest[name]) {
				latest[name] = begin
			}
		}
	}
	slack := map[string]time.Duration{}
	for _, r := range c.records {
		slack[r.Name] = max(0, latest[r.Name].Sub(r.End))
	}
	return slack
}
