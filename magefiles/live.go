//go:build mage

package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/magefile/mage/mg"
	"golang.org/x/term"

	"github.com/kubernaut-ai/kubernaut/pkg/report"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// screen keeps a block of lines below everything else that a terminal was told. Only the lines that stand are written
// over, in one write, so nothing flickers; the cursor is never hidden, so there is nothing to restore after a kill.
type screen struct {
	out   io.Writer
	size  func() (columns, rows int)
	drawn []string
}

// terminal is the screen of the standard output, or nil where lines are all that is wanted: a pipe, CI, a dumb
// terminal, and `mage -v`, which writes beside us.
func terminal(plain bool) *screen {
	fd := int(os.Stdout.Fd())
	if plain || mg.Verbose() || !term.IsTerminal(fd) {
		return nil
	}
	return &screen{out: os.Stdout, size: func() (int, int) {
		columns, rows, err := term.GetSize(fd)
		if err != nil || columns < 1 {
			return 80, 24
		}
		return columns, rows
	}}
}

// draw writes text for good, and the block below it in the place of the one that stands.
func (s *screen) draw(text string, block []string) {
	columns, rows := s.size()
	var b strings.Builder
	b.WriteString("\x1b[?2026h") // terminals that know it show all or nothing of what follows
	up := 0
	for _, line := range s.drawn { // a terminal made narrower has broken them
		up += max(1, (len([]rune(line))+columns-1)/columns)
	}
	if up = min(up, rows-1); up > 0 {
		fmt.Fprintf(&b, "\r\x1b[%dA", up)
	}
	if text != "" {
		b.WriteString("\x1b[J" + text)
	}
	s.drawn = nil
	for _, line := range block {
		line = fit(line, columns-1)
		s.drawn = append(s.drawn, line)
		b.WriteString("\r" + line + "\x1b[K\n")
	}
	b.WriteString("\x1b[J\x1b[?2026l")
	_, _ = io.WriteString(s.out, b.String()) // a terminal that is gone ends the run by SIGHUP
}

// fit cuts a line to so many columns, and what would move the cursor out of it.
func fit(line string, columns int) string {
	runes := []rune(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, line))
	if len(runes) <= columns {
		return string(runes)
	}
	if columns < 1 {
		return ""
	}
	return string(runes[:columns-1]) + "…"
}

// block is what stands below the lines: what runs, since when and for how long usually, and a line for the whole.
// The printer's lock is held.
func (p *printer) block(now time.Time) []string {
	if len(p.running) == 0 {
		return nil
	}
	stages := slices.SortedFunc(maps.Values(p.running), func(a, b stage.Record) int {
		if order := a.Ready.Compare(b.Ready); order != 0 {
			return order
		}
		return strings.Compare(a.Name, b.Name)
	})
	_, rows := p.screen.size()
	var lines []string
	waiting := 0
	for _, r := range stages {
		verb, since, fact := "run", r.Start, r.Note
		if r.State == stage.Waiting && len(r.WaitedFor) > 0 {
			waiting++
			verb, since, fact = "wait", r.Ready, "for "+strings.Join(r.WaitedFor, ", ")
		} else if usual := p.past[r.Name]; usual >= 2 { // less is over before it is read
			fact = strings.TrimSpace("of about " + report.Seconds(usual) + "  " + r.Note)
		}
		lines = append(lines, columns(verb, r.Name, report.Seconds(now.Sub(since).Seconds()), firstLine(fact)))
	}
	if most := max(1, rows/2); len(lines) > most {
		lines = append(lines[:most], columns("", fmt.Sprintf("and %d more", len(lines)-most), "", ""))
	}
	whole := fmt.Sprintf("%d ended, %d running", p.ended, len(stages)-waiting)
	if waiting > 0 {
		whole += fmt.Sprintf(", %d waiting", waiting)
	}
	return append(lines, fmt.Sprintf("%-6s %s  %s", "total", report.Seconds(now.Sub(p.began).Seconds()), whole))
}

// animate keeps the block's times going.
func (p *printer) animate(done <-chan struct{}) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case now := <-tick.C:
			p.mu.Lock()
			if p.screen != nil {
				p.screen.draw("", p.block(now))
			}
			p.mu.Unlock()
		}
	}
}

// settle takes the block away; what follows are lines.
func (p *printer) settle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.screen != nil {
		p.screen.draw("", nil)
		p.screen = nil
	}
}
