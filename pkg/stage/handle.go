package stage

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"sync"
	"time"
)

// Handle is a running stage as its deed sees it.
type Handle struct {
	run     *Run
	rec     *Record
	log     *logWriter
	skipped bool
}

type handleKey struct{}

// From is the stage that ctx belongs to, or nil.
func From(ctx context.Context) *Handle {
	h, _ := ctx.Value(handleKey{}).(*Handle)
	return h
}

// Name is the stage's name.
func (h *Handle) Name() string { return h.rec.Name }

// Group is the stage's group.
func (h *Handle) Group() string { return h.rec.Group }

// Log takes a child's output; each line gets a time stamp. No other stage writes there.
func (h *Handle) Log() io.Writer { return h.log }

// Note sets the one line that is printed when the stage is done.
func (h *Handle) Note(format string, args ...any) {
	h.run.mu.Lock()
	defer h.run.mu.Unlock()
	h.rec.Note = fmt.Sprintf(format, args...)
}

// Say is a Note that the run's listener hears at once.
func (h *Handle) Say(format string, args ...any) {
	h.change(func(r *Record) { r.Note = fmt.Sprintf(format, args...) })
}

// Skip says that there was nothing to do, and why.
func (h *Handle) Skip(format string, args ...any) {
	h.skipped = true
	h.Note(format, args...)
}

// change alters the record and tells the run's listener.
func (h *Handle) change(alter func(*Record)) {
	h.run.notify.Lock()
	defer h.run.notify.Unlock()
	h.run.mu.Lock()
	alter(h.rec)
	now := *h.rec
	h.run.mu.Unlock()
	if h.run.Notify != nil {
		h.run.Notify(now)
	}
}

// waiting notes that a pool was short, and shifts the start behind the wait.
func (h *Handle) waiting(pools []string) {
	h.change(func(r *Record) { r.State, r.WaitedFor = Waiting, append(r.WaitedFor, pools...) })
}

func (h *Handle) granted() {
	h.change(func(r *Record) { r.State, r.Start = Running, h.run.now() })
}

// holds adds to the record what was granted: a deed may take tokens of its own.
func (h *Handle) holds(tokens map[string]int64) {
	h.run.mu.Lock()
	defer h.run.mu.Unlock()
	all := maps.Clone(tokens) // records that were handed out keep theirs
	for name, n := range h.rec.Tokens {
		all[name] = max(all[name], n)
	}
	h.rec.Tokens = all
}

// logWriter stamps whole lines and remembers the last one.
type logWriter struct {
	mu      sync.Mutex
	file    *os.File
	mask    func(string) string
	partial []byte
	last    string
}

func newLog(path string, mask func(string) string) (*logWriter, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the stage's log: %w", err)
	}
	return &logWriter{file: file, mask: mask}, nil
}

func (l *logWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial = append(l.partial, p...)
	for {
		line, rest, whole := bytes.Cut(l.partial, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		if err := l.line(string(line)); err != nil {
			return 0, err
		}
		l.partial = append(l.partial[:0], rest...)
	}
}

func (l *logWriter) line(text string) error {
	text = strings.TrimRight(text, "\r")
	if l.mask != nil {
		text = l.mask(text)
	}
	if strings.TrimSpace(text) != "" {
		l.last = text
	}
	if _, err := fmt.Fprintf(l.file, "%s %s\n", time.Now().UTC().Format("15:04:05.000"), text); err != nil {
		return fmt.Errorf("writing the stage's log: %w", err)
	}
	return nil
}

// lastLine is what a deadline's error adds, when the error does not say it already.
func (l *logWriter) lastLine(err error) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == "" || !strings.Contains(err.Error(), "deadline of") || strings.Contains(err.Error(), l.last) {
		return ""
	}
	return "; last output: " + l.last
}

func (l *logWriter) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.partial) > 0 {
		_ = l.line(string(l.partial)) // the stage is over: a full disk has shown itself before
	}
	_ = l.file.Close() // the same
}
