package image

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/engine"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// ErrLedger is wrapped when a build breaks the ledger's rules: one successful
// build of a digest in a run group, and only inside the build group.
var ErrLedger = errors.New("the build ledger refuses")

// Entry is one line of the ledger.
type Entry struct {
	Image     string    `json:"image"`
	Digest    string    `json:"digest"`
	Engine    string    `json:"engine"`
	Stage     string    `json:"stage"`
	Reason    string    `json:"reason"`
	Attempt   int       `json:"attempt"`
	Start     time.Time `json:"start"`
	End       time.Time `json:"end"`
	Result    string    `json:"result"` // built, failed or cancelled
	Fault     string    `json:"fault,omitempty"`
	PeakBytes int64     `json:"peakBytes"`
}

// Ledger is a file of JSON lines, shared by all runs of a group.
type Ledger struct {
	Path  string
	Group string // the stage group in which building is allowed
	mu    sync.Mutex
}

// Entries reads the ledger; a missing file is an empty one.
func (l *Ledger) Entries() ([]Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	file, err := os.Open(l.Path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening the ledger: %w", err)
	}
	defer file.Close()
	var entries []Entry
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		var e Entry
		if err := json.Unmarshal(scanner.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("ledger %s, line %d: %w", l.Path, len(entries)+1, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func (l *Ledger) add(e Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encoding a ledger line: %w", err)
	}
	file, err := os.OpenFile(l.Path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening the ledger: %w", err)
	}
	_, err = file.Write(append(data, '\n'))
	return errors.Join(err, file.Close())
}

// Record writes every build into the ledger, and refuses one that the ledger's
// rules forbid before it starts.
func Record(b Builder, l *Ledger, engineName string) Builder { return record{b, l, engineName} }

type record struct {
	next   Builder
	ledger *Ledger
	engine string
}

func (r record) Build(ctx context.Context, p Plan) (Result, error) {
	e := Entry{Image: p.Image.Name, Digest: p.Digest, Engine: r.engine, Reason: p.Reason, Attempt: 1, Start: time.Now().UTC()}
	group := ""
	if h := stage.From(ctx); h != nil {
		e.Stage, group = h.Name(), h.Group()
	}
	if err := r.check(e, group); err != nil {
		return Result{}, err
	}
	result, err := r.next.Build(ctx, p)
	e.End, e.PeakBytes, e.Result = time.Now().UTC(), result.PeakBytes, "built"
	switch {
	case err != nil && ctx.Err() != nil:
		e.Result = "cancelled"
	case err != nil:
		e.Result, e.Fault = "failed", string(engine.Classify(err))
	}
	if ledgerErr := r.ledger.add(e); ledgerErr != nil {
		return result, errors.Join(err, ledgerErr)
	}
	return result, err
}

func (r record) check(e Entry, group string) error {
	if group != r.ledger.Group {
		return fmt.Errorf("%w: image %s would be built in stage %q of group %q, outside group %q", ErrLedger, e.Image, e.Stage, group, r.ledger.Group)
	}
	entries, err := r.ledger.Entries()
	if err != nil {
		return err
	}
	for _, before := range entries {
		if before.Image == e.Image && before.Digest == e.Digest && before.Result == "built" {
			return fmt.Errorf("%w: image %s, digest %.12s was built in stage %q at %s and would be built again in stage %q",
				ErrLedger, e.Image, e.Digest, before.Stage, before.End.Format(time.RFC3339), e.Stage)
		}
	}
	return nil
}
