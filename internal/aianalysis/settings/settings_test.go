package settings

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func load(t *testing.T, file string, env map[string]string, args ...string) (*Settings, error) {
	t.Helper()
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	if file != "" {
		name := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(name, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", name)
	}
	return Load(flags, args, func(key string) string { return env[key] })
}

func TestDefaults(t *testing.T) {
	s, err := load(t, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.MetricsAddress != ":9090" || s.ProbeAddress != ":8081" || s.LeaderElection || s.Workers != 10 || s.HolmesURL != "http://holmesgpt-api:8080" ||
		s.HolmesTimeout != time.Minute || s.DataStorageURL != "http://datastorage:8080" || s.PolicyPath != "/etc/kubernaut/policies/approval.rego" ||
		s.HolmesMaxRetries != 5 || s.BackoffBase != time.Second || s.BackoffMax != 5*time.Minute || s.AuditBuffer != 20000 || s.FinalizerTimeout != 30*time.Second {
		t.Errorf("%+v", s)
	}
}

func TestPrecedence(t *testing.T) {
	file := "holmesgpt: {url: 'http://file:1', timeout: 10s, maxResponseBytes: 4194304}\ndatastorage: {url: 'http://file:2'}\nrego: {policyPath: /file}\ncontroller: {leaderElection: true}\n"
	s, err := load(t, file, map[string]string{"HOLMESGPT_API_URL": "http://env:1/", "REGO_POLICY_PATH": "/env"}, "--rego-policy-path=/flag", "--leader-elect=false")
	if err != nil {
		t.Fatal(err)
	}
	if s.HolmesURL != "http://env:1" || s.DataStorageURL != "http://file:2" || s.PolicyPath != "/flag" || s.LeaderElection || s.HolmesTimeout != 10*time.Second || s.HolmesMaxResponse != 4194304 {
		t.Errorf("%+v", s)
	}
	if s, err = load(t, "", nil, "--leader-elect"); err != nil || !s.LeaderElection {
		t.Errorf("%v", err)
	}
}

func TestFileOfDecember2025(t *testing.T) {
	s, err := load(t, "server: {port: 8080, host: x}\nrego: {policy_path: /old}\nlogging: {level: debug, format: console}\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.PolicyPath != "/old" || strings.Join(s.Ignored, " ") != "server.host server.port" || s.LogLevel != "debug" {
		t.Errorf("%+v", s)
	}
}

func TestAllMistakesTogether(t *testing.T) {
	_, err := load(t, "holmesgpt: {timeout: -5s, maxRetries: 21, surprise: 1}\nlogging: {level: loud}\ncontroller: {leaderElection: maybe}\n",
		map[string]string{"DATASTORAGE_URL": "datastorage:8080"}, "--rego-policy-path=relative", "--max-concurrent-reconciles=0", "--metrics-bind-address=9090")
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`surprise: unknown key`, `holmesgpt.timeout: "-5s": must be a duration such as 90s, at least 1ms`, `holmesgpt.maxRetries: "21": must be a whole number, 0 to 20`,
		`logging.level: "loud": must be one of debug, info, error`, `DATASTORAGE_URL: "datastorage:8080": must be an http or https URL without query`,
		`controller.leaderElection: "maybe": must be true or false`, `--rego-policy-path: "relative": must be an absolute path`,
		`--max-concurrent-reconciles: "0": must be a whole number, 1 to 100`, `--metrics-bind-address: "9090": must be host:port`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing %q in:\n%v", want, err)
		}
	}
}

func TestRefusedValuesHideSecrets(t *testing.T) {
	for value, want := range map[string]string{
		"http://user:hunter2@store:8080":       `"http://REDACTED@store:8080"`,
		"https://hunter2@store/path":           `"https://REDACTED@store/path"`,
		"http://user:hun?ter2/p@ss%zz@store":   `"http://REDACTED@store"`,
		"user:hunter2@store:8080":              `"REDACTED@store:8080"`,
		"http://store:8080/x?token=hunter2":    `"http://store:8080/x?REDACTED"`,
		"http://store:8080/x?mail=hunter2@a.b": `"http://REDACTED@a.b"`,
		"ftp://store":                          `"ftp://store"`,
	} {
		_, err := load(t, "datastorage: {url: '"+value+"'}\n", map[string]string{"HOLMESGPT_API_URL": value}, "--datastorage-url", value)
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Count(err.Error(), want) != 2 {
			t.Errorf("%s: want %s in:\n%v", value, want, err)
		}
	}
}

// No wait between attempts may be longer than five minutes.
func TestBackoffMaxIsBounded(t *testing.T) {
	for value, allowed := range map[string]bool{"1ms": true, "5m": true, "300.000000001s": false, "6m": false, "0s": false, "999us": false} {
		_, err := load(t, "holmesgpt: {backoffMax: "+value+"}\n", nil)
		want := `holmesgpt.backoffMax: "` + value + `": must be a duration such as 90s, at least 1ms and at most 5m0s`
		if allowed != (err == nil) || err != nil && err.Error() != want {
			t.Errorf("%s: %v", value, err)
		}
	}
}

func TestOtherMistakes(t *testing.T) {
	for name, args := range map[string][]string{"file": {"--config", "/does/not/exist"}, "flag": {"--unknown"}, "argument": {"extra"}, "order": {"--holmesgpt-api-timeout", "20m"}} {
		if _, err := load(t, "", nil, args...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := load(t, "", nil, "--help"); !errors.Is(err, flag.ErrHelp) {
		t.Error(err)
	}
	if _, err := load(t, "a: 1\na: 2\n", nil); err == nil {
		t.Error("duplicate key accepted")
	}
}
