package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// asked is an EventReader that notes what it was asked and has more to give.
type asked struct {
	filter datastorage.EventFilter
	page   datastorage.Page
	rows   int
	err    error // after the rows
	// translated is what becomes of an error of each, if set
	translated error
}

func (a *asked) QueryEvents(_ context.Context, f datastorage.EventFilter, p datastorage.Page, each func(datastorage.Event) error) (datastorage.EventPage, error) {
	a.filter, a.page = f, p
	last := datastorage.Position{Time: time.UnixMicro(1_700_000_000_000_000).UTC(), ID: uuid.MustParse("0197f3b2-5a10-7c3e-9d44-6b1f0e2a7c55")}
	for range a.rows {
		e := datastorage.Event{Version: "1.0", Type: "t", Time: last.Time, Category: "analysis", Action: "a", Outcome: "success",
			CorrelationID: "c", Data: []byte(`{"text":"` + strings.Repeat("x", 1000) + `"}`)}.Complete(uuid.New)
		if err := each(e); err != nil {
			if a.translated != nil {
				err = a.translated
			}
			return datastorage.EventPage{}, err
		}
	}
	return datastorage.EventPage{HasMore: true, Last: last, Total: 7}, a.err
}

type pagination struct {
	Data       []json.RawMessage `json:"data"`
	Pagination struct {
		Limit, Offset int
		Total         *int   `json:"total"`
		HasMore       bool   `json:"has_more"`
		NextCursor    string `json:"next_cursor"`
	} `json:"pagination"`
}

func pageOf(t *testing.T, w *httptest.ResponseRecorder) (p pagination) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return p
}

// A relative bound is resolved once: the next page asks for the same time range, whatever the clock says by then.
func TestCursorCarriesTheQuestion(t *testing.T) {
	reader := &asked{rows: 2}
	f := newFixture(t, func(o *Options) { o.Events = reader })
	first := pageOf(t, f.do("GET", eventsPath+"?since=24h&event_type=t&limit=2", ""))
	since := *reader.filter.Since
	if len(first.Data) != 2 || first.Pagination.Total == nil || *first.Pagination.Total != 7 || first.Pagination.NextCursor == "" {
		t.Fatalf("%+v", first)
	}
	next := "&cursor=" + first.Pagination.NextCursor
	second := pageOf(t, f.do("GET", eventsPath+"?limit=2&event_type=t&since=24h"+next, ""))
	if !reader.filter.Since.Equal(since) || reader.page.After == nil || reader.page.After.Time.UnixMicro() != 1_700_000_000_000_000 {
		t.Errorf("the second page asked %+v %+v, first since %s", reader.filter, reader.page, since)
	}
	if second.Pagination.Total != nil || reader.page.WithTotal {
		t.Error("the second page was counted, too")
	}
	if third := pageOf(t, f.do("GET", eventsPath+"?event_type=t&since=24h&include_total=true"+next, "")); third.Pagination.Total == nil {
		t.Error("include_total=true was not counted")
	}
	for name, query := range map[string]string{
		"another filter":     "?event_type=u&since=24h" + next,
		"a filter less":      "?since=24h" + next,
		"a filter more":      "?event_type=t&since=24h&severity=info" + next,
		"another range":      "?event_type=t&since=25h" + next,
		"with an offset":     "?event_type=t&since=24h&offset=1" + next,
		"altered":            "?event_type=t&since=24h&cursor=" + strings.ToUpper(first.Pagination.NextCursor),
		"cut":                "?event_type=t&since=24h" + next[:len(next)-2],
		"foreign":            "?event_type=t&since=24h&cursor=" + url.QueryEscape("eyJpZCI6MX0="),
		"empty":              "?event_type=t&since=24h&cursor=",
		"of nothing":         "?cursor=x",
		"with NUL":           "?cursor=%00",
		"twice":              "?event_type=t&since=24h" + next + next,
		"range upside down":  "?since=2026-01-02&until=2026-01-01",
		"offset beyond":      "?offset=100001",
		"cursor and a limit": "?event_type=t&since=24h&limit=0" + next,
	} {
		if p := problemOf(t, f.do("GET", eventsPath+query, ""), http.StatusBadRequest); len(p.FieldErrors) == 0 {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func TestPendingEventsAreTold(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Events = &asked{} })
	if w := f.do("GET", eventsPath, ""); w.Header().Get("X-Audit-Pending") != "" {
		t.Errorf("pending %q, though nothing is", w.Header().Get("X-Audit-Pending"))
	}
	f.health.SetPending(3)
	if w := f.do("GET", eventsPath, ""); w.Header().Get("X-Audit-Pending") != "3" {
		t.Errorf("pending %q, want 3", w.Header().Get("X-Audit-Pending"))
	}
}

// What fails before the first byte is a problem; what fails later ends the connection, because the status is out.
func TestPageThatFails(t *testing.T) {
	away := &datastorage.Error{Kind: datastorage.Unavailable, RetryAfter: 5 * time.Second, Detail: "the database is not available", Err: errors.New("x")}
	reader := &asked{rows: 2, err: away}
	f := newFixture(t, func(o *Options) { o.Events = reader })
	problemOf(t, f.do("GET", eventsPath, ""), http.StatusServiceUnavailable)
	reader.rows = 100
	func() {
		defer func() {
			if fault := recover(); fault != http.ErrAbortHandler { //nolint:errorlint // as net/http compares
				t.Errorf("ended with %v", fault)
			}
		}()
		f.do("GET", eventsPath, "")
	}()
}

// deaf is a client that hangs up instead of reading.
type deaf struct{ http.ResponseWriter }

func (deaf) Write([]byte) (int, error) { return 0, syscall.ECONNRESET }

// A client that has gone is told as that, and not as a failure of the store: the store takes any failure of a connection
// for one of its own.
func TestClientGone(t *testing.T) {
	away := &datastorage.Error{Kind: datastorage.Unavailable, Detail: "the database is not available", Err: context.Canceled}
	for name, c := range map[string]struct {
		rows int // before it shows
		want string
	}{"hung up": {100, "the client does not read"}, "left": {0, "the client has gone"}} {
		ctx, leave := context.WithCancel(t.Context())
		if c.rows == 0 {
			leave()
		}
		f := newFixture(t, func(o *Options) { o.Events = &asked{rows: c.rows, err: away, translated: away} })
		func() {
			defer func() {
				if fault := recover(); fault != http.ErrAbortHandler { //nolint:errorlint // as net/http compares
					t.Errorf("%s: ended with %v", name, fault)
				}
			}()
			defer leave()
			f.handler.ServeHTTP(deaf{httptest.NewRecorder()}, httptest.NewRequestWithContext(ctx, http.MethodGet, eventsPath, nil))
		}()
		if log := f.log.String(); !strings.Contains(log, c.want) || strings.Contains(log, away.Detail) {
			t.Errorf("%s: %s", name, log)
		}
		if !f.metric(t, `datastorage_query_total{operation="filter",status="failure"} 0`) {
			t.Errorf("%s: counted as a failed query", name)
		}
	}
}

// An installation may allow less depth than the contract.
func TestMaxOffset(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Events, o.MaxOffset = &asked{rows: 1}, 10 })
	pageOf(t, f.do("GET", eventsPath+"?offset=10", ""))
	if p := problemOf(t, f.do("GET", eventsPath+"?offset=11", ""), http.StatusBadRequest); !strings.Contains(p.FieldErrors["offset"], "between 0 and 10;") {
		t.Errorf("%+v", p)
	}
}
