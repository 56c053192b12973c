package httpapi

import (
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// Metrics of the service, on a registry of its own. Label values are fixed sets, never a user's text, and begin at 0, so
// that a rate exists from the first scrape.
type Metrics struct {
	registry *prometheus.Registry
	eventMetrics
	queueMetrics
	requestMetrics
	databaseMetrics
}

var (
	buckets      = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	queryBuckets = []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1}
	lagBuckets   = []float64{.1, .5, 1, 2, 5, 10, 30, 60}
	sizeBuckets  = []float64{1, 10, 50, 100, 250, 500, 1000}
)

// Tables as the metrics name them.
const (
	tableEvents  = "audit_events"
	tableBatch   = "audit_events_batch"
	tableCatalog = "remediation_workflow_catalog"
)

var (
	tables   = []string{tableEvents, tableBatch, tableCatalog}
	results  = []string{"success", "failure"}
	queries  = []string{"filter", "list", "get", "versions", "search"}
	classes  = []string{string(write), string(read)}
	fates    = []string{"success", "dlq_fallback", "failure"}
	contents = []string{"same", "different"}
)

// NewMetrics registers everything.
func NewMetrics(version, revision string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	f := factory{promauto.With(m.registry)}
	m.eventMetrics = newEventMetrics(f)
	m.queueMetrics = newQueueMetrics(f)
	m.requestMetrics = newRequestMetrics(f)
	m.databaseMetrics = newDatabaseMetrics(f)
	f.gauges("datastorage_build_info", "Always 1.", "version", "revision", "goversion").
		WithLabelValues(version, revision, runtime.Version()).Set(1)
	m.registry.MustRegister(m.pools, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// factory makes and registers vectors.
type factory struct{ promauto.Factory }

func (f factory) counters(name, help string, labels ...string) *prometheus.CounterVec {
	return f.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func (f factory) counter(name, help string) prometheus.Counter {
	return f.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func (f factory) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	return f.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
}

func (f factory) gauge(name, help string) prometheus.Gauge {
	return f.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

func (f factory) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return f.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}

// at0 makes the series of every combination of label values.
func at0[M any](vector interface{ WithLabelValues(...string) M }, sets ...[]string) {
	combinations := [][]string{nil}
	for _, set := range sets {
		var longer [][]string
		for _, head := range combinations {
			for _, value := range set {
				longer = append(longer, append(head[:len(head):len(head)], value))
			}
		}
		combinations = longer
	}
	for _, values := range combinations {
		vector.WithLabelValues(values...)
	}
}

// Handler is the text form.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func categories() []string { return contract()["EventCategory"].Enum }

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

// failed tells whether a write that was tried could not be kept. A request that breaks a rule is no failure.
func failed(err error) bool { return err != nil && datastorage.KindOf(err) != datastorage.Invalid }
