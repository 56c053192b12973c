//go:build integration

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
)

const eventsPath, batchPath = "/api/v1/audit/events", "/api/v1/audit/events/batch"

// A3: an id that comes again is answered with what is stored, changes nothing, and is counted by whether the content is
// the same, alone and in a batch.
func TestRepeatsAreCounted(t *testing.T) {
	o := running(t)
	first := with(least("repeats"), members{"event_id": uuid.NewString(), "event_data": members{"a": 1.0, "b": 2.0}})
	yesterday := time.Now().UTC().AddDate(0, 0, -1).Format(time.RFC3339Nano)
	other := with(first, members{"event_action": "other"})
	same, different := 0.0, 0.0
	for _, c := range []struct {
		name            string
		body            any
		same, different float64
	}{
		{"the first", first, 0, 0},
		{"the same", first, 1, 0},
		{"the same with defaults written out", with(first, members{"severity": "info", "actor_type": "service"}), 1, 0},
		{"the same in another spelling", with(first, members{"event_data": members{"b": 2, "a": 1}}), 1, 0},
		{"another action", other, 0, 1},
		{"other data", with(first, members{"event_data": members{"a": 1, "b": 3}}), 0, 1},
		{"one member more", with(first, members{"namespace": "shop"}), 0, 1},
		{"another category", with(first, members{"event_category": "workflow"}), 0, 0}, // counted for that category
		{"another day", with(first, members{"event_timestamp": yesterday}), 0, 1},
		{"a batch", []any{first, other, with(least("repeats"), members{"event_id": uuid.NewString(), "correlation_id": "new"})}, 1, 1},
	} {
		path := eventsPath
		if _, isBatch := c.body.([]any); isBatch {
			path = batchPath
		}
		status, text := o.call(t, http.MethodPost, path, c.body)
		answer := object[members](t, text)
		if ids, isBatch := answer["event_ids"].([]any); isBatch {
			answer = members{"event_id": ids[0]}
		} else if answer["event_timestamp"] != first["event_timestamp"] {
			t.Errorf("%s: the time %v is not the stored one", c.name, answer["event_timestamp"])
		}
		if status != http.StatusCreated || answer["event_id"] != first["event_id"] {
			t.Errorf("%s: %d %s", c.name, status, text)
		}
		same, different = same+c.same, different+c.different
		for content, want := range map[string]float64{"same": same, "different": different} {
			if got := o.metric(t, `datastorage_audit_duplicates_total{content="`+content+`",service="analysis"}`); got != want {
				t.Errorf("%s: %v are counted as %s, want %v", c.name, got, content, want)
			}
		}
	}
	if got := o.metric(t, `datastorage_audit_duplicates_total{content="different",service="workflow"}`); got != 1 {
		t.Errorf("%v of another category", got)
	}
	stored := o.events(t, "correlation_id=repeats")
	if len(stored) != 1 || stored[0]["event_action"] != "test" || stored[0]["event_category"] != "analysis" || stored[0]["namespace"] != nil ||
		stored[0]["event_timestamp"] != first["event_timestamp"] || !reflect.DeepEqual(stored[0]["event_data"], first["event_data"]) {
		t.Errorf("stored %v, sent first %v", stored, first)
	}
}

// A4: a batch is answered with its ids in order, and whoever reads meanwhile sees nothing of it or all.
func TestBatchAppearsAtOnce(t *testing.T) {
	o := running(t)
	for round := range 5 {
		correlation := fmt.Sprintf("round %d", round)
		batch, ids := make([]members, 1000), make([]any, 1000)
		for n := range batch {
			ids[n] = uuid.NewString()
			batch[n] = with(least(correlation), members{"event_id": ids[n]})
		}
		readers := o.poll(t, correlation)
		status, text := o.call(t, http.MethodPost, batchPath, batch)
		if status != http.StatusCreated || !reflect.DeepEqual(object[members](t, text)["event_ids"], ids) {
			t.Fatalf("%d %.300s", status, text)
		}
		readers()
	}
	twice := []any{with(least("twice"), members{"event_id": uuid.NewString()}), with(least("twice"), members{"event_id": uuid.NewString()}), nil}
	twice[2] = twice[0]
	_, text := o.call(t, http.MethodPost, batchPath, twice)
	if ids, _ := object[members](t, text)["event_ids"].([]any); len(ids) != 3 || ids[2] != ids[0] || ids[2] != twice[0].(members)["event_id"] || len(o.events(t, "correlation_id=twice")) != 2 {
		t.Errorf("an id twice in a batch: %s", text)
	}
}

// poll has readers ask for the events of a correlation id again and again. It returns when each has seen that there are
// none; after the batch, all lets them end as soon as each has seen all of it.
func (o outage) poll(t *testing.T, correlation string) (all func()) {
	t.Helper()
	var none, readers sync.WaitGroup
	var sent atomic.Bool
	query := url.Values{"correlation_id": {correlation}, "limit": {"1000"}}.Encode()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	for range 2 {
		none.Add(1)
		readers.Go(func() {
			told := sync.OnceFunc(none.Done)
			defer told()
			for seen := 0; seen < 1000 || !sent.Load(); told() {
				status, text := o.get(t, eventsPath+"?"+query)
				var answer struct {
					Data       []members
					Pagination struct{ Total int }
				}
				err := json.Unmarshal([]byte(text), &answer)
				n, total := len(answer.Data), answer.Pagination.Total
				if err != nil || status != http.StatusOK || n%1000 != 0 || total%1000 != 0 || n < seen || ctx.Err() != nil {
					t.Errorf("%s: %d, %d events of %d, after %d; %v %v", correlation, status, n, total, seen, err, ctx.Err())
					return
				}
				seen = n
			}
		})
	}
	none.Wait()
	return func() { sent.Store(true); readers.Wait(); cancel() }
}
