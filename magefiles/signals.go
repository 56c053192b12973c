//go:build mage

package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// watchSignals cancels the run at INT, TERM, HUP and when the parent is gone.
//
// Mage registers for SIGINT when a target starts and would end the process 5 s
// later. Its registration is taken away again, so that clean-ups have the time
// they need. TERM to `go tool mage` or to mage ends only those two: whoever
// started us is then gone, which is noticed and taken for a TERM.
func watchSignals(run *stage.Run, done <-chan struct{}) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	born := ancestors()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	defer signal.Stop(signals)
	for ticks, asked := 0, 0; ; {
		select {
		case <-done:
			return
		case s := <-signals:
			cause, code := errTerminated, exitTerminated
			if s == syscall.SIGINT {
				cause, code = errInterrupted, exitInterrupt
			}
			if asked++; asked > 1 { // nothing is collected or removed any more
				command.KillDescendants()
				os.Exit(code)
			}
			run.Cancel(fmt.Errorf("%w by %s", cause, s)) // a run that has failed already is cleaned up all the same
		case <-tick.C:
			if ticks++; ticks <= 4 {
				signal.Reset(syscall.SIGINT)
				signal.Notify(signals, syscall.SIGINT)
			}
			if now := ancestors(); now != born && run.Context().Err() == nil {
				run.Cancel(fmt.Errorf("%w: the process that started this run is gone", errTerminated))
			}
		}
	}
}

// ancestors names our parent, and its parent where that is the go command.
func ancestors() string {
	parent := os.Getppid()
	text := fmt.Sprint(parent)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", parent))
	if err != nil {
		return text
	}
	for line := range strings.Lines(string(status)) {
		if grand, ok := strings.CutPrefix(line, "PPid:"); ok {
			grand = strings.TrimSpace(grand)
			if exe, err := os.Readlink("/proc/" + grand + "/exe"); err == nil && filepath.Base(exe) == "go" {
				return text + " " + grand
			}
		}
	}
	return text
}
