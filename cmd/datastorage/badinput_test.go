//go:build integration

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
)

// texts are the faults that an answer must name, each with a part of its text.
type texts = map[string]string

// bad is a request of section 9 of the specification, and what must be answered.
type bad struct {
	name, method, path string
	body               any // a text goes as it is, anything else as JSON
	status             int
	faults             texts
	headers            []string
	indexes            []any // of a batch
	chunked            bool
}

func (b bad) reader(t *testing.T) io.Reader {
	t.Helper()
	text, isText := b.body.(string)
	if !isText && b.body != nil {
		text = jsonOf(b.body)
	}
	if b.chunked {
		return struct{ io.Reader }{strings.NewReader(text)}
	}
	return strings.NewReader(text)
}

func jsonOf(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // made by the test itself
	}
	return string(text)
}

// spelled is base with a member that is written exactly so, which may be no JSON.
func spelled(base members, member, text string) string {
	return strings.Replace(jsonOf(with(base, members{member: "@here@"})), `"@here@"`, text, 1)
}

// C6: each row of section 9 is answered as it says, by the real service on a real PostgreSQL. None is answered 5xx, logs an
// error, or leaves anything in a table or in the queue.
func TestBadInput(t *testing.T) {
	o, lines := logged(t)
	for n := range 3 { // something that a filter which lets everything through would find
		if status, text := o.call(t, http.MethodPost, eventsPath, with(least("there"), members{"event_action": fmt.Sprint(n)})); status != http.StatusCreated {
			t.Fatalf("%d %s", status, text)
		}
	}
	id := fmt.Sprint(o.create(t, recipe("there", "1"))["workflow_id"])
	_, text := o.get(t, eventsPath+"?correlation_id=there&limit=1")
	cursor, _ := object[struct{ Pagination members }](t, text).Pagination["next_cursor"].(string)
	before := o.everything(t)
	rows := slices.Concat(badBodies(id), badEvents(), badEventData(), badBatches(), badWorkflows(), badChanges(id), badSearches(), badQueries(cursor), badRequests())
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			got := o.request(t, row.method, row.path, row.reader(t), row.headers...)
			row.answered(t, got)
			after := o.everything(t)
			if !slices.Equal(after, before) {
				t.Errorf("it left something: before %v\nafter %v", before, after)
			}
			before = after // the next row is not to blame
		})
	}
	if n := o.redis.XLen(t.Context(), "audit:dlq:events").Val(); n != 0 {
		t.Errorf("%d in the queue", n)
	}
	for line := range strings.Lines(lines.String()) {
		if strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, `"status":5`) {
			t.Errorf("logged: %s", line)
		}
	}
}

func (b bad) answered(t *testing.T, got exchange) {
	t.Helper()
	if got.status != b.status || got.header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%d %s, want %d: %s", got.status, got.header.Get("Content-Type"), b.status, got.text)
	}
	if (got.header.Get("Allow") != "") != (b.status == http.StatusMethodNotAllowed) {
		t.Errorf("Allow %q", got.header.Get("Allow"))
	}
	problem := object[members](t, got.text)
	id := got.header.Get("X-Request-ID")
	if _, err := uuid.Parse(id); err != nil || problem["request_id"] != id || problem["status"] != float64(b.status) {
		t.Errorf("request id %q: %s", id, got.text)
	}
	faults, _ := problem["field_errors"].(members)
	if named, want := slices.Sorted(maps.Keys(faults)), slices.Sorted(maps.Keys(b.faults)); !slices.Equal(named, want) {
		t.Errorf("names %v, want %v: %s", named, want, got.text)
	}
	for field, part := range b.faults {
		if !strings.Contains(fmt.Sprint(faults[field]), part) {
			t.Errorf("%s: %v, want %q", field, faults[field], part)
		}
	}
	if indexes, _ := problem["invalid_indexes"].([]any); !reflect.DeepEqual(indexes, b.indexes) {
		t.Errorf("indexes %v, want %v", indexes, b.indexes)
	}
}

// C6: what looks like SQL or like a path is plain data: it finds nothing where something is, and only itself where it is.
func TestPlainData(t *testing.T) {
	o, lines := logged(t)
	o.create(t, recipe("there", "1"))
	if status, text := o.call(t, http.MethodPost, eventsPath, least("there")); status != http.StatusCreated {
		t.Fatalf("%d %s", status, text)
	}
	for _, word := range []string{`a/b`, `../there`, `"`, `'`, `''`, `' OR 1=1 --`, `"*"::jsonb`, `*`, `%`, `_`, `th%`, `$1`, `\`, `;DROP TABLE audit_events`, "a\nb"} {
		versions := workflowsPath + "/by-name/" + url.PathEscape(word) + "/versions"
		asked := []string{versions}
		for _, filter := range []string{"component", "environment", "priority"} {
			asked = append(asked, workflowsPath+"?"+url.Values{filter: {word}}.Encode())
		}
		for _, filter := range []string{"event_type", "event_category", "severity", "correlation_id"} {
			asked = append(asked, eventsPath+"?"+url.Values{filter: {word}}.Encode())
		}
		for _, path := range asked {
			if status, text := o.get(t, path); status != http.StatusOK || !strings.Contains(text, `"total":0`) {
				t.Errorf("%s: %d %s", path, status, text)
			}
		}
		filters := with(labels(nil), members{"component": word, "custom_labels": members{word: []any{word}}})
		status, text := o.call(t, http.MethodPost, workflowsPath+"/search", members{"filters": filters})
		if found := object[members](t, text); status != http.StatusOK || (found["total_results"] == 0.0) != (word != "*") {
			t.Errorf("search for %s: %d %s", word, status, text)
		}
		if strings.Contains(word, "\n") {
			continue // no name of a workflow
		}
		created := o.create(t, with(recipe(word, "1"), members{"labels": labels(members{"component": "x" + word})}))
		_, text = o.get(t, versions)
		if found := object[struct{ Versions []members }](t, text).Versions; !reflect.DeepEqual(found, []members{created}) {
			t.Errorf("versions of %s: %s", word, text)
		}
	}
	if strings.Contains(lines.String(), `"level":"ERROR"`) {
		t.Errorf("logged an error:\n%s", lines)
	}
}

// C6: one (workflow_name, version) many times at once is created once, and the others are told so.
func TestCreatedOnce(t *testing.T) {
	o, lines := logged(t)
	var all sync.WaitGroup
	var created, taken atomic.Int32
	for range 20 {
		all.Go(func() {
			switch status, text := o.call(t, http.MethodPost, workflowsPath, recipe("race", "1")); status {
			case http.StatusCreated:
				created.Add(1)
			case http.StatusConflict:
				taken.Add(1)
			default:
				t.Errorf("%d %s", status, text)
			}
		})
	}
	all.Wait()
	if created.Load() != 1 || taken.Load() != 19 || len(o.everything(t)) != 2 || strings.Contains(lines.String(), `"level":"ERROR"`) {
		t.Errorf("%d created, %d taken, rows %v\n%s", created.Load(), taken.Load(), o.everything(t), lines)
	}
}
