package httpapi

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// Whatever comes in is no panic and no 5xx, and what is accepted keeps the rules of the contract.

func FuzzEventBody(f *testing.F) {
	for _, c := range badEvents {
		f.Add([]byte(c.body))
	}
	f.Add([]byte(event(nil)))
	f.Add([]byte(event(change{"event_id": uuid.NewString(), "parent_event_id": uuid.NewString(), "duration_ms": 0, "namespace": "x", "cluster_name": "y"})))
	f.Add([]byte(replaced(`{"a":1}`, `{"a":[1e308,-0.0,"\ud83d\ude00",{"b":null}]}`)))
	f.Add([]byte(strings.Replace(event(nil), "{", `{"version":null,"event_data":[],`, 1)))
	fixture := newFixture(f)
	f.Fuzz(func(t *testing.T, body []byte) { fixture.takes(t, eventsPath, body, 1) })
}

func FuzzBatchBody(f *testing.F) {
	for _, c := range badEvents {
		f.Add([]byte("[" + event(nil) + "," + c.body + "]"))
	}
	for _, body := range []string{"", "{}", "[]", "[null]", "[[]]", "[" + event(nil) + "," + event(nil) + "]", "[" + event(nil) + ",]", "[" + event(nil) + "]]"} {
		f.Add([]byte(body))
	}
	fixture := newFixture(f)
	f.Fuzz(func(t *testing.T, body []byte) { fixture.takes(t, batchPath, body, datastorage.MaxBatch) })
}

func (f *fixture) takes(t *testing.T, path string, body []byte, most int) {
	f.events = nil
	f.log.Reset()
	w := f.do("POST", path, string(body))
	switch w.Code {
	case 201:
		if !json.Valid(body) || len(f.events) == 0 || len(f.events) > most {
			t.Fatalf("%d events of %q", len(f.events), body)
		}
	case 400, 413:
		problemOf(t, w, w.Code)
		f.harmless(t, w)
	default:
		t.Fatalf("%d %s of %q", w.Code, w.Body, body)
	}
	for _, e := range f.events {
		keepsTheRules(t, e)
	}
}

func keepsTheRules(t *testing.T, e datastorage.Event) {
	t.Helper()
	for _, c := range []struct {
		name, value string
		least, most int
	}{
		{"version", e.Version, 1, 20}, {"event_type", e.Type, 1, 100}, {"event_action", e.Action, 1, 50},
		{"correlation_id", e.CorrelationID, 1, 255}, {"actor_type", e.ActorType, 1, 50}, {"actor_id", e.ActorID, 1, 255},
		{"resource_type", e.ResourceType, 1, 100}, {"resource_id", e.ResourceID, 1, 255}, {"namespace", e.Namespace, 0, 253},
		{"cluster_name", e.ClusterName, 0, 255}, {"severity", e.Severity, 1, 20},
	} {
		if n := utf8.RuneCountInString(c.value); n < c.least || n > c.most || !utf8.ValidString(c.value) || strings.Contains(c.value, "\x00") {
			t.Errorf("%s is %q", c.name, c.value)
		}
	}
	if !slices.Contains(specCategories, e.Category) || !slices.Contains([]string{"success", "failure", "pending"}, e.Outcome) {
		t.Errorf("category %q, outcome %q", e.Category, e.Outcome)
	}
	if age := time.Since(e.Time); age < -5*time.Minute || age > 168*time.Hour+time.Minute || e.Time.Nanosecond()%1000 != 0 {
		t.Errorf("the time %s", e.Time)
	}
	if !e.ID.Valid || e.ID.UUID == uuid.Nil || e.Parent.Valid && e.Parent.UUID == uuid.Nil || e.DurationMS != nil && *e.DurationMS < 0 {
		t.Errorf("%+v", e)
	}
	var data map[string]any
	if err := json.Unmarshal(e.Data, &data); err != nil || data == nil || datastorage.CheckObject(e.Data) != "" {
		t.Errorf("event_data %q: %v", e.Data, err)
	}
	if _, err := json.Marshal(e); err != nil { // as the queue keeps it
		t.Errorf("%v", err)
	}
}
