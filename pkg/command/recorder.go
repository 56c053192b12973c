package command

import (
	"context"
	"io"
	"sync"
)

// Recorder is the fake: it keeps every command and answers from Respond.
// It is safe for concurrent use.
type Recorder struct {
	// Respond answers a command; nil answers everything with an empty success.
	// Output for a Cmd with a Stdout of its own is copied there.
	Respond func(ctx context.Context, c Cmd) ([]byte, error)

	mu    sync.Mutex
	calls []Cmd
}

// Run implements Runner.
func (r *Recorder) Run(ctx context.Context, c Cmd) (Result, error) {
	r.mu.Lock()
	r.calls = append(r.calls, c)
	r.mu.Unlock()
	if err := context.Cause(ctx); err != nil {
		return Result{}, &Error{Cmd: c, Code: -1, Err: err}
	}
	if c.Stdin != nil {
		if _, err := io.Copy(io.Discard, c.Stdin); err != nil {
			return Result{}, &Error{Cmd: c, Code: -1, Err: err}
		}
	}
	if r.Respond == nil {
		return Result{}, nil
	}
	out, err := r.Respond(ctx, c)
	if err != nil {
		return Result{}, err
	}
	if c.Stdout != nil {
		if _, err := c.Stdout.Write(out); err != nil {
			return Result{}, &Error{Cmd: c, Code: -1, Err: err}
		}
		return Result{}, nil
	}
	return Result{Stdout: out}, nil
}

// Calls are the commands so far, in the order of their start.
func (r *Recorder) Calls() []Cmd {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Cmd(nil), r.calls...)
}
