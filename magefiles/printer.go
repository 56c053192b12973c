//go:build mage

package main

import (
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
	"github.com/kubernaut-ai/kubernaut/pkg/report"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// printer writes one line an event: verb, stage, time, fact.
type printer struct {
	mu      sync.Mutex
	out     io.Writer
	running map[string]stage.Record
	quiet   time.Time // when something was last printed
}

func (p *printer) line(verb, name, took, fact string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.quiet = time.Now()
	fmt.Fprintln(p.out, strings.TrimRight(fmt.Sprintf("%-6s %-20s %8s  %s", verb, name, took, fact), " "))
}

func (p *printer) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.quiet = time.Now()
	fmt.Fprintf(p.out, format+"\n", args...)
}

// event is the run's listener.
func (p *printer) event(r stage.Record) {
	p.mu.Lock()
	before, seen := p.running[r.Name]
	p.running[r.Name] = r
	if r.State != stage.Waiting && r.State != stage.Running {
		delete(p.running, r.Name)
	}
	p.mu.Unlock()
	took := report.Seconds(r.Wall().Seconds())
	switch r.State {
	case stage.Waiting:
		if len(r.WaitedFor) > 0 {
			p.line("wait", r.Name, "", "for "+strings.Join(r.WaitedFor, ", "))
		}
	case stage.Running:
		switch {
		case !seen || before.State != stage.Running:
			p.line("start", r.Name, "", r.Note)
		case r.Note != before.Note:
			p.line("note", r.Name, "", r.Note)
		}
	case stage.Done:
		p.line("done", r.Name, took, r.Note)
	case stage.Skipped:
		p.line("skip", r.Name, took, r.Note)
	case stage.Failed:
		p.line("FAIL", r.Name, took, firstLine(r.Error))
	case stage.Cancelled:
		p.line("cancel", r.Name, took, "")
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// heartbeat says every 30 s what runs, unless something was said meanwhile.
func (p *printer) heartbeat(done <-chan struct{}) {
	const every = 30 * time.Second
	tick := time.NewTicker(every / 6)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case now := <-tick.C:
			if text := p.standing(now, every); text != "" {
				p.say("still  %s", text)
			}
		}
	}
}

func (p *printer) standing(now time.Time, every time.Duration) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.quiet) < every {
		return ""
	}
	var texts []string
	for name, r := range p.running {
		text := fmt.Sprintf("%s %s", name, report.Seconds(now.Sub(r.Start).Seconds()))
		if r.Note != "" {
			text += " (" + r.Note + ")"
		}
		texts = append(texts, text)
	}
	sort.Strings(texts)
	return strings.Join(texts, "  ")
}

// failure prints what a person needs of a stage that failed: the last lines, the log, the command.
func (p *printer) failure(run *stage.Run, f *stage.Failure) {
	var failed *command.Error
	if errors.As(f.Err, &failed) {
		for line := range strings.Lines(failed.Tail(20)) {
			p.say("       | %s", strings.TrimRight(line, "\n"))
		}
		p.say("command  %s", failed.Cmd)
	} else if _, more, ok := strings.Cut(f.Err.Error(), "\n"); ok {
		p.say("%s", more)
	}
	for _, r := range run.Records() {
		if r.Name == f.Stage {
			p.say("log      %s/%s", run.Dir, r.Log)
		}
	}
}
