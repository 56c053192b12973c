package datastorage

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// configKey is one key of the configuration: where it goes, and what it is if nobody says. A preset of nil is required.
type configKey struct {
	preset any
	set    func(value any) error
}

// keys are all that the service understands; anything else in the file is a mistake.
func (c *Config) keys() map[string]configKey {
	s, d, a, r, down, auth := &c.Server, &c.Database, &c.Audit, &c.Redis, &c.Shutdown, &c.Auth
	const short, long = time.Second, 5 * time.Minute
	return map[string]configKey{
		"server.host":                {"0.0.0.0", text(&s.Host)},
		"server.port":                {8080, number(&s.Port, 1024, 65535)},
		"server.metrics_port":        {9090, numberOr0(&s.MetricsPort, 1024, 65535)},
		"server.read_header_timeout": {"5s", span(&s.ReadHeaderTimeout, short, long)},
		"server.read_timeout":        {"10s", span(&s.ReadTimeout, short, long)},
		"server.write_timeout":       {"15s", span(&s.WriteTimeout, short, long)},
		"server.idle_timeout":        {"60s", span(&s.IdleTime, short, long)},
		"server.max_inflight_writes": {256, number(&s.MaxInflightWrites, 1, 4096)},
		"server.max_inflight_reads":  {32, number(&s.MaxInflightReads, 1, 4096)},
		"server.max_inflight_bytes":  {"16MiB", size(&s.MaxInflightBytes, 2*MaxBody, 1<<30)},
		"server.queue_length":        {512, number(&s.QueueLength, 0, 65_536)},
		"server.queue_timeout":       {"1s", span(&s.QueueTimeout, 0, maxQueueTimeout)},

		"auth.mode":           {"none", oneOf(&auth.Mode, "none", AuthTokenReview)},
		"auth.audiences":      {"datastorage", list(&auth.Audiences, audienceForm, "a text without spaces and commas")},
		"auth.cache_ttl":      {"60s", span(&auth.CacheTTL, time.Second, time.Hour)},
		"auth.writers":        {"", list(&auth.Writers, accountForm, "namespace/serviceaccount")},
		"auth.readers":        {"", list(&auth.Readers, accountForm, "namespace/serviceaccount")},
		"auth.catalog_admins": {"", list(&auth.CatalogAdmins, accountForm, "namespace/serviceaccount")},

		"logging.level":  {"info", oneOf(&c.Logging.Level, "debug", "info", "warn", "error")},
		"logging.format": {"json", oneOf(&c.Logging.Format, "json", "console")},

		"database.host":               {nil, nonEmpty(&d.Host)},
		"database.port":               {nil, number(&d.Port, 1, 65535)},
		"database.name":               {nil, nonEmpty(&d.Name)},
		"database.user":               {nil, nonEmpty(&d.User)},
		"database.ssl_mode":           {nil, oneOf(&d.SSLMode, "disable", "require", "verify-ca", "verify-full")},
		"database.ssl_root_cert":      {"", text(&d.SSLRootCert)},
		"database.secrets_file":       {nil, nonEmpty(&d.Secrets.Path)},
		"database.username_key":       {"username", text(&d.Secrets.UsernameKey)},
		"database.password_key":       {"password", nonEmpty(&d.Secrets.PasswordKey)},
		"database.owner_secrets_file": {"", text(&d.OwnerSecretsFile)},
		"database.max_conns":          {25, number(&d.MaxConns, 2, 200)},
		"database.read_conns":         {8, number(&d.ReadConns, 1, 199)},
		"database.min_conns":          {2, number(&d.MinConns, 0, 199)},
		"database.conn_max_lifetime":  {"30m", span(&d.ConnMaxLifetime, time.Minute, 24*time.Hour)},
		"database.conn_max_idle_time": {"10m", span(&d.ConnMaxIdleTime, time.Second, 24*time.Hour)},
		"database.connect_timeout":    {"2s", span(&d.ConnectTimeout, 100*time.Millisecond, time.Minute)},
		"database.strict_role":        {false, flag(&d.StrictRole)},

		"audit.single_timeout":         {"2s", span(&a.SingleTimeout, 100*time.Millisecond, 4*time.Second)},
		"audit.batch_timeout":          {"3s", span(&a.BatchTimeout, 100*time.Millisecond, 4*time.Second)},
		"audit.dlq_timeout":            {"1s", span(&a.DLQTimeout, 100*time.Millisecond, 4*time.Second)},
		"audit.max_age":                {"168h", span(&a.Window.MaxAge, time.Minute, 3650*24*time.Hour)},
		"audit.max_future":             {"5m", span(&a.Window.MaxFuture, 0, 24*time.Hour)},
		"audit.partition_months_ahead": {3, number(&a.PartitionMonthsAhead, 1, 24)},
		"audit.id_window_days":         {35, number(&a.IDWindowDays, 9, 400)},
		"audit.maintenance_interval":   {"6h", span(&a.MaintenanceInterval, time.Minute, 24*time.Hour)},

		"query.timeout":    {"8s", span(&c.Query.Timeout, 100*time.Millisecond, time.Minute)},
		"query.max_offset": {100_000, number(&c.Query.MaxOffset, 0, 100_000)},
		"query.max_count":  {100_000, number(&c.Query.MaxCount, 1, 10_000_000)},

		"catalog.require_if_match": {false, flag(&c.Catalog.RequireIfMatch)},

		"redis.enabled":      {true, flag(&r.Enabled)},
		"redis.addr":         {"", text(&r.Addr)},
		"redis.db":           {0, number(&r.DB, 0, 15)},
		"redis.tls":          {false, flag(&r.TLS)},
		"redis.ca_file":      {"", text(&r.CAFile)},
		"redis.secrets_file": {"", text(&r.Secrets.Path)},
		"redis.username_key": {"", text(&r.Secrets.UsernameKey)},
		"redis.password_key": {"password", nonEmpty(&r.Secrets.PasswordKey)},

		"redis.dlq_max_len":     {100_000, number(&r.DLQMaxLen, 1000, 10_000_000)},
		"redis.drain_batch":     {500, number(&r.DrainBatch, 1, 1000)},
		"redis.drain_interval":  {"1s", span(&r.DrainInterval, 100*time.Millisecond, time.Minute)},
		"redis.require_durable": {false, flag(&r.RequireDurable)},

		"shutdown.total":             {"30s", span(&down.Total, time.Second, 10*time.Minute)},
		"shutdown.propagation_delay": {"5s", span(&down.PropagationDelay, 0, time.Minute)},
		"shutdown.drain_timeout":     {"12s", span(&down.DrainTimeout, time.Second, 5*time.Minute)},
		"shutdown.flush_timeout":     {"8s", span(&down.FlushTimeout, 0, 5*time.Minute)},
		"shutdown.close_timeout":     {"3s", span(&down.CloseTimeout, 0, time.Minute)},
	}
}

func text(to *string) func(any) error {
	return func(value any) error {
		s, ok := value.(string)
		if !ok {
			return fmt.Errorf("must be a text (got %v)", value)
		}
		*to = s
		return nil
	}
}

func nonEmpty(to *string) func(any) error {
	return func(value any) error {
		if err := text(to)(value); err != nil {
			return err
		}
		if *to == "" {
			return fmt.Errorf("must not be empty")
		}
		return nil
	}
}

func oneOf(to *string, allowed ...string) func(any) error {
	return func(value any) error {
		if s, ok := value.(string); !ok || !slices.Contains(allowed, s) {
			return fmt.Errorf("must be one of: %s (got %v)", strings.Join(allowed, ", "), value)
		}
		return text(to)(value)
	}
}

func number(to *int, low, high int) func(any) error {
	return func(value any) error {
		n, ok := 0, true
		switch v := value.(type) {
		case int:
			n = v
		case float64: // as YAML numbers come
			n, ok = int(v), v == math.Trunc(v)
		case string: // as the environment says it
			var err error
			n, err = strconv.Atoi(v)
			ok = err == nil
		default:
			ok = false
		}
		if !ok || n < low || n > high {
			return fmt.Errorf("must be between %d and %d (got %v)", low, high, value)
		}
		*to = n
		return nil
	}
}

// numberOr0 also takes 0, which switches the thing off.
func numberOr0(to *int, low, high int) func(any) error {
	return func(value any) error {
		if number(to, 0, 0)(value) == nil {
			return nil
		}
		return number(to, low, high)(value)
	}
}

func flag(to *bool) func(any) error {
	return func(value any) error {
		switch value {
		case true, "true":
			*to = true
		case false, "false":
			*to = false
		default:
			return fmt.Errorf("must be true or false (got %v)", value)
		}
		return nil
	}
}

func span(to *time.Duration, low, high time.Duration) func(any) error {
	return func(value any) error {
		s, _ := value.(string)
		d, err := time.ParseDuration(s)
		if err != nil || d < low || d > high {
			return fmt.Errorf("must be between %s and %s (got %v)", low, high, value)
		}
		*to = d
		return nil
	}
}
