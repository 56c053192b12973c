package datastorage

import (
	"strconv"
	"strings"
	"time"
)

// EventFilter selects events; a nil member selects all.
type EventFilter struct {
	Type, Category, Outcome, Severity, CorrelationID *string
	Since, Until                                     *time.Time // inclusive
}

// Page is a part of an ordered result.
type Page struct {
	Limit, Offset int
	After         *Position // of events only: begin behind it
	WithTotal     bool
}

// EventPage tells of a page of events what its events do not. Total is exact unless TotalIsLowerBound, and only there if
// it was asked for.
type EventPage struct {
	HasMore           bool
	Last              Position
	Total             int
	TotalIsLowerBound bool
}

const maxSpan = 3650 * 24 * time.Hour

// MomentForms is the text for a moment that ParseMoment does not take.
const MomentForms = "must be an RFC 3339 date-time (write + as %2B), a date-time in UTC without zone, a date, " +
	"or a span back from now such as 30m, 24h or 7d of at most 3650d"

// ParseMoment reads a bound of a time range: a point in time, or a positive span back from now.
func ParseMoment(s string, now time.Time) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	span, ok := parseSpan(s)
	if !ok || span <= 0 || span > maxSpan {
		return time.Time{}, false
	}
	return now.Add(-span).UTC().Truncate(time.Microsecond), true // as times are stored
}

func parseSpan(s string) (time.Duration, bool) {
	if days, found := strings.CutSuffix(s, "d"); found {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err == nil
	}
	if strings.HasPrefix(s, "+") {
		return 0, false
	}
	span, err := time.ParseDuration(s)
	return span, err == nil
}
