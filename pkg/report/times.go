package report

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// Names of the groups that a report tells apart; SetUp is the three between
// building and testing taken together, Total the whole run.
const (
	SetUp = "set-up"
	Total = "total"
)

var setUp = []string{"cluster", "load", "deploy"}

// Time fills Stages, Groups, CriticalPath and WhatIf from a run's records.
func (r *Run) Time(records []stage.Record) {
	chain := stage.NewChain(records)
	path := chain.CriticalPath()
	wall := r.Ended.Sub(r.Started).Seconds()
	whole, slack := chain.Without(""), chain.Slack()
	r.Stages, r.CriticalPath, r.WhatIf = []Stage{}, []Share{}, []WhatIf{}
	for _, rec := range records {
		if rec.Needs == nil {
			rec.Needs = []string{}
		}
		on := slices.ContainsFunc(path, func(p stage.Link) bool { return p.Name == rec.Name })
		s := Stage{Record: rec, OnCriticalPath: on}
		if !on {
			s.Slack = slack[rec.Name].Seconds()
		}
		r.Stages = append(r.Stages, s)
	}
	for _, p := range path {
		r.CriticalPath = append(r.CriticalPath, Share{Stage: p.Name, Seconds: p.Took.Seconds(), Waited: p.Waited.Seconds(), Share: ratio(p.Took.Seconds(), wall)})
		r.WhatIf = append(r.WhatIf, WhatIf{Stage: p.Name, Seconds: (whole - chain.Without(p.Name)).Seconds()})
	}
	r.Groups = groups(records)
	r.Groups[Total] = Group{Start: r.Started, End: r.Ended, Wall: wall, Busy: busy(records)}
}

// Explained is the part of the wall that the stages of the critical path took,
// their waits for tokens included. The rest lies between stages.
func (r *Run) Explained() float64 {
	var sum float64
	for _, p := range r.CriticalPath {
		sum += p.Seconds
	}
	return ratio(sum, r.Groups[Total].Wall)
}

func groups(records []stage.Record) map[string]Group {
	all := map[string]Group{}
	var together []stage.Record
	for name, span := range stage.Groups(records) {
		all[name] = Group{Start: span.Start, End: span.End, Wall: span.Wall.Seconds(), Busy: span.Busy.Seconds()}
	}
	for _, rec := range records {
		if slices.Contains(setUp, rec.Group) {
			rec.Group = SetUp
			together = append(together, rec)
		}
	}
	if span, ok := stage.Groups(together)[SetUp]; ok {
		all[SetUp] = Group{Start: span.Start, End: span.End, Wall: span.Wall.Seconds(), Busy: span.Busy.Seconds()}
	}
	return all
}

// inOrder are the names of the groups as they began, the sums behind their parts.
func (r *Run) inOrder() []string {
	sums := map[string]int{SetUp: 1, Total: 2}
	return slices.SortedFunc(maps.Keys(r.Groups), func(x, y string) int {
		return cmp.Or(cmp.Compare(sums[x], sums[y]), r.Groups[x].Start.Compare(r.Groups[y].Start), cmp.Compare(x, y))
	})
}

func busy(records []stage.Record) float64 {
	var sum time.Duration
	for _, rec := range records {
		sum += rec.Wall()
	}
	return sum.Seconds()
}

func ratio(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return part / whole
}

func span(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
