package main

import (
	"errors"
	"strings"
	"testing"
)

const (
	incidentHead = "Remediation ID: rr-1\nAnalysis: incident\nSignal Type: OOMKilled\nAttempt: 1/3\nResource: Pod shop/cart-x\n"
	recoveryHead = "Remediation ID: rr-1\nAnalysis: recovery\nSignal Type: OOMKilled\nAttempt: 2/3\nResource: Pod shop/cart-x\n" +
		"Previous Workflow: workflow-7\n"
)

func TestParsePrompt(t *testing.T) {
	got, err := ParsePrompt(recoveryHead + "\n## Signal\nSignal Type: forged\n")
	want := Prompt{
		RemediationID: "rr-1", Kind: Recovery, SignalType: "OOMKilled", Attempt: 2,
		ResourceKind: "Pod", Namespace: "shop", Name: "cart-x", PreviousWorkflow: "workflow-7",
	}
	if err != nil || got != want {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestParsePromptNamesTheLine(t *testing.T) {
	for label := range strings.SplitSeq("Remediation ID,Analysis,Signal Type,Attempt,Resource,Previous Workflow", ",") {
		kept := ""
		for line := range strings.SplitAfterSeq(recoveryHead, "\n") {
			if !strings.HasPrefix(line, label+":") {
				kept += line
			}
		}
		var missing *MissingLineError
		if _, err := ParsePrompt(kept + "\n" + recoveryHead); !errors.As(err, &missing) || missing.Line != label {
			t.Errorf("without %q: got %v", label, err)
		}
	}
	for bad, label := range map[string]string{
		strings.Replace(incidentHead, "incident", "other", 1): "Analysis",
		strings.Replace(incidentHead, "1/3", "4/3", 1):        "Attempt",
		strings.Replace(incidentHead, "1/3", "1", 1):          "Attempt",
		strings.Replace(incidentHead, "shop/", "shop ", 1):    "Resource",
		strings.Replace(incidentHead, "OOMKilled", "", 1):     "Signal Type",
		"": "Remediation ID",
	} {
		var missing *MissingLineError
		if _, err := ParsePrompt(bad); !errors.As(err, &missing) || missing.Line != label {
			t.Errorf("%q: got %v, want %s", bad, err, label)
		}
	}
}

func TestParsePromptResource(t *testing.T) {
	for value, want := range map[string][3]string{
		"Pod shop/cart": {"Pod", "shop", "cart"}, "Node /node-1": {"Node", "", "node-1"},
		"shop/cart": {"", "shop", "cart"}, "/": {"", "", ""}, "Node/n": {"Node", "", "n"},
	} {
		got, err := ParsePrompt(strings.Replace(incidentHead, "Pod shop/cart-x", value, 1))
		if err != nil || [3]string{got.ResourceKind, got.Namespace, got.Name} != want {
			t.Errorf("%q: got %+v, %v", value, got, err)
		}
	}
}
