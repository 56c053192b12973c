package policy

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// Every set of circumstances in every kind of environment, against the table read line by line: the reason is the first rule's, the
// matched rules are all that hold, in order, and nothing conflicts.
func TestShippedPolicyIsTheTable(t *testing.T) {
	text, err := os.ReadFile(shipped)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := compile("approval.rego", text)
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for _, environment := range []string{"production", "staging", "Production"} {
		for _, attempt := range []int{0, 2, 3} {
			for _, recovery := range []bool{true, false} {
				for _, inChain := range []bool{true, false} {
					for _, failed := range [][]any{{}, {"hpaEnabled"}, {"gitOpsManaged"}, {"pdbProtected", "gitOpsManaged"}, {"stateful", "pdbProtected"}} {
						for _, warnings := range [][]any{{}, {"w"}, {"w", "v"}} {
							for _, labels := range []map[string]any{{}, {"stateful": false}, {"stateful": true}} {
								cases++
								input := map[string]any{"environment": environment, "is_recovery_attempt": recovery, "recovery_attempt_number": attempt,
									"target_in_owner_chain": inChain, "failed_detections": failed, "warnings": warnings, "detected_labels": labels,
									"custom_labels": map[string]any{}, "confidence": 0.2}
								verdict, err := policy.evaluate(t.Context(), input)
								ids, reason := expected(input)
								if err != nil || verdict.Degraded || verdict.RequireApproval != (len(ids) > 0) || verdict.Reason != reason || !slices.Equal(verdict.MatchedRules, ids) {
									t.Fatalf("%v:\n got %+v, %v\nwant %v, %q", input, verdict, err, ids, reason)
								}
							}
						}
					}
				}
			}
		}
	}
	if cases != 3*3*2*2*5*3*3 {
		t.Errorf("%d cases", cases)
	}
}

// expected reads the table.
func expected(in map[string]any) (ids []string, reason string) {
	production := in["environment"] == "production"
	failed, warnings := in["failed_detections"].([]any), in["warnings"].([]any)
	var names []string
	matter := production && len(failed) > 0
	for _, name := range failed {
		names = append(names, name.(string))
		matter = matter || name == "gitOpsManaged" || name == "pdbProtected"
	}
	slices.Sort(names)
	reason = "Auto-approved"
	for _, rule := range []struct {
		id    string
		holds bool
		text  string
	}{
		{"recovery-escalation", in["is_recovery_attempt"] == true && in["recovery_attempt_number"].(int) >= 3, fmt.Sprintf("Recovery attempt %d: human approval required", in["recovery_attempt_number"])},
		{"unvalidated-target", production && in["target_in_owner_chain"] == false, "Production target is not in the owner chain"},
		{"failed-detections", matter, "Label detection failed: " + strings.Join(names, ", ")},
		{"warnings", production && len(warnings) > 0, fmt.Sprintf("Production analysis has %d warning(s)", len(warnings))},
		{"stateful-workload", production && in["detected_labels"].(map[string]any)["stateful"] == true, "Production workload is stateful"},
		{"production", production, "Production environment"},
	} {
		if !rule.holds {
			continue
		}
		if len(ids) == 0 {
			reason = rule.text
		}
		ids = append(ids, rule.id)
	}
	return ids, reason
}
