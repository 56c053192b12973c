package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func head(remediation, signal string, attempt int) string {
	return fmt.Sprintf("Remediation ID: %s\nAnalysis: incident\nSignal Type: %s\nAttempt: %d/3\nResource: Pod shop/cart\n\nx", remediation, signal, attempt)
}

// The special rows of the suite, attempt by attempt: what is told of the workflow, or how the answer ends.
func TestSpecialRows(t *testing.T) {
	server := newServer(t)
	for _, tc := range []struct {
		signal   string
		attempt  int
		has, not string
	}{
		{"MOCK_MAX_RETRIES_EXHAUSTED", 1, "quay.io/kubernaut/wrong:v0", ""},
		{"MOCK_MAX_RETRIES_EXHAUSTED", 2, "RESTART_POLICY", "MEMORY_LIMIT"},
		{"MOCK_MAX_RETRIES_EXHAUSTED", 3, "```json", "```\\n"},
		{"MOCK_HALLUCINATED_WORKFLOW", 1, "00000000-dead-4bad-8bad-000000000404", "5fa4960c-ca8d-5dfd-a87e-d4ae406e0eaf"},
		{"MOCK_HALLUCINATED_WORKFLOW", 2, "5fa4960c-ca8d-5dfd-a87e-d4ae406e0eaf", "dead"},
		{"MOCK_FAULT_MALFORMED", 1, "```json", "```\\n"},
		{"mock_fault_malformed", 2, "5fa4960c-ca8d-5dfd-a87e-d4ae406e0eaf", ""},
		{"MOCK_OUTSIDE_CHAIN", 1, "elsewhere", `kind\": \"Pod`},
		{"MOCK_NO_WORKFLOW_FOUND", 1, `selected_workflow\": null`, ""},
		{"MOCK_PROBLEM_RESOLVED", 1, `investigation_outcome\": \"resolved`, ""},
		{"MOCK_LOW_CONFIDENCE", 1, "0.45", ""},
	} {
		status, body := call(t, server, http.MethodPost, "/v1/chat/completions", chat(head("rr", tc.signal, tc.attempt)))
		if status != 200 || !strings.Contains(string(body), tc.has) || (tc.not != "" && strings.Contains(string(body), tc.not)) {
			t.Errorf("%s, attempt %d: %d %s", tc.signal, tc.attempt, status, body)
		}
	}
}

// Faults strike each remediation so often; another one does not meet them.
func TestFaultRows(t *testing.T) {
	server := newServer(t)
	for signal, want := range map[string][]int{
		"MOCK_FAULT_HTTP_401": {401, 401, 401}, "MOCK_FAULT_HTTP_429": {429, 429, 200},
		"MOCK_FAULT_HTTP_500": {500, 200, 200}, "MOCK_FAULT_HTTP_500_ALWAYS": {500, 500, 500},
	} {
		for _, status := range want {
			for _, remediation := range []string{"a", "b"} {
				got, body := call(t, server, http.MethodPost, "/v1/chat/completions", chat(head(remediation+signal, signal, 1)))
				if got != status {
					t.Errorf("%s: %d instead of %d: %s", signal, got, status, body)
				}
			}
		}
	}
	_, body := call(t, server, http.MethodGet, "/_mock/counts?remediation_id=aMOCK_FAULT_HTTP_429", nil)
	if counts := decode(t, body); counts["faults"] != 2.0 || counts["attempts"] != 3.0 {
		t.Errorf("counts are %v", counts)
	}
}

// A client that goes during a delay is journaled, and its fault is spent.
func TestDelayEndsWithTheClient(t *testing.T) {
	handler := NewServer(realBook(t), time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	text := strings.NewReader(`{"model":"m","messages":[{"role":"user","content":"` + strings.ReplaceAll(head("rr", "MOCK_FAULT_TIMEOUT", 1), "\n", `\n`) + `"}]}`)
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/chat/completions", text))
	entries, _ := handler.journal.Entries("rr")
	if len(entries) != 1 || entries[0].Status != 499 || !entries[0].Fault {
		t.Errorf("journal: %+v", entries)
	}
	if handler.struck.strikes(&Fault{Times: 1}, "rr") {
		t.Error("the fault strikes a second time")
	}
}

func TestSpecialRowsAreChecked(t *testing.T) {
	for text, want := range map[string]string{
		"{signal_type: a, like: absent}":          "there is no row",
		"{signal_type: Unknown2, like: Unknown2}": "there is no row",
		"{like: A}":                            "is empty",
		"{signal_type: a, like: A, fault: {}}": "a status or a delay",
		"{signal_type: a, like: A, odd: 1}":    "odd",
		"{signal_type: A, like: A}":            "stands twice",
	} {
		book := write(t, "s.yaml", testBook+"\nspecials:\n  - "+text+"\n")
		if _, err := LoadBook(book, write(t, "w.yaml", testSeed)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
