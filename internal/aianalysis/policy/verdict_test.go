package policy

import (
	"errors"
	"reflect"
	"testing"

	"github.com/kubernaut-ai/kubernaut/internal/aianalysis"
)

// Whatever an evaluation may give: only a clear no lets a workflow run without a person.
func TestVerdictOf(t *testing.T) {
	type object = map[string]any
	degraded := func(reason string) aianalysis.Verdict {
		return aianalysis.Verdict{RequireApproval: true, Degraded: true, Reason: reason + "; manual approval required", SHA256: "abc"}
	}
	for name, row := range map[string]struct {
		value any
		err   error
		want  aianalysis.Verdict
	}{
		"error":                  {nil, errors.New("out of time"), degraded("Policy evaluation failed: out of time")},
		"error beside a value":   {object{"require_approval": false}, errors.New("late"), degraded("Policy evaluation failed: late")},
		"no result":              {nil, nil, degraded("Policy gave no result")},
		"number":                 {5, nil, degraded("Policy result is not an object")},
		"list":                   {[]any{}, nil, degraded("Policy result is not an object")},
		"boolean":                {false, nil, degraded("Policy result is not an object")},
		"empty object":           {object{}, nil, aianalysis.Verdict{RequireApproval: true, Reason: "Approval required by policy", SHA256: "abc"}},
		"required":               {object{"require_approval": true, "reason": "r"}, nil, aianalysis.Verdict{RequireApproval: true, Reason: "r", SHA256: "abc"}},
		"not required":           {object{"require_approval": false}, nil, aianalysis.Verdict{Reason: "Auto-approved by policy", SHA256: "abc"}},
		"not required, a reason": {object{"require_approval": false, "reason": "r"}, nil, aianalysis.Verdict{Reason: "r", SHA256: "abc"}},
		"decision as text":       {object{"require_approval": "false"}, nil, degraded("Policy value require_approval is not a boolean")},
		"decision null":          {object{"require_approval": nil}, nil, degraded("Policy value require_approval is not a boolean")},
		"decision as number":     {object{"require_approval": 0}, nil, degraded("Policy value require_approval is not a boolean")},
		"reason as number":       {object{"require_approval": false, "reason": 5}, nil, degraded("Policy value reason is not a string")},
		"reason null":            {object{"require_approval": false, "reason": nil}, nil, degraded("Policy value reason is not a string")},
		"rules": {object{"require_approval": false, "reason": "r", "matched_rules": []any{"a", 5, "b"}}, nil,
			aianalysis.Verdict{Reason: "r", MatchedRules: []string{"a", "b"}, SHA256: "abc"}},
		"rules of the wrong type": {object{"require_approval": false, "reason": "r", "matched_rules": "a"}, nil, aianalysis.Verdict{Reason: "r", SHA256: "abc"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (&prepared{sha256: "abc"}).verdictOf(row.value, row.err); !reflect.DeepEqual(got, row.want) {
				t.Errorf("got  %+v\nwant %+v", got, row.want)
			}
		})
	}
}
