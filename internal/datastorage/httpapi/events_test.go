package httpapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

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

// A4: ids in order.
func TestBatch(t *testing.T) {
	for _, n := range []int{1, datastorage.MaxBatch} {
		f, ids, events := newFixture(t), make([]string, n), make([]string, n)
		for i := range events {
			ids[i] = uuid.NewString()
			events[i] = event(change{"event_id": ids[i]})
		}
		w := f.do("POST", batchPath, "["+strings.Join(events, ",")+"]")
		var answer struct {
			IDs     []string `json:"event_ids"`
			Message string   `json:"message"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 201 || !slices.Equal(answer.IDs, ids) ||
			len(f.events) != n || answer.Message != strconv.Itoa(n)+" audit events created successfully" {
			t.Errorf("%d, %d ids, %q, %v", w.Code, len(answer.IDs), answer.Message, err)
		}
	}
}
