package policy

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/kubernaut-ai/kubernaut/internal/aianalysis"
)

const shipped = "../../../config/aianalysis/approval.rego"

// judge gives the policy all the time it may need, on a busy machine too.
func judge(t *testing.T, text string, input map[string]any) aianalysis.Verdict {
	t.Helper()
	return judgeWithin(t, time.Minute, text, input)
}

func judgeWithin(t *testing.T, limit time.Duration, text string, input map[string]any) aianalysis.Verdict {
	t.Helper()
	p, err := compile("approval.rego", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	verdict, err := p.evaluate(ctx, input)
	if err != nil {
		t.Fatal(err)
	}
	return verdict
}

// rules of the shipped policy in order, each with what makes it hold. All but the first and the third need production.
var rules = []struct {
	id, reason string
	set        func(map[string]any)
}{
	{"recovery-escalation", "Recovery attempt 3: human approval required", func(in map[string]any) {
		in["is_recovery_attempt"], in["recovery_attempt_number"] = true, 3
	}},
	{"unvalidated-target", "Production target is not in the owner chain", func(in map[string]any) { in["target_in_owner_chain"] = false }},
	{"failed-detections", "Label detection failed: gitOpsManaged, hpaEnabled", func(in map[string]any) {
		in["failed_detections"] = []any{"hpaEnabled", "gitOpsManaged"}
	}},
	{"warnings", "Production analysis has 1 warning(s)", func(in map[string]any) { in["warnings"] = []any{"w"} }},
	{"stateful-workload", "Production workload is stateful", func(in map[string]any) { in["detected_labels"] = map[string]any{"stateful": true} }},
	{"production", "Production environment", func(map[string]any) {}},
}

func quiet(environment string) map[string]any {
	return map[string]any{"environment": environment, "target_in_owner_chain": true, "detected_labels": map[string]any{}, "custom_labels": map[string]any{},
		"warnings": []any{}, "failed_detections": []any{}, "is_recovery_attempt": false, "recovery_attempt_number": 0, "confidence": 0.1}
}

// Every set of rules at once: the reason is the first one's text, matched rules are all of them in order, nothing ever conflicts.
func TestShippedPolicyInProduction(t *testing.T) {
	text, err := os.ReadFile(shipped)
	if err != nil {
		t.Fatal(err)
	}
	for set := range 1 << (len(rules) - 1) {
		input := quiet("production")
		var ids []string
		reason := ""
		for i, rule := range rules {
			if i < len(rules)-1 && set&(1<<i) == 0 {
				continue
			}
			rule.set(input)
			ids = append(ids, rule.id)
			if reason == "" {
				reason = rule.reason
			}
		}
		got := judge(t, string(text), input)
		if !got.RequireApproval || got.Degraded || got.Reason != reason || !slices.Equal(got.MatchedRules, ids) {
			t.Errorf("%v: %+v", ids, got)
		}
	}
}

func TestShippedPolicyElsewhere(t *testing.T) {
	text, err := os.ReadFile(shipped)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]struct {
		set  func(map[string]any)
		want string
	}{
		"quiet":          {func(map[string]any) {}, "Auto-approved"},
		"attempt 2":      {func(in map[string]any) { in["is_recovery_attempt"], in["recovery_attempt_number"] = true, 2 }, "Auto-approved"},
		"attempt 4":      {func(in map[string]any) { in["is_recovery_attempt"], in["recovery_attempt_number"] = true, 4 }, "Recovery attempt 4: human approval required"},
		"not a recovery": {func(in map[string]any) { in["recovery_attempt_number"] = 4 }, "Auto-approved"},
		"outside chain":  {rules[1].set, "Auto-approved"},
		"gitops":         {func(in map[string]any) { in["failed_detections"] = []any{"gitOpsManaged"} }, "Label detection failed: gitOpsManaged"},
		"pdb":            {func(in map[string]any) { in["failed_detections"] = []any{"pdbProtected"} }, "Label detection failed: pdbProtected"},
		"hpa":            {func(in map[string]any) { in["failed_detections"] = []any{"hpaEnabled"} }, "Auto-approved"},
		"warnings":       {rules[3].set, "Auto-approved"},
		"stateful":       {rules[4].set, "Auto-approved"},
	}
	for name, row := range rows {
		input := quiet("staging")
		row.set(input)
		got := judge(t, string(text), input)
		if got.Reason != row.want || got.RequireApproval != (row.want != "Auto-approved") || got.Degraded || len(got.SHA256) != 64 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestDegraded(t *testing.T) {
	rows := map[string]struct{ body, cause string }{
		"conflict":          {"reason := \"a\"\nreason := \"b\" if true", "eval_conflict_error"},
		"endless":           {"require_approval := count([1 | some x in numbers.range(1, 100000); some y in numbers.range(1, 100000); x * y < 0]) > 0", "eval_cancel_error"},
		"string as boolean": {"require_approval := \"yes\"", "require_approval is not a boolean"},
		"number as reason":  {"reason := 5", "reason is not a string"},
	}
	for name, row := range rows {
		limit := time.Minute
		if name == "endless" {
			limit = 300 * time.Millisecond
		}
		got := judgeWithin(t, limit, "package aianalysis.approval\n"+row.body, quiet("staging"))
		if !got.Degraded || !got.RequireApproval || !strings.Contains(got.Reason, row.cause) || !strings.HasSuffix(got.Reason, "; manual approval required") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestDefaultsOfAnEmptyPolicy(t *testing.T) {
	if got := judge(t, "package aianalysis.approval\nx := 1", nil); !got.RequireApproval || got.Degraded || got.Reason != "Approval required by policy" {
		t.Errorf("%+v", got)
	}
	if got := judge(t, "package aianalysis.approval\nrequire_approval := false", nil); got.RequireApproval || got.Reason != "Auto-approved by policy" {
		t.Errorf("%+v", got)
	}
}

func TestRefusedPolicies(t *testing.T) {
	for text, want := range map[string]string{
		"package aianalysis.approval\n\nx := {": "approval.rego:3",
		"package other\nx := 1":                 "package must be aianalysis.approval, not other",
		"":                                      "approval.rego",
		"package aianalysis.approval\nx := http.send({\"method\": \"get\", \"url\": \"http://x\"})": "undefined function http.send",
		"package aianalysis.approval\nx := opa.runtime()":                                           "undefined function opa.runtime",
		"package aianalysis.approval\nx := net.lookup_ip_addr(\"h\")":                               "undefined function net.lookup_ip_addr",
	} {
		if _, err := compile("approval.rego", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "missing.rego"), logr.Discard(), prometheus.NewRegistry()); err == nil || !strings.Contains(err.Error(), "missing.rego") {
		t.Error(err)
	}
}

// The way the kubelet changes a mounted ConfigMap: a new directory, and ..data renamed onto it.
func TestConfigMapSwap(t *testing.T) {
	dir := t.TempDir()
	version := 0
	swap := func(text string) {
		t.Helper()
		version++
		data := filepath.Join(dir, "..v"+string(rune('0'+version)))
		steps := []error{os.Mkdir(data, 0o755), os.WriteFile(filepath.Join(data, "approval.rego"), []byte(text), 0o644),
			os.Symlink(filepath.Base(data), filepath.Join(dir, "..tmp")), os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data"))}
		for _, err := range steps {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	swap("package aianalysis.approval\nreason := \"one\"")
	path := filepath.Join(dir, "approval.rego")
	if err := os.Symlink("..data/approval.rego", path); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path, logr.Discard(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	first, _ := f.Status()
	reason := func() string {
		verdict, err := f.Evaluate(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		return verdict.Reason
	}
	soon := func(what string, there func() bool) {
		t.Helper()
		begun := time.Now()
		until(t, what, there)
		if took := time.Since(begun); took >= 2*time.Second {
			t.Errorf("%s only after %s, 2 s are promised", what, took)
		}
	}
	swap("package aianalysis.approval\nreason := \"two\"") // before the watch stands
	go func() { defer close(done); f.Watch(ctx) }()
	until(t, "two is in force", func() bool { return reason() == "two" })
	swap("package aianalysis.approval\nreason := \"three\"")
	soon("three is in force", func() bool { return reason() == "three" })
	swap("package aianalysis.approval\nreason :=")
	soon("the bad one is refused", func() bool { _, refused := f.Status(); return refused != nil })
	if now, _ := f.Status(); reason() != "three" || now == first {
		t.Errorf("in force: %s %s", reason(), now)
	}
	if n := testutil.ToFloat64(f.reloads.WithLabelValues("failure")); n != 1 {
		t.Errorf("failures: %v", n)
	}
	cancel()
	<-done
}

// until asks again and again: nothing tells that a policy has come into force.
func until(t *testing.T, what string, there func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second) // less than lookAgain: a missed event is seen here
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !there() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not in time: %s", what)
		}
	}
}

// Without a watch the policy is looked at all the same, and nothing ends.
func TestFolderThatCannotBeWatched(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "policies")
	path := filepath.Join(dir, "approval.rego")
	for _, err := range []error{os.Mkdir(dir, 0o755), os.WriteFile(path, []byte("package aianalysis.approval\nx := 1"), 0o644)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	f, err := Open(path, logr.Discard(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f.Watch(ctx) }()
	until(t, "the file is found missing", func() bool { _, refused := f.Status(); return refused != nil })
	cancel()
	<-done
}
