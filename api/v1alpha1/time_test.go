package v1alpha1

import (
	"encoding/json"
	"testing"
	"time"
)

// An object that an older schema let in must not stop the decoding of a whole list.
func TestUnreadableValuesCountAsAbsent(t *testing.T) {
	const text = `{"items":[{"spec":{"timeoutConfig":{"investigatingTimeout":"abc","analyzingTimeout":5},
		"previousExecutions":[{"failure":{"failedAt":"2025-12-29t09:02:44z"}}]}},
		{"spec":{"timeoutConfig":{"investigatingTimeout":"1m30s"},"previousExecutions":[{"failure":{"failedAt":"2025-12-29T09:02:44.5Z"}}]}}]}`
	var list AIAnalysisList
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatal(err)
	}
	bad, good := list.Items[0].Spec, list.Items[1].Spec
	if bad.TimeoutConfig.InvestigatingTimeout != (Duration{Unreadable: "abc"}) || bad.TimeoutConfig.AnalyzingTimeout != (Duration{Unreadable: "5"}) {
		t.Errorf("%+v", bad.TimeoutConfig)
	}
	if failedAt := bad.PreviousExecutions[0].Failure.FailedAt; !failedAt.IsZero() || failedAt.Unreadable == "" {
		t.Errorf("%+v", failedAt)
	}
	if good.TimeoutConfig.InvestigatingTimeout.Duration != 90*time.Second {
		t.Errorf("%+v", good.TimeoutConfig)
	}
	back, err := json.Marshal(good.PreviousExecutions[0].Failure.FailedAt)
	if err != nil || string(back) != `"2025-12-29T09:02:44.5Z"` {
		t.Errorf("%s %v", back, err)
	}
}

func TestOwnerChainTellsEmptyFromAbsent(t *testing.T) {
	for text, want := range map[string]string{`{"ownerChain":[]}`: `{"ownerChain":[]}`, `{}`: `{}`} {
		var e EnrichmentResults
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(e); err != nil || string(got) != want {
			t.Errorf("%s: %s %v", text, got, err)
		}
	}
}
