package stage_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

func newRun(t *testing.T, pools map[string]int64) *stage.Run {
	t.Helper()
	run, err := stage.New(t.Context(), t.TempDir(), stage.NewPools(pools))
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func nothing(context.Context, *stage.Handle) error { return nil }

func TestFirstFailureCancelsSiblings(t *testing.T) {
	run := newRun(t, nil)
	own := errors.New("compile error")
	started := make(chan struct{})
	var group sync.WaitGroup
	var sibling error
	group.Go(func() {
		sibling = run.Do(stage.Stage{Name: "build:b", Group: "build"}, func(ctx context.Context, _ *stage.Handle) error {
			close(started)
			<-ctx.Done()
			return fmt.Errorf("podman: %w", context.Cause(ctx))
		})
	})
	<-started
	err := run.Do(stage.Stage{Name: "build:a", Group: "build"}, func(context.Context, *stage.Handle) error { return own })
	group.Wait()
	late := run.Do(stage.Stage{Name: "deploy:a", Group: "deploy"}, nothing)

	var failure *stage.Failure
	if !errors.As(err, &failure) || failure.Stage != "build:a" || !errors.Is(err, own) {
		t.Errorf("got %v", err)
	}
	if !errors.Is(sibling, own) || !errors.Is(late, own) {
		t.Errorf("sibling %v and late stage %v must name the cause", sibling, late)
	}
	if failures := run.Failures(); len(failures) != 1 {
		t.Errorf("failures %v: cancelled stages are none", failures)
	}
	for _, r := range run.Records() {
		want := map[string]stage.State{"build:a": stage.Failed, "build:b": stage.Cancelled, "deploy:a": stage.Cancelled}[r.Name]
		if r.State != want {
			t.Errorf("%s is %s, want %s", r.Name, r.State, want)
		}
	}
}

func TestEveryOwnFailureIsNamed(t *testing.T) {
	run := newRun(t, nil)
	first, second := errors.New("one"), errors.New("two")
	ready, proceed := make(chan struct{}), make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = run.Do(stage.Stage{Name: "b"}, func(context.Context, *stage.Handle) error { close(ready); <-proceed; return second }) // read from Failures
	}()
	<-ready
	_ = run.Do(stage.Stage{Name: "a"}, func(context.Context, *stage.Handle) error { return first }) // read from Failures
	close(proceed)
	<-done
	failures := run.Failures()
	if len(failures) != 2 || !errors.Is(failures[0], first) || !errors.Is(failures[1], second) {
		t.Errorf("got %v", failures)
	}
}

func TestDeadlineNamesLastOutput(t *testing.T) {
	run := newRun(t, nil)
	err := run.Do(stage.Stage{Name: "slow", Deadline: time.Millisecond}, func(ctx context.Context, h *stage.Handle) error {
		fmt.Fprintln(h.Log(), "downloading part 3")
		<-ctx.Done()
		return context.Cause(ctx)
	})
	if err == nil || !strings.Contains(err.Error(), "deadline of 1ms") || !strings.Contains(err.Error(), "downloading part 3") {
		t.Errorf("got %v", err)
	}
	if errors.Is(err, context.Canceled) {
		t.Error("a passed deadline is a failure, not a cancel")
	}
}

func TestCleanupRunsAfterCancel(t *testing.T) {
	run := newRun(t, nil)
	run.Cancel(errors.New("interrupted"))
	ran := false
	if err := run.Cleanup(stage.Stage{Name: "teardown"}, func(ctx context.Context, _ *stage.Handle) error { ran = true; return ctx.Err() }); err != nil || !ran {
		t.Errorf("ran %v, error %v", ran, err)
	}
}

func TestPanicIsAFailure(t *testing.T) {
	run := newRun(t, nil)
	if err := run.Do(stage.Stage{Name: "a"}, func(context.Context, *stage.Handle) error { panic("boom") }); err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("got %v", err)
	}
}

func TestLogIsStampedAndMasked(t *testing.T) {
	run := newRun(t, nil)
	run.Mask = func(s string) string { return strings.ReplaceAll(s, "hunter2", "***") }
	err := run.Do(stage.Stage{Name: "deploy:x"}, func(_ context.Context, h *stage.Handle) error {
		_, err := h.Log().Write([]byte("password hunter2\nhalf"))
		h.Note("ready")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(run.Dir, "logs", "deploy-x.log"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if len(lines) != 2 || !strings.HasSuffix(lines[0], "password ***") || !strings.HasSuffix(lines[1], "half") {
		t.Errorf("log %q", data)
	}
	if run.Records()[0].Note != "ready" {
		t.Error("the note is lost")
	}
}

// ACC-58: no deadlock whatever the tokens are.
func TestRandomTokensNeverDeadlock(t *testing.T) {
	for range 20 {
		run := newRun(t, map[string]int64{"memory": 8, "builder": 2, "node": 1})
		var group sync.WaitGroup
		for i := range 50 {
			want := map[string]int64{"memory": rand.Int64N(12), "builder": rand.Int64N(3), "node": rand.Int64N(2)}
			group.Go(func() {
				if err := run.Do(stage.Stage{Name: fmt.Sprint("s", i), Tokens: want}, nothing); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
}

func TestPoolBounds(t *testing.T) {
	run := newRun(t, map[string]int64{"builder": 2})
	var mu sync.Mutex
	now, most := 0, 0
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			err := run.Do(stage.Stage{Name: fmt.Sprint("s", i), Tokens: map[string]int64{"builder": 1}}, func(context.Context, *stage.Handle) error {
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()
				defer func() { mu.Lock(); now--; mu.Unlock() }()
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if most > 2 {
		t.Errorf("%d held 2 tokens", most)
	}
}

func TestWaitForTokensEndsWithTheRun(t *testing.T) {
	run := newRun(t, map[string]int64{"builder": 1})
	release, err := run.Pools.Acquire(t.Context(), map[string]int64{"builder": 1})
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	cause := errors.New("sibling failed")
	waiting := make(chan struct{})
	run.Notify = func(r stage.Record) {
		if len(r.WaitedFor) > 0 && r.State == stage.Waiting {
			close(waiting)
		}
	}
	go func() { <-waiting; run.Cancel(cause) }()
	if err := run.Do(stage.Stage{Name: "a", Tokens: map[string]int64{"builder": 1}}, nothing); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}

func ExampleRun() {
	dir, err := os.MkdirTemp("", "run")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	run, err := stage.New(context.Background(), dir, stage.NewPools(map[string]int64{"builder": 1}))
	if err != nil {
		panic(err)
	}
	err = run.Do(stage.Stage{Name: "build:web", Group: "build", Tokens: map[string]int64{"builder": 1}}, func(_ context.Context, h *stage.Handle) error {
		h.Note("first build")
		return nil
	})
	fmt.Println(err, run.Records()[0].State, run.Records()[0].Note)
	// Output: <nil> done first build
}
