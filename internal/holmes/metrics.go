package holmes

import (
	"errors"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubernaut-ai/kubernaut/internal/aianalysis"
)

// Metrics of the calls to HolmesGPT-API.
type Metrics struct {
	calls    *prometheus.CounterVec   // endpoint, code
	duration *prometheus.HistogramVec // endpoint
	errors   *prometheus.CounterVec   // type, alert
	circuit  prometheus.Gauge
}

var endpoints = map[string]string{incidentPath: "incident", recoveryPath: "recovery"}

// NewMetrics registers the families. Code 0 stands for a call without an answer.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	const prefix = "aianalysis_holmesgpt_"
	m := &Metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "calls_total", Help: "Calls to HolmesGPT-API by HTTP status; 0: no answer."}, []string{"endpoint", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "call_duration_seconds", Help: "Time of a call to HolmesGPT-API.",
			Buckets: []float64{.1, .5, 1, 2, 5, 10, 30, 60, 120}}, []string{"endpoint"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "call_errors_total", Help: "Failed calls to HolmesGPT-API; alert: it will not mend itself."}, []string{"type", "alert"}),
		circuit: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "circuit_state", Help: "Circuit to HolmesGPT-API: 0 closed, 1 half-open, 2 open."}),
	}
	registry.MustRegister(m.calls, m.duration, m.errors, m.circuit)
	for _, class := range []aianalysis.Class{aianalysis.ClassTimeout, aianalysis.ClassNetwork, aianalysis.ClassTransient, aianalysis.ClassRateLimit} {
		m.errors.WithLabelValues(string(class), "false")
	}
	for _, class := range []aianalysis.Class{
		aianalysis.ClassNetwork, aianalysis.ClassTransient, aianalysis.ClassPermanent, aianalysis.ClassAuthentication,
		aianalysis.ClassAuthorization, aianalysis.ClassConfiguration, aianalysis.ClassInvalidResponse,
	} {
		m.errors.WithLabelValues(string(class), "true")
	}
	for _, endpoint := range endpoints {
		m.calls.WithLabelValues(endpoint, "200")
		m.duration.WithLabelValues(endpoint)
	}
	return m
}

// called counts the end of one call. A cancelled one is no error, and what was never sent is no call.
func (m *Metrics) called(call aianalysis.Call, err error) {
	if endpoint := endpoints[call.Endpoint]; endpoint != "" {
		m.calls.WithLabelValues(endpoint, strconv.Itoa(call.Status)).Inc()
		m.duration.WithLabelValues(endpoint).Observe(call.Duration.Seconds())
	}
	var failure *aianalysis.CallError
	if errors.As(err, &failure) && failure.Class != aianalysis.ClassCancelled {
		m.errors.WithLabelValues(string(failure.Class), strconv.FormatBool(failure.Alert)).Inc()
	}
}
