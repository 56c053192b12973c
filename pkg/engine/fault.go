package engine

import (
	"errors"
	"strings"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
)

// Fault is the class of a failed engine call.
type Fault string

// The classes, by what they ask for.
const (
	FaultStorage Fault = "storage race"
	FaultGone    Fault = "engine gone"
	FaultMemory  Fault = "out of memory"
	FaultDisk    Fault = "disk full"
	FaultLock    Fault = "lock"
	FaultNetwork Fault = "network"
	FaultHost    Fault = "host limits"
	FaultBuild   Fault = "the build itself"
	FaultUnknown Fault = "unknown"
)

// signs are looked for in this order: what names a cause exactly stands before
// what may be a consequence.
var signs = []struct {
	fault Fault
	texts []string
}{
	{FaultDisk, []string{"no space left on device"}},
	{FaultHost, []string{"unable to apply caps", "RLIMIT", "hybrid mode", "unable to apply cgroup"}},
	{FaultStorage, []string{"layer not known", "top layer not found", "incomplete layer", "image is in use by"}},
	{FaultLock, []string{"database is locked", "timed out waiting for lock", "lock timeout"}},
	{FaultMemory, []string{"cannot allocate memory", "signal: killed", "out of memory"}},
	{FaultNetwork, []string{"i/o timeout", "TLS handshake", "no such host", "Temporary failure in name resolution", "429 Too Many Requests", "502 Bad Gateway", "503 Service Unavailable", "connection reset by peer"}},
	{FaultGone, []string{"unexpected EOF", "server probably quit", "connection closed", "Cannot connect to the"}},
}

// Classify names the fault of an error that came from a command; nil and other
// errors are unknown. A RUN step's own exit code is the build itself.
func Classify(err error) Fault {
	var failed *command.Error
	if !errors.As(err, &failed) {
		return FaultUnknown
	}
	for _, sign := range signs {
		for _, text := range sign.texts {
			if strings.Contains(failed.Output, text) {
				return sign.fault
			}
		}
	}
	switch {
	case failed.Code == 137:
		return FaultMemory
	case failed.Code == 125 && !strings.Contains(failed.Output, "building at STEP"):
		return FaultGone
	case failed.Code > 0:
		return FaultBuild
	default:
		return FaultUnknown
	}
}
