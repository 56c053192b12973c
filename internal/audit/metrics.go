package audit

import "github.com/prometheus/client_golang/prometheus"

// Metrics of the audit client.
type Metrics struct {
	Buffered, Written, Dropped, Deferred, Failed prometheus.Counter
	size, capacity, utilization                  prometheus.Gauge
	duration                                     prometheus.Histogram
}

// NewMetrics registers the families.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	labels := prometheus.Labels{"service": "aianalysis"}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "audit_" + name, Help: help, ConstLabels: labels})
		registry.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "audit_" + name, Help: help, ConstLabels: labels})
		registry.MustRegister(g)
		return g
	}
	m := &Metrics{
		Buffered:    counter("events_buffered_total", "Audit events taken into the buffer."),
		Written:     counter("events_written_total", "Audit events that Data Storage has stored."),
		Dropped:     counter("events_dropped_total", "Audit events that will never be stored."),
		Deferred:    counter("events_deferred_total", "Audit events that found the buffer full and are picked up later."),
		Failed:      counter("batches_failed_total", "Batches that Data Storage did not store."),
		size:        gauge("buffer_size", "Audit events in the buffer."),
		capacity:    gauge("buffer_capacity", "Audit events that the buffer can hold."),
		utilization: gauge("buffer_utilization_ratio", "Share of the buffer in use."),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "audit_write_duration_seconds", Help: "Time of a batch request.", ConstLabels: labels, Buckets: prometheus.DefBuckets}),
	}
	registry.MustRegister(m.duration)
	return m
}

func (m *Metrics) fill(size, capacity int) {
	m.size.Set(float64(size))
	m.capacity.Set(float64(capacity))
	m.utilization.Set(float64(size) / float64(capacity))
}
