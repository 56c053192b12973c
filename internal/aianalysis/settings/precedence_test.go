package settings

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// others gives two allowed values of a setting, of which at least the first is not its default.
func others(o option) (one, two string) {
	switch {
	case o.key == "holmesgpt.maxTimeout":
		return "20m", "30m"
	case o.kind.bool:
		return "true", "false"
	case o.kind.allowed == "text" || o.kind.allowed == "an absolute path":
		return "/one", "/two"
	case o.kind.allowed == "host:port":
		return "127.0.0.1:1", ":2"
	case strings.HasPrefix(o.kind.allowed, "an http"):
		return "http://one", "https://two:8443/base"
	case strings.HasPrefix(o.kind.allowed, "a duration"):
		return "7s", "9s"
	case strings.HasPrefix(o.kind.allowed, "one of"):
		names := strings.Split(strings.TrimPrefix(o.kind.allowed, "one of "), ", ")
		names = slices.DeleteFunc(names, func(name string) bool { return name == o.standard })
		return names[0], o.standard
	case o.key == "holmesgpt.maxResponseBytes":
		return "2048", "4096"
	default:
		return "11", "12"
	}
}

// file writes one dotted key as a file.
func file(t *testing.T, key, value string) string {
	t.Helper()
	var tree any = value
	steps := strings.Split(key, ".")
	for _, step := range slices.Backward(steps) {
		tree = map[string]any{step: tree}
	}
	text, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every setting: the file beats the default, the environment the file, a flag the environment.
func TestPrecedenceOfEverySetting(t *testing.T) {
	must := func(s *Settings, err error) *Settings {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	standard := must(load(t, "", nil))
	for _, o := range (&Settings{}).options() {
		one, two := others(o)
		first, second := must(load(t, file(t, o.key, one), nil)), must(load(t, file(t, o.key, two), nil))
		if reflect.DeepEqual(first, standard) || reflect.DeepEqual(first, second) {
			t.Errorf("%s: the file is not read", o.key)
		}
		if o.env != "" {
			if got := must(load(t, file(t, o.key, one), map[string]string{o.env: two})); !reflect.DeepEqual(got, second) {
				t.Errorf("%s: %s does not beat the file", o.key, o.env)
			}
		}
		if o.flag != "" {
			if got := must(load(t, file(t, o.key, one), map[string]string{o.env: one}, "--"+o.flag+"="+two)); !reflect.DeepEqual(got, second) {
				t.Errorf("%s: --%s does not beat the rest", o.key, o.flag)
			}
		}
	}
}

// Every key, flag and variable of the interface, and its default: none is missing, none is more.
func TestSettingsAreThoseOfTheInterface(t *testing.T) {
	want := `controller.metricsBindAddress metrics-bind-address  :9090
controller.healthProbeBindAddress health-probe-bind-address  :8081
controller.leaderElection leader-elect  false
controller.leaderElectionNamespace leader-election-namespace  
controller.maxConcurrentReconciles max-concurrent-reconciles  10
controller.kubeQPS   100
controller.kubeBurst   200
holmesgpt.url holmesgpt-api-url HOLMESGPT_API_URL http://holmesgpt-api:8080
holmesgpt.timeout holmesgpt-api-timeout  60s
holmesgpt.maxTimeout   10m
holmesgpt.maxRetries   5
holmesgpt.backoffBase   1s
holmesgpt.backoffMax   5m
holmesgpt.maxResponseBytes   4194304
holmesgpt.tokenFile   
holmesgpt.caFile   
holmesgpt.breaker.threshold   10
holmesgpt.breaker.probeInterval   5s
datastorage.url datastorage-url DATASTORAGE_URL http://datastorage:8080
datastorage.timeout   5s
datastorage.tokenFile   
rego.policyPath rego-policy-path REGO_POLICY_PATH /etc/kubernaut/policies/approval.rego
rego.evaluationTimeout   5s
audit.bufferSize   20000
audit.batchSize   1000
audit.flushInterval   1s
audit.finalizerTimeout   30s
shutdown.drainTimeout   8s
shutdown.flushTimeout   4s
logging.level   info
logging.format   json`
	var have []string
	for _, o := range (&Settings{}).options() {
		have = append(have, strings.Join([]string{o.key, o.flag, o.env, o.standard}, " "))
	}
	wanted := strings.Split(want, "\n")
	slices.Sort(have)
	slices.Sort(wanted)
	if !slices.Equal(have, wanted) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(wanted, "\n"))
	}
}

// CONFIG_PATH names the file, --config beats it.
func TestConfigPath(t *testing.T) {
	if _, err := load(t, "", map[string]string{"CONFIG_PATH": "/does/not/exist"}); err == nil || !strings.Contains(err.Error(), "/does/not/exist") {
		t.Errorf("CONFIG_PATH: %v", err)
	}
	if s, err := load(t, file(t, "audit.batchSize", "7"), map[string]string{"CONFIG_PATH": "/does/not/exist"}); err != nil || s.AuditBatch != 7 {
		t.Errorf("--config: %v", err)
	}
}
