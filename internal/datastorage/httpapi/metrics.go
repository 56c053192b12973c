package httpapi

import (
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// Metrics of the service, on a registry of its own. Label values are fixed sets, never a user's text.
type Metrics struct {
	registry   *prometheus.Registry
	traces     *prometheus.CounterVec
	duplicates *prometheus.CounterVec
	writes     *prometheus.CounterVec
	queries    *prometheus.CounterVec
	requests   *prometheus.CounterVec
	durations  *prometheus.HistogramVec
	dependency *prometheus.GaugeVec
	panics     prometheus.Counter
}

var buckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// NewMetrics registers everything, with the vectors of fixed labels at 0.
func NewMetrics(version, revision string) *Metrics {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		registry:   prometheus.NewRegistry(),
		traces:     counters("datastorage_audit_traces_total", "Audit events by category and fate.", "service", "status"),
		duplicates: counters("datastorage_audit_duplicates_total", "Audit events whose id was stored already.", "service", "content"),
		writes:     counters("datastorage_write_total", "Writes by table.", "table", "status"),
		queries:    counters("datastorage_query_total", "Reads by operation.", "operation", "status"),
		requests:   counters("datastorage_http_requests_total", "Answered requests.", "operation", "code"),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "datastorage_http_request_duration_seconds", Help: "Time to answer.", Buckets: buckets}, []string{"operation"}),
		dependency: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "datastorage_dependency_up", Help: "1 while the dependency can be used."}, []string{"dependency"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{Name: "datastorage_panics_total", Help: "Recovered panics."}),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "datastorage_build_info", Help: "Always 1."}, []string{"version", "revision", "goversion"})
	build.WithLabelValues(version, revision, runtime.Version()).Set(1)
	m.registry.MustRegister(m.traces, m.duplicates, m.writes, m.queries, m.requests, m.durations, m.dependency, m.panics, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, category := range contract()["EventCategory"].Enum {
		for _, status := range []string{"success", "failure"} {
			m.traces.WithLabelValues(category, status)
		}
		for _, content := range []string{"same", "different"} {
			m.duplicates.WithLabelValues(category, content)
		}
	}
	for _, status := range []string{"success", "failure"} {
		for _, table := range []string{tableEvents, tableBatch, tableCatalog} {
			m.writes.WithLabelValues(table, status)
		}
		for _, operation := range []string{"filter", "list", "get", "search"} {
			m.queries.WithLabelValues(operation, status)
		}
	}
	for _, dependency := range []string{"postgresql", "redis"} {
		m.dependency.WithLabelValues(dependency)
	}
	return m
}

// Tables as the metrics name them.
const (
	tableEvents  = "audit_events"
	tableBatch   = "audit_events_batch"
	tableCatalog = "remediation_workflow_catalog"
)

// Handler is the text form.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// SetDependency notes whether postgresql or redis can be used.
func (m *Metrics) SetDependency(name string, state datastorage.State) {
	up := 0.0
	if state == datastorage.Connected {
		up = 1
	}
	m.dependency.WithLabelValues(name).Set(up)
}

func (m *Metrics) request(operation string, code int, took time.Duration) {
	if operation == "" {
		operation = "none"
	}
	m.requests.WithLabelValues(operation, strconv.Itoa(code)).Inc()
	m.durations.WithLabelValues(operation).Observe(took.Seconds())
}

func (m *Metrics) wrote(table string, err error) { m.writes.WithLabelValues(table, result(err)).Inc() }

func (m *Metrics) queried(operation string, err error) {
	m.queries.WithLabelValues(operation, result(err)).Inc()
}

// events counts what became of the events of one write.
func (m *Metrics) events(events []datastorage.Event, stored []datastorage.Stored, err error) {
	for i, e := range events {
		m.traces.WithLabelValues(e.Category, result(err)).Inc()
		if err != nil || !stored[i].Repeated {
			continue
		}
		content := "same"
		if stored[i].Different {
			content = "different"
		}
		m.duplicates.WithLabelValues(e.Category, content).Inc()
	}
}

func result(err error) string {
	if err != nil {
		return "failure"
	}
	return "success"
}
