//go:build mage

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// glass is as much of a terminal as the printer uses: what is on it after all that was written.
type glass struct {
	width int
	lines [][]rune
	x, y  int
	marks []string // escape sequences that it saw
}

func (g *glass) Write(p []byte) (int, error) {
	for text := string(p); text != ""; {
		if strings.HasPrefix(text, "\x1b[") {
			end := strings.IndexFunc(text[2:], func(r rune) bool { return r >= '@' && r <= '~' }) + 2
			g.escape(text[2:end], text[end])
			text = text[end+1:]
			continue
		}
		r, size := utf8.DecodeRuneInString(text)
		text = text[size:]
		switch r {
		case '\r':
			g.x = 0
		case '\n':
			g.x, g.y = 0, g.y+1
		default:
			if g.x == g.width {
				g.x, g.y = 0, g.y+1
			}
			g.row()[g.x] = r
			g.x++
		}
	}
	return len(p), nil
}

func (g *glass) row() []rune {
	for len(g.lines) <= g.y {
		g.lines = append(g.lines, slices.Repeat([]rune{' '}, g.width))
	}
	return g.lines[g.y]
}

func (g *glass) escape(args string, final byte) {
	g.marks = append(g.marks, args+string(final))
	switch final {
	case 'A':
		n, _ := strconv.Atoi(args)
		g.y = max(0, g.y-n)
	case 'K', 'J':
		for x := g.x; x < g.width; x++ {
			g.row()[x] = ' '
		}
		if final == 'J' {
			g.lines = g.lines[:g.y+1]
		}
	}
}

func (g *glass) String() string {
	var b strings.Builder
	for _, line := range g.lines {
		b.WriteString(strings.TrimRight(string(line), " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

var born = time.Date(2026, 1, 10, 14, 0, 0, 0, time.UTC)

// onGlass is a printer on a terminal that size says; its block is drawn for the time that is said.
func onGlass(g *glass, rows int) *printer {
	return &printer{out: g, began: born, running: map[string]stage.Record{}, screen: &screen{out: g, size: func() (int, int) { return g.width, rows }}}
}

func (p *printer) at(seconds float64) {
	p.screen.draw("", p.block(born.Add(time.Duration(seconds*float64(time.Second)))))
}

func record(name string, state stage.State, start float64) stage.Record {
	at := born.Add(time.Duration(start * float64(time.Second)))
	return stage.Record{Name: name, State: state, Ready: at, Start: at, End: at}
}

func play(p *printer) {
	p.say("run 20260110-140000-7c1e  e2e:aianalysis")
	p.event(record("cluster:up", stage.Running, 0))
	wait := record("build:aianalysis", stage.Waiting, 1)
	p.event(wait)
	wait.WaitedFor = []string{"builder", "memory"}
	p.event(wait)
	p.event(record("build:datastorage", stage.Running, 1))
	done := record("build:datastorage", stage.Done, 1)
	done.End, done.Note = born.Add(8*time.Second), "peak 1.1 GiB, and a note that is longer than what eighty columns hold"
	p.event(done)
	note := record("cluster:up", stage.Running, 0)
	note.Note = "waiting for\tthe node\nto be Ready"
	p.event(note)
}

func TestTerminal(t *testing.T) {
	for width, want := range map[int]string{
		40: `run 20260110-140000-7c1e  e2e:aianalysis
done   build:datastorage        7.0s  …
run    cluster:up              12.0s  …
wait   build:aianalysis        11.0s  …
total  12.0s  1 ended, 1 running, 1 wa…`,
		80: `run 20260110-140000-7c1e  e2e:aianalysis
done   build:datastorage        7.0s  peak 1.1 GiB, and a note that is longer …
run    cluster:up              12.0s  of about 38.0s  waiting for the node
wait   build:aianalysis        11.0s  for builder, memory
total  12.0s  1 ended, 1 running, 1 waiting`,
		200: `run 20260110-140000-7c1e  e2e:aianalysis
done   build:datastorage        7.0s  peak 1.1 GiB, and a note that is longer than what eighty columns hold
run    cluster:up              12.0s  of about 38.0s  waiting for the node
wait   build:aianalysis        11.0s  for builder, memory
total  12.0s  1 ended, 1 running, 1 waiting`,
	} {
		g := &glass{width: width}
		p := onGlass(g, 24)
		p.past = map[string]float64{"cluster:up": 38}
		play(p)
		for _, seconds := range []float64{10, 11, 12} {
			p.at(seconds)
		}
		if got := g.String(); got != want {
			t.Errorf("%d columns:\n%s\nwant\n%s", width, got, want)
		}
		p.settle()
		p.say("passed, exit 0")
		lines := strings.Split(g.String(), "\n")
		if len(lines) != 3 || lines[2] != "passed, exit 0" || g.x != 0 {
			t.Errorf("%d columns: the end leaves\n%s", width, g)
		}
		for _, mark := range g.marks {
			if strings.HasSuffix(mark, "m") {
				t.Errorf("a colour that was not asked for: %q", mark)
			}
			if mark == "?25l" {
				t.Error("the cursor is hidden: a killed run would leave it so")
			}
		}
	}
}

// A terminal made narrower has broken the block's lines: no piece of them stays.
func TestTerminalMadeNarrower(t *testing.T) {
	wide := &glass{width: 80}
	p := onGlass(wide, 24)
	play(p)
	p.at(12)
	narrow := &glass{width: 40}
	fmt.Fprint(narrow, strings.ReplaceAll(wide.String(), "\n", "\r\n")+"\r\n")
	p.screen.out, p.screen.size = narrow, func() (int, int) { return 40, 24 }
	p.at(13)
	if got := strings.Count(narrow.String(), "cluster:up"); got != 1 {
		t.Errorf("%d lines of one stage:\n%s", got, narrow)
	}
}

func TestTerminalOfFewRows(t *testing.T) {
	g := &glass{width: 80}
	p := onGlass(g, 8)
	for i := range 9 {
		p.event(record(fmt.Sprintf("s%d", i), stage.Running, float64(i)))
	}
	p.at(20)
	if got := g.String(); strings.Count(got, "\n") != 5 || !strings.Contains(got, "and 5 more") || !strings.Contains(got, "9 running") {
		t.Errorf("got\n%s", got)
	}
}

func TestPipe(t *testing.T) {
	var out strings.Builder
	p := &printer{out: &out, running: map[string]stage.Record{}}
	play(p)
	want := `run 20260110-140000-7c1e  e2e:aianalysis
start  cluster:up
wait   build:aianalysis               for builder, memory
start  build:datastorage
done   build:datastorage        7.0s  peak 1.1 GiB, and a note that is longer than what eighty columns hold
`
	if got := out.String(); !strings.HasPrefix(got, want) || strings.ContainsRune(got, '\x1b') {
		t.Errorf("got\n%s", got)
	}
	p.quiet = born
	if text := p.standing(born.Add(24*time.Second), 25*time.Second); text != "" {
		t.Errorf("too early: %s", text)
	}
	if text := p.standing(born.Add(25*time.Second), 25*time.Second); !strings.Contains(text, "cluster:up 25.0s") || !strings.Contains(text, "build:aianalysis") {
		t.Errorf("the heartbeat says %q", text)
	}
}

func TestColour(t *testing.T) {
	g := &glass{width: 80}
	p := onGlass(g, 24)
	p.color = true
	failed := record("lint", stage.Failed, 1)
	failed.Error = strings.Repeat("a cause is never cut ", 6)
	p.event(failed)
	if !slices.Contains(g.marks, "31m") || strings.Count(strings.Join(strings.Fields(g.String()), " "), "a cause is never cut") != 6 {
		t.Errorf("%v\n%s", g.marks, g)
	}
}
