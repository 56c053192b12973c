package httpapi

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

func TestBadEvents(t *testing.T) {
	long := func(n int) string { return strings.Repeat("ä", n) }
	for _, c := range []struct {
		name, body string
		fields     []string
	}{
		{"empty body", "", []string{"body"}},
		{"cut", `{"a":`, []string{"body"}},
		{"trailing bytes", event(nil) + "{}", []string{"body"}},
		{"array", "[]", []string{"body"}},
		{"null", "null", []string{"body"}},
		{"several missing", event(change{"version": nil, "event_type": nil, "event_data": nil}), []string{"version", "event_type", "event_data"}},
		{"missing and bad together", event(change{"version": nil, "event_data": 5, "event_timestamp": "2020-01-01T00:00:00Z", "actor_id": long(256)}),
			[]string{"version", "event_data", "event_timestamp", "actor_id"}},
		{"empty required", event(change{"correlation_id": ""}), []string{"correlation_id"}},
		{"one too long", event(change{"event_type": long(101)}), []string{"event_type"}},
		{"enum", event(change{"event_outcome": "maybe", "event_category": "x"}), []string{"event_outcome", "event_category"}},
		{"no zone", event(change{"event_timestamp": "2026-03-02T08:00:00"}), []string{"event_timestamp"}},
		{"no such day", event(change{"event_timestamp": "2026-02-30T00:00:00Z"}), []string{"event_timestamp"}},
		{"ahead", event(change{"event_timestamp": time.Now().Add(6 * time.Minute)}), []string{"event_timestamp"}},
		{"old", event(change{"event_timestamp": time.Now().Add(-8 * 24 * time.Hour)}), []string{"event_timestamp"}},
		{"data null", strings.Replace(event(nil), `{"a":1}`, `null`, 1), []string{"event_data"}},
		{"data array", event(change{"event_data": []int{1}}), []string{"event_data"}},
		{"data deep", event(change{"event_data": json.RawMessage(strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100))}), []string{"event_data"}},
		{"data very deep", strings.Replace(event(nil), `{"a":1}`, strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000), 1), []string{"body"}},
		{"data number", strings.Replace(event(nil), `{"a":1}`, `{"a":1e130000}`, 1), []string{"event_data"}},
		{"NUL", event(change{"actor_id": "a\x00b"}), []string{"actor_id"}},
		{"lone surrogate", strings.Replace(event(nil), `"rr-1"`, `"\ud800"`, 1), []string{"correlation_id"}},
		{"not UTF-8", strings.Replace(event(nil), `"rr-1"`, "\"\xff\"", 1), []string{"correlation_id"}},
		{"id", event(change{"event_id": "x"}), []string{"event_id"}},
		{"nil id", event(change{"event_id": uuid.Nil}), []string{"event_id"}},
		{"duration", event(change{"duration_ms": -1}), []string{"duration_ms"}},
		{"duration of a type", event(change{"duration_ms": "5"}), []string{"duration_ms"}},
		{"null where it may not be", strings.Replace(event(change{"actor_type": "x"}), `"actor_type":"x"`, `"actor_type":null`, 1), []string{"actor_type"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			p := problemOf(t, f.do("POST", eventsPath, c.body), 400)
			if got := slices.Sorted(maps.Keys(p.FieldErrors)); !slices.Equal(got, slices.Sorted(slices.Values(c.fields))) {
				t.Errorf("faults %v, want %v", p.FieldErrors, c.fields)
			}
			if len(f.events) > 0 {
				t.Error("it was stored")
			}
		})
	}
}

func TestGoodEvents(t *testing.T) {
	f := newFixture(t)
	for _, changes := range []change{
		nil,
		{"version": strings.Repeat("ä", 20), "event_type": strings.Repeat("\U0001F600", 100)},
		{"severity": "", "actor_id": "", "unknown": map[string]any{"x": nil}},
		{"event_timestamp": time.Now().Add(4 * time.Minute).Format("2006-01-02T15:04:05.000000000-07:00")},
		{"event_id": strings.ToUpper(uuid.NewString()), "parent_event_id": uuid.NewString(), "duration_ms": 0},
	} {
		w := f.do("POST", eventsPath, event(changes), "Content-Type", "application/json; charset=UTF-8")
		if w.Code != http.StatusCreated {
			t.Errorf("%v: %d %s", changes, w.Code, w.Body)
		}
	}
	null := strings.Replace(event(change{"namespace": "x"}), `"namespace":"x"`, `"namespace":null`, 1)
	if w := f.do("POST", eventsPath, null); w.Code != http.StatusCreated {
		t.Errorf("null: %d %s", w.Code, w.Body)
	}
}

func TestBatch(t *testing.T) {
	list := func(n int, bad ...int) string {
		events := make([]string, n)
		for i := range events {
			events[i] = event(nil)
		}
		for k, i := range bad {
			events[i] = []string{event(change{"event_type": nil}), event(change{"event_data": nil, "version": 5}), "7"}[k%3]
		}
		return "[" + strings.Join(events, ",") + "]"
	}
	for _, c := range []struct {
		name, body string
		status     int
		indexes    []int
	}{
		{"one", list(1), 201, nil},
		{"a thousand", list(1000), 201, nil},
		{"a thousand and one", list(1001), 413, nil},
		{"three bad ones", list(1000, 0, 499, 999), 400, []int{0, 499, 999}},
		{"meaning only", "[" + event(nil) + "," + event(change{"event_data": 1}) + "]", 400, []int{1}},
		{"object", "{}", 400, nil},
		{"null", "null", 400, nil},
		{"nothing", "[]", 400, nil},
		{"too many bytes", "[" + strings.Repeat(" ", maxBatchBody) + "]", 413, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			w := f.do("POST", batchPath, c.body)
			if c.status == 201 {
				var answer struct {
					IDs []string `json:"event_ids"`
				}
				if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 201 || len(answer.IDs) != len(f.events) {
					t.Errorf("%d, %d ids, %v", w.Code, len(answer.IDs), err)
				}
				return
			}
			if p := problemOf(t, w, c.status); !slices.Equal(p.InvalidIndexes, c.indexes) {
				t.Errorf("indexes %v, want %v: %s", p.InvalidIndexes, c.indexes, p.Detail)
			}
			if len(f.events) > 0 {
				t.Error("something was stored")
			}
		})
	}
}

func TestUnknownParent(t *testing.T) {
	f := newFixture(t)
	f.err = datastorage.UnknownParents{0}
	p := problemOf(t, f.do("POST", eventsPath, event(nil)), 400)
	if p.FieldErrors["parent_event_id"] == "" {
		t.Errorf("faults %v", p.FieldErrors)
	}
	p = problemOf(t, f.do("POST", batchPath, "["+event(nil)+"]"), 400)
	if !slices.Equal(p.InvalidIndexes, []int{0}) || p.FieldErrors["[0].parent_event_id"] == "" {
		t.Errorf("batch: %+v", p)
	}
}
