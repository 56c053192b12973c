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
	enqueued   *prometheus.CounterVec
	drained    *prometheus.CounterVec
	queue      map[string]prometheus.Gauge // by name; all have the label stream
}

// queueGauges are refreshed every second.
var queueGauges = map[string]string{
	"datastorage_dlq_depth":              "Events that wait for PostgreSQL.",
	"datastorage_dlq_capacity_ratio":     "Share of the queue's room that is taken, 0 to 1.",
	"datastorage_dlq_warning":            "1 from 80 % to below 90 % of the room.",
	"datastorage_dlq_critical":           "1 from 90 % to below 95 % of the room.",
	"datastorage_dlq_overflow_imminent":  "1 from 95 % of the room.",
	"datastorage_dlq_oldest_age_seconds": "Age of the event that waits longest.",
	"datastorage_dead_letter_depth":      "Events that could not be stored and wait for an operator.",
	"datastorage_dlq_unsafe":             "1 if Redis may lose what it took.",
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
	m.enqueued = counters("datastorage_dlq_enqueue_total", "Events put into the queue.", "stream", "type")
	m.enqueued.WithLabelValues("events", "audit_event")
	m.drained = counters("datastorage_dlq_drained_total", "Events that left the queue.", "stream", "result")
	m.Drained(0, 0, 0)
	m.queue = map[string]prometheus.Gauge{}
	for name, help := range queueGauges {
		gauge := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"stream"})
		m.registry.MustRegister(gauge)
		m.queue[name] = gauge.WithLabelValues("events")
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "datastorage_build_info", Help: "Always 1."}, []string{"version", "revision", "goversion"})
	build.WithLabelValues(version, revision, runtime.Version()).Set(1)
	m.registry.MustRegister(m.traces, m.duplicates, m.writes, m.queries, m.requests, m.durations, m.dependency, m.panics, m.enqueued, m.drained, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, category := range contract()["EventCategory"].Enum {
		for _, status := range []string{"success", "dlq_fallback", "failure"} {
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
	m.dependency.WithLabelValues(name).Set(number(state == datastorage.Connected))
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

// Ingested counts what became of the events of one write; it is an Observe of datastorage.Ingest.
func (m *Metrics) Ingested(events []datastorage.Event, receipt datastorage.Receipt, err error) {
	table := tableBatch
	if len(events) == 1 {
		table = tableEvents
	}
	m.wrote(table, err)
	status := result(err)
	if receipt.Queued {
		status = "dlq_fallback"
		m.enqueued.WithLabelValues("events", "audit_event").Add(float64(len(events)))
	}
	for i, e := range events {
		m.traces.WithLabelValues(e.Category, status).Inc()
		if err != nil || !receipt.Stored[i].Repeated {
			continue
		}
		content := "same"
		if receipt.Stored[i].Different {
			content = "different"
		}
		m.duplicates.WithLabelValues(e.Category, content).Inc()
	}
}

// Drained counts what left the queue; it is an Observe of datastorage.Drain.
func (m *Metrics) Drained(stored, duplicate, dead int) {
	for result, n := range map[string]int{"stored": stored, "duplicate": duplicate, "dead_letter": dead} {
		m.drained.WithLabelValues("events", result).Add(float64(n))
	}
}

// SetQueue shows the state of the queue.
func (m *Metrics) SetQueue(depth, dead, limit int, oldest time.Duration) {
	ratio := float64(depth) / float64(limit)
	m.queue["datastorage_dlq_depth"].Set(float64(depth))
	m.queue["datastorage_dead_letter_depth"].Set(float64(dead))
	m.queue["datastorage_dlq_oldest_age_seconds"].Set(oldest.Seconds())
	m.queue["datastorage_dlq_capacity_ratio"].Set(ratio)
	for name, on := range map[string]bool{
		"datastorage_dlq_warning":           ratio >= 0.80 && ratio < 0.90,
		"datastorage_dlq_critical":          ratio >= 0.90 && ratio < 0.95,
		"datastorage_dlq_overflow_imminent": ratio >= 0.95,
	} {
		m.queue[name].Set(number(on))
	}
}

// SetQueueUnsafe shows whether Redis may lose what it took.
func (m *Metrics) SetQueueUnsafe(unsafe bool) { m.queue["datastorage_dlq_unsafe"].Set(number(unsafe)) }

func number(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

func result(err error) string {
	if err != nil {
		return "failure"
	}
	return "success"
}
