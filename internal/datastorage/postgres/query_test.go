//go:build integration

package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/postgres/db"
)

// Q3: pages by cursor show every row that was there at the start exactly once while others arrive before, between and
// behind them, and agree with pages by offset. Ten rows each have the same time.
func TestPagesByCursor(t *testing.T) {
	s, _ := newStore(t)
	now := time.Now().UTC().Truncate(time.Microsecond)
	there := map[uuid.UUID]int{} // how often it was seen
	for batch := range 10 {
		events := make([]datastorage.Event, 1000)
		for i := range events {
			events[i] = testEvent()
			events[i].Time = now.Add(-time.Duration((batch*1000+i)/10) * time.Minute)
			there[events[i].ID.UUID] = 0
		}
		insert(t, s, events...)
	}
	var byOffset, byCursor []uuid.UUID
	for offset := 0; offset < len(there); offset += 1000 {
		for _, e := range ask(t, s, datastorage.EventFilter{}, datastorage.Page{Limit: 1000, Offset: offset}).Events {
			byOffset = append(byOffset, e.ID.UUID)
		}
	}
	arrived, stop := arrivals(t, s, now)
	seen := map[uuid.UUID]bool{}
	page := datastorage.Page{Limit: 97}
	for more := true; more; {
		<-arrived // at least one between two pages
		found := ask(t, s, datastorage.EventFilter{}, page)
		for _, e := range found.Events {
			if seen[e.ID.UUID] {
				t.Errorf("%s is on two pages", e.ID.UUID)
			}
			seen[e.ID.UUID] = true
			if _, old := there[e.ID.UUID]; old {
				byCursor = append(byCursor, e.ID.UUID)
			}
		}
		more = found.HasMore
		page.After = &found.Last
	}
	stop()
	if !slices.Equal(byCursor, byOffset) || len(byCursor) != len(there) {
		t.Errorf("%d rows by cursor, %d by offset, %d stored", len(byCursor), len(byOffset), len(there))
	}
}

// arrivals lets two writers insert, by turns newer events and some in the middle of those up to now, and tells of each.
func arrivals(t *testing.T, s *Store, now time.Time) (arrived <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan struct{})
	var writers sync.WaitGroup
	for range 2 {
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				newer, between := testEvent(), testEvent()
				newer.Time = now.Add(time.Minute)
				between.Time = now.Add(-time.Duration(n*7%1000) * time.Minute)
				if _, err := s.InsertEvents(context.WithoutCancel(ctx), []datastorage.Event{newer, between}, datastorage.CheckParents); err != nil {
					t.Error(err) // and tell nevertheless: nobody may wait for ever
				}
				select {
				case told <- struct{}{}:
				case <-ctx.Done():
				}
			}
		})
	}
	return told, func() { cancel(); writers.Wait() }
}

// Q4: the total is exact up to the limit, which is 50 in these tests, and a lower bound beyond; has_more is right where a
// page ends with the last row.
func TestTotalAndHasMore(t *testing.T) {
	s, _ := newStore(t)
	for n, c := range map[int]struct {
		total int
		bound bool
	}{49: {49, false}, 50: {50, false}, 51: {50, true}} {
		correlation := fmt.Sprintf("rr-%d", n)
		events := make([]datastorage.Event, n)
		for i := range events {
			events[i] = testEvent()
			events[i].CorrelationID = correlation
		}
		insert(t, s, events...)
		filter := datastorage.EventFilter{CorrelationID: &correlation}
		if page := query(t, s, filter, 1000, 0); page.Total != c.total || page.TotalIsLowerBound != c.bound || page.HasMore {
			t.Errorf("%d rows: %+v", n, page.EventPage)
		}
		if whole, short := query(t, s, filter, n, 0), query(t, s, filter, n-1, 0); whole.HasMore || !short.HasMore || len(short.Events) != n-1 {
			t.Errorf("%d rows: has_more %v for all of them, %v for one less", n, whole.HasMore, short.HasMore)
		}
	}
}

// aMillion puts 1,000,000 events, a second apart, into the last month, so that the planner has to avoid a scan; partitions
// without rows are cheaper to scan. The first have correlation ids with as many events as these say.
func aMillion(t *testing.T, d database) (middle time.Time, partition string) {
	t.Helper()
	for part := range 4 { // each within the time limit of a statement here
		exec(t, d.admin, fmt.Sprintf(`INSERT INTO audit_events (event_id, event_date, event_timestamp, event_type, event_category, event_action,
			event_outcome, actor_type, actor_id, resource_type, resource_id, correlation_id, event_data, severity)
			SELECT gen_random_uuid(), (t AT TIME ZONE 'UTC')::date, t, 'type.' || n %% 500, (ARRAY['gateway','workflow','execution'])[n %% 3 + 1], 'a',
				CASE WHEN n %% 1000 = 0 THEN 'failure' ELSE 'success' END, 'service', 's', 'r', 'r',
				CASE WHEN n <= 99999 THEN '99999' WHEN n <= 199999 THEN '100000' WHEN n <= 300000 THEN '100001' ELSE 'rr-' || n %% 50000 END, '{}',
				CASE WHEN n %% 1000 = 0 THEN 'critical' ELSE 'info' END
			FROM (SELECT n, date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - interval '10 days' - n * interval '1 second' AS t
				FROM generate_series(%d, %d) AS n) AS s`, part*250_000+1, (part+1)*250_000))
	}
	exec(t, d.admin, `VACUUM (ANALYZE, PARALLEL 0) audit_events`)
	now := time.Now().UTC()
	middle = time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, -16)
	return middle, "audit_events_" + middle.Format("2006_01")
}

// Q4 and Q6 on 1,000,000 rows: every filter finds its rows by an index, and the total is exact up to the limit of 100,000.
func TestAMillionEvents(t *testing.T) {
	s, d := newStore(t)
	s.options.MaxCount = 100_000
	at, partition := aMillion(t, d)
	text := func(s string) *string { return &s }
	// A page by cursor has no total. The count of all rows, or of an outcome without an index because most have it, ends at
	// the limit after little more than that many rows.
	uncounted := []string{"cursor", "nothing", "common outcome"}
	for name, params := range map[string]db.QueryAuditEventsParams{
		"nothing":        {},
		"correlation_id": {CorrelationID: text("rr-7")},
		"event_type":     {EventType: text("type.7")},
		"event_category": {EventCategory: text("workflow")},
		"event_outcome":  {EventOutcome: text("failure")},
		"severity":       {Severity: text("critical")},
		"since":          {Since: &at, SinceDate: day(&at)},
		"until":          {Until: &at, UntilDate: day(&at)},
		"cursor":         {AfterTime: &at, AfterID: &uuid.UUID{}, UntilDate: day(&at)},
		"type and since": {EventType: text("type.7"), Since: &at, SinceDate: day(&at)},
		"no such type":   {EventType: text("none")},
		"common outcome": {EventOutcome: text("success")},
	} {
		params.RowLimit = 51
		plans := map[string]string{"page": explained(t, s, func(q *db.Queries) { _, _ = q.QueryAuditEvents(t.Context(), params) })}
		if !slices.Contains(uncounted, name) {
			plans["total"] = explained(t, s, func(q *db.Queries) {
				_, _ = q.CountAuditEvents(t.Context(), db.CountAuditEventsParams{EventType: params.EventType, EventCategory: params.EventCategory,
					EventOutcome: params.EventOutcome, Severity: params.Severity, CorrelationID: params.CorrelationID, Since: params.Since,
					SinceDate: params.SinceDate, Until: params.Until, UntilDate: params.UntilDate, CountLimit: int32(s.options.MaxCount) + 1})
			})
		}
		for what, plan := range plans {
			if strings.Contains(plan, "Seq Scan on "+partition) || !strings.Contains(plan, "Index") {
				t.Errorf("%s of %s:\n%s", what, name, plan)
			}
		}
	}
	for correlation, want := range map[string]struct {
		total int
		bound bool
	}{"99999": {99_999, false}, "100000": {100_000, false}, "100001": {100_000, true}} {
		if page := query(t, s, datastorage.EventFilter{CorrelationID: &correlation}, 1, 0); page.Total != want.total || page.TotalIsLowerBound != want.bound {
			t.Errorf("%s events: total %d, lower bound %v", correlation, page.Total, page.TotalIsLowerBound)
		}
	}
}

// asked is a DBTX that keeps the statement of one row, too.
type asked struct{ statement }

func (a *asked) QueryRow(_ context.Context, sql string, args ...any) pgx.Row {
	a.sql, a.args = sql, args
	return notRun{}
}

type notRun struct{}

func (notRun) Scan(...any) error { return errKept }

// explained is the plan of the very statement that the service runs.
func explained(t *testing.T, s *Store, ask func(*db.Queries)) string {
	t.Helper()
	var kept asked
	ask(db.New(&kept))
	found, err := s.read.Query(t.Context(), "EXPLAIN "+kept.sql, kept.args...)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}
