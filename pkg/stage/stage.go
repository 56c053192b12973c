// Package stage is a run: named stages with time, state, tokens, a log file
// each, and cancellation of all at the first failure. It knows nothing of
// images or clusters; who needs whom is the caller's graph.
package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// State is where a stage stands.
type State string

// The states of a stage. Waiting is waiting for tokens: needs are the caller's.
const (
	Waiting   State = "waiting"
	Running   State = "running"
	Done      State = "done"
	Skipped   State = "skipped"
	Failed    State = "failed"
	Cancelled State = "cancelled"
)

// Stage says what is about to run.
type Stage struct {
	Name     string           // verb:subject
	Group    string           // for the times by group
	Needs    []string         // names of stages that ended before; for the record only
	Tokens   map[string]int64 // taken from the run's pools while the deed runs
	Deadline time.Duration    // 0 is the run's own

	cleanup bool
}

// Record is what became of a stage.
type Record struct {
	Name      string           `json:"name"`
	Group     string           `json:"group"`
	State     State            `json:"state"`
	Needs     []string         `json:"needs"`
	Tokens    map[string]int64 `json:"tokens,omitempty"` // wanted, and once granted, held
	Ready     time.Time        `json:"ready"`            // needs met
	Start     time.Time        `json:"start"`            // tokens granted; equal to Ready without tokens
	End       time.Time        `json:"end"`
	WaitedFor []string         `json:"waitedFor,omitempty"` // pools that were short
	Cleanup   bool             `json:"cleanup,omitempty"`   // ran because the run was over
	Note      string           `json:"note,omitempty"`      // what a person should know, one line
	Error     string           `json:"error,omitempty"`
	Log       string           `json:"log,omitempty"` // path relative to the run folder
}

// Wall is the time from tokens to end.
func (r Record) Wall() time.Duration { return r.End.Sub(r.Start) }

// Failure is the error of a stage. It unwraps to the deed's own error.
type Failure struct {
	Stage, Group string
	Err          error
}

func (f *Failure) Error() string { return f.Stage + ": " + f.Err.Error() }

// Unwrap gives the deed's error.
func (f *Failure) Unwrap() error { return f.Err }

// Run is one run. All methods are safe for concurrent use.
type Run struct {
	Dir    string              // run folder; logs go to Dir/logs
	Pools  *Pools              // token pools; nil means no stage takes any
	Notify func(Record)        // called at every change of state, one call at a time; may be nil
	Now    func() time.Time    // nil is time.Now
	Mask   func(string) string // applied to everything that is logged; nil changes nothing
	ctx    context.Context     //nolint:containedctx // the run is the context of its stages: mage hands out only the first caller's and never cancels it
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	notify   sync.Mutex
	records  []*Record
	failures []*Failure
}

// New starts a run in the folder dir, bounded by the context.
func New(ctx context.Context, dir string, pools *Pools) (*Run, error) {
	if err := os.MkdirAll(filepath.Join(dir, "logs"), 0o755); err != nil {
		return nil, fmt.Errorf("making the run folder: %w", err)
	}
	r := &Run{Dir: dir, Pools: pools}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	return r, nil
}

// Context ends at the first failure, at Cancel, or with New's context.
func (r *Run) Context() context.Context { return r.ctx }

// Cancel ends the run for a cause that is no stage's failure.
func (r *Run) Cancel(cause error) { r.cancel(cause) }

// Do runs deed as a stage. Its context is the run's, with the stage's deadline;
// the Handle is its log and its voice. The first stage to fail cancels all others.
// The error is a *Failure, or wraps the run's cause when the stage was cancelled.
func (r *Run) Do(s Stage, deed func(context.Context, *Handle) error) error {
	return r.do(r.ctx, s, deed)
}

// Cleanup runs deed as a stage although the run may be cancelled: it has a
// context of its own, bounded by the stage's deadline, and its failure is
// recorded beside the first one and cancels nothing.
func (r *Run) Cleanup(s Stage, deed func(context.Context, *Handle) error) error {
	s.cleanup = true
	return r.do(context.WithoutCancel(r.ctx), s, deed)
}

func (r *Run) do(ctx context.Context, s Stage, deed func(context.Context, *Handle) error) error {
	h, err := r.open(s)
	if err != nil {
		return r.fail(s, err)
	}
	defer h.log.close()
	if err := context.Cause(ctx); err != nil {
		return r.end(ctx, h, s, fmt.Errorf("not started: %w", err))
	}
	if s.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, s.Deadline, fmt.Errorf("deadline of %s passed", s.Deadline))
		defer cancel()
	}
	ctx = context.WithValue(ctx, handleKey{}, h)
	release, err := r.Pools.Acquire(ctx, s.Tokens)
	if err != nil {
		return r.end(ctx, h, s, err)
	}
	defer release()
	h.change(func(rec *Record) { rec.State, rec.Start = Running, r.now() })
	return r.end(ctx, h, s, protect(ctx, h, deed))
}

// protect turns a panic of a deed into its error: one stage must not end the run's clean-ups.
func protect(ctx context.Context, h *Handle, deed func(context.Context, *Handle) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return deed(ctx, h)
}

func (r *Run) open(s Stage) (*Handle, error) {
	now := r.now()
	rec := &Record{Name: s.Name, Group: s.Group, State: Waiting, Needs: s.Needs, Tokens: s.Tokens, Cleanup: s.cleanup, Ready: now, Start: now, End: now}
	rec.Log = filepath.Join("logs", strings.ReplaceAll(s.Name, ":", "-")+".log")
	log, err := newLog(filepath.Join(r.Dir, rec.Log), r.Mask)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.records = append(r.records, rec)
	r.mu.Unlock()
	h := &Handle{run: r, rec: rec, log: log}
	h.change(func(*Record) {})
	return h, nil
}

func (r *Run) end(ctx context.Context, h *Handle, s Stage, err error) error {
	state := Done
	cause := context.Cause(r.ctx)
	switch {
	case err == nil && h.skipped:
		state = Skipped
	case err == nil:
	case cause != nil && (errors.Is(err, cause) || errors.Is(err, context.Canceled)):
		state, err = Cancelled, fmt.Errorf("%s: cancelled: %w", s.Name, cause)
	default:
		state = Failed
		if late := context.Cause(ctx); late != nil && !errors.Is(err, late) {
			err = fmt.Errorf("%w: %w", late, err)
		}
		err = fmt.Errorf("%w%s", err, h.log.lastLine(err))
	}
	h.change(func(rec *Record) {
		rec.State, rec.End = state, r.now()
		if err != nil {
			rec.Error = r.masked(err.Error())
		}
	})
	if state == Failed {
		return r.fail(s, err)
	}
	return err
}

func (r *Run) fail(s Stage, err error) error {
	failure := &Failure{Stage: s.Name, Group: s.Group, Err: err}
	r.mu.Lock()
	r.failures = append(r.failures, failure)
	r.mu.Unlock()
	r.cancel(failure)
	return failure
}

// Failures are the stages that failed by themselves, in the order in which they did.
func (r *Run) Failures() []*Failure {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*Failure(nil), r.failures...)
}

// Records are all stages so far, in the order in which their needs were met.
func (r *Run) Records() []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Record, len(r.records))
	for i, rec := range r.records {
		all[i] = *rec
	}
	return all
}

func (r *Run) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

func (r *Run) masked(text string) string {
	if r.Mask == nil {
		return text
	}
	return r.Mask(text)
}
