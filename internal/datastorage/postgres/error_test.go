package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// Which failures mean that PostgreSQL is unavailable, and which that the event is at fault. Nothing else may be Invalid:
// an Invalid event leaves the queue for the dead-letter stream.
func TestTranslate(t *testing.T) {
	const away, invalid, bug = datastorage.Unavailable, datastorage.Invalid, datastorage.Internal
	for code, want := range map[string]struct {
		kind  datastorage.Kind
		cause datastorage.Cause
	}{
		"08006": {away, datastorage.CauseConnection}, "08P01": {away, datastorage.CauseConnection},
		"53100": {away, datastorage.CauseResources}, "53300": {away, datastorage.CauseResources},
		"57P01": {away, datastorage.CauseShutdown}, "57P03": {away, datastorage.CauseShutdown},
		"57014": {away, datastorage.CauseTimeout}, "25006": {away, datastorage.CauseReadOnly},
		"40001": {away, datastorage.CauseSerialization}, "40P01": {away, datastorage.CauseSerialization},
		"28P01": {away, datastorage.CauseAuth}, "42P01": {away, datastorage.CauseSchema},
		"22P02": {invalid, ""}, "22003": {invalid, ""}, "23514": {invalid, ""}, "23505": {invalid, ""},
		"42501": {bug, ""}, "42703": {bug, ""}, "XX000": {bug, ""},
	} {
		check(t, code, fmt.Errorf("copying: %w", &pgconn.PgError{Code: code}), want.kind, want.cause)
	}
	for _, c := range []struct {
		name  string
		err   error
		cause datastorage.Cause
	}{
		{"cut", &net.OpError{Op: "read", Err: syscall.ECONNRESET}, datastorage.CauseConnection},
		{"closed by the server", fmt.Errorf("commit: %w", io.ErrUnexpectedEOF), datastorage.CauseConnection},
		{"closed by us", net.ErrClosed, datastorage.CauseConnection},
		{"no time left", fmt.Errorf("timeout: %w", context.DeadlineExceeded), datastorage.CauseTimeout},
		{"no connection free", errPoolWait, datastorage.CausePool},
		{"certificate", &tls.CertificateVerificationError{Err: errors.New("expired")}, datastorage.CauseTLS},
	} {
		check(t, c.name, c.err, away, c.cause)
	}
	if err := translate(pgx.ErrNoRows); datastorage.KindOf(err) != datastorage.NotFound {
		t.Errorf("no rows: %v", err)
	}
}

func check(t *testing.T, name string, err error, kind datastorage.Kind, cause datastorage.Cause) {
	t.Helper()
	var known *datastorage.Error
	if !errors.As(translate(err), &known) || known.Kind != kind || known.Cause != cause || (kind == datastorage.Unavailable) != (known.RetryAfter == 5*time.Second) {
		t.Errorf("%s: %+v, want kind %d and cause %q", name, translate(err), kind, cause)
	}
}

// No session at all is never a bug of ours: not when nobody listens, not when the secret is just being replaced.
func TestNoSession(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	_ = listener.Close()
	for _, c := range []struct {
		secret error
		cause  datastorage.Cause
	}{{nil, datastorage.CauseConnection}, {fs.ErrNotExist, datastorage.CauseAuth}} {
		s, err := Open(t.Context(), Options{
			Target: Target{Host: "127.0.0.1", Port: port, Name: "none", SSLMode: "disable", ConnectTimeout: time.Second,
				Credentials: func() (string, string, error) { return "app", "p", c.secret }},
			MaxConns: 3, ReadConns: 1, SingleTimeout: time.Second, BatchTimeout: time.Second, QueryTimeout: time.Second,
			ConnMaxLifetime: time.Hour, ConnMaxIdleTime: time.Hour,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		_, write := s.InsertEvents(t.Context(), []datastorage.Event{datastorage.Event{Time: time.Now(), Data: []byte(`{}`)}.Complete(uuid.New)}, datastorage.CheckParents)
		_, lead := s.Lead(t.Context(), func(context.Context) error { t.Error("led without a lock"); return nil })
		for name, err := range map[string]error{"write": write, "probe": s.Check(t.Context()), "lead": lead} {
			var known *datastorage.Error
			if !errors.As(err, &known) || known.Kind != datastorage.Unavailable || known.Cause != c.cause {
				t.Errorf("%s: %+v, want the cause %q", name, err, c.cause)
			}
		}
	}
}
