//go:build integration

package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"
)

const searchPath = workflowsPath + "/search"

// subdomains are n custom labels of m values each.
func subdomains(n, m int) members {
	all := members{}
	for i := range n {
		values := []any{}
		for k := range m {
			values = append(values, fmt.Sprint(k))
		}
		all[fmt.Sprintf("s%d", i)] = values
	}
	return all
}

// badLabels are custom labels beyond their limits.
var badLabels = []struct {
	name    string
	labels  members
	at, say string
}{
	{"11 subdomains", subdomains(11, 1), "custom_labels", "must have at most 10 members (got 11)"},
	{"6 values", subdomains(1, 6), "custom_labels.s0", "must have at most 5 items (got 6)"},
	{"64-character key", members{strings.Repeat("k", 64): []any{"v"}}, "custom_labels", "must have 1 to 63 characters"},
	{"empty key", members{"": []any{"v"}}, "custom_labels", "must have 1 to 63 characters"},
	{"long value", members{"k": []any{long(100)}}, "custom_labels.k[0]", tooLong(100)},
	{"empty value", members{"k": []any{""}}, "custom_labels.k[0]", isEmpty},
	{"no array", members{"k": "v"}, "custom_labels.k", "must be a JSON array"},
}

func badWorkflows() (rows []bad) {
	add := func(name string, body any, status int, faults texts) {
		rows = append(rows, bad{name: "workflow " + name, method: http.MethodPost, path: workflowsPath, body: body, status: status, faults: faults})
	}
	good := recipe("bad", "1")
	change := func(name string, changes members, faults texts) { add(name, with(good, changes), 400, faults) }
	change("enums", members{"status": "on", "labels": labels(members{"severity": "x", "priority": "P4"})}, texts{
		"status": oneOf + "active, disabled, deprecated, archived", "labels.severity": oneOf + "critical, high, medium, low", "labels.priority": oneOf + "P0, P1, P2, P3, *"})
	all, every := members{"status": "on", "content_hash": strings.Repeat("0", 64), "custom_labels": members{strings.Repeat("k", 64): []any{"v"}}, "parameters": members{"a": "\x00"}},
		texts{"status": oneOf, "content_hash": "must equal the SHA-256", "custom_labels": "63 characters", "parameters": "U+0000"}
	for field, limit := range map[string]int{"workflow_name": 255, "version": 50, "name": 255, "description": 10_000, "owner": 255, "maintainer": 255,
		"execution_engine": 50, "container_image": 1024, "container_digest": 71, "previous_version": 50, "deprecation_notice": 10_000,
		"version_notes": 10_000, "change_summary": 10_000, "approved_by": 255, "created_by": 255} {
		change(field+" too long", members{field: long(limit)}, texts{field: tooLong(limit)})
		all[field], every[field] = long(limit), tooLong(limit)
	}
	change("everything at once", all, every)
	for _, field := range []string{"workflow_name", "version", "name", "description", "content", "execution_engine"} {
		change(field+" empty", members{field: ""}, texts{field: isEmpty})
	}
	for _, field := range []string{"signal_type", "component", "environment"} {
		change("label "+field+" empty", members{"labels": labels(members{field: ""})}, texts{"labels." + field: isEmpty})
		change("label "+field+" too long", members{"labels": labels(members{field: long(100)})}, texts{"labels." + field: tooLong(100)})
	}
	add("nothing", members{}, 400, texts{"workflow_name": isMissing, "version": isMissing, "name": isMissing, "description": isMissing, "content": isMissing,
		"content_hash": isMissing, "execution_engine": isMissing, "labels": isMissing, "status": isMissing})
	change("rate above", members{"expected_success_rate": 1.1}, texts{"expected_success_rate": "must be between 0 and 1"})
	change("rate below", members{"expected_success_rate": -0.1}, texts{"expected_success_rate": "must be between 0 and 1"})
	change("seconds below", members{"expected_duration_seconds": -1}, texts{"expected_duration_seconds": "must be "})
	change("no such day", members{"approved_at": "2026-02-30T00:00:00Z"}, texts{"approved_at": zone})
	change("control character", members{"workflow_name": "a\nb", "version": "\t"}, texts{"workflow_name": "control", "version": "control"})
	hash := fmt.Sprint(good["content_hash"])
	change("wrong hash", members{"content_hash": strings.Repeat("0", 64)}, texts{"content_hash": hash})
	change("hash of 63 digits", members{"content_hash": hash[1:]}, texts{"content_hash": "64 characters (got 63)"})
	change("hash of 65 digits", members{"content_hash": hash + "0"}, texts{"content_hash": "64 characters (got 65)"})
	change("hash that is not hex", members{"content_hash": "g" + hash[1:]}, texts{"content_hash": ""})
	for _, c := range badLabels {
		change(c.name, members{"custom_labels": c.labels}, texts{c.at: c.say})
	}
	change("detected labels", members{"detected_labels": members{"gitOpsTool": "x", "stateful": "yes", "failed_detections": []any{"x"}}}, texts{
		"detected_labels.gitOpsTool": oneOf, "detected_labels.stateful": "true or false", "detected_labels.failed_detections[0]": oneOf})
	for name, text := range map[string]string{"NUL": `"a\u0000b"`, "surrogate": `"\ud800"`, "UTF-8": "\"\xff\""} {
		for _, field := range []string{"workflow_name", "description", "content", "owner", "unheard_of"} {
			key := field
			if field == "unheard_of" {
				key = "body"
			}
			add(field+" with "+name, spelled(good, field, text), 400, texts{key: ""})
		}
	}
	add("again", recipe("there", "1"), 409, nil)
	add("again, with other content", with(recipe("other", "1"), members{"workflow_name": "there"}), 409, nil)
	add("content of 1 MiB and a byte", with(good, members{"content": strings.Repeat("x", 1<<20+1)}), 413, nil)
	add("2 MiB and a byte", padded(jsonOf(good), 2<<20+1), 413, nil)
	return rows
}

func badChanges(id string) (rows []bad) {
	path := workflowsPath + "/" + id
	add := func(name, path string, body any, status int, faults texts, headers ...string) {
		rows = append(rows, bad{name: "change " + name, method: http.MethodPatch, path: path, body: body, status: status, faults: faults, headers: headers})
	}
	const another = "create a new version instead"
	add("immutable", path, members{"content": "x", "labels": members{}, "version": "2", "status": "disabled"}, 400, texts{"content": another, "labels": another, "version": another})
	add("status", path, members{"status": "off"}, 400, texts{"status": oneOf})
	add("too long", path, members{"status": "disabled", "disabled_by": long(255), "disabled_reason": long(2000)}, 400, texts{"disabled_by": tooLong(255), "disabled_reason": tooLong(2000)})
	add("not disabled", path, members{"disabled_by": "me"}, 400, texts{"disabled_by": "only while"})
	add("NUL", path, members{"status": "disabled", "disabled_reason": "\x00"}, 400, texts{"disabled_reason": "U+0000"})
	add("surrogate", path, `{"status":"disabled","disabled_by":"\ud800"}`, 400, texts{"disabled_by": "surrogate"})
	add("UTF-8", path, "{\"status\":\"disabled\",\"disabled_by\":\"\xff\"}", 400, texts{"disabled_by": "UTF-8"})
	add("large", path, padded(`{"status":"disabled"}`, 64<<10+1), 413, nil)
	add("other row", path, members{"status": "disabled"}, 412, nil, "If-Match", `"7"`)
	add("disable too long", path+"/disable", members{"updated_by": long(255), "reason": long(2000)}, 400, texts{"updated_by": tooLong(255), "reason": tooLong(2000)})
	add("disable NUL", path+"/disable", members{"reason": "\x00"}, 400, texts{"reason": "U+0000"})
	add("disable large", path+"/disable", padded("{}", 64<<10+1), 413, nil)
	for _, end := range []string{"", "/disable"} {
		add("no id"+end, workflowsPath+"/not-a-uuid"+end, "{}", 400, texts{"workflow_id": "must be a UUID"})
		add("NUL in the path"+end, workflowsPath+"/%00"+end, "{}", 400, texts{"workflow_id": "must be a UUID"})
		add("unknown id"+end, workflowsPath+"/"+uuid.NewString()+end, members{}, 404, nil)
	}
	return rows
}

func badSearches() (rows []bad) {
	add := func(name string, body any, status int, faults texts) {
		rows = append(rows, bad{name: "search " + name, method: http.MethodPost, path: searchPath, body: body, status: status, faults: faults})
	}
	change := func(name string, changes members, faults texts) {
		add(name, with(members{"filters": labels(nil)}, changes), 400, faults)
	}
	filter := func(name string, changes members, faults texts) {
		change(name, members{"filters": labels(changes)}, faults)
	}
	change("top_k 0", members{"top_k": 0}, texts{"top_k": "must be between 1 and 100"})
	change("top_k 101", members{"top_k": 101}, texts{"top_k": "must be between 1 and 100"})
	change("min_score -0.1", members{"min_score": -0.1}, texts{"min_score": "must be between 0 and 1"})
	change("min_score 1.1", members{"min_score": 1.1}, texts{"min_score": "must be between 0 and 1"})
	change("remediation_id", members{"remediation_id": long(255)}, texts{"remediation_id": tooLong(255)})
	change("everything at once", members{"top_k": 0, "min_score": 2, "filters": labels(members{"severity": "x", "component": "", "custom_labels": members{strings.Repeat("k", 64): []any{"v"}}})},
		texts{"top_k": "between", "min_score": "between", "filters.severity": oneOf, "filters.component": isEmpty, "filters.custom_labels": "63 characters"})
	add("without filters", members{}, 400, texts{"filters": isMissing})
	add("empty filters", members{"filters": members{}}, 400, texts{"filters.signal_type": isMissing, "filters.severity": isMissing,
		"filters.component": isMissing, "filters.environment": isMissing, "filters.priority": isMissing})
	filter("enums", members{"severity": "x", "priority": "*", "status": []any{"active", "x"}}, texts{
		"filters.severity": oneOf, "filters.priority": oneOf + "P0, P1, P2, P3", "filters.status[1]": oneOf})
	filter("empty", members{"component": "", "signal_type": ""}, texts{"filters.component": isEmpty, "filters.signal_type": isEmpty})
	filter("too long", members{"environment": long(100)}, texts{"filters.environment": tooLong(100)})
	filter("NUL", members{"component": "\x00"}, texts{"filters.component": "U+0000"})
	add("surrogate", `{"filters":`+spelled(labels(nil), "component", `"\ud800"`)+`}`, 400, texts{"filters.component": "surrogate"})
	add("UTF-8", `{"filters":`+spelled(labels(nil), "component", "\"\xff\"")+`}`, 400, texts{"filters.component": "UTF-8"})
	for _, c := range badLabels {
		filter(c.name, members{"custom_labels": c.labels}, texts{"filters." + c.at: c.say})
	}
	add("large", padded(jsonOf(members{"filters": labels(nil)}), 64<<10+1), 413, nil)
	return rows
}
