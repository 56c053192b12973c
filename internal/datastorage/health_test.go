package datastorage

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestNotReady(t *testing.T) {
	for _, c := range []struct {
		database, queue State
		stopping        bool
		reason          string
	}{
		{Unknown, Connected, false, "starting"},
		{Connected, Connected, false, ""},
		{Connected, Unreachable, false, ""},
		{Unreachable, Connected, false, ""},
		{Unreachable, Unreachable, false, "no_durable_store"},
		{Unreachable, Off, false, "no_durable_store"},
		{StateOf(fmt.Errorf("checking: %w", ErrSchemaOutdated)), Connected, false, "schema_outdated"},
		{Connected, Connected, true, "shutting_down"},
	} {
		var h Health
		h.SetQueue(c.queue)
		h.SetDatabase(c.database)
		if c.stopping {
			h.Stop()
		}
		if got := h.NotReady(); got != c.reason {
			t.Errorf("%+v: %q, want %q", c, got, c.reason)
		}
	}
}

func TestProbe(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	asked, away := 0, errors.New("away")
	var reports []error
	Probe(ctx, time.Millisecond, time.Second, func(ctx context.Context) error {
		if _, limited := ctx.Deadline(); !limited {
			t.Error("a question without a limit")
		}
		if asked++; asked == 1 {
			return away
		}
		return nil
	}, func(err error) {
		if reports = append(reports, err); len(reports) == 3 {
			cancel()
		}
	})
	if len(reports) != 3 || !errors.Is(reports[0], away) || reports[1] != nil {
		t.Errorf("reports %v", reports)
	}
}
