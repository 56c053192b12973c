//go:build e2e

package aianalysis_test

import (
	"encoding/json"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("audit trail", Label("audit"), func() {
	It("[AUDIT-01] stores every kind of event of an analysis", Label("AUDIT-01", "canonical"), func(ctx SpecContext) {
		s := newScene(ctx, "audit-test")
		By("creating AUD1")
		cr := completed(ctx, s.create(ctx, s.aud1()))
		correlation := cr.Spec.RemediationID

		By("reading its events")
		Eventually(ctx, auditTypes).WithArguments(correlation).WithTimeout(limit(tAudit)).WithPolling(polling).
			Should(ContainElements(phaseTransition, holmesCall, regoEvaluation, approvalDecision, analysisCompleted),
				"audit events of %s: the five kinds", correlation)
		events, err := everyAuditEvent(ctx, correlation)
		Expect(err).NotTo(HaveOccurred(), "audit events of %s", correlation)
		for _, e := range events {
			Expect(e.CorrelationID).To(Equal(correlation), "%s %s: correlation_id", e.Type, e.EventID)
			var data map[string]json.RawMessage
			Expect(json.Unmarshal(e.Data, &data)).To(Succeed(), "%s %s: event_data is an object: %s", e.Type, e.EventID, e.Data)
			Expect(data).NotTo(BeEmpty(), "%s %s: event_data", e.Type, e.EventID)
			_, err := time.Parse(time.RFC3339Nano, e.Timestamp)
			Expect(err).NotTo(HaveOccurred(), "%s %s: event_timestamp %q is RFC 3339", e.Type, e.EventID, e.Timestamp)
		}

		By("asking for an analysis that there is not: the query does select")
		none, err := everyAuditEvent(ctx, correlation+"-not-there")
		Expect(err).NotTo(HaveOccurred(), "audit events of %s-not-there", correlation)
		Expect(none).To(BeEmpty(), "audit events of %s-not-there", correlation)
	})
})
