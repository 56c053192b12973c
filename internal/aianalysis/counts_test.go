package aianalysis

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// counts is what an outcome must have added to the business metrics, in order; s is its status, which is checked by itself.
func (o *outcome) counts(s v1alpha1.AIAnalysisStatus) (all []string) {
	add := func(times int, series string) {
		if times > 0 {
			all = append(all, fmt.Sprintf("aianalysis_%s +%d", series, times))
		}
	}
	when := func(it bool) int {
		if it {
			return 1
		}
		return 0
	}
	answered := when(o.replies != nil && o.replies[len(o.replies)-1].answer != nil)
	decided := when(strings.Contains(o.trail, "approval.decision"))
	decision, outcome := "auto_approved", "approved"
	switch {
	case o.policy.err != nil:
		outcome = "error"
	case o.policy.verdict.RequireApproval:
		decision, outcome = "requires_approval", "requires_approval"
	}
	add(decided, "approval_decisions_total "+decision+" staging")
	add(answered, "audit_validation_attempts_total false raise")
	add(answered, "audit_validation_attempts_total true raise-limit")
	add(decided, "confidence_score_distribution OOMKilled")
	retries := strings.Count(o.trail, "holmesgpt.call error.occurred") - when(strings.HasPrefix(o.status, "Failed APIError"))
	add(when(s.Phase == v1alpha1.PhaseFailed), "failures_total "+s.Reason+" "+string(s.SubReason))
	add(retries, "failures_total TransientError Retrying")
	started := when(o.deleted != v1alpha1.PhasePending)
	add(started, "quality_detected_labels_failures_total pdbProtected")
	add(started, "quality_detected_labels_failures_total stateful")
	add(when(o.recovery && o.assessed), "recovery_status_populated_total true false")
	add(when(o.recovery && !o.assessed), "recovery_status_skipped_total")
	add(when(strings.Contains(o.trail, "rego.evaluation")), fmt.Sprintf("rego_evaluations_total %t %s", o.policy.verdict.Degraded, outcome))
	slices.Sort(all)
	return all
}

// counted are all series of all families but those on time and audit: counters by their value, histograms by the number of their values.
func counted(t *testing.T, w *world) map[string]int {
	t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]int{}
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), "aianalysis_reconciler_") || family.GetName() == "aianalysis_audit_unrecorded" {
			continue
		}
		for _, metric := range family.Metric {
			series := []string{family.GetName()}
			for _, label := range metric.Label {
				series = append(series, label.GetValue())
			}
			all[strings.Join(series, " ")] = int(metric.Counter.GetValue()) + int(metric.Histogram.GetSampleCount())
		}
	}
	return all
}

func moved(before, now map[string]int) (all []string) {
	for series, n := range now {
		if n != before[series] {
			all = append(all, fmt.Sprintf("%s +%d", series, n-before[series]))
		}
	}
	slices.Sort(all)
	return all
}
