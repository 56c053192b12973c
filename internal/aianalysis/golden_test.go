package aianalysis

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files of the audit events anew")

// told is what an audit event says, all of it.
type told struct {
	ID            string         `json:"event_id"`
	Type          string         `json:"event_type"`
	Action        string         `json:"event_action"`
	Outcome       string         `json:"event_outcome"`
	At            string         `json:"event_timestamp"`
	CorrelationID string         `json:"correlation_id"`
	Namespace     string         `json:"namespace"`
	ResourceID    string         `json:"resource_id"`
	DurationMS    *int64         `json:"duration_ms,omitempty"`
	Data          map[string]any `json:"event_data"`
}

// eventsTold are the events of an analysis. The time that the policy took is the one value that no clock of the tests rules: it
// must be there, twice the same, and is then told as 0.
func eventsTold(t *testing.T, cr *v1alpha1.AIAnalysis) (all []told) {
	t.Helper()
	events, err := EventsOf(cr)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		one := told{ID: e.ID, Type: e.Type, Action: e.Action, Outcome: e.Outcome, At: e.At.Format("2006-01-02T15:04:05.000000Z07:00"),
			CorrelationID: e.CorrelationID, Namespace: e.Namespace, ResourceID: e.Name, DurationMS: e.DurationMS}
		if err := json.Unmarshal(e.Data, &one.Data); err != nil {
			t.Fatal(err)
		}
		if e.Type == "aianalysis.rego.evaluation" {
			if e.DurationMS == nil || float64(*e.DurationMS) != one.Data["duration_ms"] {
				t.Errorf("duration %v, in the data %v", e.DurationMS, one.Data["duration_ms"])
			}
			one.DurationMS, one.Data["duration_ms"] = new(int64), 0
		}
		all = append(all, one)
	}
	return all
}

// Every value of every audit event, of each type in each of its ways, is the one that readers of the audit rely on.
func TestAuditEventsAreGolden(t *testing.T) {
	ends := outcomes()
	inChain := true
	recovery := ends["happy recovery"]
	recovery.replies = answering(func(a *Answer) { a.TargetInOwnerChain, a.Warnings = &inChain, []string{"w1", "w2"} })
	rows := map[string]outcome{"incident": ends["happy"], "recovery": recovery}
	for _, name := range []string{"approval required", "degraded policy", "broken policy", "permanent error", "two retries", "human review: low_confidence"} {
		rows[name] = ends[name]
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			cr := sample()
			cr.Spec.IsRecoveryAttempt = row.recovery
			got, err := json.MarshalIndent(eventsTold(t, row.drive(t, newWorld(t, noFuncs, cr))), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			golden := filepath.Join("testdata", "audit", strings.NewReplacer(": ", "-", " ", "-", "_", "-").Replace(name)+".json")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("%s differs; got\n%s", golden, got)
			}
		})
	}
}
