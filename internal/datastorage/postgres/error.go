package postgres

import (
	"context"
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
	switch {
	case err == nil || errors.As(err, &known) || errors.As(err, &parents):
		return err
	case errors.Is(err, pgx.ErrNoRows):
		return &datastorage.Error{Kind: datastorage.NotFound, Detail: "not found", Err: err}
	case isAway(err):
		return &datastorage.Error{Kind: datastorage.Unavailable, Detail: "the database is not available", RetryAfter: retryAfter, Err: err}
	case errors.As(err, &answer) && (strings.HasPrefix(answer.Code, "22") || strings.HasPrefix(answer.Code, "23")):
		// Our own checks should have caught it, so this is a bug of ours too; the caller's value is still the cause.
		return &datastorage.Error{Kind: datastorage.Invalid, Detail: "the database refused a value", Err: err}
	}
	return &datastorage.Error{Kind: datastorage.Internal, Detail: "internal error", Err: err}
}

// isAway tells that PostgreSQL could not be reached, did not answer in time, or cannot take writes now.
func isAway(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	var answer *pgconn.PgError
	switch {
	case errors.As(err, &connect), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return true
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return true
	case errors.As(err, &answer):
		return isAwayCode(answer.Code)
	case errors.As(err, &network):
		return true
	}
	return pgconn.SafeToRetry(err)
}

func isAwayCode(code string) bool {
	for _, class := range []string{
		"08",  // connection
		"53",  // resources
		"57P", // shutting down, starting
	} {
		if strings.HasPrefix(code, class) {
			return true
		}
	}
	switch code {
	case "25006", // read-only: a failover is going on
		"57014", // cancelled by the statement timeout
		"40001", "40P01",
		"42P01": // no table: not migrated yet
		return true
	}
	return false
}

func isSerialization(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && (answer.Code == "40001" || answer.Code == "40P01")
}

func isUniqueViolation(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && answer.Code == "23505"
}
