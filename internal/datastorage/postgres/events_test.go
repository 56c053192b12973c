//go:build integration

package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

func insert(t *testing.T, s *Store, events ...datastorage.Event) []datastorage.Stored {
	t.Helper()
	stored, err := s.InsertEvents(t.Context(), events, datastorage.CheckParents)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

// eventPage is a page with its events.
type eventPage struct {
	datastorage.EventPage
	Events []datastorage.Event
}

func query(t *testing.T, s *Store, filter datastorage.EventFilter, limit, offset int) eventPage {
	t.Helper()
	return ask(t, s, filter, datastorage.Page{Limit: limit, Offset: offset, WithTotal: true})
}

func ask(t *testing.T, s *Store, filter datastorage.EventFilter, page datastorage.Page) (found eventPage) {
	t.Helper()
	var err error
	found.EventPage, err = s.QueryEvents(t.Context(), filter, page, func(e datastorage.Event) error {
		found.Events = append(found.Events, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A1: what was sent comes back unchanged.
func TestSingleEvent(t *testing.T) {
	s, _ := newStore(t)
	zero := int32(0)
	e := testEvent()
	e.Namespace, e.ClusterName, e.DurationMS, e.Data = "shop", "c1", &zero, []byte(`{"b": ["ä", 1.50], "a": {"x": null}}`)
	insert(t, s, e)
	page := query(t, s, datastorage.EventFilter{CorrelationID: &e.CorrelationID}, 10, 0)
	if len(page.Events) != 1 || page.Total != 1 || page.HasMore {
		t.Fatalf("page %+v", page)
	}
	got := page.Events[0]
	if string(got.Data) != `{"a": {"x": null}, "b": ["ä", 1.50]}` {
		t.Errorf("data %s", got.Data)
	}
	if got.Data = e.Data; fmt.Sprintf("%+v %d", got, *got.DurationMS) != fmt.Sprintf("%+v %d", withDuration(e, got.DurationMS), 0) {
		t.Errorf("stored %+v, sent %+v", got, e)
	}
}

func withDuration(e datastorage.Event, d *int32) datastorage.Event {
	e.DurationMS = d
	return e
}

// A2, A3: one id is one row, whoever sends it how often, with whatever content.
func TestIdempotency(t *testing.T) {
	s, _ := newStore(t)
	e := testEvent()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range 5 {
				if _, err := s.InsertEvents(context.Background(), []datastorage.Event{e}, datastorage.CheckParents); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if page := query(t, s, datastorage.EventFilter{}, 10, 0); page.Total != 1 {
		t.Fatalf("%d rows", page.Total)
	}
	again := insert(t, s, e)[0]
	if !again.Repeated || again.Different || !again.Time.Equal(e.Time) {
		t.Errorf("the same again: %+v", again)
	}
	respelled := e
	respelled.Data = []byte(`{ "a" : 1.0 }`)
	if again := insert(t, s, respelled)[0]; again.Different {
		t.Errorf("the same in another spelling: %+v", again)
	}
	other, yesterday := e, e
	other.Action = "other"
	yesterday.Time = e.Time.AddDate(0, 0, -1)
	for _, changed := range []datastorage.Event{other, yesterday} {
		if got := insert(t, s, changed)[0]; !got.Repeated || !got.Different || !got.Time.Equal(e.Time) {
			t.Errorf("other content: %+v", got)
		}
	}
	if page := query(t, s, datastorage.EventFilter{}, 10, 0); page.Total != 1 || page.Events[0].Action != e.Action {
		t.Errorf("the first content is gone: %+v", page)
	}
}

func TestBatchOfAThousand(t *testing.T) {
	s, _ := newStore(t)
	events := make([]datastorage.Event, 1000)
	for i := range events {
		events[i] = testEvent()
		events[i].DurationMS = new(int32)
		*events[i].DurationMS = int32(i)
	}
	events[999] = events[7] // the same fact twice
	events[5].Parent = events[900].ID
	stored := insert(t, s, events...)
	for i, e := range events {
		if stored[i].ID != e.ID.UUID || stored[i].Repeated != (i == 999) || stored[i].Different {
			t.Fatalf("result %d: %+v", i, stored[i])
		}
	}
	if page := query(t, s, datastorage.EventFilter{}, 1000, 0); len(page.Events) != 999 || page.HasMore || page.Total != 50 || !page.TotalIsLowerBound {
		t.Errorf("%d rows, total %d", len(page.Events), page.Total)
	}
	for _, r := range insert(t, s, events...) { // a whole retry
		if !r.Repeated || r.Different {
			t.Fatalf("retry: %+v", r)
		}
	}
}

func TestAllOrNothing(t *testing.T) {
	s, _ := newStore(t)
	good, child := testEvent(), testEvent()
	child.Parent = uuid.NullUUID{UUID: uuid.New(), Valid: true}
	var unknown datastorage.UnknownParents
	if _, err := s.InsertEvents(t.Context(), []datastorage.Event{good, child}, datastorage.CheckParents); !errors.As(err, &unknown) || !slices.Equal(unknown, []int{1}) {
		t.Errorf("unknown parent: %v", err)
	}
	bad := testEvent()
	bad.Category = "nonsense" // our own checks would have refused it
	var known *datastorage.Error
	if _, err := s.InsertEvents(t.Context(), []datastorage.Event{good, bad}, datastorage.CheckParents); !errors.As(err, &known) || known.Kind != datastorage.Invalid {
		t.Errorf("refused value: %v", err)
	}
	if page := query(t, s, datastorage.EventFilter{}, 10, 0); page.Total != 0 {
		t.Errorf("%d rows", page.Total)
	}
	insert(t, s, good)
	child.Parent = good.ID
	insert(t, s, child)
}

func TestUnavailable(t *testing.T) {
	s, d := newStore(t)
	exec(t, d.admin, `ALTER ROLE `+quoted(d.appRole)+` NOLOGIN`)
	for name, call := range map[string]func() error{
		"write": func() error {
			_, err := s.InsertEvents(t.Context(), []datastorage.Event{testEvent()}, datastorage.CheckParents)
			return err
		},
		"read": func() error { _, err := s.GetWorkflow(t.Context(), uuid.New()); return err },
	} {
		var known *datastorage.Error
		if err := call(); !errors.As(err, &known) || known.Kind != datastorage.Unavailable || known.RetryAfter == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Check(t.Context()); err == nil || errors.Is(err, datastorage.ErrSchemaOutdated) {
		t.Errorf("probe: %v", err)
	}
}

// Q1: Every filter alone and all together return what a filter in Go returns, in order and page by page.
func TestQueryAgainstReference(t *testing.T) {
	s, _ := newStore(t)
	random := rand.New(rand.NewPCG(3, 4))
	pick := func(values ...string) string { return values[random.IntN(len(values))] }
	now := time.Now().UTC().Truncate(time.Microsecond)
	var events []datastorage.Event
	for range 300 {
		e := testEvent()
		e.Type, e.Category, e.Outcome = pick("a", "b"), pick("analysis", "workflow"), pick("success", "failure", "pending")
		e.Severity, e.CorrelationID = pick("info", "high"), pick("x", "y", "z")
		e.Time = now.Add(-time.Duration(random.IntN(6*24)) * time.Hour)
		events = append(events, e)
	}
	insert(t, s, events...)
	slices.SortFunc(events, func(a, b datastorage.Event) int {
		if order := b.Time.Compare(a.Time); order != 0 {
			return order
		}
		return slices.Compare(b.ID.UUID[:], a.ID.UUID[:])
	})
	text := func(s string) *string { return &s }
	since, until := now.Add(-72*time.Hour), now.Add(-24*time.Hour)
	for _, f := range []datastorage.EventFilter{
		{}, {Type: text("a")}, {Category: text("workflow")}, {Outcome: text("failure")}, {Severity: text("high")},
		{CorrelationID: text("y")}, {Since: &since}, {Until: &until}, {Since: &since, Until: &until}, {Type: text("nothing")},
		{Type: text("b"), Category: text("analysis"), Outcome: text("success"), Severity: text("info"), CorrelationID: text("z"), Since: &since, Until: &until},
	} {
		var want []uuid.UUID
		for _, e := range events {
			if matches(f, e) {
				want = append(want, e.ID.UUID)
			}
		}
		var got []uuid.UUID
		for offset, more := 0, true; more; offset += 7 {
			page := query(t, s, f, 7, offset)
			for _, e := range page.Events {
				got = append(got, e.ID.UUID)
			}
			if more = page.HasMore; page.Total != min(len(want), 50) || page.TotalIsLowerBound != (len(want) > 50) {
				t.Errorf("%+v: total %d of %d", f, page.Total, len(want))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v: %d rows, want %d", f, len(got), len(want))
		}
	}
}

func matches(f datastorage.EventFilter, e datastorage.Event) bool {
	for _, pair := range []struct {
		want *string
		got  string
	}{{f.Type, e.Type}, {f.Category, e.Category}, {f.Outcome, e.Outcome}, {f.Severity, e.Severity}, {f.CorrelationID, e.CorrelationID}} {
		if pair.want != nil && *pair.want != pair.got {
			return false
		}
	}
	return (f.Since == nil || !e.Time.Before(*f.Since)) && (f.Until == nil || !e.Time.After(*f.Until))
}
