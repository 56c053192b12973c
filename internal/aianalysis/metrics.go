package aianalysis

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// maxLabelValues bounds a label that comes from free text; later values count as "other".
const maxLabelValues = 200

// Metrics are the ten families of this controller, and two on how well it does. All of them are visible on an idle process.
type Metrics struct {
	Reconciliations   *prometheus.CounterVec   // phase, result
	Duration          *prometheus.HistogramVec // phase
	Rego              *prometheus.CounterVec   // outcome, degraded
	Approvals         *prometheus.CounterVec   // decision, environment
	Confidence        *prometheus.HistogramVec // signal_type
	Failures          *prometheus.CounterVec   // reason, sub_reason
	Validation        *prometheus.CounterVec   // workflow_id, is_valid
	FailedDetections  *prometheus.CounterVec   // field_name
	RecoveryPopulated *prometheus.CounterVec   // failure_understood, state_changed
	RecoverySkipped   prometheus.Counter
	Overhead          *prometheus.HistogramVec // phase
	Unrecorded        prometheus.Gauge

	mu         sync.Mutex
	incomplete map[types.UID]bool

	environments, signals, workflows labelLimit
}

// NewMetrics registers the families and gives their well-known series the value 0.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "aianalysis_" + name, Help: help}, labels)
		registry.MustRegister(vec)
		return vec
	}
	histogram := func(name, help string, buckets []float64, label string) *prometheus.HistogramVec {
		vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "aianalysis_" + name, Help: help, Buckets: buckets}, []string{label})
		registry.MustRegister(vec)
		return vec
	}
	m := &Metrics{
		Reconciliations:   counter("reconciler_reconciliations_total", "Steps carried out, by the phase they began in.", "phase", "result"),
		Duration:          histogram("reconciler_duration_seconds", "Time of a step, calls to HolmesGPT-API included; overall: of a whole reconcile.", []float64{.1, .5, 1, 2, 5, 10, 30, 60}, "phase"),
		Rego:              counter("rego_evaluations_total", "Evaluations of the approval policy.", "outcome", "degraded"),
		Approvals:         counter("approval_decisions_total", "Approval decisions.", "decision", "environment"),
		Confidence:        histogram("confidence_score_distribution", "Confidence of the selected workflow on completion.", []float64{.5, .6, .7, .8, .9, .95, 1}, "signal_type"),
		Failures:          counter("failures_total", "Analyses that failed for good, and retries that were scheduled.", "reason", "sub_reason"),
		Validation:        counter("audit_validation_attempts_total", "Attempts of HolmesGPT-API to get a valid workflow from the model.", "workflow_id", "is_valid"),
		FailedDetections:  counter("quality_detected_labels_failures_total", "Label detections that had failed before the analysis.", "field_name"),
		RecoveryPopulated: counter("recovery_status_populated_total", "Recovery answers with an assessment of the failed run.", "failure_understood", "state_changed"),
		RecoverySkipped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "aianalysis_recovery_status_skipped_total", Help: "Recovery answers without an assessment of the failed run."}),
	}
	m.Overhead = histogram("reconciler_overhead_seconds", "Time of a step without that of its call to HolmesGPT-API.", []float64{.001, .0025, .005, .01, .025, .05, .1, .25, 1}, "phase")
	m.Unrecorded = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "aianalysis_audit_unrecorded", Help: "Analyses that have ended and whose audit is not complete."})
	m.incomplete = map[types.UID]bool{}
	registry.MustRegister(m.RecoverySkipped, m.Unrecorded)
	m.initialise()
	return m
}

func (m *Metrics) initialise() {
	phases := []v1alpha1.Phase{v1alpha1.PhasePending, v1alpha1.PhaseInvestigating, v1alpha1.PhaseAnalyzing}
	for _, phase := range phases {
		m.Reconciliations.WithLabelValues(string(phase), "success")
		m.Reconciliations.WithLabelValues(string(phase), "error")
		m.Duration.WithLabelValues(string(phase))
		m.Overhead.WithLabelValues(string(phase))
	}
	m.Duration.WithLabelValues("overall")
	for _, outcome := range []string{"approved", "requires_approval", "error"} {
		m.Rego.WithLabelValues(outcome, "true")
		m.Rego.WithLabelValues(outcome, "false")
	}
	for _, environment := range []string{"production", "staging", "development"} {
		m.Approvals.WithLabelValues("auto_approved", m.environments.value(environment))
		m.Approvals.WithLabelValues("requires_approval", m.environments.value(environment))
	}
	m.Confidence.WithLabelValues(m.signals.value("Unknown"))
	for _, pair := range knownFailures {
		m.Failures.WithLabelValues(pair[0], pair[1])
	}
	for _, valid := range []string{"true", "false"} {
		m.Validation.WithLabelValues(m.workflows.value("none"), valid)
		m.RecoveryPopulated.WithLabelValues(valid, "true")
		m.RecoveryPopulated.WithLabelValues(valid, "false")
	}
	for _, field := range detectedFields {
		m.FailedDetections.WithLabelValues(field)
	}
}

var detectedFields = []string{
	"gitOpsManaged", "pdbProtected", "hpaEnabled", "stateful", "helmManaged", "networkIsolated", "serviceMesh",
}

// knownFailures are all pairs that this controller counts, then those of dashboards made for the controller of December 2025.
var knownFailures = func() [][2]string {
	pairs := [][2]string{
		{v1alpha1.ReasonTransientError, "Retrying"},
		{v1alpha1.ReasonAPIError, string(v1alpha1.SubReasonMaxRetriesExceeded)},
		{v1alpha1.ReasonAPIError, string(v1alpha1.SubReasonPermanentError)},
		{v1alpha1.ReasonRecoveryNotPossible, string(v1alpha1.SubReasonNoRecoveryStrategy)},
		{v1alpha1.ReasonNoWorkflowSelected, string(v1alpha1.SubReasonInvestigationFailed)},
		{v1alpha1.ReasonRegoEvaluationError, string(v1alpha1.SubReasonPolicyEvaluationFailed)},
		{v1alpha1.ReasonAnalysisCancelled, string(v1alpha1.SubReasonResourceDeleted)},
		{v1alpha1.ReasonAPIError, "HolmesGPTAPICallFailed"},
		{v1alpha1.ReasonWorkflowResolutionFailed, "NoWorkflowResolved"},
		{"RecoveryWorkflowResolutionFailed", "NoRecoveryWorkflowResolved"},
	}
	for _, sub := range reviewReasons {
		pairs = append(pairs, [2]string{v1alpha1.ReasonWorkflowResolutionFailed, string(sub)})
	}
	return pairs
}()

// step counts a step that took so long, of which the call to HolmesGPT-API took called.
func (m *Metrics) step(phase v1alpha1.Phase, took, called time.Duration, err error) {
	result := "success"
	if err != nil {
		result = "error"
	}
	m.Reconciliations.WithLabelValues(string(phase), result).Inc()
	m.Duration.WithLabelValues(string(phase)).Observe(took.Seconds())
	m.Overhead.WithLabelValues(string(phase)).Observe((took - called).Seconds())
}

// unrecorded notes whether the audit of an analysis that has ended is still incomplete.
func (m *Metrics) unrecorded(uid types.UID, incomplete bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.incomplete, uid)
	if incomplete {
		m.incomplete[uid] = true
	}
	m.Unrecorded.Set(float64(len(m.incomplete)))
}

func (m *Metrics) evaluated(verdict Verdict, broken bool) {
	outcome := "approved"
	switch {
	case broken:
		outcome = "error"
	case verdict.RequireApproval:
		outcome = "requires_approval"
	}
	m.Rego.WithLabelValues(outcome, strconv.FormatBool(verdict.Degraded)).Inc()
}

func (m *Metrics) approved(decision, environment string) {
	m.Approvals.WithLabelValues(decision, m.environments.value(environment)).Inc()
}

func (m *Metrics) confident(signalType string, confidence float64) {
	m.Confidence.WithLabelValues(m.signals.value(signalType)).Observe(confidence)
}

func (m *Metrics) validation(workflowID string, valid bool) {
	if workflowID == "" {
		workflowID = "none"
	}
	m.Validation.WithLabelValues(m.workflows.value(workflowID), strconv.FormatBool(valid)).Inc()
}

// labelLimit lets the first maxLabelValues different values through.
type labelLimit struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (l *labelLimit) value(text string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen[text] {
		return text
	}
	if len(l.seen) >= maxLabelValues {
		return "other"
	}
	if l.seen == nil {
		l.seen = map[string]bool{}
	}
	l.seen[text] = true
	return text
}
