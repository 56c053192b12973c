package httpapi

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// queueMetrics are of the dead-letter queue.
type queueMetrics struct {
	enqueued, drained *prometheus.CounterVec
	queue             map[string]prometheus.Gauge // by name; all have the label stream
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

func newQueueMetrics(f factory) queueMetrics {
	m := queueMetrics{
		enqueued: f.counters("datastorage_dlq_enqueue_total", "Events put into the queue.", "stream", "type"),
		drained:  f.counters("datastorage_dlq_drained_total", "Events that left the queue.", "stream", "result"),
		queue:    map[string]prometheus.Gauge{},
	}
	m.enqueued.WithLabelValues("events", "audit_event")
	m.Drained(0, 0, 0)
	for name, help := range queueGauges {
		m.queue[name] = f.gauges(name, help, "stream").WithLabelValues("events")
	}
	return m
}

// Drained counts what left the queue; it is an Observe of datastorage.Drain.
func (m *queueMetrics) Drained(stored, duplicate, dead int) {
	for result, n := range map[string]int{"stored": stored, "duplicate": duplicate, "dead_letter": dead} {
		m.drained.WithLabelValues("events", result).Add(float64(n))
	}
}

// SetQueue shows the state of the queue.
func (m *queueMetrics) SetQueue(depth, dead, limit int, oldest time.Duration) {
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
func (m *queueMetrics) SetQueueUnsafe(unsafe bool) {
	m.queue["datastorage_dlq_unsafe"].Set(number(unsafe))
}
