package aianalysis

import (
	"bytes"
	"strings"
	"testing"
)

// U+0000 from a spec, an answer or a policy reaches no audit event: Data Storage would refuse it, and the audit would never be complete.
func TestAuditEventsHoldNoNUL(t *testing.T) {
	cr := sample()
	cr.Spec.AnalysisRequest.SignalContext.Environment = "a\x00b"
	w := newWorld(t, noFuncs, cr)
	w.hapi.replies = failing(1, &CallError{Class: ClassTransient, Text: "c\x00d"}, answering(func(a *Answer) { a.Workflow.WorkflowID = "e\x00f" })...)
	w.policy.verdict = Verdict{RequireApproval: true, Degraded: true, Reason: "g\x00h", SHA256: "abc"}
	events, err := EventsOf(w.finish())
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for _, e := range events {
		all.Write(e.Data)
	}
	if strings.Contains(all.String(), `\u0000`) {
		t.Errorf("%s", all.String())
	}
	for _, want := range []string{"a\ufffdb", "c\ufffdd", "e\ufffdf", "g\ufffdh"} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("%q is missing in %s", want, all.String())
		}
	}
}
