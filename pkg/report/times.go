package report

import (
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
	path := stage.CriticalPath(records)
	wall := r.Ended.Sub(r.Started).Seconds()
	whole := stage.Without(records, "")
	r.Stages, r.CriticalPath, r.WhatIf = []Stage{}, []Share{}, []WhatIf{}
	for _, rec := range records {
		if rec.Needs == nil {
			rec.Needs = []string{}
		}
		on := slices.ContainsFunc(path, func(p stage.Record) bool { return p.Name == rec.Name })
		s := Stage{Record: rec, OnCriticalPath: on}
		if !on {
			s.Slack = slack(records, rec).Seconds()
		}
		r.Stages = append(r.Stages, s)
	}
	for _, p := range path {
		seconds := p.End.Sub(p.Ready).Seconds()
		r.CriticalPath = append(r.CriticalPath, Share{Stage: p.Name, Seconds: seconds, Share: ratio(seconds, wall)})
		r.WhatIf = append(r.WhatIf, WhatIf{Stage: p.Name, Seconds: (whole - stage.Without(records, p.Name)).Seconds()})
	}
	r.Groups = groups(records)
	r.Groups[Total] = Group{Start: r.Started, End: r.Ended, Wall: wall, Busy: busy(records)}
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

// slack is the time from a stage's end to the first stage that needed it, or to the last end.
func slack(records []stage.Record, rec stage.Record) time.Duration {
	var last, first time.Time
	for _, other := range records {
		if other.End.After(last) {
			last = other.End
		}
		if slices.Contains(other.Needs, rec.Name) && (first.IsZero() || other.Ready.Before(first)) {
			first = other.Ready
		}
	}
	if first.IsZero() {
		first = last
	}
	return max(0, first.Sub(rec.End))
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
