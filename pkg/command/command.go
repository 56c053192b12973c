// Package command is the one door to other programs: an argument list, a
// context, captured output, and an error that tells all three. There is no
// shell behind it.
package command

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Cmd is one program to run.
type Cmd struct {
	Args   []string  // program and arguments; never a shell line
	Dir    string    // working folder; empty is the caller's
	Env    []string  // KEY=value, added to the caller's environment
	Stdin  io.Reader // nil reads nothing
	Stdout io.Writer // nil captures standard output into Result.Stdout
	Log    io.Writer // gets standard error, and captured standard output too, as it comes
}

// String is the command as one could paste it into a terminal.
func (c Cmd) String() string {
	quoted := make([]string, len(c.Args))
	for i, arg := range c.Args {
		quoted[i] = quote(arg)
	}
	return strings.Join(quoted, " ")
}

func quote(arg string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,@+%", r)
	}
	if arg != "" && strings.IndexFunc(arg, func(r rune) bool { return !plain(r) }) < 0 {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}

// Result is what a command that ended well left behind.
type Result struct {
	Stdout    []byte        // empty when Cmd.Stdout was given
	Wall      time.Duration // start to end
	PeakBytes int64         // largest resident set of the process itself; 0 where the system does not say
}

// Runner runs commands. OS is the real one, Recorder the fake.
type Runner interface {
	Run(ctx context.Context, c Cmd) (Result, error)
}

// Error is a command that could not be started, failed, or was cancelled.
// After a cancel Err wraps the context's cause, whatever the exit code was.
type Error struct {
	Cmd    Cmd
	Code   int    // exit code; -1 when it was not started or ended by a signal
	Output string // the last 64 KiB of what it wrote; the order of its two streams is only as they arrived
	Stderr string // the end of what it wrote to standard error alone
	Err    error
}

func (e *Error) Error() string {
	line := cmp.Or(lastLine(e.Stderr), lastLine(e.Output))
	if line == "" {
		return fmt.Sprintf("%s: %v", e.Cmd.Args[0], e.Err)
	}
	return fmt.Sprintf("%s: %v: %s", e.Cmd.Args[0], e.Err, line)
}

// Unwrap gives the cause: an exec error, or the context's.
func (e *Error) Unwrap() error { return e.Err }

// Tail is the last n lines of the output.
func (e *Error) Tail(n int) string {
	lines := strings.Split(strings.TrimRight(e.Output, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// OS runs commands on this host, each in a process group of its own. When the
// context ends the group gets SIGTERM, after Grace SIGKILL, and with it every
// descendant that left the group; Run returns when none of them is left.
type OS struct {
	Grace time.Duration // 0 is 3 s
}

// Run implements Runner.
func (o OS) Run(ctx context.Context, c Cmd) (Result, error) {
	if err := context.Cause(ctx); err != nil {
		return Result{}, &Error{Cmd: c, Code: -1, Err: err}
	}
	var captured bytes.Buffer
	tail := &tailWriter{log: c.Log}
	stderr := &tailWriter{log: tail}
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Dir, cmd.Stdin, cmd.Stderr = c.Dir, c.Stdin, stderr
	cmd.Stdout = c.Stdout
	if c.Stdout == nil {
		cmd.Stdout = io.MultiWriter(&captured, tail)
	}
	if len(c.Env) > 0 {
		cmd.Env = append(os.Environ(), c.Env...)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	family := &family{grace: o.grace()}
	cmd.Cancel = func() error { return family.end(cmd.Process.Pid) }
	cmd.WaitDelay = o.grace() + time.Second
	start := time.Now()
	err := cmd.Run()
	family.wait()
	result := Result{Stdout: captured.Bytes(), Wall: time.Since(start), PeakBytes: peak(cmd.ProcessState)}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err != nil {
		code := -1
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			code = exit.ExitCode()
		}
		return result, &Error{Cmd: c, Code: code, Output: tail.String(), Stderr: stderr.String(), Err: err}
	}
	return result, nil
}

func (o OS) grace() time.Duration {
	if o.Grace == 0 {
		return 3 * time.Second
	}
	return o.Grace
}

const tailBytes = 64 << 10

// tailWriter hands everything on and remembers the end of it.
type tailWriter struct {
	mu  sync.Mutex
	log io.Writer
	buf []byte
}

func (t *tailWriter) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*tailBytes {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-tailBytes:]...)
	}
	if t.log != nil {
		if _, err := t.log.Write(p); err != nil {
			return 0, fmt.Errorf("writing the log: %w", err)
		}
	}
	return len(p), nil
}

func (t *tailWriter) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf[max(0, len(t.buf)-tailBytes):])
}
