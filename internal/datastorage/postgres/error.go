package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// retryAfter is what a caller is told while PostgreSQL is away.
const retryAfter = 5 * time.Second

// translate says in the words of the domain what went wrong.
func translate(err error) error {
	var known *datastorage.Error
	var parents datastorage.UnknownParents
	var answer *pgconn.PgError
	if err == nil || errors.As(err, &known) || errors.As(err, &parents) {
		return err
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return &datastorage.Error{Kind: datastorage.NotFound, Detail: "not found", Err: err}
	}
	if cause := causeOf(err); cause != "" {
		return &datastorage.Error{Kind: datastorage.Unavailable, Detail: "the database is not available",
			RetryAfter: retryAfter, Cause: cause, Err: err}
	}
	if errors.As(err, &answer) && (strings.HasPrefix(answer.Code, "22") || strings.HasPrefix(answer.Code, "23")) {
		// Our own checks should have caught it, so this is a bug of ours too; the caller's value is still the cause.
		return &datastorage.Error{Kind: datastorage.Invalid, Detail: "the database refused a value", Err: err}
	}
	return &datastorage.Error{Kind: datastorage.Internal, Detail: "internal error", Err: err}
}

// causeOf is why PostgreSQL could not be reached, did not answer in time or cannot take writes now; empty if it could.
func causeOf(err error) datastorage.Cause {
	var connect *pgconn.ConnectError
	var network net.Error
	var answer *pgconn.PgError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, errPoolWait):
		return datastorage.CausePool
	case errors.As(err, &certificate), errors.As(err, &record):
		return datastorage.CauseTLS
	case errors.As(err, &answer):
		if cause := causeOfCode(answer.Code); cause != "" || !errors.As(err, &connect) {
			return cause
		}
		return datastorage.CauseConnection // no session was given, for whatever reason
	case errors.As(err, &connect), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return datastorage.CauseConnection
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return datastorage.CauseTimeout
	case errors.As(err, &network), pgconn.SafeToRetry(err):
		return datastorage.CauseConnection
	}
	return ""
}

// causeOfCode reads a SQLSTATE.
func causeOfCode(code string) datastorage.Cause {
	switch code {
	case "25006": // read-only: a failover is going on
		return datastorage.CauseReadOnly
	case "57014": // cancelled by the statement timeout
		return datastorage.CauseTimeout
	case "40001", "40P01":
		return datastorage.CauseSerialization
	case "42P01": // no table: not migrated yet
		return datastorage.CauseSchema
	}
	switch {
	case strings.HasPrefix(code, "08"):
		return datastorage.CauseConnection
	case strings.HasPrefix(code, "28"):
		return datastorage.CauseAuth
	case strings.HasPrefix(code, "53"):
		return datastorage.CauseResources
	case strings.HasPrefix(code, "57P"):
		return datastorage.CauseShutdown
	}
	return ""
}

func isSerialization(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && (answer.Code == "40001" || answer.Code == "40P01")
}

func isUniqueViolation(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && answer.Code == "23505"
}
