package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// nowhere is a kubeconfig of an API server that is not there.
func nowhere(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n" +
		"contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\ncurrent-context: c\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// fails checks that the process ends with exit code 1 and says all that is wanted.
func fails(t *testing.T, p *program, wants ...string) {
	t.Helper()
	<-p.ended
	var exit *exec.ExitError
	if !errors.As(p.err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("ended with %v, want exit code 1", p.err)
	}
	for _, want := range wants {
		if !strings.Contains(p.log.String(), want) {
			t.Errorf("missing %q in:\n%s", want, p.log.String())
		}
	}
}

// Without a policy that can be used there is no process: exit code 1, and file, position and cause.
func TestBadPolicyAtStartExitsWithItsPosition(t *testing.T) {
	for name, row := range map[string]struct{ text, want string }{
		"syntax":        {"package aianalysis.approval\n\nrequire_approval := {", ":3: rego_parse_error"},
		"other package": {"package approval\n\nrequire_approval := true", "package must be aianalysis.approval, not approval"},
		"http.send":     {"package aianalysis.approval\n\nx := http.send({\"method\": \"get\", \"url\": \"http://x\"})", ":3: rego_type_error: undefined function http.send"},
		"too big":       {"package aianalysis.approval\n" + strings.Repeat("# comment\n", 110000), "larger than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "approval.rego")
			if err := os.WriteFile(file, []byte(row.text), 0o600); err != nil {
				t.Fatal(err)
			}
			fails(t, launch(t, t, nowhere(t), "--rego-policy-path", file), file, row.want)
		})
	}
	missing := filepath.Join(t.TempDir(), "missing.rego")
	fails(t, launch(t, t, nowhere(t), "--rego-policy-path", missing), missing, "no such file")
}

// All mistakes of a configuration are told at once.
func TestBadConfigurationExitsWithAllItsMistakes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	text := "holmesgpt: {timeout: -5s, breaker: {threshold: 0, probeInterval: 1ms}, surprise: 1}\ndatastorage: {url: 'ftp://store'}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, launch(t, t, nowhere(t), "--config", file),
		"holmesgpt.surprise: unknown key", `datastorage.url: "ftp://store": must be an http or https URL`,
		`holmesgpt.timeout: "-5s": must be a duration such as 90s, at least 1ms`,
		`holmesgpt.breaker.threshold: "0": must be a whole number, 1 to 1000`, `holmesgpt.breaker.probeInterval: "1ms": must be a duration`)
	fails(t, launch(t, t, nowhere(t), "--config", "/does/not/exist.yaml"), "/does/not/exist.yaml")
}

// Flags of December 2025 and ours, as the help text lists them.
func TestEveryFlagIsKnown(t *testing.T) {
	var help bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, func(string) string { return "" }, &help); err != nil {
		t.Fatal(err)
	}
	var flags []string
	for _, match := range regexp.MustCompile(`(?m)^  -([a-z-]+)`).FindAllStringSubmatch(help.String(), -1) {
		flags = append(flags, match[1])
	}
	want := []string{"config", "datastorage-url", "health-probe-bind-address", "holmesgpt-api-timeout", "holmesgpt-api-url", "kubeconfig", "leader-elect", "leader-election-namespace",
		"max-concurrent-reconciles", "metrics-bind-address", "rego-policy-path", "version", "zap-devel", "zap-encoder", "zap-log-level",
		"zap-stacktrace-level", "zap-time-encoding"}
	if slices.Sort(flags); !slices.Equal(flags, want) {
		t.Errorf("got  %v\nwant %v", flags, want)
	}
}

const counter, gauge, histogram = dto.MetricType_COUNTER, dto.MetricType_GAUGE, dto.MetricType_HISTOGRAM

// idleFamilies are all families of the process, by name, with their labels in order.
var idleFamilies = map[string]struct {
	kind   dto.MetricType
	labels string
}{
	"aianalysis_reconciler_reconciliations_total":       {counter, "phase result"},
	"aianalysis_reconciler_duration_seconds":            {histogram, "phase"},
	"aianalysis_rego_evaluations_total":                 {counter, "degraded outcome"},
	"aianalysis_approval_decisions_total":               {counter, "decision environment"},
	"aianalysis_confidence_score_distribution":          {histogram, "signal_type"},
	"aianalysis_failures_total":                         {counter, "reason sub_reason"},
	"aianalysis_audit_validation_attempts_total":        {counter, "is_valid workflow_id"},
	"aianalysis_quality_detected_labels_failures_total": {counter, "field_name"},
	"aianalysis_recovery_status_populated_total":        {counter, "failure_understood state_changed"},
	"aianalysis_recovery_status_skipped_total":          {counter, ""},
	"aianalysis_reconciler_overhead_seconds":            {histogram, "phase"},
	"aianalysis_holmesgpt_calls_total":                  {counter, "code endpoint"},
	"aianalysis_holmesgpt_call_duration_seconds":        {histogram, "endpoint"},
	"aianalysis_holmesgpt_call_errors_total":            {counter, "alert type"},
	"aianalysis_holmesgpt_circuit_state":                {gauge, ""},
	"aianalysis_rego_policy_reloads_total":              {counter, "result"},
	"aianalysis_rego_policy_info":                       {gauge, "sha256"},
	"aianalysis_audit_unrecorded":                       {gauge, ""},
	"audit_events_buffered_total":                       {counter, "service"},
	"audit_events_written_total":                        {counter, "service"},
	"audit_events_dropped_total":                        {counter, "service"},
	"audit_events_deferred_total":                       {counter, "service"},
	"audit_batches_failed_total":                        {counter, "service"},
	"audit_buffer_size":                                 {gauge, "service"},
	"audit_buffer_capacity":                             {gauge, "service"},
	"audit_buffer_utilization_ratio":                    {gauge, "service"},
	"audit_write_duration_seconds":                      {histogram, "service"},
}

// An idle process shows every family with its type and labels.
func TestIdleProcessShowsEveryFamily(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	launch(t, t, nowhere(t), "--metrics-bind-address", address)
	var text []byte
	until(t, "the metrics", func(ctx context.Context) bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		reply, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		defer reply.Body.Close()
		text, err = io.ReadAll(reply.Body)
		return err == nil && reply.StatusCode == http.StatusOK
	})
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range idleFamilies {
		family := families[name]
		if family == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		var labels []string
		for _, pair := range family.Metric[0].Label {
			labels = append(labels, pair.GetName())
		}
		slices.Sort(labels)
		if family.GetType() != want.kind || strings.Join(labels, " ") != want.labels {
			t.Errorf("%s: %s %v", name, family.GetType(), labels)
		}
	}
	for _, pair := range [][2]string{
		{"NoWorkflowSelected", "InvestigationFailed"}, {"APIError", "HolmesGPTAPICallFailed"}, {"RegoEvaluationError", "PolicyEvaluationFailed"},
		{"WorkflowResolutionFailed", "NoWorkflowResolved"}, {"RecoveryWorkflowResolutionFailed", "NoRecoveryWorkflowResolved"},
		{"RecoveryNotPossible", "NoRecoveryStrategy"}, {"APIError", "MaxRetriesExceeded"}, {"APIError", "PermanentError"},
		{"TransientError", "Retrying"}, {"AnalysisCancelled", "ResourceDeleted"}, {"WorkflowResolutionFailed", "LowConfidence"},
	} {
		if want := fmt.Sprintf("aianalysis_failures_total{reason=%q,sub_reason=%q} 0\n", pair[0], pair[1]); !bytes.Contains(text, []byte(want)) {
			t.Errorf("missing: %s", want)
		}
	}
}
