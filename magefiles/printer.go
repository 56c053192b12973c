//go:build mage

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
	"github.com/kubernaut-ai/kubernaut/pkg/report"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// printer writes one line an event: verb, stage, time, fact. On a terminal what runs stands in a block below the lines.
type printer struct {
	mu      sync.Mutex
	out     io.Writer
	screen  *screen            // nil: lines and nothing else
	color   bool               // of the verbs
	past    map[string]float64 // seconds that stages usually took
	began   time.Time
	running map[string]stage.Record
	ended   int
	quiet   time.Time // when something was last printed
}

// newPrinter writes to the standard output as the settings and the terminal allow.
func newPrinter(set settings) *printer {
	now := time.Now()
	p := &printer{out: os.Stdout, screen: terminal(set.Plain), running: map[string]stage.Record{}, began: now, quiet: now}
	if p.screen != nil {
		p.color, p.past = !set.NoColor, report.Past(set.Out, 20)
	}
	return p
}

// columns is a line of verb, stage, time and fact.
func columns(verb, name, took, fact string) string {
	return strings.TrimRight(fmt.Sprintf("%-6s %-20s %8s  %s", verb, name, took, fact), " ")
}

var verbColor = map[string]string{"done": "32", "FAIL": "31", "wait": "33", "cancel": "33", "skip": "2"}

func (p *printer) line(verb, name, took, fact string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := columns(verb, name, took, fact)
	if p.screen != nil && verb != "FAIL" {
		width, _ := p.screen.size()
		text = fit(text, width-1)
	}
	if code := verbColor[verb]; p.color && code != "" {
		text = "\x1b[" + code + "m" + verb + "\x1b[0m" + strings.TrimPrefix(text, verb)
	}
	p.write(text + "\n")
}

func (p *printer) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.write(fmt.Sprintf(format+"\n", args...))
}

// write puts text above the block; the lock is held.
func (p *printer) write(text string) {
	p.quiet = time.Now()
	if p.screen != nil {
		p.screen.draw(text, p.block(p.quiet))
		return
	}
	_, _ = io.WriteString(p.out, text) // nobody is left to be told
}

// event is the run's listener. What begins, waits or goes on is a line only where no block shows it.
func (p *printer) event(r stage.Record) {
	p.mu.Lock()
	before, seen := p.running[r.Name]
	p.running[r.Name] = r
	if r.State != stage.Waiting && r.State != stage.Running {
		delete(p.running, r.Name)
		p.ended++
	}
	live := p.screen != nil
	p.mu.Unlock()
	took := report.Seconds(r.Wall().Seconds())
	switch r.State {
	case stage.Waiting:
		if len(r.WaitedFor) > 0 && !live {
			p.line("wait", r.Name, "", "for "+strings.Join(r.WaitedFor, ", "))
		}
	case stage.Running:
		switch {
		case live:
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

// heartbeat says at least every 30 s what runs, unless something was said meanwhile.
func (p *printer) heartbeat(done <-chan struct{}) {
	const every, look = 25 * time.Second, 5 * time.Second
	tick := time.NewTicker(look)
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
	if p.screen != nil || now.Sub(p.quiet) < every {
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
