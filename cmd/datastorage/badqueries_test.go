//go:build integration

package main

import (
	"net/http"
	"strings"

	"github.com/google/uuid"
)

func badQueries(cursor string) (rows []bad) {
	add := func(path string, faults texts) {
		rows = append(rows, bad{name: "query " + path[:min(len(path), 70)], method: http.MethodGet, path: path, status: 400, faults: faults})
	}
	for _, list := range []string{eventsPath, workflowsPath} {
		for _, limit := range []string{"0", "1001", "abc", "-1", "", "1.5", "99999999999999999999"} {
			add(list+"?limit="+limit, texts{"limit": "must be between 1 and 1000"})
		}
		for _, offset := range []string{"-1", "100001", "abc"} {
			add(list+"?offset="+offset, texts{"offset": "must be between 0 and 100000"})
		}
		add(list+"?start_time=2026-01-01&Limit=1", texts{"start_time": "is not a known parameter", "Limit": "is not a known parameter"})
		add(list+"?limit=1&limit=1", texts{"limit": "must be given once"})
		add(list+"?limit=%zz", texts{"query": "must be percent-encoded"})
		add(list+"?limit="+strings.Repeat("1", 4<<10), texts{"query": "must be at most 4096 characters"})
	}
	const bound = "must be an RFC 3339 date-time (write + as %2B), a date-time in UTC without zone, a date, or a span back"
	for _, value := range []string{"yesterday", "-24h", "0h", "2026-03-01T10:00:00+02:00", "2026-02-30", "3651d", ""} {
		add(eventsPath+"?since="+value, texts{"since": bound})
		add(eventsPath+"?until="+value, texts{"until": bound})
	}
	add(eventsPath+"?since=1h&until=2h", texts{"since": "must not be after until"})
	add(eventsPath+"?event_outcome=maybe", texts{"event_outcome": oneOf + "success, failure, pending"})
	add(eventsPath+"?include_total=yes", texts{"include_total": "must be true or false"})
	add(workflowsPath+"?status=on", texts{"status": oneOf + "active, disabled, deprecated, archived"})
	for _, filter := range []string{"event_type", "event_category", "severity", "correlation_id"} {
		add(eventsPath+"?"+filter+"=%00", texts{filter: "U+0000"})
		add(eventsPath+"?"+filter+"=%ff", texts{filter: "UTF-8"})
	}
	for _, filter := range []string{"component", "environment", "priority"} {
		add(workflowsPath+"?"+filter+"=a%00", texts{filter: "U+0000"})
		add(workflowsPath+"?"+filter+"=%ff", texts{filter: "UTF-8"})
	}
	add(workflowsPath+"/not-a-uuid", texts{"workflow_id": "must be a UUID"})
	add(workflowsPath+"/%00", texts{"workflow_id": "must be a UUID"})
	add(workflowsPath+"/by-name/a%00b/versions", texts{"workflow_name": "U+0000"})
	add(workflowsPath+"/by-name/%ff/versions", texts{"workflow_name": "UTF-8"})
	altered := "B" + cursor[1:]
	if altered == cursor {
		altered = "C" + cursor[1:]
	}
	const of, unchanged = eventsPath + "?correlation_id=there&limit=1&cursor=", "must be the next_cursor of an earlier answer, unchanged"
	for _, other := range []string{altered, cursor[:len(cursor)-1], cursor[4:], cursor + "A", "MTIzNA", "", "'"} {
		add(of+other, texts{"cursor": unchanged})
	}
	add(of+cursor+"&offset=1", texts{"cursor": "offset"})
	add(of+cursor+"&severity=info", texts{"cursor": "belongs to other filters"})
	add(eventsPath+"?correlation_id=other&cursor="+cursor, texts{"cursor": "belongs to other filters"})
	add(eventsPath+"?cursor="+cursor, texts{"cursor": "belongs to other filters"})
	return rows
}

func badRequests() (rows []bad) {
	add := func(name, method, path string, body any, status int, headers ...string) {
		rows = append(rows, bad{name: name, method: method, path: path, body: body, status: status, headers: headers})
	}
	for _, path := range []string{eventsPath, batchPath, workflowsPath, searchPath} {
		add("text/plain to "+path, http.MethodPost, path, "{}", 415, "Content-Type", "text/plain")
		add("no type to "+path, http.MethodPost, path, "{}", 415, "Content-Type", "")
		add("another charset to "+path, http.MethodPost, path, "{}", 415, "Content-Type", "application/json; charset=latin1")
		add("gzip to "+path, http.MethodPost, path, "{}", 415, "Content-Encoding", "gzip")
	}
	one := workflowsPath + "/" + uuid.NewString()
	for _, path := range []string{eventsPath, batchPath, workflowsPath, searchPath, one, one + "/disable", workflowsPath + "/by-name/there/versions",
		"/health", "/health/ready", "/health/live", "/metrics"} {
		add("DELETE "+path, http.MethodDelete, path, nil, 405)
	}
	add("unknown workflow", http.MethodGet, one, nil, 404)
	add("unknown path", http.MethodGet, "/api/v1/nothing", nil, 404)
	for _, id := range []string{"a b", "ä", `"`, "../x", strings.Repeat("x", 129)} {
		add("request id "+id, http.MethodGet, "/api/v1/nothing", nil, 404, "X-Request-ID", id)
	}
	return rows
}
