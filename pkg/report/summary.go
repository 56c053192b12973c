package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// Seconds prints a span as people read it: 0.4s, 12.3s, 2m05s.
func Seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
}

// Path is the critical path as one line.
func (r *Run) Path() string {
	names := make([]string, len(r.CriticalPath))
	for i, p := range r.CriticalPath {
		names[i] = p.Stage
	}
	return strings.Join(names, " > ")
}

// Summary is summary.md: the verdict, failures first, times by group, images,
// the critical path, the specs, and what else a person should know.
func (r *Run) Summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: %s (exit %d)\n\n", r.Command, r.Result, r.ExitCode)
	fmt.Fprintf(&b, "Run %s, mode %s, %s %s, images from %s, %d cores, commit %s%s.\n", r.ID, r.Mode, r.Host.Engine, r.Host.EngineVersion,
		r.Host.ImageSource, r.Host.Cores, cmp.Or(r.Tree.Commit, "unknown"), map[bool]string{true: " (changed)"}[r.Tree.Dirty])
	r.failures(&b)
	r.times(&b)
	r.images(&b)
	r.path(&b)
	r.specs(&b)
	var flaky []string
	for _, s := range r.Specs {
		if s.Outcome == "flaky" {
			flaky = append(flaky, fmt.Sprintf("%s passed at attempt %d", s.Name(), s.Attempts))
		}
	}
	section(&b, "Flaky", flaky)
	section(&b, "Notes", r.Notes)
	return b.String()
}

func section(b *strings.Builder, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n", title)
	for _, line := range lines {
		fmt.Fprintf(b, "- %s\n", cell(line))
	}
}

func (r *Run) failures(b *strings.Builder) {
	var failed, cancelled []string
	for _, s := range r.Stages {
		switch s.State {
		case stage.Failed:
			failed = append(failed, fmt.Sprintf("**%s** after %s: %s (log: %s)", s.Name, Seconds(s.Wall().Seconds()), s.Error, s.Log))
		case stage.Cancelled:
			cancelled = append(cancelled, s.Name)
		}
	}
	for _, s := range r.Specs {
		if s.Outcome == "fail" {
			failed = append(failed, fmt.Sprintf("**%s**: %s", s.Name(), s.Failure))
		}
	}
	section(b, "Failures", failed)
	if len(cancelled) > 0 {
		section(b, "Cancelled", []string{strings.Join(cancelled, ", ")})
	}
}

func (r *Run) times(b *strings.Builder) {
	b.WriteString("\n## Times\n\n| group | wall | busy |\n|---|---|---|\n")
	for _, name := range r.inOrder() {
		fmt.Fprintf(b, "| %s | %s | %s |\n", name, Seconds(r.Groups[name].Wall), Seconds(r.Groups[name].Busy))
	}
}

func (r *Run) path(b *strings.Builder) {
	if len(r.CriticalPath) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## Critical path\n\n%s, %.1f %% of the run. Had a stage on it taken no time and no tokens, the run had ended earlier by the last column.\n\n"+
		"| stage | time | share | earlier by |\n|---|---|---|---|\n", r.Path(), 100*r.Explained())
	for i, p := range r.CriticalPath {
		fmt.Fprintf(b, "| %s | %s | %.0f %% | %s |\n", p.Stage, Seconds(p.Seconds), 100*p.Share, Seconds(r.WhatIf[i].Seconds))
	}
}

func (r *Run) images(b *strings.Builder) {
	if len(r.Images) == 0 {
		return
	}
	b.WriteString("\n## Images\n\n| image | decision | cache | time | size | reason |\n|---|---|---|---|---|---|\n")
	for _, i := range r.Images {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %.1f MB | %s |\n", i.Name, i.Decision, i.Cache, Seconds(i.Seconds), float64(i.SizeBytes)/1e6, cell(i.Reason))
	}
}

func (r *Run) specs(b *strings.Builder) {
	if len(r.Specs) == 0 {
		return
	}
	sorted := slices.SortedStableFunc(slices.Values(r.Specs), func(x, y Spec) int { return cmp.Compare(y.Seconds, x.Seconds) })
	fmt.Fprintf(b, "\n## Slowest of %d specs\n\n| spec | outcome | time |\n|---|---|---|\n", len(sorted))
	for _, s := range sorted[:min(10, len(sorted))] {
		fmt.Fprintf(b, "| %s | %s | %s |\n", cell(s.Name()), s.Outcome, Seconds(s.Seconds))
	}
}

// cell keeps a text within one table cell or list line.
func cell(text string) string {
	return strings.NewReplacer("\n", " ", "|", "\\|").Replace(text)
}
