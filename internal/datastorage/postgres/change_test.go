//go:build integration

package postgres

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

func ptr[T any](v T) *T { return &v }

// auditOf are the types of the service's own events about a workflow, newest first.
func auditOf(t *testing.T, s *Store, id uuid.UUID) []datastorage.Event {
	t.Helper()
	correlation := id.String()
	return query(t, s, datastorage.EventFilter{CorrelationID: &correlation}, 100, 0).Events
}

// W6, W7: a change is written with its audit event; what changes nothing writes neither.
func TestUpdateWorkflow(t *testing.T) {
	s, _ := newStore(t)
	w, err := s.CreateWorkflow(t.Context(), testWorkflow("w", "1"), datastorage.Origin{RequestID: "r1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		change  datastorage.Change
		status  string
		version int64
	}{
		{datastorage.Change{}, "active", 1},
		{datastorage.Change{Status: ptr("disabled"), DisabledBy: ptr("me"), DisabledReason: ptr("why")}, "disabled", 2},
		{datastorage.Change{Status: ptr("disabled"), DisabledReason: ptr("other"), KeepDisabled: true}, "disabled", 2},
		{datastorage.Change{Status: ptr("active")}, "active", 3},
	} {
		got, err := s.UpdateWorkflow(t.Context(), w.ID, step.change, datastorage.Origin{RequestID: "r2"})
		if err != nil || got.Status != step.status || got.RowVersion != step.version || (got.DisabledAt != nil) != (step.status == "disabled") {
			t.Errorf("%+v: %+v %v", step, got, err)
		}
	}
	if w, err = s.GetWorkflow(t.Context(), w.ID); err != nil || w.DisabledBy != "" || w.DisabledReason != "" || w.RowVersion != 3 {
		t.Errorf("%+v %v", w, err)
	}
	events := auditOf(t, s, w.ID)
	if len(events) != 3 || events[2].Type != "datastorage.workflow.created" || events[0].Type != "datastorage.workflow.updated" ||
		events[0].ActorID != "datastorage" || events[0].ResourceType != "Workflow" || events[0].Action != "update" {
		t.Errorf("events %+v", events)
	}
	if _, err := s.UpdateWorkflow(t.Context(), uuid.New(), datastorage.Change{}, datastorage.Origin{}); datastorage.KindOf(err) != datastorage.NotFound {
		t.Errorf("unknown id: %v", err)
	}
}

// W5: of two changes that are meant for the same row exactly one is made.
func TestOptimisticLock(t *testing.T) {
	s, _ := newStore(t)
	w, err := s.CreateWorkflow(t.Context(), testWorkflow("w", "1"), datastorage.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	var made, refused atomic.Int32
	var all sync.WaitGroup
	for _, status := range []string{"deprecated", "archived"} {
		all.Go(func() {
			_, err := s.UpdateWorkflow(t.Context(), w.ID, datastorage.Change{Status: &status, RowVersion: &w.RowVersion}, datastorage.Origin{})
			switch {
			case err == nil:
				made.Add(1)
			case datastorage.KindOf(err) == datastorage.PreconditionFailed:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if made.Load() != 1 || refused.Load() != 1 || len(auditOf(t, s, w.ID)) != 2 {
		t.Errorf("%d made, %d refused, %d events", made.Load(), refused.Load(), len(auditOf(t, s, w.ID)))
	}
}

// W7: what cannot be audited is not done.
func TestNoChangeWithoutAudit(t *testing.T) {
	s, d := newStore(t)
	w, err := s.CreateWorkflow(t.Context(), testWorkflow("w", "1"), datastorage.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	exec(t, d.admin, `REVOKE INSERT ON audit_events FROM `+quoted(d.appRole))
	if _, err := s.CreateWorkflow(t.Context(), testWorkflow("w", "2"), datastorage.Origin{}); err == nil {
		t.Error("created without an audit event")
	}
	if _, err := s.UpdateWorkflow(t.Context(), w.ID, datastorage.Change{Status: ptr("archived")}, datastorage.Origin{}); err == nil {
		t.Error("changed without an audit event")
	}
	total, err := s.ListVersions(t.Context(), "w", func(got datastorage.Workflow) error {
		if got.Status != "active" || !got.IsLatest || got.RowVersion != 1 {
			t.Errorf("%+v", got)
		}
		return nil
	})
	if err != nil || total != 1 || len(auditOf(t, s, w.ID)) != 1 {
		t.Errorf("%d versions, %d events, %v", total, len(auditOf(t, s, w.ID)), err)
	}
}

func TestListVersions(t *testing.T) {
	s, _ := newStore(t)
	for _, version := range []string{"1", "2", "10"} {
		if _, err := s.CreateWorkflow(t.Context(), testWorkflow("w/' OR 1=1 --", version), datastorage.Origin{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.CreateWorkflow(t.Context(), testWorkflow("other", "1"), datastorage.Origin{}); err != nil {
		t.Fatal(err)
	}
	var got []string
	total, err := s.ListVersions(t.Context(), "w/' OR 1=1 --", func(w datastorage.Workflow) error {
		got = append(got, w.Version)
		return nil
	})
	if err != nil || total != 3 || len(got) != 3 || got[0] != "10" || got[2] != "1" {
		t.Errorf("%v of %d, %v", got, total, err)
	}
}
