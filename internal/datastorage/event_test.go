package datastorage

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

var (
	testNow    = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	testWindow = Window{MaxAge: 168 * time.Hour, MaxFuture: 5 * time.Minute}
)

func TestCheckEvent(t *testing.T) {
	good := Event{Time: testNow, Data: []byte(`{"a":1}`)}
	for _, c := range []struct {
		name   string
		change func(*Event)
		field  string
	}{
		{"good", func(*Event) {}, ""},
		{"five minutes ahead", func(e *Event) { e.Time = testNow.Add(5 * time.Minute) }, ""},
		{"six minutes ahead", func(e *Event) { e.Time = testNow.Add(6 * time.Minute) }, "event_timestamp"},
		{"seven days old", func(e *Event) { e.Time = testNow.Add(-168 * time.Hour) }, ""},
		{"eight days old", func(e *Event) { e.Time = testNow.Add(-192 * time.Hour) }, "event_timestamp"},
		{"nil id", func(e *Event) { e.ID.Valid = true }, "event_id"},
		{"nil parent", func(e *Event) { e.Parent.Valid = true }, "parent_event_id"},
		{"array", func(e *Event) { e.Data = []byte(`[]`) }, "event_data"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := good
			c.change(&e)
			errs := e.Check(testWindow, testNow)
			if c.field == "" && len(errs) > 0 || c.field != "" && !errs.Has(c.field) {
				t.Errorf("broken rules %v, want one of %q", errs, c.field)
			}
		})
	}
}

func TestCheckObject(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for _, c := range []struct {
		name, raw string
		good      bool
	}{
		{"empty", `{}`, true},
		{"with white space", " \n{\"a\": [1, true, null, \"x\"]}", true},
		{"null", `null`, false},
		{"string", `"{"`, false},
		{"number", `1`, false},
		{"nul escape", `{"a":"\u0000"}`, false},
		{"nul escape in a key", `{"\u0000":1}`, false},
		{"an escaped backslash before u0000", `{"a":"\\u0000"}`, true},
		{"pair", `{"a":"\ud83d\ude00"}`, true},
		{"lone high", `{"a":"\ud83d"}`, false},
		{"lone high before text", `{"a":"\ud83dx"}`, false},
		{"lone low", `{"a":"\ude00"}`, false},
		{"not UTF-8", "{\"a\":\"\xff\"}", false},
		{"64 deep", deep(64), true},
		{"65 deep", deep(65), false},
		{"huge exponent", `{"a":1e130000}`, false},
		{"exponent 308", `{"a":-1.5E+308}`, true},
		{"exponent -309", `{"a":1e-309}`, false},
		{"64 digits", `{"a":` + strings.Repeat("7", 64) + `}`, true},
		{"65 digits", `{"a":0.` + strings.Repeat("7", 65) + `}`, false},
		{"a small number written out", `{"a":0.` + strings.Repeat("0", 300) + `1}`, true},
		{"20,000 zeros before the first digit", `{"a":0.` + strings.Repeat("0", 20_000) + `1}`, false},
		{"zero with 20,000 decimals", `{"a":-0.` + strings.Repeat("0", 20_000) + `}`, false},
		{"one with 20,000 decimals", `{"a":1.` + strings.Repeat("0", 20_000) + `}`, false},
		{"851 large exponents", `{"a":[1` + strings.Repeat(`,1e308`, 851) + `]}`, true},
		{"852 large exponents", `{"a":[1` + strings.Repeat(`,1e-308`, 852) + `]}`, false},
		{"digits in a string", `{"a":"` + strings.Repeat("7", 1000) + `e9999"}`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if text := CheckObject([]byte(c.raw)); (text == "") != c.good {
				t.Errorf("broken rule %q, want good %v", text, c.good)
			}
		})
	}
}

func TestComplete(t *testing.T) {
	id := uuid.MustParse("0197f3b2-5a10-7c3e-9d44-6b1f0e2a7c55")
	e := Event{Category: "analysis", CorrelationID: "rr-1", Time: time.Date(2026, 3, 2, 23, 30, 0, 123456789, time.FixedZone("", -3600))}
	got := e.Complete(func() uuid.UUID { return id })
	if got.ID.UUID != id || got.ActorType != "service" || got.ActorID != "analysis-service" || got.ResourceType != "analysis" ||
		got.ResourceID != "rr-1" || got.Severity != "info" {
		t.Errorf("defaults: %+v", got)
	}
	if want := time.Date(2026, 3, 3, 0, 30, 0, 123456000, time.UTC); got.Time != want {
		t.Errorf("time %v, want %v", got.Time, want)
	}
	if want := time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC); got.Day() != want {
		t.Errorf("day %v, want %v", got.Day(), want)
	}
	given := Event{ID: uuid.NullUUID{UUID: id, Valid: true}, ActorID: "me", Severity: "high"}.Complete(nil)
	if given.ID.UUID != id || given.ActorID != "me" || given.Severity != "high" {
		t.Errorf("given values were replaced: %+v", given)
	}
}

// Q2: every form of a moment.
func TestParseMoment(t *testing.T) {
	for _, c := range []struct {
		text string
		want time.Time
	}{
		{"2026-03-01T10:00:00+02:00", testNow.Add(-24 * time.Hour)},
		{"2026-03-01T08:00:00.5Z", testNow.Add(-24*time.Hour + 500*time.Millisecond)},
		{"2026-03-01T08:00:00", testNow.Add(-24 * time.Hour)},
		{"2026-03-02", testNow.Add(-8 * time.Hour)},
		{"24h", testNow.Add(-24 * time.Hour)},
		{"1h30m", testNow.Add(-90 * time.Minute)},
		{"7d", testNow.AddDate(0, 0, -7)},
		{"3650d", testNow.AddDate(0, 0, -3650)},
	} {
		if got, ok := ParseMoment(c.text, testNow); !ok || !got.Equal(c.want) {
			t.Errorf("%q: %v %v, want %v", c.text, got, ok, c.want)
		}
	}
	for _, text := range []string{"yesterday", "-24h", "+24h", "0s", "3651d", "2026-02-30", "2026-03-01T10:00:00 02:00", "", "-1d", "1.5d"} {
		if got, ok := ParseMoment(text, testNow); ok {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestBatchError(t *testing.T) {
	one := FieldErrors{{"event_type", "is required"}}
	err := BatchError(map[int]FieldErrors{17: one, 3: one, 4: nil}, 40)
	var known *Error
	if !errors.As(err, &known) || known.Detail != "2 of 40 events are invalid: indexes 3, 17" ||
		len(known.Indexes) != 2 || known.Indexes[0] != 3 || known.Fields[0].Field != "[3].event_type" {
		t.Errorf("got %+v", known)
	}
	if err := BatchError(map[int]FieldErrors{1: nil}, 2); err != nil {
		t.Errorf("no fault, but %v", err)
	}
	many := map[int]FieldErrors{}
	for i := range 500 {
		many[i] = one
	}
	if errors.As(BatchError(many, 500), &known); len(known.Indexes) != 500 || len(known.Fields) != MaxFieldErrors {
		t.Errorf("%d indexes and %d fields", len(known.Indexes), len(known.Fields))
	}
}

func TestFieldErrors(t *testing.T) {
	var errs FieldErrors
	errs.Add("a", "")
	if errs.Err() != nil {
		t.Error("nothing broken is an error")
	}
	errs.Add("a", "is required")
	errs.Add("a", "must not be empty")
	errs.Add("b", "is required")
	if got := errs.Err().Error(); got != "a: is required (and 1 more)" {
		t.Errorf("detail %q", got)
	}
}
