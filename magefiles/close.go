//go:build mage

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/cluster"
	"github.com/kubernaut-ai/kubernaut/pkg/command"
	"github.com/kubernaut-ai/kubernaut/pkg/report"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// close ends the run: evidence, clean-up, report, the last lines. panicked is
// what mage threw when a dependency failed; the cause itself is in the run.
func (s *session) close(panicked any) error {
	failed := s.failure(panicked)
	kept := ""
	if s.platform != nil {
		if failed != nil {
			s.collect()
		}
		kept = s.teardown(failed)
		s.platform.Close()
	}
	if failed == nil && len(s.run.Failures()) > 0 {
		failed = s.run.Failures()[0] // a clean-up
	}
	close(s.done)
	s.print.settle()
	r := s.report(failed)
	if kept != "" {
		r.Notes = append(r.Notes, kept)
	}
	if err := r.Write(s.dir); err != nil {
		s.print.say("note   the report could not be written: %v", err)
	}
	s.last(r, failed, kept)
	if failed == nil {
		return nil
	}
	return exit{r.ExitCode, fmt.Sprintf("%s ended with exit code %d", s.command, r.ExitCode)}
}

// failure is the run's first: a stage's own, what cancelled it, or a mistake in the graph.
func (s *session) failure(panicked any) error {
	if failures := s.run.Failures(); len(failures) > 0 {
		return failures[0]
	}
	if cause := context.Cause(s.run.Context()); cause != nil {
		return cause
	}
	if panicked == nil {
		return nil
	}
	if err, ok := panicked.(error); ok {
		return err
	}
	return fmt.Errorf("%v", panicked)
}

func (s *session) collect() {
	if standing, _ := s.platform.Standing(); standing == nil {
		return
	}
	_ = s.run.Cleanup(stage.Stage{Name: "collect", Group: "collect", Deadline: 30 * time.Second}, func(ctx context.Context, h *stage.Handle) error { // a failure stands in the run
		return s.platform.Collect(ctx, h, filepath.Join(s.dir, "bundle"))
	})
}

// teardown deletes the cluster or says how long it stays.
func (s *session) teardown(failed error) (kept string) {
	standing, action := s.platform.Standing()
	if standing == nil {
		return ""
	}
	interrupted := errors.Is(failed, errInterrupted) || errors.Is(failed, errTerminated)
	if interrupted && action == cluster.Adopted || !interrupted && !s.options.teardown {
		return "cluster " + standing.Name + " stands, remove it with: go tool mage cluster:down"
	}
	span, _ := keepSpan(s.Keep, failed == nil) // checked when the settings were read
	if !interrupted && span > 0 {
		until, err := s.platform.Keep(span)
		if err != nil {
			return "cluster " + standing.Name + " stands, its expiry could not be written: " + err.Error()
		}
		return fmt.Sprintf("cluster %s kept until %s, remove it with: go tool mage e2e:down", standing.Name, until.Format("2006-01-02 15:04"))
	}
	_ = s.run.Cleanup(stage.Stage{Name: "teardown", Group: "teardown", Deadline: 2 * time.Minute}, s.platform.Down) // a failure stands in the run
	return ""
}

func (s *session) report(failed error) *report.Run {
	r := &report.Run{
		Version: report.Version, ID: s.id, Group: s.Group, Result: "passed", ExitCode: codeOf(failed), Mode: s.Mode, Started: s.started, Ended: time.Now().UTC(), Command: s.command,
		Host:   report.Host{OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU(), MemoryBytes: s.host.MemoryAvailable, ImageSource: s.imageSource},
		Tree:   s.tree(),
		Images: []report.Image{}, Loads: []report.Load{}, Specs: []report.Spec{}, Notes: append([]string{}, s.notes...),
	}
	switch {
	case r.ExitCode >= exitTimeout:
		r.Result = "cancelled"
	case failed != nil:
		r.Result = "failed"
	}
	if s.engine != nil {
		r.Host.Engine, r.Host.EngineVersion, r.Host.Cgroup = string(s.engine.Name), s.engine.Version, s.engine.Cgroup
	}
	if s.platform != nil {
		s.platform.Facts(r)
	}
	r.Time(s.run.Records())
	return r
}

// tree asks git; a tree without it is reported as unknown.
func (s *session) tree() report.Tree {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ask := func(args ...string) string {
		result, err := s.runner.Run(ctx, command.Cmd{Args: append([]string{"git"}, args...), Dir: s.root})
		if err != nil {
			return ""
		}
		return firstLine(string(result.Stdout))
	}
	return report.Tree{Commit: ask("rev-parse", "HEAD"), Hash: ask("rev-parse", "HEAD^{tree}"), Dirty: ask("status", "--porcelain") != ""}
}

// last prints what every run ends with.
func (s *session) last(r *report.Run, failed error, kept string) {
	for _, f := range s.run.Failures() {
		s.print.failure(s.run, f)
	}
	if len(s.run.Failures()) == 0 && failed != nil {
		s.print.say("cause    %v", failed)
	}
	if len(r.CriticalPath) > 1 {
		s.print.say("critical path  %s  (%.1f %% of the run)", r.Path(), 100*r.Explained())
	}
	s.print.say("build %s  set-up %s  specs %s  total %s   report %s", wall(r, "build"), wall(r, report.SetUp), wall(r, "suite"), wall(r, report.Total), filepath.Join(s.dir, "summary.md"))
	if kept != "" {
		s.print.say("%s", kept)
	}
	if total := s.tests.with(r.Specs); total.passed+total.failed > 0 {
		s.print.say("%d passed, %d failed", total.passed, total.failed)
	}
	for _, f := range s.run.Failures() {
		s.print.say("failed   %s", firstLine(f.Error()))
	}
	s.print.say("%s, exit %d", r.Result, r.ExitCode)
	if s.JobSummary != "" {
		if err := appendTo(s.JobSummary, r.Summary()); err != nil {
			s.print.say("note   the job summary could not be written: %v", err)
		}
	}
}

// appendTo leaves what earlier steps of the job wrote.
func appendTo(file, text string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func wall(r *report.Run, group string) string {
	g, ok := r.Groups[group]
	if !ok {
		return "-"
	}
	return report.Seconds(g.Wall)
}
