package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

type object = map[string]any

func newServer(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(NewServer(realBook(t), time.Now))
	t.Cleanup(server.Close)
	return server
}

func call(t *testing.T, server *httptest.Server, method, path string, body any) (int, []byte) {
	t.Helper()
	text, isText := body.(string)
	if !isText {
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		text = string(encoded)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }() // read to its end below
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer
}

func decode(t *testing.T, text []byte) object {
	t.Helper()
	var value object
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatalf("decoding %q: %v", text, err)
	}
	return value
}

func chat(head string, extra ...object) object {
	messages := []object{{"role": "system", "content": "rules"}, {"role": "user", "content": head}}
	return object{"model": "m", "messages": append(messages, extra...), "unknown_key": 1}
}

func withTool(request object) object {
	request["tools"] = []object{{"type": "function", "function": object{"name": SearchTool, "strict": true, "parameters": object{}}}}
	return request
}

var fence = regexp.MustCompile("(?s)```json\n(.*)\n```")

func verdictOf(t *testing.T, body []byte) (object, object) {
	t.Helper()
	first := decode(t, body)["choices"].([]any)[0].(object)
	block := fence.FindStringSubmatch(first["message"].(object)["content"].(string))
	if block == nil {
		t.Fatalf("no fenced block in %s", body)
	}
	return decode(t, []byte(block[1])), first
}

func TestOneTurnWithoutTool(t *testing.T) {
	server := newServer(t)
	for _, tc := range []struct{ signal, id, name string }{
		{"OOMKilled", "a075949c-3e59-5585-aecb-59fa16dad7e7", "oomkill-increase-memory-v1"},
		{"crashloopbackoff", "5fa4960c-ca8d-5dfd-a87e-d4ae406e0eaf", "crashloop-config-fix-v1"},
		{"Whatever", "a6cf210b-9fb1-578f-9b4e-94f70c547447", "generic-restart-v1"},
	} {
		head := strings.Replace(incidentHead, "OOMKilled", tc.signal, 1)
		status, body := call(t, server, "POST", "/v1/chat/completions", chat(head))
		if status != http.StatusOK {
			t.Fatalf("%s: %d %s", tc.signal, status, body)
		}
		verdict, choice := verdictOf(t, body)
		chosen := verdict["selected_workflow"].(object)
		if chosen["workflow_id"] != tc.id || chosen["parameters"].(object)["NAMESPACE"] != "shop" || choice["finish_reason"] != "stop" {
			t.Errorf("%s: %v", tc.signal, chosen)
		}
		if _, sent := chosen["container_image"]; sent {
			t.Errorf("%s: an image that no row gives was sent", tc.signal)
		}
		affected := verdict["root_cause_analysis"].(object)["affected_resource"].(object)
		if affected["kind"] != "Pod" || affected["namespace"] != "shop" || affected["name"] != "cart-x" {
			t.Errorf("%s: affected %v", tc.signal, affected)
		}
		if usage := decode(t, body)["usage"].(object); usage["total_tokens"].(float64) < 1 {
			t.Errorf("%s: usage %v", tc.signal, usage)
		}
	}
}

func TestRecoveryVerdict(t *testing.T) {
	_, body := call(t, newServer(t), "POST", "/v1/chat/completions", chat(recoveryHead))
	verdict, _ := verdictOf(t, body)
	chosen := verdict["selected_workflow"].(object)
	if chosen["workflow_id"] != "582fa0af-04de-5ab1-a496-51805595f626" || chosen["parameters"].(object)["PREVIOUS_WORKFLOW"] != "workflow-7" {
		t.Errorf("chosen %v", chosen)
	}
	assessment := verdict["recovery_analysis"].(object)["previous_attempt_assessment"].(object)
	if assessment["failure_understood"] != true || assessment["state_changed"] != false || assessment["current_signal_type"] != "OOMKilled" {
		t.Errorf("assessment %v", assessment)
	}
	strategy := verdict["strategies"].([]any)[0].(object)
	if strategy["action_type"] != "recovery_oomkilled_v1" || strategy["confidence"] != 0.87 || verdict["can_recover"] != true {
		t.Errorf("strategy %v", strategy)
	}
	if alternatives := verdict["alternative_workflows"].([]any); len(alternatives) != 0 {
		t.Errorf("alternatives %v", alternatives)
	}
}

func TestTwoTurnsWithTool(t *testing.T) {
	server := newServer(t)
	_, body := call(t, server, "POST", "/v1/chat/completions", withTool(chat(incidentHead)))
	first := decode(t, body)["choices"].([]any)[0].(object)
	search := first["message"].(object)["tool_calls"].([]any)[0].(object)
	function := search["function"].(object)
	arguments := decode(t, []byte(function["arguments"].(string)))
	resource := arguments["rca_resource"].(object)
	if first["finish_reason"] != "tool_calls" || function["name"] != SearchTool || arguments["query"] != "OOMKilled critical" ||
		arguments["top_k"] != 10.0 || resource["namespace"] != "shop" || resource["signal_type"] != "OOMKilled" {
		t.Fatalf("turn 1: %s", body)
	}
	for name, tc := range map[string]struct {
		result any
		id     any
	}{
		"found":            {`{"workflows":[{"workflow_id":"from-catalog","workflow_name":"oomkill-increase-memory-v1"}]}`, "from-catalog"},
		"after other text": {`Params {"a":1}: {"workflows":[{"workflow_id":"from-catalog","workflow_name":"oomkill-increase-memory-v1"}]} tail`, "from-catalog"},
		"in parts":         {[]object{{"type": "text", "text": `{"workflows":[{"workflow_id":"p","workflow_name":"oomkill-increase-memory-v1"}]}`}}, "p"},
		"not in it":        {`{"workflows":[{"workflow_id":"x","workflow_name":"other"}]}`, nil},
		"failed search":    {"workflow catalog unavailable", nil},
		"broken JSON":      {`{"workflows":[{`, nil},
	} {
		messages := []object{
			{"role": "assistant", "content": nil, "tool_calls": []any{search, object{"id": "other", "type": "function", "function": object{"name": "x", "arguments": "{}"}}}},
			{"role": "tool", "name": "x", "tool_call_id": "other", "content": `{"workflows":[]}`},
			{"role": "tool", "name": SearchTool, "tool_call_id": search["id"], "content": tc.result},
		}
		status, body := call(t, server, "POST", "/v1/chat/completions", withTool(chat(incidentHead, messages...)))
		if status != http.StatusOK {
			t.Fatalf("%s: %d %s", name, status, body)
		}
		verdict, _ := verdictOf(t, body)
		var id any
		if chosen, there := verdict["selected_workflow"].(object); there {
			id = chosen["workflow_id"]
		}
		if id != tc.id {
			t.Errorf("%s: chose %v, want %v", name, id, tc.id)
		}
	}
}

func TestDeterminism(t *testing.T) {
	volatile := regexp.MustCompile(`"id":"chatcmpl-[^"]*"|"created":\d+`)
	for name, request := range map[string]object{
		"answer": chat(recoveryHead), "search": withTool(chat(incidentHead)),
		"stream": {"model": "m", "stream": true, "messages": chat(incidentHead)["messages"]},
	} {
		_, first := call(t, newServer(t), "POST", "/v1/chat/completions", request)
		_, second := call(t, newServer(t), "POST", "/v1/chat/completions", request)
		if a, b := volatile.ReplaceAll(first, nil), volatile.ReplaceAll(second, nil); !bytes.Equal(a, b) {
			t.Errorf("%s:\n%s\n%s", name, a, b)
		}
	}
}

func TestStream(t *testing.T) {
	server := newServer(t)
	for name, request := range map[string]object{"text": chat(incidentHead), "call": withTool(chat(incidentHead))} {
		_, plain := call(t, server, "POST", "/v1/chat/completions", request)
		message := decode(t, plain)["choices"].([]any)[0].(object)["message"].(object)
		request["stream"], request["stream_options"] = true, object{"include_usage": true}
		_, body := call(t, server, "POST", "/v1/chat/completions", request)
		events := strings.Split(strings.TrimSpace(string(body)), "\n\n")
		if len(events) != 5 || events[4] != "data: [DONE]" {
			t.Fatalf("%s: %d events: %s", name, len(events), body)
		}
		delta := decode(t, []byte(strings.TrimPrefix(events[1], "data: ")))["choices"].([]any)[0].(object)["delta"].(object)
		if fmt.Sprint(delta["content"]) != fmt.Sprint(message["content"]) {
			t.Errorf("%s: streamed text differs", name)
		}
		if calls, there := message["tool_calls"].([]any); there {
			streamed := delta["tool_calls"].([]any)[0].(object)
			if streamed["index"] != 0.0 || streamed["id"] != calls[0].(object)["id"] {
				t.Errorf("%s: streamed call %v", name, streamed)
			}
		}
		if usage := decode(t, []byte(strings.TrimPrefix(events[3], "data: ")))["usage"]; usage == nil {
			t.Errorf("%s: no usage", name)
		}
	}
}

func TestStrictRefusals(t *testing.T) {
	server := newServer(t)
	for label := range strings.SplitSeq("Remediation ID,Analysis,Signal Type,Attempt,Resource,Previous Workflow", ",") {
		head := strings.Replace(recoveryHead, label+":", "Renamed:", 1)
		status, body := call(t, server, "POST", "/v1/chat/completions", chat(head))
		if status != http.StatusUnprocessableEntity || !strings.Contains(decode(t, body)["error"].(object)["message"].(string), label) {
			t.Errorf("without %q: %d %s", label, status, body)
		}
	}
	for text, want := range map[string]int{"{": 400, `{"messages":"x"}`: 400, "{}": 422, `{"messages":[{"role":"user","content":7}]}`: 400} {
		if status, body := call(t, server, "POST", "/v1/chat/completions", text); status != want {
			t.Errorf("%q: %d %s", text, status, body)
		}
	}
	_, body := call(t, server, "GET", "/_mock/counts", "")
	if counts := decode(t, body); counts["refused"] != 7.0 {
		t.Errorf("counts %v", counts)
	}
}

func TestSmallPaths(t *testing.T) {
	server := newServer(t)
	if status, body := call(t, server, "GET", "/healthz", ""); status != 200 || string(body) != `{"strict":true}` {
		t.Errorf("healthz: %d %s", status, body)
	}
	if status, body := call(t, server, "GET", "/v1/models", ""); status != 200 || decode(t, body)["object"] != "list" {
		t.Errorf("models: %d %s", status, body)
	}
	if status, _ := call(t, server, "GET", "/v1/chat/completions", ""); status != http.StatusMethodNotAllowed {
		t.Errorf("wrong method: %d", status)
	}
}

func TestJournal(t *testing.T) {
	server := newServer(t)
	call(t, server, "POST", "/v1/chat/completions", withTool(chat(incidentHead)))
	call(t, server, "POST", "/v1/chat/completions", withTool(chat(incidentHead, object{"role": "tool", "tool_call_id": "a", "content": "text"})))
	call(t, server, "POST", "/v1/chat/completions", chat(strings.Replace(incidentHead, "rr-1", "rr-2", 1)))
	_, body := call(t, server, "GET", "/_mock/counts?remediation_id=rr-1", "")
	if counts := decode(t, body); counts["attempts"] != 1.0 || counts["turns"] != 2.0 || counts["faults"] != 0.0 {
		t.Errorf("counts %v", counts)
	}
	_, body = call(t, server, "GET", "/_mock/requests?remediation_id=rr-1", "")
	entry := decode(t, body)["requests"].([]any)[1].(object)
	if entry["turn"] != 2.0 || entry["tool_messages"].([]any)[0] != "text" || entry["tools"].([]any)[0] != SearchTool {
		t.Errorf("entry %v", entry)
	}
}

func TestJournalIsBounded(t *testing.T) {
	byCount, bySize := NewJournal(3, 1<<20), NewJournal(100, 3000)
	for range 10 {
		byCount.Add(Entry{RemediationID: "r"})
		bySize.Add(Entry{RemediationID: "r", User: strings.Repeat("x", 1000)})
	}
	if entries, dropped := byCount.Entries("r"); len(entries) != 3 || dropped != 7 {
		t.Errorf("by count: %d kept, %d dropped", len(entries), dropped)
	}
	if entries, dropped := bySize.Entries("r"); len(entries) != 2 || dropped != 8 {
		t.Errorf("by size: %d kept, %d dropped", len(entries), dropped)
	}
}
