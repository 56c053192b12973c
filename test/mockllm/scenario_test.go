package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	bookPath = "../../config/e2e/mockllm/scenarios.yaml"
	testSeed = `
- {workflow_name: a-v1, version: 1.0.0, labels: {signal_type: A}}
- {workflow_name: b-v1, version: 1.0.0}
`
	testBook = `
rows:
  - signal_type: A
    severity: high
    summary: A broke
    incident: {workflow: a-v1, version: 1.0.0, confidence: 0.9}
default: {signal_type: Unknown, severity: medium, summary: Something broke}
`
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadBookRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ scenarios, seed, names string }{
		"unknown key":              {strings.Replace(testBook, "summary: A broke", "resume: A broke", 1), testSeed, "resume"},
		"unknown key in a verdict": {strings.Replace(testBook, "confidence: 0.9", "certainty: 0.9", 1), testSeed, "certainty"},
		"workflow not seeded":      {strings.Replace(testBook, "a-v1", "c-v1", 1), testSeed, "c-v1@1.0.0"},
		"version not seeded":       {strings.Replace(testBook, "version: 1.0.0", "version: 2.0.0", 1), testSeed, "a-v1@2.0.0"},
		"alternative not seeded": {strings.Replace(testBook, "confidence: 0.9",
			"alternatives: [{workflow: x-v1, version: 1.0.0}]", 1), testSeed, "x-v1@1.0.0"},
		"row twice":          {strings.Replace(testBook, "signal_type: Unknown", "signal_type: a", 1), testSeed, "twice"},
		"no default row":     {strings.Split(testBook, "default:")[0], testSeed, "required"},
		"no YAML":            {"rows: [", testSeed, "yaml"},
		"seed without names": {testBook, "- {version: 1.0.0}", "workflow_name"},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{
				"-listen=127.0.0.1:0", "-scenarios=" + write(t, "s.yaml", tc.scenarios), "-seed=" + write(t, "w.yaml", tc.seed),
			}
			err := run(t.Context(), args, &bytes.Buffer{})
			if err == nil || !strings.Contains(err.Error(), tc.names) {
				t.Fatalf("got %v, want an error naming %q", err, tc.names)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has more than one line: %q", err)
			}
		})
	}
}

func TestLoadBookNamesMissingFiles(t *testing.T) {
	good := write(t, "s.yaml", testBook)
	for _, paths := range [][2]string{{"/no/such/file", good}, {good, "/no/such/file"}} {
		if _, err := LoadBook(paths[0], paths[1]); err == nil || !strings.Contains(err.Error(), "/no/such/file") {
			t.Errorf("got %v, want an error naming the file", err)
		}
	}
}

func realBook(t *testing.T) *Book {
	t.Helper()
	book, err := LoadBook(bookPath, "../../config/e2e/seed/workflows.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return book
}

func TestRowKeys(t *testing.T) {
	book := realBook(t)
	for signal, want := range map[string]string{
		"OOMKilled": "OOMKilled", "oomkilled": "OOMKilled", "CrashLoopBackOff": "CrashLoopBackOff",
		"CRASHLOOPBACKOFF": "CrashLoopBackOff", "HighMemory": "Unknown", "Unknown": "Unknown", "OOMKilled ": "Unknown",
	} {
		if row, _ := book.Row(signal); row.SignalType != want {
			t.Errorf("row of %q: got %q, want %q", signal, row.SignalType, want)
		}
	}
}

// The figures of the suite: workflow, severity, confidence, factors and parameters of each row.
func TestRealRows(t *testing.T) {
	for _, tc := range []struct {
		signal, workflow, severity  string
		confidence, recovery, other float64
		factors                     string
		parameters                  map[string]string
		strategy                    string
	}{
		{"OOMKilled", "oomkill-increase-memory-v1", "critical", 0.92, 0.87, 0.77, "memory_pressure,traffic_spike,insufficient_limits",
			map[string]string{"NAMESPACE": "<ns>", "MEMORY_LIMIT": "1Gi", "RESTART_POLICY": "Always"}, "recovery_oomkilled_v1"},
		{"CrashLoopBackOff", "crashloop-config-fix-v1", "high", 0.88, 0.83, 0.73, "missing_config,env_var_error,secret_not_mounted",
			map[string]string{"NAMESPACE": "<ns>", "CONFIG_MAP": "app-config", "RESTART_DELAY": "30s"}, "recovery_crashloopbackoff_v1"},
		{"NodeNotReady", "node-drain-reboot-v1", "critical", 0.90, 0.85, 0.75, "disk_pressure,kernel_panic,kubelet_unhealthy",
			map[string]string{"NODE_NAME": "<name>", "GRACE_PERIOD": "300", "FORCE_DRAIN": "false"}, "recovery_nodenotready_v1"},
		{"ImagePullBackOff", "image-fix-v1", "high", 0.85, 0.80, 0.70, "registry_auth_failed,image_not_found,rate_limited",
			map[string]string{"NAMESPACE": "<ns>", "IMAGE_PULL_SECRET": "registry-creds"}, "recovery_imagepullbackoff_v1"},
		{"Evicted", "eviction-recovery-v1", "high", 0.87, 0.82, 0.72, "node_memory_pressure,ephemeral_storage_full,priority_preemption",
			map[string]string{"NAMESPACE": "<ns>", "RESOURCE_REQUESTS": "increase"}, "recovery_evicted_v1"},
		{"FailedScheduling", "scheduling-fix-v1", "medium", 0.82, 0.77, 0.67, "insufficient_cpu,insufficient_memory,node_selector_mismatch",
			map[string]string{"NAMESPACE": "<ns>", "REDUCE_REQUESTS": "true"}, "recovery_failedscheduling_v1"},
		{"else", "generic-restart-v1", "medium", 0.75, 0.70, 0.60, "unknown_issue,requires_investigation",
			map[string]string{"NAMESPACE": "<ns>", "ACTION": "restart"}, "recovery_unknown_v1"},
	} {
		row, _ := realBook(t).Row(tc.signal)
		in, re := row.Incident, row.Recovery
		if in.Workflow != tc.workflow || in.Confidence != tc.confidence || row.Severity != tc.severity {
			t.Errorf("%s: incident %+v severity %s", tc.signal, in.Choice, row.Severity)
		}
		if re.Workflow != tc.workflow+"-recovery" || re.Confidence != tc.recovery || re.CanRecover == nil || !*re.CanRecover {
			t.Errorf("%s: recovery %+v", tc.signal, re.Choice)
		}
		if got := strings.Join(row.ContributingFactors, ","); got != tc.factors {
			t.Errorf("%s: factors %s", tc.signal, got)
		}
		if len(in.Alternatives) != 1 || in.Alternatives[0].Workflow != "alternative-1-v1" || in.Alternatives[0].Confidence != tc.other {
			t.Errorf("%s: alternatives %+v", tc.signal, in.Alternatives)
		}
		if len(re.Strategies) != 1 || re.Strategies[0].ActionType != tc.strategy || re.Strategies[0].EstimatedRisk != "medium" {
			t.Errorf("%s: strategies %+v", tc.signal, re.Strategies)
		}
		sameMap(t, tc.signal, in.Parameters, tc.parameters)
		sameMap(t, tc.signal, re.Parameters, map[string]string{
			"NAMESPACE": "<ns>", "RECOVERY_MODE": "true", "PREVIOUS_WORKFLOW": "<previous>"})
	}
}

func sameMap(t *testing.T, name string, got, want map[string]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: parameters %v, want %v", name, got, want)
	}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s: parameter %s is %q, want %q", name, key, got[key], value)
		}
	}
}

// The two files of the suite, as they are mounted.
func TestScenariosAndSeedAgree(t *testing.T) {
	if _, err := LoadBook(bookPath, "../../config/e2e/seed/workflows.yaml"); err != nil {
		t.Fatal(err)
	}
}
