//go:build integration

package postgres

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// session is a connection of whoever the URL says, for the whole test.
func session(t *testing.T, where string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// A7: an event of a month without a partition is stored and found; the owner moves it with everything it has, and the month
// is one as any other. TestMonthWithoutPartition of cmd/datastorage has the gauge and the warning.
func TestMonthWithoutPartition(t *testing.T) {
	s, d := newStore(t)
	e := testEvent()
	e.Time = e.Time.AddDate(2, 0, 0)
	insert(t, s, e)
	if page := query(t, s, datastorage.EventFilter{}, 10, 0); page.Total != 1 || page.Events[0].ID != e.ID {
		t.Errorf("page %+v", page)
	}
	// The month of that row cannot be made any more; the others can.
	if months, err := s.EnsurePartitions(t.Context(), 24); err != nil || months != (Months{Made: 20, Ahead: 23, DefaultRows: 1}) {
		t.Errorf("%+v %v", months, err)
	}
	whole := `SELECT to_jsonb(e)::text FROM audit_events AS e`
	before := column(t, d.admin, whole)
	owner, err := ConnectOwner(t.Context(), d.owner)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close(t.Context())
	moved, err := owner.Repair(t.Context())
	if want := e.Time.Format("audit_events_2006_01"); err != nil || !slices.Equal(moved, []Partition{{want, 1}}) {
		t.Errorf("moved %v, %v", moved, err)
	}
	if after := column(t, d.admin, whole); !slices.Equal(after, before) {
		t.Errorf("before %v, after %v", before, after)
	}
	if months, err := s.EnsurePartitions(t.Context(), 24); err != nil || months != (Months{Ahead: 24}) {
		t.Errorf("%+v %v", months, err)
	}
	insert(t, s, e, testEvent()) // the repeat is found as one
	if n := column(t, d.admin, `SELECT count(*)::text FROM audit_events`); n[0] != "2" {
		t.Errorf("%s rows", n)
	}
	far := testEvent()
	far.Time = far.Time.AddDate(5, 0, 0)
	insert(t, s, far)
	month := e.Time.Format("audit_events_2006_01")
	for _, statement := range []string{`DELETE FROM audit_events`, `TRUNCATE audit_events_default`, `DELETE FROM audit_events_default`,
		`UPDATE ` + month + ` SET event_type = 'x'`, `TRUNCATE ` + month} {
		if try(d.as(t, d.owner), statement) == nil {
			t.Errorf("after the repair the owner may %s", statement)
		}
	}
}

// A repair that cannot be finished leaves everything where it was.
func TestRepairIsWhole(t *testing.T) {
	s, d := newStore(t)
	for _, years := range []int{2, 3} {
		e := testEvent()
		e.Time = e.Time.AddDate(years, 0, 0)
		insert(t, s, e)
	}
	second := time.Now().UTC().AddDate(3, 0, 0).Format("audit_events_2006_01")
	exec(t, d.admin, `CREATE TABLE `+second+` ()`) // somebody else's: the second month fails
	owner, err := ConnectOwner(t.Context(), d.owner)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close(t.Context())
	if moved, err := owner.Repair(t.Context()); err == nil {
		t.Errorf("moved %v", moved)
	}
	if months, err := s.EnsurePartitions(t.Context(), 3); err != nil || months.DefaultRows != 2 {
		t.Errorf("%+v %v", months, err)
	}
}

// M2: at every month of ten years one run makes the partitions from the month before to three ahead, while inserts go on
// that would fail if they were blocked for 2 s.
func TestPartitionsOfTenYears(t *testing.T) {
	_, d := newStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() { insertUntil(ctx, t, d.as(t, d.app)) })
	conn := session(t, d.as(t, d.owner))
	first := time.Date(2031, 1, 15, 0, 0, 0, 0, time.UTC)
	for n := range 120 {
		today, want := first.AddDate(0, n, 0), Months{Made: 1, Ahead: 3}
		if n == 0 {
			want.Made = 5
		}
		var got Months
		err := conn.QueryRow(t.Context(), `SELECT made, months_ahead, default_rows FROM audit_ensure_partitions_at($1, 3)`, today).
			Scan(&got.Made, &got.Ahead, &got.DefaultRows)
		if err != nil || got != want {
			t.Errorf("%s: %+v %v", today.Format("2006-01"), got, err)
		}
	}
	cancel()
	writer.Wait()
	there := column(t, d.admin, `SELECT c.relname::text FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
		WHERE i.inhparent = 'audit_events'::regclass`)
	for n := -1; n < 120+3; n++ {
		if want := first.AddDate(0, n, 0).Format("audit_events_2006_01"); !slices.Contains(there, want) {
			t.Errorf("no %s", want)
		}
	}
}

// insertUntil writes with a time-out of 2 s for every lock; an insert that waits longer is an error of the test.
func insertUntil(ctx context.Context, t *testing.T, where string) {
	background := context.WithoutCancel(ctx)
	conn, err := pgx.Connect(background, where)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = conn.Close(background) }()
	if _, err := conn.Exec(background, `SET lock_timeout = '2s'`); err != nil {
		t.Error(err)
	}
	n := 0
	for ; ctx.Err() == nil; n++ {
		_, err := conn.Exec(background, `INSERT INTO audit_events (event_id, event_date, event_timestamp, event_type, event_category,
			event_action, event_outcome, actor_type, actor_id, resource_type, resource_id, correlation_id, event_data)
			SELECT gen_random_uuid(), (now() AT TIME ZONE 'UTC')::date, now(), 't', 'analysis', 'a', 'success', 's', 's', 'r', 'r', 'rr', '{}'`)
		if err != nil {
			t.Errorf("insert %d: %v", n, err)
			return
		}
	}
	if n == 0 {
		t.Error("nothing was inserted meanwhile")
	}
}

// Ids are kept for their window, and the upkeep may take longer than a write: this one waits until its statement is older
// than the time-out of every write of the store.
func TestForgetIDs(t *testing.T) {
	_, d := newStore(t)
	const ofWrites = 50 * time.Millisecond
	s, err := Open(t.Context(), Options{Target: d.app, MaxConns: 2, ReadConns: 1, QueryTimeout: 5 * time.Second,
		SingleTimeout: ofWrites, BatchTimeout: ofWrites, ConnMaxLifetime: time.Hour, ConnMaxIdleTime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	exec(t, d.admin, `INSERT INTO audit_event_ids SELECT gen_random_uuid(), (now() AT TIME ZONE 'UTC')::date - age FROM unnest(ARRAY[0, 34, 35, 36, 400]) AS age`)
	blocker := session(t, d.admin)
	tx, err := blocker.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM audit_event_ids FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		forgotten int64
		err       error
	}
	done := make(chan outcome, 1)
	go func() {
		n, err := s.ForgetIDs(t.Context(), 35)
		done <- outcome{n, err}
	}()
	watcher := session(t, d.admin)
	for old := false; !old; {
		if err := watcher.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
			AND wait_event_type = 'Lock' AND clock_timestamp() - query_start > interval '200 ms')`).Scan(&old); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-done:
			t.Fatalf("ended while it was blocked: %+v", got)
		default:
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got.err != nil || got.forgotten != 2 {
		t.Errorf("%+v", got)
	}
	if left := column(t, d.admin, `SELECT ((now() AT TIME ZONE 'UTC')::date - event_date)::text FROM audit_event_ids ORDER BY event_date DESC`); !slices.Equal(left, []string{"0", "34", "35"}) {
		t.Errorf("left are those of %v days", left)
	}
	if _, err := s.ForgetIDs(t.Context(), 8); err == nil {
		t.Error("a window below the limit was taken")
	}
}

// M3: whatever an unfinished or merely listed migration leaves, the application sees a schema that is outdated.
func TestUnfinishedMigration(t *testing.T) {
	d := newDatabase(t)
	exec(t, d.admin, `CREATE ROLE `+quoted(d.appRole)+` LOGIN PASSWORD '`+testPassword+`'`)
	s, err := Open(t.Context(), Options{Target: d.app, MaxConns: 2, ReadConns: 1, QueryTimeout: 5 * time.Second,
		SingleTimeout: 5 * time.Second, BatchTimeout: 5 * time.Second, ConnMaxLifetime: time.Hour, ConnMaxIdleTime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	files, err := d.migration().Status(t.Context())
	if err != nil || len(files) != int(RequiredSchema()) || !files[0].Applied.IsZero() {
		t.Errorf("%+v %v", files, err)
	}
	if there := column(t, d.admin, `SELECT relname::text FROM pg_class WHERE relname LIKE 'goose%'`); len(there) > 0 {
		t.Errorf("listing made %v", there)
	}
	m := d.migration()
	m.CreateAppRole, m.AppRole = false, "nobody-of-this-name" // all files, but no rights
	if _, err := m.Run(t.Context()); err == nil {
		t.Fatal("a role that is not there was given rights")
	}
	if err := s.Check(t.Context()); !errors.Is(err, datastorage.ErrSchemaOutdated) {
		t.Errorf("without rights: %v", err)
	}
}
