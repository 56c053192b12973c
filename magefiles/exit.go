//go:build mage

package main

import (
	"context"
	"errors"

	"github.com/kubernaut-ai/kubernaut/internal/packages"
	"github.com/kubernaut-ai/kubernaut/pkg/cluster"
	"github.com/kubernaut-ai/kubernaut/pkg/e2e"
	"github.com/kubernaut-ai/kubernaut/pkg/image"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// Exit codes; docs/development.md lists them for people.
const (
	exitCheck, exitUsage, exitDoctor, exitBuild, exitCluster, exitLoad, exitDeploy, exitSpecs  = 1, 2, 10, 11, 12, 13, 14, 15
	exitLedger, exitGate, exitCleanup, exitNotOurs, exitTimeout, exitInterrupt, exitTerminated = 17, 18, 19, 20, 124, 130, 143
)

// exit is the error of the outermost target: mage reads its code and prints its text.
type exit struct {
	code int
	text string
}

func (e exit) Error() string   { return e.text }
func (e exit) ExitStatus() int { return e.code }

// Causes that end a run without a stage that failed.
var (
	errInterrupted = errors.New("interrupted")
	errTerminated  = errors.New("terminated")
	errTimeout     = errors.New("the run's time is over")
)

// codeOf is the exit code of a run's first failure.
func codeOf(err error) int {
	var failure *stage.Failure
	var missing *e2e.MissingImageError
	var unmade *packages.MissingError
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errInterrupted):
		return exitInterrupt
	case errors.Is(err, errTerminated):
		return exitTerminated
	case errors.Is(err, errTimeout), errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &failure):
		return exitTimeout
	case errors.As(err, &usage), errors.Is(err, e2e.ErrNoSpecs):
		return exitUsage
	case errors.Is(err, errGate):
		return exitGate
	case errors.Is(err, image.ErrLedger):
		return exitLedger
	case errors.Is(err, cluster.ErrNotOurs):
		return exitNotOurs
	case errors.Is(err, cluster.ErrPort), errors.Is(err, errCannotLook):
		return exitDoctor
	case errors.As(err, &missing), errors.As(err, &unmade):
		return exitDeploy
	case errors.As(err, &failure):
		return groupCode[failure.Group]
	}
	return exitCheck
}

// groupCode is the code of a failure by the group of its stage.
var groupCode = map[string]int{
	"doctor": exitDoctor, "plan": exitBuild, "build": exitBuild, "cluster": exitCluster, "load": exitLoad, "deploy": exitDeploy,
	"suite": exitSpecs, "check": exitCheck, "bench": exitCheck, "setup": exitDoctor, "teardown": exitCleanup, "collect": exitCleanup,
}

// usageError is a mistake of whoever called: code 2.
type usageError struct{ error }
