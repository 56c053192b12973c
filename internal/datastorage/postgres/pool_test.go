//go:build integration

package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// A statement that ran out of time is a fault of PostgreSQL, unless the wait for a connection took the time: that is
// overload, which must not go to the queue.
func TestWhoseTimeItWas(t *testing.T) {
	s, d := newStore(t)
	locker, err := pgx.Connect(t.Context(), d.admin)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = locker.Close(context.WithoutCancel(t.Context())) }()
	if _, err := locker.Exec(t.Context(), `BEGIN; LOCK TABLE audit_event_ids IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		occupied time.Duration
		cause    datastorage.Cause
	}{{0, datastorage.CauseTimeout}, {600 * time.Millisecond, datastorage.CausePool}, {1500 * time.Millisecond, datastorage.CausePool}} {
		held := make([]*pgxpool.Conn, s.write.Config().MaxConns)
		for i := range held {
			if held[i], err = s.write.Acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		released := make(chan struct{})
		time.AfterFunc(c.occupied, func() {
			for _, conn := range held {
				conn.Release()
			}
			close(released)
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := s.InsertEvents(ctx, []datastorage.Event{testEvent()}, datastorage.CheckParents)
		cancel()
		<-released
		var failure *datastorage.Error
		if !errors.As(err, &failure) || failure.Cause != c.cause || failure.Kind != datastorage.Unavailable {
			t.Errorf("after %s of waiting: %v, want the cause %s", c.occupied, err, c.cause)
		}
	}
	stats := s.PoolStats()
	if stats[0].Pool != "write" || stats[0].Max != 8 || stats[1].Pool != "read" || stats[1].Max != 4 || stats[0].Wait < 500*time.Millisecond {
		t.Errorf("%+v", stats)
	}
}

func TestSchemaVersionIsSeen(t *testing.T) {
	s, _ := newStore(t)
	if err := s.Check(t.Context()); err != nil || s.SchemaVersion() != RequiredSchema() {
		t.Errorf("version %d, %v", s.SchemaVersion(), err)
	}
}
