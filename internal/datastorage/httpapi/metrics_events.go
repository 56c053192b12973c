package httpapi

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// eventMetrics are of what is written and read.
type eventMetrics struct {
	traces, duplicates, writes, queries *prometheus.CounterVec
	lag, writeTimes, queryTimes         *prometheus.HistogramVec
	batchSize                           prometheus.Observer
	selfAuditDropped, searchTruncated   prometheus.Counter
}

func newEventMetrics(f factory) eventMetrics {
	m := eventMetrics{
		traces:     f.counters("datastorage_audit_traces_total", "Audit events by category and fate.", "service", "status"),
		duplicates: f.counters("datastorage_audit_duplicates_total", "Audit events whose id was stored already.", "service", "content"),
		writes:     f.counters("datastorage_write_total", "Writes by table.", "table", "status"),
		queries:    f.counters("datastorage_query_total", "Reads by operation.", "operation", "status"),
		lag:        f.histograms("datastorage_audit_lag_seconds", "From the time of an event to when it was durable.", lagBuckets, "service"),
		writeTimes: f.histograms("datastorage_write_duration_seconds", "Time of a write; of the catalog, from its slot to the end of the answer.",
			buckets, "table"),
		queryTimes: f.histograms("datastorage_query_duration_seconds", "Time of a read, from its slot to the end of the answer.",
			queryBuckets, "operation"),
		batchSize:        f.histograms("datastorage_batch_size_events", "Events of an accepted batch.", sizeBuckets).WithLabelValues(),
		selfAuditDropped: f.counter("datastorage_self_audit_dropped_total", "Own audit events that found no room."),
		searchTruncated:  f.counter("datastorage_search_truncated_total", "Searches with more candidates than are scored."),
	}
	at0(m.traces, categories(), fates)
	at0(m.duplicates, categories(), contents)
	at0(m.writes, tables, results)
	at0(m.queries, queries, results)
	at0(m.lag, categories())
	at0(m.writeTimes, tables)
	at0(m.queryTimes, queries)
	return m
}

// SelfAuditDropped counts an own audit event that found no room.
func (m *eventMetrics) SelfAuditDropped() { m.selfAuditDropped.Inc() }

// SearchTruncated counts a search with more candidates than are scored.
func (m *eventMetrics) SearchTruncated() { m.searchTruncated.Inc() }

func (m *eventMetrics) wrote(table string, err error) {
	m.writes.WithLabelValues(table, result(err)).Inc()
}

func (m *eventMetrics) queried(operation string, err error) {
	m.queries.WithLabelValues(operation, result(err)).Inc()
}

// took notes how long the work behind the gate was. A refused request did none.
func (m *eventMetrics) took(operation string, status int, took time.Duration) {
	if r := rules[operation]; status >= 400 && status < 500 && status != 404 {
		return
	} else if r.query != "" {
		m.queryTimes.WithLabelValues(r.query).Observe(took.Seconds())
	} else if r.table != "" {
		m.writeTimes.WithLabelValues(r.table).Observe(took.Seconds())
	}
}

// Ingested counts what became of the events of one write; it is an Observe of datastorage.Ingest.
func (m *Metrics) Ingested(events []datastorage.Event, receipt datastorage.Receipt, took time.Duration, err error) {
	var parents datastorage.UnknownParents
	if err != nil && (!failed(err) || errors.As(err, &parents)) {
		return // it broke a rule, which is counted where that is told
	}
	table := tableBatch
	if len(events) == 1 {
		table = tableEvents
	}
	m.wrote(table, err)
	m.writeTimes.WithLabelValues(table).Observe(took.Seconds())
	status := result(err)
	if receipt.Queued {
		status = "dlq_fallback"
		m.enqueued.WithLabelValues("events", "audit_event").Add(float64(len(events)))
	}
	now := time.Now()
	for i, e := range events {
		m.traces.WithLabelValues(e.Category, status).Inc()
		if err == nil {
			m.kept(e, receipt.Stored[i], now)
		}
	}
}

func (m *eventMetrics) kept(e datastorage.Event, s datastorage.Stored, now time.Time) {
	switch {
	case s.Different:
		m.duplicates.WithLabelValues(e.Category, "different").Inc()
	case s.Repeated:
		m.duplicates.WithLabelValues(e.Category, "same").Inc()
	default:
		m.lag.WithLabelValues(e.Category).Observe(max(0, now.Sub(e.Time).Seconds())) // clocks differ
	}
}
