package command_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
)

func TestRunCapturesAndLogs(t *testing.T) {
	var log bytes.Buffer
	result, err := command.OS{}.Run(t.Context(), command.Cmd{Args: []string{"/bin/sh", "-c", "echo out; echo err >&2"}, Log: &log})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(result.Stdout); got != "out\n" {
		t.Errorf("stdout %q", got)
	}
	if !strings.Contains(log.String(), "err\n") || !strings.Contains(log.String(), "out\n") {
		t.Errorf("log %q lacks a line", log.String())
	}
}

// Standard error tells the cause, whichever of the two pipes is read last.
func TestErrorTellsCodeAndLastLineOfStandardError(t *testing.T) {
	_, err := command.OS{}.Run(t.Context(), command.Cmd{Args: []string{"/bin/sh", "-c", "echo the cause >&2; echo progress; exit 7"}})
	var failed *command.Error
	if !errors.As(err, &failed) {
		t.Fatalf("got %T %v", err, err)
	}
	if failed.Code != 7 || failed.Error() != "/bin/sh: exit status 7: the cause" {
		t.Errorf("code %d, error %v", failed.Code, failed)
	}
	if tail := failed.Tail(2); !strings.Contains(tail, "the cause") || !strings.Contains(tail, "progress") {
		t.Errorf("tail %q lacks a stream", tail)
	}
}

func TestErrorTellsTheLastLineOfOutputWhenStandardErrorIsEmpty(t *testing.T) {
	_, err := command.OS{}.Run(t.Context(), command.Cmd{Args: []string{"/bin/sh", "-c", "echo first; echo the cause; exit 7"}})
	if err == nil || err.Error() != "/bin/sh: exit status 7: the cause" {
		t.Errorf("error %v", err)
	}
}

func TestMissingProgram(t *testing.T) {
	_, err := command.OS{}.Run(t.Context(), command.Cmd{Args: []string{"kubernaut-no-such-program"}})
	var failed *command.Error
	if !errors.As(err, &failed) || failed.Code != -1 {
		t.Fatalf("got %v", err)
	}
}

// A child in a session of its own outlives a plain kill of the group; here it must not.
func TestCancelEndsTheWholeFamily(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		script := "trap '' TERM; setsid sleep 300 & echo $! ; wait"
		_, err := command.OS{Grace: 200 * time.Millisecond}.Run(ctx, command.Cmd{Args: []string{"/bin/sh", "-c", script}, Stdout: writer})
		done <- err
	}()
	var child int
	if _, err := fmt.Fscan(reader, &child); err != nil {
		t.Fatal(err)
	}
	cause := errors.New("sibling failed")
	cancel(cause)
	if err := <-done; !errors.Is(err, cause) {
		t.Errorf("error %v does not wrap the cause", err)
	}
	if state, err := os.ReadFile("/proc/" + strconv.Itoa(child) + "/stat"); err == nil && !strings.Contains(string(state), ") Z ") {
		t.Errorf("the child in its own session still runs: %s", state)
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
}

func TestStringCanBePasted(t *testing.T) {
	for want, args := range map[string][]string{
		"podman build --tag=a:b .": {"podman", "build", "--tag=a:b", "."},
		`echo 'a b' 'it'\''s' ''`:  {"echo", "a b", "it's", ""},
	} {
		if got := (command.Cmd{Args: args}).String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func ExampleRecorder() {
	fake := &command.Recorder{Respond: func(context.Context, command.Cmd) ([]byte, error) { return []byte("4.3.1\n"), nil }}
	result, err := fake.Run(context.Background(), command.Cmd{Args: []string{"podman", "version"}})
	fmt.Printf("%s%v\n%s\n", result.Stdout, err, fake.Calls()[0])
	// Output:
	// 4.3.1
	// <nil>
	// podman version
}
