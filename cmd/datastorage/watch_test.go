package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/httpapi"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/postgres"
)

// An outdated schema is told of at once and then every 30 s, however often the prober sees it.
func TestOutdatedSchemaIsToldAgain(t *testing.T) {
	var lines bytes.Buffer
	s := &service{log: slog.New(slog.NewTextHandler(&lines, nil)), metrics: httpapi.NewMetrics("", ""), store: &postgres.Store{}}
	for n, want := range []int{1, 1, 2, 2} {
		if n == 2 {
			s.seen.told = s.seen.told.Add(-tellAgain)
		}
		s.databaseIs(t.Context(), fmt.Errorf("%w: version 1, needed 3", datastorage.ErrSchemaOutdated))
		if got := bytes.Count(lines.Bytes(), []byte("needed 3")); got != want {
			t.Errorf("after probe %d: %d lines, want %d\n%s", n+1, got, want, &lines)
		}
	}
}
