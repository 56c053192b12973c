//go:build mage

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/magefile/mage/mg"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
	"github.com/kubernaut-ai/kubernaut/pkg/e2e"
	"github.com/kubernaut-ai/kubernaut/pkg/engine"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// session is one run of the outermost target: its settings, stages and reports.
type session struct {
	settings
	id, command, root, dir string
	started                time.Time
	host                   engine.Host
	engine                 *engine.Engine
	runner                 command.Runner
	run                    *stage.Run
	print                  *printer
	platform               *e2e.Platform
	suite                  e2e.Suite
	imageSource            string
	tests                  counts
	options                options
	done                   chan struct{}
}

// options are what a target asks of its run beside the stages that it reaches.
type options struct {
	teardown bool // the run decides at its end about the cluster
	noBuild  bool // a missing image is an error
	adopt    bool // a cluster of ours is taken as it is, also in ci mode
	frugal   bool // nothing is built: memory and disk are not asked for
}

// current is the open session: targets reached by another target join it.
var current struct {
	sync.Mutex
	*session
}

// enter runs body as the outermost target, or as a part of the one that runs.
func enter(name string, o options, body func(ctx context.Context)) (err error) {
	current.Lock()
	if s := current.session; s != nil {
		current.Unlock()
		body(s.run.Context())
		return nil
	}
	s, err := open(name, o)
	current.session = s
	current.Unlock()
	if err != nil {
		return exit{codeOf(err), err.Error()}
	}
	defer func() {
		p := recover()
		current.Lock()
		current.session = nil
		current.Unlock()
		err = s.close(p)
	}()
	body(s.run.Context())
	return nil
}

// reach is the whole body of most targets: these stages, in parallel.
func reach(name string, o options, stages ...string) error {
	return enter(name, o, func(ctx context.Context) {
		nodes := make([]any, len(stages))
		for i, stage := range stages {
			nodes[i] = at(stage)
		}
		mg.CtxDeps(ctx, nodes...)
	})
}

func open(name string, o options) (*session, error) {
	set, err := readSettings(os.Getenv, os.Environ())
	if err != nil {
		return nil, usageError{err}
	}
	root, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("finding the source tree: %w", err)
	}
	s := &session{settings: set, command: name, root: root, started: time.Now().UTC(), options: o, runner: command.OS{}, host: engine.ReadHost(), done: make(chan struct{})}
	s.id = s.started.Format("20060102-150405") + "-" + random()
	s.dir = filepath.Join(s.Out, s.id)
	ctx, cancel := context.WithTimeoutCause(context.Background(), s.Timeout, fmt.Errorf("%w: %s", errTimeout, s.Timeout))
	context.AfterFunc(ctx, cancel)
	if s.run, err = stage.New(ctx, s.dir, stage.NewPools(s.pools(s.host.MemoryAvailable))); err != nil {
		return nil, err
	}
	s.print = newPrinter(set)
	s.run.Notify = s.print.event
	go watchSignals(s.run, s.done)
	go s.print.heartbeat(s.done)
	go s.print.animate(s.done)
	s.print.say("run %s  %s  mode %s  folder %s", s.id, name, s.Mode, s.dir)
	for _, note := range s.notes {
		s.print.say("note   %s", note)
	}
	return s, latest(s.Out, s.id)
}

func random() string {
	var b [2]byte
	_, _ = rand.Read(b[:]) // never fails, says its documentation
	return fmt.Sprintf("%x", b)
}

// latest points to the newest run.
func latest(out, id string) error {
	link := filepath.Join(out, "latest")
	if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("pointing to the newest run: %w", err)
	}
	if err := os.Symlink(id, link); err != nil && !errors.Is(err, os.ErrExist) { // another run was quicker: its right
		return fmt.Errorf("pointing to the newest run: %w", err)
	}
	return nil
}
