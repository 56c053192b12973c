package datastorage

import (
	"encoding/base64"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestCursor(t *testing.T) {
	since, until := time.UnixMicro(1_700_000_000_000_001).UTC(), time.UnixMicro(-5).UTC()
	for _, c := range []Cursor{
		{},
		{After: Position{Time: time.UnixMicro(0).UTC()}},
		{After: Position{since, uuid.New()}, Question: QuestionOf("a", "b")},
		{After: Position{since, uuid.New()}, Since: &since, Until: &until, Question: QuestionOf()},
	} {
		if c.After.Time.IsZero() {
			c.After.Time = time.UnixMicro(0).UTC()
		}
		got, ok := ParseCursor(c.String())
		if !ok || !reflect.DeepEqual(got, c) {
			t.Errorf("%+v became %+v, %v", c, got, ok)
		}
	}
}

// An altered, cut or foreign cursor is none.
func TestNoCursor(t *testing.T) {
	good := Cursor{After: Position{time.Now(), uuid.New()}}.String()
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	for at := range raw {
		altered := append([]byte{}, raw...)
		altered[at] ^= 1
		if _, ok := ParseCursor(base64.RawURLEncoding.EncodeToString(altered)); ok {
			t.Errorf("byte %d may be altered", at)
		}
	}
	for _, s := range []string{"", "x", good[1:], good[:len(good)-1], good + "A", good + "=", "eyJ0IjoxfQ", good + "\n"} {
		if _, ok := ParseCursor(s); ok {
			t.Errorf("%q is taken", s)
		}
	}
}

// A forged cursor with a time that no event has is none either.
func TestImpossibleCursor(t *testing.T) {
	for _, when := range []time.Time{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC), time.UnixMicro(1<<63 - 1)} {
		for _, c := range []Cursor{{After: Position{when, uuid.New()}}, {Since: &when}, {Until: &when}} {
			if _, ok := ParseCursor(c.String()); ok {
				t.Errorf("%+v is taken", c)
			}
		}
	}
}

func TestQuestionOf(t *testing.T) {
	if QuestionOf("ab", "c") == QuestionOf("a", "bc") || QuestionOf("a", "") == QuestionOf("", "a") {
		t.Error("the digest does not tell parameters apart")
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(Cursor{After: Position{time.Now(), uuid.New()}}.String())
	f.Add("AQAAAA")
	f.Fuzz(func(t *testing.T, s string) {
		if c, ok := ParseCursor(s); ok && c.String() != s {
			t.Errorf("%q is read as %q", s, c.String())
		}
	})
}

func FuzzParseMoment(f *testing.F) {
	for _, s := range []string{"24h", "7d", "2026-01-02", "2026-01-02T03:04:05", "2026-01-02T03:04:05.678+02:00", "-1h", "9999999d"} {
		f.Add(s)
	}
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := ParseMoment(s, now)
		if !ok {
			return
		}
		if got.Location() != time.UTC {
			t.Errorf("%q is %v", s, got)
		}
		if _, err := time.Parse(time.RFC3339, s); err != nil && len(s) > 0 && (s[len(s)-1] == 'd' || s[len(s)-1] == 'h') && (got.After(now) || now.Sub(got) > maxSpan) {
			t.Errorf("%q is the span %s", s, now.Sub(got))
		}
	})
}
