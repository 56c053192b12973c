package engine_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
	"github.com/kubernaut-ai/kubernaut/pkg/engine"
)

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		output string
		code   int
		want   engine.Fault
	}{
		{"Error: layer not known", 125, engine.FaultStorage},
		{"write /x: no space left on device", 1, engine.FaultDisk},
		{"rpc error: unexpected EOF", 1, engine.FaultGone},
		{"something odd", 125, engine.FaultGone},
		{"", 137, engine.FaultMemory},
		{"fork: cannot allocate memory", 1, engine.FaultMemory},
		{"database is locked", 1, engine.FaultLock},
		{"dial tcp: lookup proxy: no such host", 1, engine.FaultNetwork},
		{"setrlimit RLIMIT_NOFILE: operation not permitted", 126, engine.FaultHost},
		{"main.go:3: undefined: x\nError: building at STEP \"RUN go build\": exit status 1", 1, engine.FaultBuild},
		{"main.go:3: undefined: x\nError: building at STEP \"RUN go build\": exit status 1", 125, engine.FaultBuild},
	} {
		err := fmt.Errorf("building: %w", &command.Error{Cmd: command.Cmd{Args: []string{"podman"}}, Code: c.code, Output: c.output, Err: errors.New("exit")})
		if got := engine.Classify(err); got != c.want {
			t.Errorf("%q, code %d: %s, want %s", c.output, c.code, got, c.want)
		}
	}
	if got := engine.Classify(errors.New("other")); got != engine.FaultUnknown {
		t.Errorf("a foreign error is %s", got)
	}
}
