package stage

import "time"

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

// CriticalPath is the chain that the end of the run's work waited for, first
// stage first: from the stage that ended last, always back to the need that
// ended last. Clean-ups come after it: they wait for everything.
func CriticalPath(records []Record) []Record {
	byName := map[string]Record{}
	var last *Record
	for i, r := range records {
		byName[r.Name] = r
		if r.State != Cancelled && !r.Cleanup && (last == nil || r.End.After(last.End)) {
			last = &records[i]
		}
	}
	var path []Record
	for last != nil {
		path = append([]Record{*last}, path...)
		var before *Record
		for _, name := range last.Needs {
			if need, ok := byName[name]; ok && (before == nil || need.End.After(before.End)) {
				before = &need
			}
		}
		last = before
	}
	return path
}

// Without is when the run would have ended had the stage taken no time, all
// other times and waits being equal, as a span from the first stage's Ready.
func Without(records []Record, name string) time.Duration {
	end := map[string]time.Duration{}
	var total time.Duration
	for _, r := range records {
		var start time.Duration
		for _, need := range r.Needs {
			start = max(start, end[need])
		}
		took := r.End.Sub(r.Ready)
		if r.Name == name {
			took = 0
		}
		end[r.Name] = start + took
		total = max(total, end[r.Name])
	}
	return total
}
