package datastorage

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sort"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// Config is what the service is told by its file and its environment. Secrets are not in it, only their files.
type Config struct {
	Effective map[string]any // every key and its value, for the log
	Server    struct {
		Host                                                   string
		Port, MetricsPort                                      int
		ReadHeaderTimeout, ReadTimeout, WriteTimeout, IdleTime time.Duration
		MaxInflightWrites, MaxInflightReads, MaxInflightBytes  int
		QueueLength                                            int
		QueueTimeout                                           time.Duration
	}
	Auth     Auth
	Logging  struct{ Level, Format string }
	Database struct {
		Host, Name, User, SSLMode, SSLRootCert           string
		Port                                             int
		Secrets                                          SecretFile
		OwnerSecretsFile                                 string
		MaxConns, ReadConns, MinConns                    int
		ConnMaxLifetime, ConnMaxIdleTime, ConnectTimeout time.Duration
		StrictRole                                       bool
	}
	Audit struct {
		SingleTimeout, BatchTimeout, DLQTimeout time.Duration
		Window                                  Window
		PartitionMonthsAhead, IDWindowDays      int
		MaintenanceInterval                     time.Duration
	}
	Query struct {
		Timeout             time.Duration
		MaxCount, MaxOffset int
	}
	Catalog struct{ RequireIfMatch bool }
	Redis   struct {
		Enabled               bool
		Addr, CAFile          string
		DB                    int
		TLS                   bool
		Secrets               SecretFile
		DLQMaxLen, DrainBatch int
		DrainInterval         time.Duration
		RequireDurable        bool
	}
	Shutdown struct{ Total, PropagationDelay, DrainTimeout, FlushTimeout, CloseTimeout time.Duration }
}

// SecretFile is a mounted YAML or JSON file and the keys in it.
type SecretFile struct{ Path, UsernameKey, PasswordKey string }

// Read returns the user name, if the file has one, and the password. Its errors name file and key, never a value.
func (s SecretFile) Read() (user, password string, err error) {
	raw, err := os.ReadFile(s.Path)
	if err != nil {
		return "", "", fmt.Errorf("reading the secrets: %w", err)
	}
	values := map[string]any{}
	if err := yaml.Unmarshal(raw, &values); err != nil {
		return "", "", fmt.Errorf("reading the secrets: %q is not YAML or JSON", s.Path)
	}
	password, ok := values[s.PasswordKey].(string)
	if !ok || password == "" {
		return "", "", fmt.Errorf("reading the secrets: %q has no text under the key %q", s.Path, s.PasswordKey)
	}
	if s.UsernameKey != "" {
		user, _ = values[s.UsernameKey].(string)
	}
	return user, password, nil
}

// ReadConfig reads the file's content and what the environment overrides. The error joins every mistake, each naming
// its key.
func ReadConfig(file []byte, environ []string) (Config, error) {
	c := Config{Effective: map[string]any{}}
	keys := c.keys()
	given, mistakes := flatten(file)
	mistakes = append(mistakes, override(given, keys, environ)...)
	for name := range given {
		if _, known := keys[name]; !known {
			mistakes = append(mistakes, fmt.Errorf("%s: is not a known key", name))
		}
	}
	for name, key := range keys {
		value, found := given[name]
		if !found {
			value = key.preset
		}
		c.Effective[name] = value
		if value == nil {
			mistakes = append(mistakes, fmt.Errorf("%s: is required", name))
		} else if err := key.set(value); err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s: %w", name, err))
		}
	}
	if len(mistakes) == 0 {
		mistakes = c.checkTogether()
	}
	sort.Slice(mistakes, func(i, j int) bool { return mistakes[i].Error() < mistakes[j].Error() })
	return c, errors.Join(mistakes...)
}

// flatten makes section.key of a file with two levels.
func flatten(file []byte) (map[string]any, []error) {
	sections := map[string]any{}
	if err := yaml.UnmarshalStrict(file, &sections); err != nil {
		return map[string]any{}, []error{fmt.Errorf("the file is not readable as YAML: %w", err)}
	}
	given := map[string]any{}
	var mistakes []error
	for section, content := range sections {
		values, isMap := content.(map[string]any)
		if !isMap {
			mistakes = append(mistakes, fmt.Errorf("%s: must be a section with keys", section))
			continue
		}
		for key, value := range values {
			given[section+"."+key] = value
		}
	}
	return given, mistakes
}

const envPrefix = "DATASTORAGE_"

// override lets DATASTORAGE_<SECTION>_<KEY> win over the file. Variables that name no key are not ours: Kubernetes makes
// such ones for a Service. Secrets are taken from files only.
func override(given map[string]any, keys map[string]configKey, environ []string) (mistakes []error) {
	names := make(map[string]string, len(keys))
	for name := range keys {
		names[envPrefix+strings.ToUpper(strings.ReplaceAll(name, ".", "_"))] = name
	}
	for _, variable := range environ {
		variable, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(variable, envPrefix) {
			continue
		}
		if name, known := names[variable]; known {
			given[name] = value
			continue
		}
		for _, word := range []string{"PASSWORD", "TOKEN", "DSN", "URL"} {
			if strings.HasSuffix(variable, "_"+word) {
				mistakes = append(mistakes, fmt.Errorf("%s: secrets are taken from files only, never from the environment", variable))
			}
		}
	}
	return mistakes
}

// checkTogether tests the rules that join several keys.
func (c *Config) checkTogether() (mistakes []error) {
	add := func(wrong bool, key, text string, args ...any) {
		if wrong {
			mistakes = append(mistakes, fmt.Errorf("%s: "+text, append([]any{key}, args...)...))
		}
	}
	d, s := &c.Database, &c.Shutdown
	add(c.Auth.Mode == AuthTokenReview && len(c.Auth.Audiences) == 0, "auth.audiences", "is required with auth.mode: %s", AuthTokenReview)
	add(c.Server.MetricsPort == c.Server.Port, "server.metrics_port", "must differ from server.port")
	add(d.ReadConns >= d.MaxConns, "database.read_conns", "must be below database.max_conns (got %d of %d)", d.ReadConns, d.MaxConns)
	add(d.MinConns > d.MaxConns-d.ReadConns, "database.min_conns", "must be at most max_conns - read_conns (got %d)", d.MinConns)
	add(c.Redis.Enabled && c.Redis.Addr == "", "redis.addr", "is required")
	write := max(c.Audit.SingleTimeout, c.Audit.BatchTimeout) + c.Audit.DLQTimeout
	add(write > decisionTime, "audit.batch_timeout", "must leave audit.dlq_timeout within %s (got %s together)", decisionTime, write)
	sum := s.PropagationDelay + s.DrainTimeout + s.FlushTimeout + s.CloseTimeout
	add(sum > s.Total, "shutdown.total", "must be at least the sum of the steps, %s (got %s)", sum, s.Total)
	add(s.DrainTimeout < c.Query.Timeout+time.Second, "shutdown.drain_timeout", "must be at least query.timeout + 1s (got %s)", s.DrainTimeout)
	return mistakes
}

// LogLevel is the level of the logger.
func (c *Config) LogLevel() slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Logging.Level)); err != nil {
		return slog.LevelInfo // cannot be: checked when read
	}
	return level
}
