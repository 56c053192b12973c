package cluster

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"

	kindlog "sigs.k8s.io/kind/pkg/log"
)

// kindLog is kind's logger over a writer: warnings, errors and progress, no debugging.
type kindLog struct {
	mu  sync.Mutex
	out io.Writer
}

var _ kindlog.Logger = (*kindLog)(nil)

func (l *kindLog) line(format string, args ...any) {
	if l.out == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	text := strings.Map(plain, fmt.Sprintf(format, args...))
	_, _ = fmt.Fprintln(l.out, strings.TrimSpace(text)) // a log that fails must not fail the cluster
}

// plain drops the pictures that kind puts into its lines.
func plain(r rune) rune {
	if unicode.In(r, unicode.So, unicode.Mn) {
		return -1
	}
	return r
}

func (l *kindLog) Warn(message string)                      { l.line("warning: %s", message) }
func (l *kindLog) Warnf(format string, args ...any)         { l.line("warning: "+format, args...) }
func (l *kindLog) Error(message string)                     { l.line("error: %s", message) }
func (l *kindLog) Errorf(format string, args ...any)        { l.line("error: "+format, args...) }
func (l *kindLog) V(level kindlog.Level) kindlog.InfoLogger { return kindInfo{l, level <= 0} }

type kindInfo struct {
	log     *kindLog
	enabled bool
}

func (i kindInfo) Enabled() bool { return i.enabled }

func (i kindInfo) Info(message string) { i.Infof("%s", message) }

func (i kindInfo) Infof(format string, args ...any) {
	if i.enabled {
		i.log.line(format, args...)
	}
}
