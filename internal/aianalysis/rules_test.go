package aianalysis

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

var noFuncs = interceptor.Funcs{}

func TestClasses(t *testing.T) {
	rows := []struct {
		class  Class
		alert  bool
		retry  bool
		status []int
	}{
		{ClassPermanent, true, false, []int{400, 405, 413, 415, 422}},
		{ClassAuthentication, true, false, []int{401}},
		{ClassAuthorization, true, false, []int{403}},
		{ClassConfiguration, true, false, []int{404}},
		{ClassRateLimit, false, true, []int{429}},
		{ClassTransient, false, true, []int{500, 502, 503, 504}},
		{ClassTransient, true, true, []int{201, 204, 302, 307, 409, 418, 501}},
	}
	for _, row := range rows {
		for _, status := range row.status {
			class, alert := ClassOfStatus(status)
			if class != row.class || alert != row.alert || class.Retryable() != row.retry {
				t.Errorf("%d: %s alert %v retry %v", status, class, alert, class.Retryable())
			}
		}
	}
	for class, retry := range map[Class]bool{ClassTimeout: true, ClassNetwork: true, ClassInvalidResponse: true, ClassCircuitOpen: true, ClassInterrupted: true, ClassCancelled: false} {
		if class.Retryable() != retry {
			t.Errorf("%s: %v", class, !retry)
		}
	}
}

func TestBackoff(t *testing.T) {
	b := Backoff{Base: time.Second, Max: 5 * time.Minute}
	rows := []struct {
		n       int32
		jitter  float64
		failure CallError
		want    time.Duration
	}{
		{1, 0, CallError{}, time.Second},
		{1, -1, CallError{}, 900 * time.Millisecond},
		{5, 1, CallError{}, 17600 * time.Millisecond},
		{20, 1, CallError{}, 5 * time.Minute},
		{1, 0, CallError{Class: ClassRateLimit}, 2 * time.Second},
		{1, -1, CallError{Class: ClassRateLimit, RetryAfter: 7 * time.Second}, 7700 * time.Millisecond},
		{4, 0, CallError{Class: ClassTransient, RetryAfter: 3 * time.Second}, 8 * time.Second},
		{1, 0, CallError{Class: ClassTransient, RetryAfter: time.Hour}, 5 * time.Minute},
	}
	for _, row := range rows {
		if got := b.Wait(row.n, row.jitter, &row.failure); got != row.want {
			t.Errorf("n %d jitter %v %+v: %s, want %s", row.n, row.jitter, row.failure, got, row.want)
		}
	}
	now := time.Now()
	for ahead, want := range map[time.Duration]time.Duration{time.Second: time.Second, -time.Second: 0, 331 * time.Second: 0} {
		if got := due(now.Add(ahead), now); got != want {
			t.Errorf("due in %s: %s", ahead, got)
		}
	}
}

func TestEventIDs(t *testing.T) {
	const uid = types.UID("3f6c2a10-8b1e-4a77-9d52-6c0f4b7e2d91")
	for _, row := range []struct {
		kind    string
		ordinal int32
		want    string
	}{
		{EventCall, 1, "b9a62f28-f0c0-5d0a-8549-5e307ade359a"},
		{EventTransition, 3, "8b4412b0-e83c-553f-9fe4-addcfa22528b"},
		{EventCompleted, 1, "a36c9042-7b2c-533a-b732-bf29d1609c7d"},
	} {
		if got := EventID(uid, row.kind, row.ordinal); got != row.want {
			t.Errorf("%s/%d: %s", row.kind, row.ordinal, got)
		}
	}
}

func TestTrailTimesNeverGoBack(t *testing.T) {
	var s v1alpha1.AIAnalysisStatus
	now := time.Now()
	if err := appendTrail(&s, []entry{transition(now, "a", "b"), transition(now.Add(-time.Hour), "b", "c")}); err != nil {
		t.Fatal(err)
	}
	if !s.AuditTrail[1].At.After(s.AuditTrail[0].At.Time) || s.AuditTrail[1].Ordinal != 2 {
		t.Errorf("%+v", s.AuditTrail)
	}
}

func TestTransitions(t *testing.T) {
	phases := []v1alpha1.Phase{"", v1alpha1.PhasePending, v1alpha1.PhaseInvestigating, v1alpha1.PhaseAnalyzing, v1alpha1.PhaseCompleted, v1alpha1.PhaseFailed}
	rows := []string{".P....", "..I..F", "...ACF", "....CF", "......", "......"}
	for i, from := range phases {
		for j, to := range phases {
			if got := allowed(from, to); got != (rows[i][j] != '.') {
				t.Errorf("%q -> %q: %v", from, to, got)
			}
		}
	}
	p := newPlan(&v1alpha1.AIAnalysis{Status: v1alpha1.AIAnalysisStatus{Phase: v1alpha1.PhaseFailed}}, time.Now())
	if p.move(v1alpha1.PhaseCompleted, "") == nil {
		t.Error("a final phase was left")
	}
}

func TestIdleMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	NewMetrics(registry)
	want := map[string]struct {
		kind   dto.MetricType
		labels string
		series int
	}{
		"aianalysis_reconciler_reconciliations_total":       {dto.MetricType_COUNTER, "phase,result,", 6},
		"aianalysis_reconciler_duration_seconds":            {dto.MetricType_HISTOGRAM, "phase,", 4},
		"aianalysis_rego_evaluations_total":                 {dto.MetricType_COUNTER, "degraded,outcome,", 6},
		"aianalysis_approval_decisions_total":               {dto.MetricType_COUNTER, "decision,environment,", 6},
		"aianalysis_confidence_score_distribution":          {dto.MetricType_HISTOGRAM, "signal_type,", 1},
		"aianalysis_failures_total":                         {dto.MetricType_COUNTER, "reason,sub_reason,", 17},
		"aianalysis_audit_validation_attempts_total":        {dto.MetricType_COUNTER, "is_valid,workflow_id,", 2},
		"aianalysis_quality_detected_labels_failures_total": {dto.MetricType_COUNTER, "field_name,", 7},
		"aianalysis_recovery_status_populated_total":        {dto.MetricType_COUNTER, "failure_understood,state_changed,", 4},
		"aianalysis_recovery_status_skipped_total":          {dto.MetricType_COUNTER, "", 1},
		"aianalysis_reconciler_overhead_seconds":            {dto.MetricType_HISTOGRAM, "phase,", 3},
		"aianalysis_audit_unrecorded":                       {dto.MetricType_GAUGE, "", 1},
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if len(families) != len(want) {
		t.Errorf("%d families", len(families))
	}
	for _, family := range families {
		row := want[family.GetName()]
		labels := ""
		for _, pair := range family.Metric[0].Label {
			labels += pair.GetName() + ","
		}
		if family.GetType() != row.kind || labels != row.labels || len(family.Metric) != row.series || family.GetHelp() == "" {
			t.Errorf("%s: %s, labels %s, %d series", family.GetName(), family.GetType(), labels, len(family.Metric))
		}
	}
}

// Each failure that is counted has a row among the outcomes, and each outcome that is a failure is counted from the start.
func TestEveryFailureIsAnOutcome(t *testing.T) {
	counted := map[string]bool{}
	for _, pair := range knownFailures {
		switch pair[1] {
		case "Retrying", "HolmesGPTAPICallFailed", "NoWorkflowResolved", "NoRecoveryWorkflowResolved": // no end, or never written
		default:
			counted["Failed "+pair[0]+"/"+pair[1]] = true
		}
	}
	failures := map[string]bool{}
	for _, row := range outcomes() {
		if strings.HasPrefix(row.status, "Failed ") {
			failures[row.status] = true
		}
	}
	if !maps.Equal(counted, failures) {
		t.Errorf("counted from the start: %v\nrows of outcomes: %v", counted, failures)
	}
}

func TestFreeTextLabelsAreBounded(t *testing.T) {
	var limit labelLimit
	for i := range maxLabelValues {
		limit.value(string(rune('a' + i)))
	}
	if got := limit.value("one too many"); got != "other" {
		t.Error(got)
	}
	if got := limit.value("a"); got != "a" {
		t.Error(got)
	}
}

func TestPolicyInputHasNoNulls(t *testing.T) {
	input := PolicyInput(sample())
	if input["target_in_owner_chain"] != false || input["recovery_attempt_number"] != 0 || input["confidence"] != 0.0 {
		t.Errorf("%v", input)
	}
	for _, key := range []string{"warnings", "failed_detections"} {
		if have, ok := input[key].([]any); !ok || have == nil {
			t.Errorf("%s: %v", key, input[key])
		}
	}
	cr := sample()
	cr.Spec.AnalysisRequest.SignalContext.EnrichmentResults.DetectedLabels = &v1alpha1.DetectedLabels{Stateful: true, FailedDetections: []string{"hpaEnabled"}}
	labels := PolicyInput(cr)["detected_labels"].(map[string]any)
	if len(labels) != 8 || labels["stateful"] != true {
		t.Errorf("%v", labels)
	}
}

// The same of the policy: its own limit, else the configured one, and never more than a minute.
func TestPolicyTimeouts(t *testing.T) {
	of := func(d time.Duration) *v1alpha1.AIAnalysisTimeoutConfig {
		return &v1alpha1.AIAnalysisTimeoutConfig{AnalyzingTimeout: v1alpha1.Duration{Duration: d}}
	}
	for name, c := range map[string]struct {
		own           *v1alpha1.AIAnalysisTimeoutConfig
		configured    time.Duration
		above, atMost time.Duration
	}{
		"absent":                {nil, 20 * time.Second, 10 * time.Second, 20 * time.Second},
		"other one set":         {&v1alpha1.AIAnalysisTimeoutConfig{InvestigatingTimeout: v1alpha1.Duration{Duration: time.Second}}, 20 * time.Second, 10 * time.Second, 20 * time.Second},
		"0s":                    {of(0), 20 * time.Second, 10 * time.Second, 20 * time.Second},
		"own, shorter":          {of(8 * time.Second), 20 * time.Second, 0, 8 * time.Second},
		"own, longer":           {of(45 * time.Second), 20 * time.Second, 20 * time.Second, 45 * time.Second},
		"own, above 60s":        {of(time.Hour), 20 * time.Second, 45 * time.Second, time.Minute},
		"configured, above 60s": {nil, time.Hour, 45 * time.Second, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			cr := sample()
			cr.Spec.TimeoutConfig = c.own
			w := newWorld(t, noFuncs, cr)
			w.r.Options.PolicyTimeout = c.configured
			w.hapi.replies = []reply{{answer: goodAnswer(), status: 200}}
			w.finish()
			if got := w.policy.limits; len(got) != 1 || got[0] <= c.above || got[0] > c.atMost {
				t.Errorf("%s, want one above %s, at most %s", got, c.above, c.atMost)
			}
		})
	}
}

// The time that was left when the call began is at most the limit; how much less depends on the machine.
func TestTimeouts(t *testing.T) {
	for name, c := range map[string]struct {
		asked         time.Duration // 0: nothing
		above, atMost time.Duration
	}{
		"default":         {0, 2 * time.Second, time.Minute},
		"asked":           {2 * time.Second, 0, 2 * time.Second},
		"cut to the most": {time.Hour, time.Minute, 10 * time.Minute},
	} {
		cr := sample()
		if c.asked > 0 {
			cr.Spec.TimeoutConfig = &v1alpha1.AIAnalysisTimeoutConfig{InvestigatingTimeout: v1alpha1.Duration{Duration: c.asked}}
		}
		w := newWorld(t, noFuncs, cr)
		w.hapi.replies = []reply{{answer: goodAnswer(), status: 200}}
		w.finish()
		if got := w.hapi.limits[0]; got <= c.above || got > c.atMost {
			t.Errorf("%s: %s, want above %s, at most %s", name, got, c.above, c.atMost)
		}
	}
}
