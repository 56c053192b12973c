//go:build integration

package postgres

import (
	"context"
	"errors"
	"testing"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// replica is one more store on the same database.
func (d database) replica(t *testing.T, s *Store) *Store {
	t.Helper()
	other, err := Open(t.Context(), s.options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	return other
}

// leads tells whether a store gets the lock now.
func leads(t *testing.T, s *Store) bool {
	t.Helper()
	worked := false
	led, err := s.Lead(t.Context(), func(context.Context) error { worked = true; return nil })
	if err != nil || led != worked {
		t.Fatalf("led %v, worked %v, %v", led, worked, err)
	}
	return led
}

// D7: one of two replicas at a time, and the other one as soon as the lock is free, however it was lost.
func TestOneLeads(t *testing.T) {
	s, d := newStore(t)
	other := d.replica(t, s)
	failed := errors.New("of the work")
	led, err := s.Lead(t.Context(), func(context.Context) error {
		if leads(t, other) {
			t.Error("two lead")
		}
		return failed
	})
	if !led || !errors.Is(err, failed) {
		t.Errorf("led %v, %v", led, err)
	}
	for _, store := range []*Store{other, s, s, other} {
		if !leads(t, store) {
			t.Error("the lock was not given back")
		}
	}
	if led, err := s.Lead(t.Context(), func(context.Context) error {
		exec(t, d.admin, `SELECT pg_terminate_backend(pid, 10000) FROM pg_locks JOIN pg_database AS d ON d.oid = pg_locks.database
			WHERE locktype = 'advisory' AND datname = current_database()`)
		if !leads(t, other) {
			t.Error("the lock outlived its connection")
		}
		return nil
	}); !led || err != nil {
		t.Errorf("led %v, %v", led, err)
	}
	if !leads(t, s) {
		t.Error("the store did not get a new connection")
	}
	ctx, cancel := context.WithCancel(t.Context())
	if led, err := s.Lead(ctx, func(context.Context) error { cancel(); return nil }); !led || err != nil { // a shutdown
		t.Errorf("led %v, %v", led, err)
	}
	if !leads(t, other) {
		t.Error("a shutdown kept the lock")
	}
}

// A server that takes no writes is no good to the prober, whatever can be read there.
func TestReadOnlyServer(t *testing.T) {
	s, d := newStore(t)
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	exec(t, d.admin, `ALTER ROLE `+quoted(d.appRole)+` SET default_transaction_read_only = on`)
	later := d.replica(t, s)
	_, write := later.InsertEvents(t.Context(), []datastorage.Event{testEvent()}, datastorage.CheckParents)
	for name, err := range map[string]error{"probe": later.Check(t.Context()), "write": write} {
		var known *datastorage.Error
		if !errors.As(err, &known) || known.Kind != datastorage.Unavailable || known.Cause != datastorage.CauseReadOnly {
			t.Errorf("%s: %v", name, err)
		}
	}
}
