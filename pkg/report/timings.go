package report

import (
	"fmt"
	"strings"
)

// Timings is timings.md: what the time of the run was spent on, group by group and stage by stage.
func (r *Run) Timings() string {
	var b strings.Builder
	total := r.Groups[Total].Wall
	fmt.Fprintf(&b, "# Timings of %s, run %s\n\n", r.Command, r.ID)
	fmt.Fprintf(&b, "%d cores, %s %s, images from %s. Wall is first start to last end; busy is the sum of the stages.\n\n",
		r.Host.Cores, r.Host.Engine, r.Host.EngineVersion, r.Host.ImageSource)
	b.WriteString("| group | from | wall | busy | at once |\n|---|---|---|---|---|\n")
	for _, name := range r.inOrder() {
		g := r.Groups[name]
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %.1f |\n", name, Seconds(g.Start.Sub(r.Started).Seconds()), Seconds(g.Wall), Seconds(g.Busy), ratio(g.Busy, g.Wall))
	}
	fmt.Fprintf(&b, "\nThe critical path explains %.1f %% of the wall; %s lie between stages.\n", 100*r.Explained(), Seconds(max(0, total*(1-r.Explained()))))
	b.WriteString("\n## Stages\n\n| stage | group | state | from | waited | took | share | slack | on the path |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, s := range r.Stages {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %.0f %% | %s | %s |\n", s.Name, s.Group, s.State, Seconds(s.Ready.Sub(r.Started).Seconds()),
			Seconds(s.Start.Sub(s.Ready).Seconds()), Seconds(s.Wall().Seconds()), 100*ratio(s.Wall().Seconds(), total), Seconds(s.Slack), map[bool]string{true: "yes"}[s.OnCriticalPath])
	}
	r.images(&b)
	return b.String()
}
