package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

//go:embed timeline.tmpl
var timelineText string

var timelineTemplate = template.Must(template.New("timeline").Funcs(template.FuncMap{
	"seconds": Seconds, "percent": func(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) },
	"first": func(text string) string { return firstLine(text) }, "join": strings.Join,
}).Parse(timelineText))

// Heights in pixels; times are percent of the chart's width, so it fits every window without a script.
const (
	rowHeight  = 24
	axisHeight = 22
)

// chart is what of a run is drawn.
type chart struct {
	*Run
	Path   []pathRow
	Rows   []chartRow
	Links  []link
	Ticks  []tick
	Height int
	Axis   int
}

type pathRow struct {
	Share
	Earlier float64
}

// chartRow is a group's title, a stage, or a process of the suite with its specs.
type chartRow struct {
	Title         string // of a group; else empty
	Name, Class   string
	Y             int
	Wait, Bar     bar
	Specs         []bar
	Label, Anchor string
	LabelAt       float64
	Indent        int
}

type bar struct {
	X, W         float64
	Class, Title string
}

// link leads down from what a stage waited for to the stage.
type link struct {
	X      float64
	Y1, Y2 int
	Class  string
}

type tick struct {
	X     float64
	Label string
}

// Timeline is timeline.html: one file that needs no network and no script.
func (r *Run) Timeline() ([]byte, error) {
	c := chart{Run: r, Axis: axisHeight, Height: axisHeight}
	for i, p := range r.CriticalPath {
		c.Path = append(c.Path, pathRow{p, r.WhatIf[i].Seconds})
	}
	for _, group := range r.inOrder() {
		if group == SetUp || group == Total {
			continue
		}
		c.row(chartRow{Title: group, Label: Seconds(r.Groups[group].Wall)})
		for _, s := range r.Stages {
			if s.Group == group {
				c.row(c.stage(s))
			}
		}
		if group == "suite" {
			c.specs()
		}
	}
	c.links()
	c.ticks()
	var page bytes.Buffer
	if err := timelineTemplate.Execute(&page, c); err != nil {
		return nil, fmt.Errorf("drawing the timeline: %w", err)
	}
	return page.Bytes(), nil
}

func (c *chart) row(r chartRow) {
	r.Y = c.Height
	c.Height += rowHeight
	c.Rows = append(c.Rows, r)
}

// x is a time as percent of the run.
func (c *chart) x(at time.Time) float64 {
	return 100 * ratio(at.Sub(c.Started).Seconds(), c.Ended.Sub(c.Started).Seconds())
}

func (c *chart) span(from, to time.Time) bar { return bar{X: c.x(from), W: c.x(to) - c.x(from)} }

func (c *chart) stage(s Stage) chartRow {
	row := chartRow{Name: s.Name, Class: string(s.State), Bar: c.span(s.Start, s.End), Wait: c.span(s.Ready, s.Start)}
	row.Bar.W = max(row.Bar.W, 0.2) // to be seen
	if s.OnCriticalPath {
		row.Class += " critical"
	}
	took, note := Seconds(s.Wall().Seconds()), s.Note
	switch s.State {
	case stage.Failed:
		note = "failed: " + firstLine(s.Error)
	case stage.Cancelled:
		note = "cancelled"
	}
	row.Label = strings.TrimSuffix(took+", "+clip(note, 70), ", ")
	row.Wait.Title = fmt.Sprintf("%s waited %s for %s", s.Name, Seconds(s.Start.Sub(s.Ready).Seconds()), strings.Join(s.WaitedFor, ", "))
	row.Bar.Title = fmt.Sprintf("%s %s, %s from %s\nneeds: %s\n%s", s.Name, s.State, took, Seconds(s.Start.Sub(c.Started).Seconds()), strings.Join(s.Needs, ", "), note)
	row.LabelAt, row.Anchor = row.Bar.X+row.Bar.W, "after"
	switch { // where there is room: right of the bar, in it, or left of it
	case row.LabelAt < 65:
	case row.Bar.W > 30:
		row.LabelAt, row.Anchor = row.Bar.X, "inside"
	default:
		row.LabelAt, row.Anchor = min(row.Bar.X, row.Wait.X), "before"
	}
	return row
}

func clip(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// specs are drawn below the stage that ran them, a row for each of Ginkgo's processes.
func (c *chart) specs() {
	rows := map[int]*chartRow{}
	var order []int
	for _, s := range c.Specs {
		if s.Started.IsZero() {
			continue
		}
		if rows[s.Process] == nil {
			rows[s.Process] = &chartRow{Name: fmt.Sprintf("process %d", s.Process), Class: "specs", Indent: 1}
			order = append(order, s.Process)
		}
		b := c.span(s.Started, s.Ended())
		b.Class, b.Title = s.Outcome, fmt.Sprintf("%s: %s, %s", s.Name(), s.Outcome, Seconds(s.Seconds))
		rows[s.Process].Specs = append(rows[s.Process].Specs, b)
	}
	slices.Sort(order)
	for _, process := range order {
		c.row(*rows[process])
	}
}

// links join each stage with the need that ended last, and those of the critical path with each other.
func (c *chart) links() {
	middle := map[string]int{}
	for _, row := range c.Rows {
		middle[row.Name] = row.Y + rowHeight/2
	}
	byName := map[string]Stage{}
	for _, s := range c.Stages {
		byName[s.Name] = s
	}
	before := map[string]string{} // on the critical path
	for i, p := range c.CriticalPath {
		if i > 0 {
			before[p.Stage] = c.CriticalPath[i-1].Stage
		}
	}
	for _, s := range c.Stages {
		last, class, at := before[s.Name], "critical", s.Ready
		if last == "" {
			class = ""
			for _, need := range s.Needs {
				if n, ok := byName[need]; ok && !n.End.After(s.Ready) && (last == "" || n.End.After(byName[last].End)) {
					last = need
				}
			}
		}
		if byName[last].End.After(s.Ready) {
			at = s.Start // it waited for the tokens of that one
		}
		if last != "" {
			c.Links = append(c.Links, link{X: c.x(at), Y1: middle[last], Y2: middle[s.Name], Class: class})
		}
	}
	slices.SortStableFunc(c.Links, func(a, b link) int { return len(a.Class) - len(b.Class) }) // the path on top
}

// ticks are round times, at most ten.
func (c *chart) ticks() {
	wall := c.Ended.Sub(c.Started)
	for _, step := range []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
		15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, time.Hour} {
		if wall/step > 10 {
			continue
		}
		for at := time.Duration(0); at <= wall-wall/25; at += step { // a label has room behind its line
			c.Ticks = append(c.Ticks, tick{c.x(c.Started.Add(at)), Seconds(at.Seconds())})
		}
		return
	}
}
