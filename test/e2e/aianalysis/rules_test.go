//go:build !e2e

// The house rules for specs, held mechanically. The file is built without the
// tag e2e: in the precompiled suite there are no sources to look at.
package aianalysis_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

// disruptiveFiles may hold Ordered containers.
var disruptiveFiles = []string{"shutdown_test.go", "policy_test.go", "fault_test.go", "erroraudit_test.go", "idempotency_test.go"}

func TestSpecsKeepTheRules(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	specs := 0
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasPrefix(file.Name(), "rules") {
			continue
		}
		source, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		found, its, err := check(file.Name(), string(source))
		if err != nil {
			t.Fatal(err)
		}
		specs += its
		for _, breach := range found {
			t.Error(breach)
		}
	}
	if specs < 10 {
		t.Errorf("only %d specs were looked at", specs)
	}
}

func TestRulesCatch(t *testing.T) {
	const whole = `Eventually(ctx, f).WithTimeout(limit(tHappy)).WithPolling(polling).Should(BeTrue(), "x: y")`
	for name, row := range map[string]struct {
		file, body string // of an It unless it begins with a newline
		rule       string // empty: nothing to object to
	}{
		"a good wait":              {body: whole},
		"a still without its span": {body: strings.Replace(whole, "Eventually", "Consistently", 1) + "\n" + `Consistently(ctx, f).WithTimeout(3 * time.Second).WithPolling(polling).Should(BeTrue(), "x")`, rule: "RULE-03"},
		"a still of 3 s":           {body: `Consistently(ctx, f).WithTimeout(3 * time.Second).WithPolling(polling).Should(BeTrue(), "x")`},
		"a still of 4 s":           {body: `Consistently(ctx, f).WithTimeout(4 * time.Second).WithPolling(polling).Should(BeTrue(), "x")`, rule: "RULE-03"},
		"background context":       {body: `g(context.Background())`, rule: "RULE-01"},
		"no context in It":         {body: "\nIt(\"[A-01] x\", func() {})", rule: "RULE-01"},
		"another name for it":      {body: "\nIt(\"[A-01] x\", func(_ SpecContext) {})", rule: "RULE-01"},
		"no context in set-up":     {body: "\nBeforeEach(func() {})", rule: "RULE-01"},
		"no context in clean-up":   {body: `DeferCleanup(func() {})`, rule: "RULE-01"},
		"wait without context":     {body: strings.Replace(whole, "ctx, ", "", 1), rule: "RULE-02"},
		"wait without timeout":     {body: strings.Replace(whole, ".WithTimeout(limit(tHappy))", "", 1), rule: "RULE-02"},
		"wait without polling":     {body: strings.Replace(whole, ".WithPolling(polling)", "", 1), rule: "RULE-02"},
		"wait without message":     {body: strings.Replace(whole, `, "x: y"`, "", 1), rule: "RULE-02"},
		"wait without Should":      {body: strings.Replace(whole, `.Should(BeTrue(), "x: y")`, "", 1), rule: "RULE-02"},
		"sleep":                    {body: `time.Sleep(1)`, rule: "RULE-03"},
		"timer":                    {body: `<-time.After(1)`, rule: "RULE-03"},
		"skip":                     {body: `Skip("x")`, rule: "RULE-04"},
		"pending decorator":        {body: "\nIt(\"[A-01] x\", Pending, func(ctx SpecContext) {})", rule: "RULE-04"},
		"flake attempts":           {body: "\nDescribe(\"x\", FlakeAttempts(3), func() {})", rule: "RULE-04"},
		"focused":                  {body: "\nFIt(\"[A-01] x\", func(ctx SpecContext) {})", rule: "RULE-04"},
		"focused container":        {body: "\nFDescribe(\"x\", func() {})", rule: "RULE-04"},
		"pending node":             {body: "\nPIt(\"[A-01] x\", func(ctx SpecContext) {})", rule: "RULE-04"},
		"ordered":                  {body: "\nDescribe(\"x\", Ordered, func() {})", rule: "RULE-07"},
		"ordered, disruptive":      {file: "policy_test.go", body: "\nDescribe(\"x\", Ordered, func() {})"},
		"shared variable":          {body: "\nDescribe(\"x\", func() { var seeded bool; _ = seeded })", rule: "RULE-08"},
		"shared, short":            {body: "\nDescribe(\"x\", func() { seeded := false; _ = seeded })", rule: "RULE-08"},
		"package variable":         {body: "\n0)\nvar seeded bool\nvar _ = f(0", rule: "RULE-08"},
		"constant in container":    {body: "\nDescribe(\"x\", func() { const n = 1 })"},
		"spec of 61 lines":         {body: strings.Repeat("g()\n", 58), rule: "RULE-13"},
		"spec of 60 lines":         {body: strings.Repeat("g()\n", 57)},
		"spec without id":          {body: "\nIt(\"does x\", func(ctx SpecContext) {})", rule: "RULE-13"},
	} {
		t.Run(name, func(t *testing.T) {
			inner, isWhole := strings.CutPrefix(row.body, "\n")
			if !isWhole {
				inner = "It(\"[A-01] x\", func(ctx SpecContext) {\n" + row.body + "\n})"
			}
			if row.file == "" {
				row.file = "x_test.go"
			}
			found, _, err := check(row.file, "package x\nvar _ = f("+inner+")\n")
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(found, "\n")
			if row.rule == "" && all != "" || !strings.Contains(all, row.rule) {
				t.Errorf("got %q, want %q", all, row.rule)
			}
		})
	}
}

// check lists the breaches of one file, and counts its specs.
func check(name, source string) (breaches []string, specs int, err error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, source, 0)
	if err != nil {
		return nil, 0, err
	}
	r := &rules{set: set, file: name}
	r.packageVariables(file)
	ast.Inspect(file, r.visit)
	return r.breaches, r.specs, nil
}
