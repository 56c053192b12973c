package httpapi

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// databaseMetrics are of what the service depends on.
type databaseMetrics struct {
	dependency                           *prometheus.GaugeVec
	partitionsAhead, defaultRows, schema prometheus.Gauge
	pools                                *pools
}

func newDatabaseMetrics(f factory) databaseMetrics {
	m := databaseMetrics{
		pools:           &pools{},
		dependency:      f.gauges("datastorage_dependency_up", "1 while the dependency can be used.", "dependency"),
		partitionsAhead: f.gauge("datastorage_partitions_ahead", "Months after this one that have their partition."),
		defaultRows:     f.gauge("datastorage_default_partition_rows", "Audit events that are in no month's partition."),
		schema:          f.gauge("datastorage_schema_version", "Version of the database schema, as last seen."),
	}
	at0(m.dependency, []string{"postgresql", "redis"})
	return m
}

// SetDependency notes whether postgresql or redis can be used.
func (m *databaseMetrics) SetDependency(name string, state datastorage.State) {
	m.dependency.WithLabelValues(name).Set(number(state == datastorage.Connected))
}

// SetPartitions shows how many months are prepared and how many events are in none.
func (m *databaseMetrics) SetPartitions(ahead, defaultRows int) {
	m.partitionsAhead.Set(float64(ahead))
	m.defaultRows.Set(float64(defaultRows))
}

// SetSchemaVersion shows the version of the database schema.
func (m *databaseMetrics) SetSchemaVersion(version int64) { m.schema.Set(float64(version)) }

// WatchPools shows, at each scrape, what the source says of the connection pools. It is called once.
func (m *databaseMetrics) WatchPools(source func() []datastorage.PoolStats) {
	m.pools.source.Store(&source)
}

// pools asks for their figures when it is asked.
type pools struct {
	source atomic.Pointer[func() []datastorage.PoolStats]
}

var (
	poolConnections = prometheus.NewDesc("datastorage_db_pool_connections", "Connections to PostgreSQL by pool and state.",
		[]string{"pool", "state"}, nil)
	poolWait = prometheus.NewDesc("datastorage_db_pool_acquire_wait_seconds_total", "Time that was waited for a connection.",
		[]string{"pool"}, nil)
)

// Describe is of prometheus.Collector.
func (*pools) Describe(to chan<- *prometheus.Desc) { to <- poolConnections; to <- poolWait }

// Collect is of prometheus.Collector.
func (p *pools) Collect(to chan<- prometheus.Metric) {
	stats := []datastorage.PoolStats{{Pool: "write"}, {Pool: "read"}}
	if source := p.source.Load(); source != nil {
		stats = (*source)()
	}
	for _, s := range stats {
		for state, n := range map[string]int{"acquired": s.Acquired, "idle": s.Idle, "max": s.Max} {
			to <- prometheus.MustNewConstMetric(poolConnections, prometheus.GaugeValue, float64(n), s.Pool, state)
		}
		to <- prometheus.MustNewConstMetric(poolWait, prometheus.CounterValue, s.Wait.Seconds(), s.Pool)
	}
}
