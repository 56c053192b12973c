//go:build e2e

package aianalysis_test

import (
	"bytes"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// family is a metric as dashboards know it. The names are written out: a rename must be noticed here.
type family struct {
	name, kind string
	labels     []string
}

func families() []family {
	return []family{
		{"aianalysis_reconciler_reconciliations_total", "COUNTER", []string{"phase", "result"}},
		{"aianalysis_reconciler_duration_seconds", "HISTOGRAM", []string{"phase"}},
		{"aianalysis_rego_evaluations_total", "COUNTER", []string{"outcome", "degraded"}},
		{"aianalysis_approval_decisions_total", "COUNTER", []string{"decision", "environment"}},
		{"aianalysis_confidence_score_distribution", "HISTOGRAM", []string{"signal_type"}},
		{"aianalysis_failures_total", "COUNTER", []string{"reason", "sub_reason"}},
		{"aianalysis_audit_validation_attempts_total", "COUNTER", []string{"workflow_id", "is_valid"}},
		{"aianalysis_quality_detected_labels_failures_total", "COUNTER", []string{"field_name"}},
		{"aianalysis_recovery_status_populated_total", "COUNTER", []string{"failure_understood", "state_changed"}},
		{"aianalysis_recovery_status_skipped_total", "COUNTER", nil},
	}
}

var _ = Describe("metrics", Label("metrics"), func() {
	It("[METRIC-01] offers every family in Prometheus text", Label("METRIC-01", "canonical"), func(ctx SpecContext) {
		a, err := get(ctx, opt.metrics+"/metrics")
		Expect(err).NotTo(HaveOccurred(), "/metrics")
		Expect(a.status).To(Equal(http.StatusOK), "/metrics: status")
		Expect(a.header.Get("Content-Type")).To(ContainSubstring("text/plain"), "/metrics: Content-Type")

		By("parsing it")
		parser := expfmt.NewTextParser(model.UTF8Validation)
		found, err := parser.TextToMetricFamilies(bytes.NewReader(a.body))
		Expect(err).NotTo(HaveOccurred(), "/metrics: text format")
		for _, want := range families() {
			Expect(found).To(HaveKey(want.name), "/metrics: families")
			got := found[want.name]
			Expect(got.GetHelp()).NotTo(BeEmpty(), "%s: HELP", want.name)
			Expect(got.GetType().String()).To(Equal(want.kind), "%s: type", want.name)
			for _, series := range got.GetMetric() {
				var labels []string
				for _, pair := range series.GetLabel() {
					labels = append(labels, pair.GetName())
				}
				Expect(labels).To(ConsistOf(want.labels), "%s: label names", want.name)
			}
		}
	})
})
