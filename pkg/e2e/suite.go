package e2e

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
	"github.com/kubernaut-ai/kubernaut/pkg/report"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// Suite is a Ginkgo suite and how it is run.
type Suite struct {
	Ginkgo  string // path of the ginkgo program
	Package string // ./test/e2e/aianalysis
	Tags    string // build tags
	Label   string // label filter; empty selects every spec
	Focus   string // regular expression over spec texts
	Procs   int
	Strict  bool              // pending specs are failures; a focused one always is
	URLs    map[string]int32  // flag of the suite -> node port
	Flags   map[string]string // further flags of the suite
}

// SpecsError says that specs failed; Failed names them.
type SpecsError struct {
	Failed []string
	Err    error
}

func (e *SpecsError) Error() string {
	return fmt.Sprintf("%d failed: %s", len(e.Failed), strings.Join(e.Failed, ", "))
}

// Unwrap gives the error of the ginkgo program.
func (e *SpecsError) Unwrap() error { return e.Err }

// ErrNoSpecs is wrapped when a label or focus selects no spec.
var ErrNoSpecs = errors.New("no spec is selected: look at -label and -focus")

func (s Suite) binary(folder string) string {
	return filepath.Join(folder, filepath.Base(s.Package)+".test")
}

// Compile makes one test binary in folder.
func (p *Platform) Compile(ctx context.Context, h *stage.Handle, s Suite, folder string) error {
	_, err := p.Runner.Run(ctx, command.Cmd{
		Args: []string{s.Ginkgo, "build", "--tags=" + s.Tags, "-o", s.binary(folder), s.Package},
		Dir:  p.Root, Log: h.Log(),
	})
	if err != nil {
		return fmt.Errorf("compiling the suite: %w", err)
	}
	return nil
}

// Args are the arguments of ginkgo for a run whose reports go to folder.
func (s Suite) Args(folder string, urls map[string]string) []string {
	args := []string{s.Ginkgo, "run", "--no-color", "--randomize-all", "--fail-on-empty", "--procs=" + strconv.Itoa(max(1, s.Procs)),
		"--output-dir=" + folder, "--json-report=ginkgo.json"}
	if s.Strict {
		args = append(args, "--fail-on-pending")
	}
	if s.Label != "" {
		args = append(args, "--label-filter="+s.Label)
	}
	if s.Focus != "" {
		args = append(args, "--focus="+s.Focus)
	}
	args = append(args, s.binary(folder), "--")
	for _, values := range []map[string]string{urls, s.Flags} {
		for _, name := range sorted(values) {
			args = append(args, "-"+name+"="+values[name])
		}
	}
	return args
}

// Test runs the compiled suite against the standing cluster.
func (p *Platform) Test(ctx context.Context, h *stage.Handle, s Suite, folder string) error {
	standing, _ := p.Standing()
	urls := map[string]string{"kubeconfig": standing.Kubeconfig, "namespace": p.Namespace, "artifacts": filepath.Join(folder, "specs")}
	for flag, port := range s.URLs {
		urls[flag] = fmt.Sprintf("http://127.0.0.1:%d", standing.Ports[port])
	}
	_, runErr := p.Runner.Run(ctx, command.Cmd{Args: s.Args(folder, urls), Dir: p.Root, Log: h.Log()})
	if ctx.Err() != nil {
		return runErr
	}
	specs, err := report.ReadSpecs(filepath.Join(folder, "ginkgo.json"))
	if err != nil {
		return errors.Join(runErr, err)
	}
	p.mu.Lock()
	p.specs = specs
	p.mu.Unlock()
	passed, flaky, failed := count(specs)
	h.Note("%d passed, %d failed, %d flaky", passed, len(failed), flaky)
	switch {
	case len(failed) > 0:
		return &SpecsError{Failed: failed, Err: runErr}
	case len(specs) == 0:
		return errors.Join(ErrNoSpecs, runErr)
	case runErr != nil:
		return fmt.Errorf("running the suite: %w", runErr)
	}
	return nil
}

func count(specs []report.Spec) (passed, flaky int, failed []string) {
	for _, s := range specs {
		switch s.Outcome {
		case "fail":
			failed = append(failed, s.ID)
		case "flaky":
			flaky++
			passed++
		default:
			passed++
		}
	}
	return passed, flaky, failed
}
