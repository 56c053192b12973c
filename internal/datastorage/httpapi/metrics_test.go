package httpapi

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// family is a metric as the specification says it: its labels with all their values, and its buckets.
type family struct {
	name, kind string
	labels     map[string][]string
	buckets    []float64
}

type labels = map[string][]string

var (
	specB1         = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	specCategories = []string{"gateway", "notification", "analysis", "signalprocessing", "workflow", "execution", "orchestration"}
	specTables     = []string{"audit_events", "audit_events_batch", "remediation_workflow_catalog"}
	specResults    = []string{"success", "failure"}
	specQueries    = []string{"filter", "list", "get", "versions", "search"}
	specOperations = []string{"createAuditEvent", "createAuditEventsBatch", "queryAuditEvents", "createWorkflow", "listWorkflows",
		"getWorkflowByID", "updateWorkflow", "disableWorkflow", "listWorkflowVersions", "searchWorkflows", "successRateByIncidentType", "successRateByWorkflow", "successRateByDimensions", "healthCheck",
		"readinessCheck", "livenessCheck", "getMetrics", "none"}
	specClasses = []string{"write", "read"}
	specEvents  = labels{"stream": {"events"}}
)

var specMetrics = []family{
	{"datastorage_audit_traces_total", "COUNTER", labels{"service": specCategories, "status": {"success", "dlq_fallback", "failure"}}, nil},
	{"datastorage_audit_lag_seconds", "HISTOGRAM", labels{"service": specCategories}, []float64{.1, .5, 1, 2, 5, 10, 30, 60}},
	{"datastorage_write_total", "COUNTER", labels{"table": specTables, "status": specResults}, nil},
	{"datastorage_write_duration_seconds", "HISTOGRAM", labels{"table": specTables}, specB1},
	{"datastorage_query_duration_seconds", "HISTOGRAM", labels{"operation": specQueries}, []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1}},
	{"datastorage_query_total", "COUNTER", labels{"operation": specQueries, "status": specResults}, nil},
	{"datastorage_dlq_capacity_ratio", "GAUGE", specEvents, nil},
	{"datastorage_dlq_depth", "GAUGE", specEvents, nil},
	{"datastorage_dlq_warning", "GAUGE", specEvents, nil},
	{"datastorage_dlq_critical", "GAUGE", specEvents, nil},
	{"datastorage_dlq_overflow_imminent", "GAUGE", specEvents, nil},
	{"datastorage_dlq_oldest_age_seconds", "GAUGE", specEvents, nil},
	{"datastorage_dead_letter_depth", "GAUGE", specEvents, nil},
	{"datastorage_dlq_unsafe", "GAUGE", specEvents, nil},
	{"datastorage_dlq_enqueue_total", "COUNTER", labels{"stream": {"events"}, "type": {"audit_event"}}, nil},
	{"datastorage_dlq_drained_total", "COUNTER", labels{"stream": {"events"}, "result": {"stored", "duplicate", "dead_letter"}}, nil},
	{"datastorage_audit_duplicates_total", "COUNTER", labels{"service": specCategories, "content": {"same", "different"}}, nil},
	{"datastorage_batch_size_events", "HISTOGRAM", nil, []float64{1, 10, 50, 100, 250, 500, 1000}},
	{"datastorage_http_request_duration_seconds", "HISTOGRAM", labels{"operation": specOperations}, specB1},
	{"datastorage_inflight_requests", "GAUGE", labels{"class": specClasses}, nil},
	{"datastorage_inflight_bytes", "GAUGE", nil, nil},
	{"datastorage_rejected_total", "COUNTER", labels{"class": specClasses,
		"reason": {"queue_full", "queue_timeout", "bytes", "dlq_full", "no_store", "database_down"}}, nil},
	{"datastorage_dependency_up", "GAUGE", labels{"dependency": {"postgresql", "redis"}}, nil},
	{"datastorage_db_pool_connections", "GAUGE", labels{"pool": {"write", "read"}, "state": {"acquired", "idle", "max"}}, nil},
	{"datastorage_db_pool_acquire_wait_seconds_total", "COUNTER", labels{"pool": {"write", "read"}}, nil},
	{"datastorage_partitions_ahead", "GAUGE", nil, nil},
	{"datastorage_default_partition_rows", "GAUGE", nil, nil},
	{"datastorage_schema_version", "GAUGE", nil, nil},
	{"datastorage_self_audit_dropped_total", "COUNTER", nil, nil},
	{"datastorage_search_truncated_total", "COUNTER", nil, nil},
	{"datastorage_panics_total", "COUNTER", nil, nil},
}

// specOpen are the metrics whose labels have fixed sets too, but not every combination from the start.
var specOpen = []family{
	{"datastorage_build_info", "GAUGE", labels{"version": {"test"}, "revision": {"none"}, "goversion": nil}, nil},
	{"datastorage_http_requests_total", "COUNTER", labels{"operation": specOperations,
		"code": {"200", "201", "202", "400", "401", "403", "404", "405", "409", "412", "413", "415", "428", "429", "500", "503", "aborted"}}, nil},
	{"datastorage_validation_failures_total", "COUNTER", labels{"field": nil, "reason": {"required", "invalid", "length_exceeded", "out_of_range",
		"too_large", "unknown_parent", "immutable", "hash_mismatch", "unknown_parameter", "database_rejected"}}, nil},
}

func gather(t *testing.T, m *Metrics) map[string]*dto.MetricFamily {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*dto.MetricFamily{}
	for _, f := range families {
		found[f.GetName()] = f
	}
	return found
}

// O4: every metric exists after the start, with its labels and buckets, and every combination of fixed labels at 0.
func TestMetricsAtStart(t *testing.T) {
	found := gather(t, NewMetrics("test", "none"))
	for _, want := range specMetrics {
		series := 1
		for _, values := range want.labels {
			series *= len(values)
		}
		got := found[want.name]
		if got == nil || got.GetType().String() != want.kind || len(got.GetMetric()) != series {
			t.Errorf("%s: %d series of %s, want %d of %s", want.name, len(got.GetMetric()), got.GetType(), series, want.kind)
			continue
		}
		for _, m := range got.GetMetric() {
			if value := m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount()); value != 0 {
				t.Errorf("%s begins at %v", want.name, value)
			}
			want.holds(t, m)
		}
	}
	for _, want := range specOpen {
		if got := found[want.name]; got == nil || got.GetType().String() != want.kind || len(got.GetMetric()) == 0 {
			t.Errorf("%s is not there", want.name)
		}
	}
	for name := range found {
		known := func(f family) bool { return f.name == name }
		if strings.HasPrefix(name, "datastorage_") && !slices.ContainsFunc(append(specMetrics, specOpen...), known) {
			t.Errorf("%s is not of the specification", name)
		}
	}
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes"} {
		if found[name] == nil {
			t.Errorf("no %s", name)
		}
	}
}

func (f family) holds(t *testing.T, m *dto.Metric) {
	t.Helper()
	names := map[string]bool{}
	for _, pair := range m.GetLabel() {
		names[pair.GetName()] = true
		if values := f.labels[pair.GetName()]; values != nil && !slices.Contains(values, pair.GetValue()) {
			t.Errorf("%s: %s is %q", f.name, pair.GetName(), pair.GetValue())
		}
	}
	if got, want := slices.Sorted(maps.Keys(names)), slices.Sorted(maps.Keys(f.labels)); !slices.Equal(got, want) {
		t.Errorf("%s has the labels %v, want %v", f.name, got, want)
	}
	var bounds []float64
	for _, b := range m.GetHistogram().GetBucket() {
		bounds = append(bounds, b.GetUpperBound())
	}
	if !slices.Equal(bounds, f.buckets) {
		t.Errorf("%s has the buckets %v, want %v", f.name, bounds, f.buckets)
	}
}

// O4: whatever comes in, label values stay within their sets.
func TestMetricsAfterAnything(t *testing.T) {
	f := newFixture(t)
	random := rand.New(rand.NewPCG(4, 2))
	word := func() string {
		return []string{"limit", "x", "\x00", "event_type", "ä", "[3]", "a.b", "body", "", strings.Repeat("long", 50), fmt.Sprint(random.Int())}[random.IntN(11)]
	}
	for n := range 2000 {
		method := []string{"GET", "POST", "PATCH", "DELETE", "BREW"}[random.IntN(5)]
		path := []string{eventsPath, batchPath, workflowPath, searchPath, "/health", "/metrics", workflowPath + "/", "/"}[random.IntN(8)]
		if random.IntN(3) == 0 {
			path += url.PathEscape(word())
		}
		path += "?" + url.QueryEscape(word()) + "=" + url.QueryEscape(word())
		if random.IntN(2) == 0 {
			path, _, _ = strings.Cut(path, "?")
		}
		body := fmt.Sprintf(`{%q:%q,"filters":{"custom_labels":{%q:[%q]}}}`, word(), word(), word(), word())
		switch random.IntN(3) {
		case 0:
			body = event(change{word(): word(), "event_category": word()})
		case 1:
			body = "[" + event(nil) + "," + body + "]"
		}
		f.err = []error{nil, nil, fmt.Errorf("bug %d", n), datastorage.UnknownParents{0},
			&datastorage.Error{Kind: datastorage.Unavailable, Cause: datastorage.CauseQueueFull}}[random.IntN(5)]
		f.do(method, path, body)
	}
	found := gather(t, f.metrics)
	fields := slices.Collect(maps.Keys(validationReasons()))
	for _, want := range append(specMetrics, specOpen...) {
		if _, free := want.labels["field"]; free {
			want.labels = labels{"field": fields, "reason": want.labels["reason"]}
		}
		for _, m := range found[want.name].GetMetric() {
			want.holds(t, m)
		}
	}
	for _, field := range fields {
		if strings.ContainsAny(field, ".[ ") {
			t.Errorf("the field %q", field)
		}
	}
	if len(fields) > 120 {
		t.Errorf("%d fields", len(fields))
	}
}

// What is counted when.
func TestMetrics(t *testing.T) {
	f := newFixture(t)
	f.do("POST", eventsPath, event(nil))
	f.do("POST", batchPath, "["+event(nil)+","+event(nil)+"]")
	f.do("POST", batchPath, "["+event(nil)+"]")
	f.do("POST", batchPath, "[{}]")
	f.do("GET", eventsPath, "")
	f.do("GET", eventsPath+"?nope=1", "")
	f.err = &datastorage.Error{Kind: datastorage.Unavailable, Detail: "away"}
	f.do("POST", eventsPath, event(nil))
	f.do("GET", workflowPath, "")
	f.ingest.Queue = full{}
	f.do("POST", batchPath, "["+event(nil)+","+event(nil)+"]")
	f.metrics.SelfAuditDropped()
	f.metrics.SearchTruncated()
	f.metrics.SetPartitions(3, 7)
	f.metrics.SetSchemaVersion(4)
	f.metrics.WatchPools(func() []datastorage.PoolStats {
		return []datastorage.PoolStats{{Pool: "write", Acquired: 1, Idle: 2, Max: 17, Wait: 1500 * time.Millisecond}, {Pool: "read"}}
	})
	for _, line := range []string{
		`datastorage_audit_traces_total{service="analysis",status="success"} 4`,
		`datastorage_audit_traces_total{service="analysis",status="failure"} 3`,
		`datastorage_audit_lag_seconds_count{service="analysis"} 4`,
		`datastorage_write_total{status="success",table="audit_events_batch"} 1`,
		`datastorage_write_total{status="failure",table="audit_events"} 1`,
		`datastorage_batch_size_events_sum 3`,
		`datastorage_batch_size_events_count 2`,
		`datastorage_validation_failures_total{field="correlation_id",reason="required"} 1`,
		`datastorage_validation_failures_total{field="query",reason="unknown_parameter"} 1`,
		`datastorage_query_total{operation="filter",status="success"} 1`,
		`datastorage_query_total{operation="list",status="failure"} 1`,
		`datastorage_query_duration_seconds_count{operation="filter"} 1`,
		`datastorage_query_duration_seconds_count{operation="list"} 1`,
		`datastorage_rejected_total{class="write",reason="no_store"} 1`,
		`datastorage_rejected_total{class="write",reason="dlq_full"} 1`,
		`datastorage_rejected_total{class="read",reason="database_down"} 1`,
		`datastorage_http_requests_total{code="201",operation="createAuditEvent"} 1`,
		`datastorage_self_audit_dropped_total 1`, `datastorage_search_truncated_total 1`, `datastorage_partitions_ahead 3`,
		`datastorage_default_partition_rows 7`, `datastorage_schema_version 4`,
		`datastorage_db_pool_connections{pool="write",state="max"} 17`,
		`datastorage_db_pool_acquire_wait_seconds_total{pool="write"} 1.5`,
	} {
		if !f.metric(t, line) {
			t.Errorf("not %s", line)
		}
	}
}

// full is a queue without room.
type full struct{}

func (full) Enqueue(context.Context, []datastorage.Event, datastorage.Cause) error {
	return &datastorage.Error{Kind: datastorage.Unavailable, Cause: datastorage.CauseQueueFull}
}

func (full) Depth(context.Context) (int, error) { return 0, nil }
