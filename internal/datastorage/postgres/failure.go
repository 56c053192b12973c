package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
)

// failure remembers the statement that failed last: goose tells the file only. It is a pgx.QueryTracer.
type failure struct {
	mu        sync.Mutex
	answer    *pgconn.PgError
	statement string
}

type statementKey struct{}

// TraceQueryStart is of pgx.QueryTracer.
func (*failure) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, statementKey{}, data.SQL)
}

// TraceQueryEnd is of pgx.QueryTracer.
func (f *failure) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	var answer *pgconn.PgError
	if !errors.As(data.Err, &answer) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
	f.statement, _ = ctx.Value(statementKey{}).(string)
}

// explain names the file of a failed migration, and the line if PostgreSQL refused a statement; the SQLSTATE is in its text.
func (f *failure) explain(err error, files fs.FS) error {
	var partial *goose.PartialError
	if !errors.As(err, &partial) || partial.Failed == nil || partial.Failed.Source == nil {
		return err
	}
	name := partial.Failed.Source.Path
	var answer *pgconn.PgError
	f.mu.Lock()
	defer f.mu.Unlock()
	if errors.As(partial.Err, &answer) && answer == f.answer {
		if content, readErr := fs.ReadFile(files, name); readErr == nil {
			name = fmt.Sprintf("%s, line %d", name, lineOf(string(content), f.statement, int(answer.Position)))
		}
	}
	return fmt.Errorf("applying %s: %w", name, partial.Err)
}

// lineOf is the line of a file on which a place in one of its statements stands. The place counts characters from 1; 0 is
// the whole statement.
func lineOf(file, statement string, place int) int {
	before, _, _ := strings.Cut(file, statement)
	within := []rune(statement)
	within = within[:min(max(0, place-1), len(within))]
	return 1 + strings.Count(before, "\n") + strings.Count(string(within), "\n")
}
