package datastorage

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
)

func ptr[T any](v T) *T { return &v }

func TestChange(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 8009, time.UTC)
	then := now.Add(-time.Hour)
	active := Workflow{Status: "active", RowVersion: 4}
	off := Workflow{Status: "disabled", DisabledAt: &then, DisabledBy: "a", DisabledReason: "b", UpdatedBy: "a", RowVersion: 4}
	for name, c := range map[string]struct {
		from   Workflow
		change Change
		kind   Kind // of the error
		same   bool
		want   Workflow
	}{
		"nothing":                    {active, Change{}, 0, true, active},
		"the same state":             {active, Change{Status: ptr("active")}, 0, true, active},
		"deprecate":                  {active, Change{Status: ptr("deprecated")}, 0, false, Workflow{Status: "deprecated"}},
		"disable":                    {active, Change{Status: ptr("disabled"), DisabledBy: ptr("me"), DisabledReason: ptr("why")}, 0, false, Workflow{Status: "disabled", DisabledBy: "me", DisabledReason: "why", UpdatedBy: "me"}},
		"disable without a word":     {active, Change{Status: ptr("disabled")}, 0, false, Workflow{Status: "disabled"}},
		"another reason":             {off, Change{DisabledReason: ptr("c")}, 0, false, Workflow{Status: "disabled", DisabledBy: "a", DisabledReason: "c", UpdatedBy: "a"}},
		"disabled again":             {off, Change{Status: ptr("disabled"), DisabledReason: ptr("c"), KeepDisabled: true}, 0, true, off},
		"activate":                   {off, Change{Status: ptr("active")}, 0, false, Workflow{Status: "active", UpdatedBy: "a"}},
		"reason of an active one":    {active, Change{DisabledReason: ptr("c")}, Invalid, false, Workflow{}},
		"by, while it is activated":  {off, Change{Status: ptr("active"), DisabledBy: ptr("c")}, Invalid, false, Workflow{}},
		"meant for this row":         {active, Change{Status: ptr("archived"), RowVersion: ptr(int64(4))}, 0, false, Workflow{Status: "archived"}},
		"meant for another row":      {active, Change{Status: ptr("archived"), RowVersion: ptr(int64(3))}, PreconditionFailed, false, Workflow{}},
		"no change of another row":   {active, Change{RowVersion: ptr(int64(3))}, PreconditionFailed, false, Workflow{}},
		"disable of a disabled, 412": {off, Change{KeepDisabled: true, RowVersion: ptr(int64(3))}, PreconditionFailed, false, Workflow{}},
	} {
		got, err := c.change.Apply(c.from, now)
		if c.kind != 0 {
			if err == nil || KindOf(err) != c.kind {
				t.Errorf("%s: error %v", name, err)
			}
			continue
		}
		if err != nil || got.SameState(c.from) != c.same {
			t.Errorf("%s: %+v, error %v", name, got, err)
		}
		if got.Status != c.want.Status || got.DisabledBy != c.want.DisabledBy || got.DisabledReason != c.want.DisabledReason || got.UpdatedBy != c.want.UpdatedBy {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		if (got.DisabledAt != nil) != (got.Status == "disabled") || got.DisabledAt != nil && c.from.Status == "disabled" && !got.DisabledAt.Equal(then) {
			t.Errorf("%s: disabled at %v", name, got.DisabledAt)
		}
	}
}

func TestSelfAuditNeverWaits(t *testing.T) {
	var kept []Event
	dropped, fail := 0, true
	write := func(_ context.Context, events []Event) (Receipt, error) {
		if fail {
			return Receipt{}, errors.New("away")
		}
		kept = append(kept, events...)
		return Receipt{}, nil
	}
	s := NewSelfAudit(write, func() { dropped++ }, slog.New(slog.DiscardHandler))
	for range selfAuditQueue + 5 {
		s.Record(someEvents(1)[0])
	}
	if dropped != 5 {
		t.Errorf("%d of 5 events beyond the queue were dropped", dropped)
	}
	s.write(t.Context(), <-s.queue)
	if dropped != 5+selfAuditBatch {
		t.Errorf("%d dropped after a write that failed", dropped)
	}
	fail = false
	if err := s.Flush(t.Context()); err != nil || len(kept) != selfAuditQueue-selfAuditBatch {
		t.Errorf("kept %d, %v", len(kept), err)
	}
	s.Record(someEvents(1)[0])
	late, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Flush(late); err == nil || dropped != 5+selfAuditBatch+1 {
		t.Errorf("after the time was over: error %v, %d dropped", err, dropped)
	}
}

func TestSearchAudit(t *testing.T) {
	search := Search{Labels: Labels{"OOMKilled", "critical", "pod", "prod", "P1"}, TopK: 3, MinScore: 0.5}
	found := []Ranked{{Candidate: Candidate{ID: uuid.New(), Title: "x"}}}
	e, err := search.Audit(found, 7, 12*time.Millisecond, Origin{RequestID: "r"})
	if err != nil || e.Type != "workflow.catalog.search_completed" || e.Category != "workflow" || len(e.CorrelationID) != 16 || e.Origin.RequestID != "r" {
		t.Fatalf("%+v %v", e, err)
	}
	var data struct {
		Query struct {
			TopK int `json:"top_k"`
		}
		Results struct {
			Total    int `json:"total_found"`
			Returned int
		}
	}
	if err := json.Unmarshal(e.Data, &data); err != nil || data.Query.TopK != 3 || data.Results.Total != 7 || data.Results.Returned != 1 {
		t.Errorf("%s %v", e.Data, err)
	}
	if errs := e.Check(Window{MaxAge: time.Hour, MaxFuture: time.Hour}, time.Now()); len(errs) > 0 {
		t.Errorf("our own event breaks the rules: %v", errs)
	}
	search.RemediationID = "rr-1"
	if e, _ := search.Audit(nil, 0, 0, Origin{}); e.CorrelationID != "rr-1" {
		t.Errorf("correlation %q", e.CorrelationID)
	}
}
