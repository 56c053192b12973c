// Package settings reads the configuration of the AIAnalysis controller: a flag given beats the environment, the environment the
// file, the file the default. All mistakes of a start are reported together.
package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// maxBackoff is the longest wait between two attempts; a longer one would be taken for a jump of the clock.
const maxBackoff = 5 * time.Minute

// Settings are checked values.
type Settings struct {
	MetricsAddress, ProbeAddress string
	LeaderElection               bool
	LeaseNamespace               string // empty: the pod's own
	Workers, KubeQPS, KubeBurst  int

	HolmesURL, HolmesTokenFile, HolmesCAFile string
	HolmesTimeout, HolmesMaxTimeout          time.Duration
	HolmesMaxRetries, HolmesMaxResponse      int
	BackoffBase, BackoffMax                  time.Duration
	BreakerThreshold                         int
	BreakerProbeInterval                     time.Duration

	DataStorageURL, DataStorageTokenFile string
	DataStorageTimeout                   time.Duration

	PolicyPath    string
	PolicyTimeout time.Duration

	AuditBuffer, AuditBatch              int
	AuditFlushInterval, FinalizerTimeout time.Duration

	DrainTimeout, FlushTimeout time.Duration
	LogLevel, LogFormat        string

	// Ignored are file keys that mean nothing to this controller and are let through.
	Ignored []string
}

// option is one setting: where it may come from, what it may be, and where it goes.
type option struct {
	key, flag, env string
	standard       string
	kind           kind
}

func (s *Settings) options() []option {
	return []option{
		{"controller.metricsBindAddress", "metrics-bind-address", "", ":9090", address(&s.MetricsAddress)},
		{"controller.healthProbeBindAddress", "health-probe-bind-address", "", ":8081", address(&s.ProbeAddress)},
		{"controller.leaderElection", "leader-elect", "", "false", boolean(&s.LeaderElection)},
		{"controller.leaderElectionNamespace", "leader-election-namespace", "", "", text(&s.LeaseNamespace)},
		{"controller.maxConcurrentReconciles", "max-concurrent-reconciles", "", "10", integer(&s.Workers, 1, 100)},
		{"controller.kubeQPS", "", "", "100", integer(&s.KubeQPS, 1, 10000)},
		{"controller.kubeBurst", "", "", "200", integer(&s.KubeBurst, 1, 10000)},
		{"holmesgpt.url", "holmesgpt-api-url", "HOLMESGPT_API_URL", "http://holmesgpt-api:8080", webURL(&s.HolmesURL)},
		{"holmesgpt.timeout", "holmesgpt-api-timeout", "", "60s", duration(&s.HolmesTimeout, time.Millisecond)},
		{"holmesgpt.maxTimeout", "", "", "10m", duration(&s.HolmesMaxTimeout, time.Millisecond)},
		{"holmesgpt.maxRetries", "", "", "5", integer(&s.HolmesMaxRetries, 0, 20)},
		{"holmesgpt.backoffBase", "", "", "1s", duration(&s.BackoffBase, time.Millisecond)},
		{"holmesgpt.backoffMax", "", "", "5m", limited(&s.BackoffMax, time.Millisecond, maxBackoff)},
		{"holmesgpt.maxResponseBytes", "", "", "4194304", integer(&s.HolmesMaxResponse, 1024, 64<<20)},
		{"holmesgpt.breaker.threshold", "", "", "10", integer(&s.BreakerThreshold, 1, 1000)},
		{"holmesgpt.breaker.probeInterval", "", "", "5s", duration(&s.BreakerProbeInterval, 100*time.Millisecond)},
		{"holmesgpt.tokenFile", "", "", "", text(&s.HolmesTokenFile)},
		{"holmesgpt.caFile", "", "", "", text(&s.HolmesCAFile)},
		{"datastorage.url", "datastorage-url", "DATASTORAGE_URL", "http://datastorage:8080", webURL(&s.DataStorageURL)},
		{"datastorage.timeout", "", "", "5s", duration(&s.DataStorageTimeout, time.Millisecond)},
		{"datastorage.tokenFile", "", "", "", text(&s.DataStorageTokenFile)},
		{"rego.policyPath", "rego-policy-path", "REGO_POLICY_PATH", "/etc/kubernaut/policies/approval.rego", path(&s.PolicyPath)},
		{"rego.evaluationTimeout", "", "", "5s", duration(&s.PolicyTimeout, time.Millisecond)},
		{"audit.bufferSize", "", "", "20000", integer(&s.AuditBuffer, 1, 1000000)},
		{"audit.batchSize", "", "", "1000", integer(&s.AuditBatch, 1, 1000)},
		{"audit.flushInterval", "", "", "1s", duration(&s.AuditFlushInterval, time.Millisecond)},
		{"audit.finalizerTimeout", "", "", "30s", duration(&s.FinalizerTimeout, 0)},
		{"shutdown.drainTimeout", "", "", "8s", duration(&s.DrainTimeout, 0)},
		{"shutdown.flushTimeout", "", "", "4s", duration(&s.FlushTimeout, 0)},
		{"logging.level", "", "", "info", oneOf(&s.LogLevel, "debug", "info", "error")},
		{"logging.format", "", "", "json", oneOf(&s.LogFormat, "json", "console")},
	}
}

// aliases are spellings of December 2025.
var aliases = map[string]string{"rego.policy_path": "rego.policyPath"}

// ignoredSections held the settings of a server that this controller does not have.
var ignoredSections = []string{"server"}

// Load registers its flags on flags, parses args and reads environment and file. The error joins all mistakes, each with key, value
// and what is allowed; flag.ErrHelp is passed through.
func Load(flags *flag.FlagSet, args []string, getenv func(string) string) (*Settings, error) {
	s := &Settings{}
	options := s.options()
	given := map[string]*flagText{}
	for _, o := range options {
		if o.flag != "" {
			value := &flagText{bool: o.kind.bool}
			given[o.key] = value
			flags.Var(value, o.flag, fmt.Sprintf("%s: %s (default %q)", o.key, o.kind.allowed, o.standard))
		}
	}
	file := flags.String("config", "", "configuration file; environment CONFIG_PATH")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("argument %q: none is allowed", printable(flags.Arg(0)))
	}
	if *file == "" {
		*file = getenv("CONFIG_PATH")
	}
	values, mistakes := s.readFile(*file, options)
	for _, o := range options {
		source, value := "default of "+o.key, o.standard
		if have, ok := values[o.key]; ok {
			source, value = o.key, have
		}
		if have := getenv(o.env); o.env != "" && have != "" {
			source, value = o.env, have
		}
		if have := given[o.key]; have != nil && have.set {
			source, value = "--"+o.flag, have.value
		}
		if err := o.kind.set(value); err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s: %q: must be %s", source, printable(value), o.kind.allowed))
		}
	}
	if s.HolmesTimeout > s.HolmesMaxTimeout && len(mistakes) == 0 {
		mistakes = append(mistakes, fmt.Errorf("holmesgpt.timeout: %q: must not be above holmesgpt.maxTimeout, %s", s.HolmesTimeout, s.HolmesMaxTimeout))
	}
	return s, errors.Join(mistakes...)
}

// printable hides what may be a secret in a refused value: the user info of a URL and its query, even if it is no URL at all.
func printable(value string) string {
	if at := strings.LastIndex(value, "@"); at >= 0 {
		scheme, _, ok := strings.Cut(value[:at], "://")
		if ok {
			scheme += "://"
		} else {
			scheme = ""
		}
		value = scheme + "REDACTED" + value[at:]
	}
	if before, _, ok := strings.Cut(value, "?"); ok {
		value = before + "?REDACTED"
	}
	return value
}

// readFile returns the file's values by key, and every key that is not known.
func (s *Settings) readFile(name string, options []option) (map[string]string, []error) {
	if name == "" {
		return nil, nil
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, []error{fmt.Errorf("configuration file: %w", err)}
	}
	converted, err := yaml.YAMLToJSONStrict(content)
	if err != nil {
		return nil, []error{fmt.Errorf("configuration file %q: %w", name, err)}
	}
	decoder := json.NewDecoder(bytes.NewReader(converted))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return nil, []error{fmt.Errorf("configuration file %q: %w", name, err)}
	}
	flat := map[string]string{}
	flatten("", tree, flat)
	values, mistakes := map[string]string{}, []error(nil)
	for key, value := range flat {
		section, _, _ := strings.Cut(key, ".")
		if slices.Contains(ignoredSections, section) {
			s.Ignored = append(s.Ignored, key)
			continue
		}
		if alias, ok := aliases[key]; ok {
			key = alias
		}
		if !slices.ContainsFunc(options, func(o option) bool { return o.key == key }) {
			mistakes = append(mistakes, fmt.Errorf("configuration file %q: %s: unknown key", name, key))
			continue
		}
		values[key] = value
	}
	slices.Sort(s.Ignored)
	slices.SortFunc(mistakes, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return values, mistakes
}

// flatten turns a tree into dotted keys; anything but a map is a value.
func flatten(prefix string, tree any, into map[string]string) {
	branch, ok := tree.(map[string]any)
	if !ok {
		if tree != nil {
			into[prefix] = fmt.Sprint(tree)
		}
		return
	}
	for name, value := range branch {
		key := name
		if prefix != "" {
			key = prefix + "." + name
		}
		flatten(key, value, into)
	}
}
