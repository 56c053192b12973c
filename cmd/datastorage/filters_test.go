//go:build integration

package main

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// filter is a parameter of a list with values to ask for, and what it finds.
type filter struct {
	parameter string
	values    []string
	finds     func(row members, value string) bool
}

// equal finds the rows that have exactly the value in a member, a dot leading into an object.
func equal(parameter, path string, values ...string) filter {
	return filter{parameter, values, func(row members, value string) bool {
		names := strings.Split(path, ".")
		for _, name := range names[:len(names)-1] {
			row, _ = row[name].(members)
		}
		return row[names[len(names)-1]] == value
	}}
}

// questions are no filter, every value of every filter alone, and combinations of two filters and more.
func questions(random *rand.Rand, filters []filter, combinations int) []url.Values {
	all := []url.Values{{}}
	for _, f := range filters {
		for _, value := range f.values {
			all = append(all, url.Values{f.parameter: {value}})
		}
	}
	for range combinations {
		q := url.Values{}
		for _, n := range random.Perm(len(filters))[:2+random.IntN(len(filters)-1)] {
			q.Set(filters[n].parameter, filters[n].values[random.IntN(len(filters[n].values))])
		}
		all = append(all, q)
	}
	return all
}

// reference is what a list should answer: the rows, which are in its order, that all filters of the question find.
func reference(rows []members, filters []filter, q url.Values, id string) []string {
	found := []string{}
	for _, row := range rows {
		if !slices.ContainsFunc(filters, func(f filter) bool { return q.Has(f.parameter) && !f.finds(row, q.Get(f.parameter)) }) {
			found = append(found, fmt.Sprint(row[id]))
		}
	}
	return found
}

// listsAs asks the service everything and holds its answers against the reference. Every filter must have told rows apart.
func (i installation) listsAs(t *testing.T, path, list, id string, rows []members, filters []filter, asked []url.Values) {
	t.Helper()
	tells := map[string]bool{}
	for _, q := range asked {
		want := reference(rows, filters, q, id)
		if n := len(want); len(q) == 1 && n > 0 && n < len(rows) {
			tells[slices.Collect(maps.Keys(q))[0]] = true
		}
		q = maps.Clone(q)
		q.Set("limit", "1000")
		status, text := i.get(t, path+"?"+q.Encode())
		answer := object[members](t, text)
		got := []string{}
		found, _ := answer[list].([]any)
		for _, row := range found {
			got = append(got, fmt.Sprint(row.(members)[id]))
		}
		total := answer["total"]
		if pagination, there := answer["pagination"].(members); there {
			total = pagination["total"]
		}
		if status != http.StatusOK || !slices.Equal(got, want) || total != float64(len(want)) {
			t.Errorf("%s: %d, %d rows of a total of %v, want %d", q.Encode(), status, len(got), total, len(want))
		}
	}
	for _, f := range filters {
		if !tells[f.parameter] {
			t.Errorf("%s told no rows apart", f.parameter)
		}
	}
}

// Q1: the filters of audit events, as they come in the URL, find what the reference finds, in the order of the list.
func TestFiltersOfEvents(t *testing.T) {
	o := running(t)
	random := rand.New(rand.NewPCG(7, 8))
	now := time.Now().UTC().Truncate(time.Microsecond)
	moment := func(hours int) string { return now.Add(-time.Duration(hours) * time.Hour).Format(time.RFC3339Nano) }
	at := func(text any) time.Time {
		when, err := time.Parse(time.RFC3339Nano, fmt.Sprint(text))
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	filters := []filter{
		equal("event_type", "event_type", "a", "a.b", "ä'&=%", "nothing"), equal("event_category", "event_category", "analysis", "workflow", "gateway", "nothing"),
		equal("event_outcome", "event_outcome", "success", "failure", "pending"), equal("severity", "severity", "info", "critical", "", "nothing"),
		equal("correlation_id", "correlation_id", "x", "X", "x y", "nothing"),
		{"since", []string{moment(100), moment(70)}, func(row members, value string) bool { return !at(row["event_timestamp"]).Before(at(value)) }},
		{"until", []string{moment(10), moment(60)}, func(row members, value string) bool { return !at(row["event_timestamp"]).After(at(value)) }},
	}
	rows := make([]members, 400)
	for n := range rows {
		rows[n] = with(least(""), members{"event_id": uuid.NewString(), "event_timestamp": moment(random.IntN(140))})
		for _, f := range filters[:5] {
			rows[n][f.parameter] = f.values[random.IntN(3)]
		}
		if rows[n]["severity"] == "" {
			rows[n]["severity"] = "info" // what an absent one becomes
		}
	}
	if status, text := o.call(t, http.MethodPost, "/api/v1/audit/events/batch", rows); status != http.StatusCreated {
		t.Fatalf("%d %s", status, text)
	}
	slices.SortFunc(rows, func(a, b members) int {
		return cmp.Or(at(b["event_timestamp"]).Compare(at(a["event_timestamp"])), strings.Compare(fmt.Sprint(b["event_id"]), fmt.Sprint(a["event_id"])))
	})
	o.listsAs(t, "/api/v1/audit/events", "data", "event_id", rows, filters, questions(random, filters, 60))
}

// Q1 for the catalog: its filters are exact, a wildcard is a value like any other.
func TestFiltersOfWorkflows(t *testing.T) {
	o := running(t)
	random := rand.New(rand.NewPCG(9, 10))
	filters := []filter{
		equal("status", "status", "active", "disabled", "deprecated", "archived"), equal("priority", "labels.priority", "P0", "P1", "*", "P9"),
		equal("component", "labels.component", "pod", "Pod", "*", "nothing"), equal("environment", "labels.environment", "production", "a & b", "*", "nothing"),
	}
	pick := func(n int) string { return filters[n].values[random.IntN(3)] }
	rows := make([]members, 40)
	for n := range rows {
		w := with(recipe(fmt.Sprintf("w%d", n/2), fmt.Sprint(n%2)), members{"status": filters[0].values[n%4]})
		w["labels"] = labels(members{"priority": pick(1), "component": pick(2), "environment": pick(3)})
		rows[len(rows)-1-n] = o.create(t, w) // the newest is first
	}
	o.listsAs(t, workflowsPath, "workflows", "workflow_id", rows, filters, questions(random, filters, 40))
}
