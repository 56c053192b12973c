package httpapi

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// requestMetrics are of what comes in over HTTP.
type requestMetrics struct {
	requests, rejected, invalid *prometheus.CounterVec
	durations                   *prometheus.HistogramVec
	inflight                    *prometheus.GaugeVec
	inflightBytes               prometheus.Gauge
	panics                      prometheus.Counter
}

var rejections = []string{"queue_full", "queue_timeout", "bytes", "dlq_full", "no_store", "database_down"}

func newRequestMetrics(f factory) requestMetrics {
	m := requestMetrics{
		requests:      f.counters("datastorage_http_requests_total", "Answered requests.", "operation", "code"),
		durations:     f.histograms("datastorage_http_request_duration_seconds", "Time to answer.", buckets, "operation"),
		inflight:      f.gauges("datastorage_inflight_requests", "Requests that are worked on.", "class"),
		inflightBytes: f.gauge("datastorage_inflight_bytes", "Bytes of request bodies in memory."),
		rejected:      f.counters("datastorage_rejected_total", "Requests that found no room or nothing that works.", "class", "reason"),
		invalid:       f.counters("datastorage_validation_failures_total", "Broken rules by field.", "field", "reason"),
		panics:        f.counter("datastorage_panics_total", "Recovered panics."),
	}
	at0(m.rejected, classes, rejections)
	at0(m.inflight, classes)
	for operation, codes := range operationCodes() {
		at0(m.requests, []string{operation}, codes)
		at0(m.durations, []string{operation})
	}
	for field, reasons := range validationReasons() {
		at0(m.invalid, []string{field}, slices.Sorted(maps.Keys(reasons)))
	}
	return m
}

// noOperation is a request to nothing of the contract, and aborted one whose client stalled or went away.
const (
	noOperation = "none"
	aborted     = "aborted"
)

// operationCodes are the answers of every operation.
func operationCodes() map[string][]string {
	all := map[string][]string{noOperation: {"404", "405", "500"}}
	for _, methods := range served().Paths {
		for _, o := range methods {
			all[o.OperationID] = slices.Sorted(maps.Keys(o.Responses))
		}
	}
	return all
}

func (m *requestMetrics) request(operation string, code int, took time.Duration) {
	if operation == "" {
		operation = noOperation
	}
	label := aborted
	if code != 0 {
		label = strconv.Itoa(code)
	}
	m.requests.WithLabelValues(operation, label).Inc()
	m.durations.WithLabelValues(operation).Observe(took.Seconds())
}

// refused counts why a request was refused.
func (m *requestMetrics) refused(i *info, err error, known *datastorage.Error) {
	class := rules[i.operation].class
	switch known.Kind {
	case datastorage.Unavailable, datastorage.Overloaded:
		if reason := rejection(i, err, known); reason != "" && class != free {
			m.rejected.WithLabelValues(string(class), reason).Inc()
		}
	case datastorage.Invalid, datastorage.Immutable, datastorage.TooLarge:
		if len(known.Fields) == 0 { // only the database saw it
			m.invalid.WithLabelValues("body", "database_rejected").Inc()
		}
		for _, f := range known.Fields {
			m.invalid.WithLabelValues(fieldLabel(f), reasonLabel(known.Kind, f.Text)).Inc()
		}
	}
}

// rejection is empty for a request that was refused before its turn for another reason, such as an unknown token.
func rejection(i *info, err error, known *datastorage.Error) string {
	var overload *refusal
	switch {
	case errors.As(err, &overload):
		return overload.reason
	case !i.admitted:
		return ""
	case known.Cause == datastorage.CauseQueueFull:
		return "dlq_full"
	case known.Cause == datastorage.CausePool:
		return "queue_timeout"
	case rules[i.operation].right == datastorage.MayWrite:
		return "no_store"
	}
	return "database_down"
}
