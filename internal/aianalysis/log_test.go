package aianalysis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus/testutil"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// Every line of the log tells which object, phase and attempt it is about, also if one reconcile goes through several of them.
func TestLinesTellPhaseAndAttempt(t *testing.T) {
	w := newWorld(t, noFuncs, sample())
	w.hapi.replies = failing(1, transient(), answering(func(*Answer) {})...)
	var lines []string
	logger := funcr.NewJSON(func(line string) { lines = append(lines, line) }, funcr.Options{})
	for !w.get().Status.Phase.Terminal() {
		result, err := w.r.Reconcile(log.IntoContext(t.Context(), logger), ctrl.Request{NamespacedName: w.key})
		if err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(result.RequeueAfter)
	}
	var have []string
	for _, line := range lines {
		var fields struct {
			Msg, Phase, UID, RemediationID, To string
			Attempt                            *int
		}
		if err := json.Unmarshal([]byte(line), &fields); err != nil || fields.Attempt == nil || strings.Count(line, `"attempt":`) != 1 ||
			strings.Count(line, `"phase":`) != 1 || fields.UID != string(sample().UID) || fields.RemediationID != "rr-1" {
			t.Errorf("%v: %s", err, line)
			continue
		}
		have = append(have, strings.TrimSpace(fmt.Sprintf("%s/%d: %s %s", fields.Phase, *fields.Attempt, fields.Msg, fields.To)))
	}
	want := []string{"/0: phase changed Pending", "Pending/0: phase changed Investigating", "Investigating/1: attempt failed",
		"Investigating/2: phase changed Analyzing", "Analyzing/2: phase changed Completed"}
	if !slices.Equal(have, want) {
		t.Errorf("\n got %s\nwant %s", strings.Join(have, "\n     "), strings.Join(want, "\n     "))
	}
}

// crashing is a policy with a defect.
type crashing struct{}

func (crashing) Evaluate(context.Context, map[string]any) (Verdict, error) { panic("defect") }

// A panic is for controller-runtime to report, and counts as a failed step.
func TestPanicCountsAsAFailedStep(t *testing.T) {
	w := newWorld(t, noFuncs, sample())
	w.hapi.replies = answering(func(*Answer) {})
	w.r.Policy = crashing{}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		w.reconcile()
	}()
	for labels, want := range map[[2]string]float64{{"Investigating", "success"}: 1, {"Analyzing", "error"}: 1, {"Analyzing", "success"}: 0} {
		if n := testutil.ToFloat64(w.r.Metrics.Reconciliations.WithLabelValues(labels[0], labels[1])); n != want {
			t.Errorf("%v: %v, want %v", labels, n, want)
		}
	}
	if phase := w.get().Status.Phase; phase != v1alpha1.PhaseAnalyzing {
		t.Errorf("%s", phase)
	}
}
