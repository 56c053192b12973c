// Package policy evaluates the approval policy, a Rego module, in this process.
//
// It uses OPA's compiler and evaluator directly. The convenience package rego would link a planner and a WebAssembly compiler, more
// than four megabytes that are never run here.
package policy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/kubernaut-ai/kubernaut/internal/aianalysis"
)

const (
	packagePath = "data.aianalysis.approval"
	resultName  = "result"
	degradedEnd = "; manual approval required"
)

// removed are the built-ins that reach out of the process or into it.
var removed = []string{"http.send", "net.lookup_ip_addr", "opa.runtime"}

// prepared is one version of the policy, ready for use by any number of evaluations at once.
type prepared struct {
	compiler *ast.Compiler
	query    ast.Body
	data     storage.Store // empty: the policy decides on its input alone
	sha256   string
}

// compile checks a policy text. The error names file, position and cause.
func compile(file string, text []byte) (*prepared, error) {
	module, err := ast.ParseModuleWithOpts(file, string(text), ast.ParserOptions{RegoVersion: ast.RegoV1, Capabilities: capabilities()})
	if err != nil {
		return nil, fmt.Errorf("compiling approval policy: %w", err)
	}
	if module == nil {
		return nil, fmt.Errorf("compiling approval policy %q: the file is empty", file)
	}
	if have := module.Package.Path.String(); have != packagePath {
		return nil, fmt.Errorf("compiling approval policy %q: line 1: package must be aianalysis.approval, not %s", file, strings.TrimPrefix(have, "data."))
	}
	compiler := ast.NewCompiler().WithCapabilities(capabilities())
	if compiler.Compile(map[string]*ast.Module{file: module}); compiler.Failed() {
		return nil, fmt.Errorf("compiling approval policy: %w", compiler.Errors)
	}
	query, err := compiler.QueryCompiler().Compile(ast.MustParseBody(resultName + " = " + packagePath))
	if err != nil {
		return nil, fmt.Errorf("compiling approval policy: %w", err)
	}
	sum := sha256.Sum256(text)
	return &prepared{compiler: compiler, query: query, data: inmem.New(), sha256: hex.EncodeToString(sum[:])}, nil
}

func capabilities() *ast.Capabilities {
	allowed := ast.CapabilitiesForThisVersion()
	allowed.Builtins = slices.DeleteFunc(allowed.Builtins, func(b *ast.Builtin) bool { return slices.Contains(removed, b.Name) })
	allowed.AllowNet = []string{} // not nil: nil allows every host
	return allowed
}

// evaluate never fails on account of the policy: what it does wrong is a degraded verdict. Only a panic of the engine is an error.
func (p *prepared) evaluate(ctx context.Context, input map[string]any) (verdict aianalysis.Verdict, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			verdict, err = aianalysis.Verdict{SHA256: p.sha256}, fmt.Errorf("policy engine panicked: %v", cause)
		}
	}()
	return p.verdictOf(p.run(ctx, input)), nil
}

// verdictOf reads what an evaluation gave. Whatever is not a clear decision is a degraded one, which requires approval.
func (p *prepared) verdictOf(value any, err error) aianalysis.Verdict {
	switch {
	case err != nil:
		return p.degraded("Policy evaluation failed: " + err.Error())
	case value == nil:
		return p.degraded("Policy gave no result")
	}
	return p.read(value)
}

// run returns the policy's document as plain JSON values, or nil if there is none. It ends with an error when ctx does.
func (p *prepared) run(ctx context.Context, input map[string]any) (any, error) {
	given, err := ast.InterfaceToValue(input)
	if err != nil {
		return nil, fmt.Errorf("reading input: %w", err)
	}
	transaction, err := p.data.NewTransaction(ctx)
	if err != nil {
		return nil, err
	}
	defer p.data.Abort(ctx, transaction)
	cancel := topdown.NewCancel()
	defer context.AfterFunc(ctx, cancel.Cancel)()
	results, err := topdown.NewQuery(p.query).
		WithCompiler(p.compiler).WithStore(p.data).WithTransaction(transaction).
		WithCancel(cancel).WithInput(ast.NewTerm(given)).WithTime(time.Now()).
		Run(ctx)
	if err != nil || len(results) == 0 {
		return nil, err
	}
	return ast.JSON(results[0][ast.Var(resultName)].Value)
}

func (p *prepared) read(value any) aianalysis.Verdict {
	result, ok := value.(map[string]any)
	if !ok {
		return p.degraded("Policy result is not an object")
	}
	verdict := aianalysis.Verdict{RequireApproval: true, SHA256: p.sha256}
	if have, present := result["require_approval"]; present {
		if verdict.RequireApproval, ok = have.(bool); !ok {
			return p.degraded("Policy value require_approval is not a boolean")
		}
	}
	verdict.Reason = "Auto-approved by policy"
	if verdict.RequireApproval {
		verdict.Reason = "Approval required by policy"
	}
	if have, present := result["reason"]; present {
		if verdict.Reason, ok = have.(string); !ok {
			return p.degraded("Policy value reason is not a string")
		}
	}
	rules, _ := result["matched_rules"].([]any) // optional, for people only
	for _, rule := range rules {
		if id, ok := rule.(string); ok {
			verdict.MatchedRules = append(verdict.MatchedRules, id)
		}
	}
	return verdict
}

func (p *prepared) degraded(cause string) aianalysis.Verdict {
	return aianalysis.Verdict{RequireApproval: true, Degraded: true, Reason: cause + degradedEnd, SHA256: p.sha256}
}
