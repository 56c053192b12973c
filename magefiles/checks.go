//go:build mage

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
	"github.com/kubernaut-ai/kubernaut/pkg/report"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// counts are tests that ran in this run, specs aside.
type counts struct {
	passed, failed int
}

var countLock sync.Mutex

func (c *counts) add(passed, failed int) {
	countLock.Lock()
	defer countLock.Unlock()
	c.passed, c.failed = c.passed+passed, c.failed+failed
}

func (c *counts) with(specs []report.Spec) counts {
	sum := counts{passed: c.passed, failed: c.failed}
	for _, s := range specs {
		if s.Outcome == "fail" {
			sum.failed++
		} else {
			sum.passed++
		}
	}
	return sum
}

// allTags are the build tags under which the tree is looked at as a whole.
const allTags = "mage,e2e,integration,faults,bench"

// program runs a command of the tree with its output in the stage's log.
func program(ctx context.Context, h *stage.Handle, env []string, args ...string) ([]byte, error) {
	result, err := current.runner.Run(ctx, command.Cmd{Args: args, Dir: current.root, Env: env, Log: h.Log()})
	return result.Stdout, err
}

// tool is the path of a program that a `tool` line pins. It is started from
// there: `go tool` itself ends with 0 when its program is killed.
func tool(ctx context.Context, modfile, name string) (string, error) {
	args := []string{"go", "tool"}
	if modfile != "" {
		args = append(args, "-modfile="+modfile)
	}
	result, err := current.runner.Run(ctx, command.Cmd{Args: append(args, "-n", name), Dir: current.root})
	if err != nil {
		return "", fmt.Errorf("building the tool %s: %w", name, err)
	}
	return strings.TrimSpace(string(result.Stdout)), nil
}

// goTest runs tests and counts them; the error names those that failed.
func goTest(ctx context.Context, h *stage.Handle, env []string, args ...string) error {
	var events bytes.Buffer
	_, err := current.runner.Run(ctx, command.Cmd{Args: append([]string{"go", "test", "-json"}, args...), Dir: current.root, Env: env, Stdout: &events, Log: h.Log()})
	result, readErr := report.ReadGoTest(&events)
	fmt.Fprint(h.Log(), result.Output)
	current.tests.add(result.Passed, len(result.Failed))
	h.Say("%d passed, %d failed", result.Passed, len(result.Failed))
	switch {
	case ctx.Err() != nil:
		return err
	case len(result.Failed) > 0:
		return fmt.Errorf("%d failed: %s\n%s", len(result.Failed), strings.Join(result.Failed, ", "), result.FailedOutput)
	case result.Passed == 0:
		return errors.Join(fmt.Errorf("no test ran"), err, readErr)
	}
	return errors.Join(err, readErr)
}

func unitTests(ctx context.Context, h *stage.Handle) error {
	err := goTest(ctx, h, nil, "-race", "./...")
	if err != nil {
		return err
	}
	return goTest(ctx, h, nil, "-tags=mage", "./magefiles")
}

func lint(ctx context.Context, h *stage.Handle) error {
	linter, err := tool(ctx, "tools/golangci-lint/go.mod", "golangci-lint")
	if err != nil {
		return err
	}
	python, err := current.python()
	if err != nil {
		return err
	}
	var failed []error
	for _, args := range [][]string{
		{"go", "vet", "./..."},
		{"go", "vet", "-tags=" + allTags, "./..."},
		{linter, "run", "--allow-parallel-runners", "--build-tags=" + allTags, "./..."},
		{filepath.Join(python, "ruff"), "check", "holmesgpt-api"},
		{filepath.Join(python, "ruff"), "format", "--check", "holmesgpt-api"},
		{filepath.Join(python, "mypy"), "--config-file=holmesgpt-api/pyproject.toml", "holmesgpt-api/src", "holmesgpt-api/tests", "holmesgpt-api/integration", "holmesgpt-api/bench"},
	} {
		if out, err := program(ctx, h, nil, args...); err != nil {
			failed = append(failed, fmt.Errorf("%w\n%s", err, out))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

func generate(ctx context.Context, h *stage.Handle) error {
	_, err := program(ctx, h, nil, "go", "generate", "./...")
	return err
}

// python is the folder of programs of the virtual environment that setup made.
func (s *session) python() (string, error) {
	env, err := s.pythonEnv()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(env, "ready")); err != nil {
		return "", fmt.Errorf("the Python environment for this lock file is missing: run `go tool mage setup`")
	}
	return filepath.Join(env, "bin"), nil
}

func pythonTests(ctx context.Context, h *stage.Handle) error {
	data := "COVERAGE_FILE=" + filepath.Join(current.dir, "python.coverage")
	return pytest(ctx, h, "python", []string{data}, "tests", "--cov") // the floor stands in pyproject.toml
}

// pytest runs tests of HolmesGPT-API and counts them.
func pytest(ctx context.Context, h *stage.Handle, name string, env []string, args ...string) error {
	bin, err := current.python()
	if err != nil {
		return err
	}
	junit := filepath.Join(current.dir, name+".xml")
	_, runErr := current.runner.Run(ctx, command.Cmd{
		Args: append([]string{filepath.Join(bin, "python3"), "-m", "pytest", "-q", "--junit-xml=" + junit, "-p", "no:cacheprovider"}, args...),
		Dir:  filepath.Join(current.root, "holmesgpt-api"), Env: append(env, "PYTHONDONTWRITEBYTECODE=1"), Log: h.Log(),
	})
	passed, failed, err := report.ReadJUnit(junit)
	current.tests.add(passed, failed)
	h.Note("%d passed, %d failed", passed, failed)
	return errors.Join(runErr, err)
}
