//go:build integration

package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	oneOf     = "must be one of: "
	notObject = "must be a JSON object"
	zone      = "must be an RFC 3339 date-time with zone"
	isMissing = "is required"
	isEmpty   = "must not be empty"
	notValid  = "must be one valid JSON value"
)

// tooLong is the rule that a text of one character more than allowed breaks.
func tooLong(limit int) string {
	return fmt.Sprintf("must be at most %d characters (got %d)", limit, limit+1)
}

func long(limit int) string { return strings.Repeat("ä", limit+1) }

// padded is a text with blanks behind it, of so many bytes.
func padded(text string, size int) string { return text + strings.Repeat(" ", size-len(text)) }

// badBodies are those of which no member can be named, for every operation that takes one.
func badBodies(id string) (rows []bad) {
	object, list := [][2]string{{"array", "[]"}, {"text", `"x"`}, {"number", "5"}, {"null", "null"}}, [][2]string{{"object", "{}"}, {"text", `"x"`}, {"null", "null"}}
	for _, o := range []struct {
		name, method, path, good string
		wrong                    [][2]string
	}{
		{"event", http.MethodPost, eventsPath, jsonOf(least("bad")), object},
		{"batch", http.MethodPost, batchPath, jsonOf([]members{least("bad")}), list},
		{"workflow", http.MethodPost, workflowsPath, jsonOf(recipe("bad", "1")), object},
		{"change", http.MethodPatch, workflowsPath + "/" + id, `{"status":"archived"}`, object},
		{"disable", http.MethodPatch, workflowsPath + "/" + id + "/disable", `{"reason":"x"}`, object},
		{"search", http.MethodPost, workflowsPath + "/search", jsonOf(members{"filters": labels(nil)}), object},
	} {
		add := func(name, body, text string) {
			rows = append(rows, bad{name: o.name + " " + name, method: o.method, path: o.path, body: body, status: 400, faults: texts{"body": text}})
		}
		if o.name != "disable" { // whose body may be missing
			add("empty body", "", isMissing)
		}
		add("blanks", " \n", isMissing)
		add("invalid JSON", o.good[:len(o.good)-1], notValid)
		add("trailing bytes", o.good+"{}", notValid)
		add("raw NUL", o.good+"\x00", notValid)
		add("nesting of 10,000", strings.Repeat("[", 10_000)+o.good+strings.Repeat("]", 10_000), notValid)
		for _, wrong := range o.wrong {
			add(wrong[0], wrong[1], "must be a JSON ")
		}
	}
	return rows
}

func badEvents() (rows []bad) {
	add := func(name string, body any, faults texts) {
		rows = append(rows, bad{name: "event " + name, method: http.MethodPost, path: eventsPath, body: body, status: 400, faults: faults})
	}
	change := func(name string, changes members, faults texts) { add(name, with(least("bad"), changes), faults) }
	change("enums", members{"event_outcome": "maybe", "event_category": "x"}, texts{
		"event_outcome": oneOf + "success, failure, pending", "event_category": oneOf + "gateway, notification, analysis, signalprocessing, workflow, execution, orchestration"})
	all, every := members{"event_data": 5, "duration_ms": -1, "event_outcome": "x", "event_id": "x"},
		texts{"event_data": notObject, "duration_ms": "between 0 and 2147483647", "event_outcome": oneOf, "event_id": "UUID"}
	for field, limit := range map[string]int{"version": 20, "event_type": 100, "event_action": 50, "correlation_id": 255, "actor_type": 50, "actor_id": 255,
		"resource_type": 100, "resource_id": 255, "namespace": 253, "cluster_name": 255, "severity": 20} {
		change(field+" too long", members{field: long(limit)}, texts{field: tooLong(limit)})
		all[field], every[field] = long(limit), tooLong(limit)
	}
	change("everything at once", all, every)
	for _, field := range []string{"version", "event_type", "event_action", "correlation_id"} {
		change(field+" empty", members{field: ""}, texts{field: isEmpty})
	}
	add("nothing", members{}, texts{"version": isMissing, "event_type": isMissing, "event_timestamp": isMissing, "event_category": isMissing,
		"event_action": isMissing, "event_outcome": isMissing, "correlation_id": isMissing, "event_data": isMissing})
	for name, value := range map[string]any{"below": -1, "above": 2147483648, "far above": 1e300} {
		change("duration "+name, members{"duration_ms": value}, texts{"duration_ms": ""})
	}
	for name, value := range map[string]any{"no zone": "2026-03-02T08:00:00", "no such day": "2026-02-30T00:00:00Z", "number": 5} {
		change("time: "+name, members{"event_timestamp": value}, texts{"event_timestamp": ""})
	}
	change("time ahead", members{"event_timestamp": time.Now().Add(6 * time.Minute)}, texts{"event_timestamp": "must be at most 5m0s after the server time "})
	change("time long ago", members{"event_timestamp": time.Now().AddDate(0, 0, -8)}, texts{"event_timestamp": "must be at most 168h0m0s before the server time "})
	change("id", members{"event_id": "x"}, texts{"event_id": "must be a UUID"})
	change("nil id", members{"event_id": uuid.Nil}, texts{"event_id": "must not be the nil UUID"})
	change("parent id", members{"parent_event_id": "x"}, texts{"parent_event_id": "must be a UUID"})
	change("unknown parent", members{"parent_event_id": uuid.New()}, texts{"parent_event_id": "parent event does not exist"})
	for name, text := range map[string]string{"NUL": `"a\u0000b"`, "surrogate": `"\ud800"`, "UTF-8": "\"\xff\""} {
		for _, field := range []string{"version", "event_action", "correlation_id", "actor_id", "resource_id", "namespace", "severity"} {
			add(field+" with "+name, spelled(least("bad"), field, text), texts{field: ""})
		}
		add("unknown member with "+name, spelled(least("bad"), "unheard_of", text), texts{"body": ""})
	}
	return rows
}

func badEventData() (rows []bad) {
	nested := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for _, c := range [][3]string{
		{"null", `null`, notObject}, {"text", `"x"`, notObject}, {"number", `5`, notObject}, {"array", `[1]`, notObject},
		{"NUL", `{"a":["\u0000"]}`, "U+0000"}, {"NUL in a key", `{"\u0000":1}`, "U+0000"}, {"surrogate", `{"a":"\ud800"}`, "surrogate"},
		{"surrogate in a key", `{"\udc00":1}`, "surrogate"}, {"no UTF-8", "{\"a\":\"\xff\"}", "UTF-8"}, {"no UTF-8 in a key", "{\"\xff\":1}", "UTF-8"},
		{"exponent", `{"a":1e130000}`, "exponent"}, {"small exponent", `{"a":1e-130000}`, "exponent"}, {"1,000 digits", `{"a":` + strings.Repeat("9", 1000) + `}`, "digits"},
		{"65 digits", `{"a":` + strings.Repeat("9", 65) + `}`, "digits"}, {"nesting of 65", nested(65), "nested deeper than 64"},
		{"17,000 zeros in front", `{"a":0.` + strings.Repeat("0", 17_000) + `1}`, "digits"},
		{"852 large exponents", `{"a":[1` + strings.Repeat(`,1e308`, 852) + `]}`, "exponents"},
		{"20,000 decimals", `{"a":1.` + strings.Repeat("0", 20_000) + `}`, ""},
	} {
		rows = append(rows,
			bad{name: "event_data " + c[0], method: http.MethodPost, path: eventsPath, body: spelled(least("bad"), "event_data", c[1]), status: 400, faults: texts{"event_data": c[2]}},
			bad{name: "parameters " + c[0], method: http.MethodPost, path: workflowsPath, body: spelled(recipe("bad", "1"), "parameters", c[1]), status: 400, faults: texts{"parameters": c[2]}})
	}
	rows = append(rows, bad{name: "event_data nesting of 10,000", method: http.MethodPost, path: eventsPath, body: spelled(least("bad"), "event_data", nested(10_000)), status: 400, faults: texts{"body": notValid}})
	return rows
}

func badBatches() (rows []bad) {
	list := func(n int, bad ...int) string {
		events := make([]string, n)
		for i := range events {
			events[i] = jsonOf(with(least("bad"), members{"event_data": members{}}))
		}
		for _, i := range bad {
			events[i] = `{"version":"1"}`
		}
		return "[" + strings.Join(events, ",") + "]"
	}
	seven := func(indexes ...int) texts {
		faults := texts{}
		for _, i := range indexes {
			for _, field := range []string{"event_type", "event_timestamp", "event_category", "event_action", "event_outcome", "correlation_id", "event_data"} {
				faults[fmt.Sprintf("[%d].%s", i, field)] = isMissing
			}
		}
		return faults
	}
	parents := jsonOf([]members{least("bad"), with(least("bad"), members{"parent_event_id": uuid.New()})})
	for _, chunked := range []bool{false, true} {
		add := func(name, path, body string, status int, faults texts, indexes ...any) {
			rows = append(rows, bad{name: fmt.Sprintf("batch %s, chunked %t", name, chunked), method: http.MethodPost, path: path, body: body,
				status: status, faults: faults, indexes: indexes, chunked: chunked})
		}
		add("of nothing", batchPath, "[]", 400, texts{"body": isEmpty})
		add("3 and 17", batchPath, list(40, 3, 17), 400, seven(3, 17), 3.0, 17.0)
		add("0, 499 and 999", batchPath, list(1000, 0, 499, 999), 400, seven(0, 499, 999), 0.0, 499.0, 999.0)
		add("unknown parent", batchPath, parents, 400, texts{"[1].parent_event_id": "parent event does not exist"}, 1.0)
		add("of 1,001", batchPath, list(1001), 413, nil)
		add("of 5 MiB and a byte", batchPath, padded(list(1), 5<<20+1), 413, nil)
		add("single event of 1 MiB and a byte", eventsPath, padded(jsonOf(least("bad")), 1<<20+1), 413, nil)
	}
	return rows
}
