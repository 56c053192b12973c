// Package policy evaluates the approval policy, a Rego module, in this process.
package policy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/kubernaut-ai/kubernaut/internal/aianalysis"
)

const (
	packagePath = "data.aianalysis.approval"
	moduleName  = "approval.rego"
	degradedEnd = "; manual approval required"
)

// removed are the built-ins that reach out of the process or into it.
var removed = []string{"http.send", "net.lookup_ip_addr", "opa.runtime"}

// prepared is one version of the policy, ready for use by any number of evaluations at once.
type prepared struct {
	query  rego.PreparedEvalQuery
	sha256 string
}

// compile checks a policy text. The error names file, position and cause.
func compile(ctx context.Context, file string, text []byte) (*prepared, error) {
	module, err := ast.ParseModuleWithOpts(file, string(text), ast.ParserOptions{RegoVersion: ast.RegoV1, Capabilities: capabilities()})
	if err != nil {
		return nil, fmt.Errorf("compiling approval policy: %w", err)
	}
	if module == nil {
		return nil, fmt.Errorf("compiling approval policy %q: the file is empty", file)
	}
	if have := module.Package.Path.String(); have != packagePath {
		return nil, fmt.Errorf("compiling approval policy %q: line 1: package must be aianalysis.approval, not %s", file, trimData(have))
	}
	query, err := rego.New(
		rego.Query(packagePath), rego.ParsedModule(module), rego.Capabilities(capabilities()), rego.SetRegoVersion(ast.RegoV1),
	).PrepareForEval(ctx)
	if err != nil {
		return nil, fmt.Errorf("compiling approval policy: %w", err)
	}
	sum := sha256.Sum256(text)
	return &prepared{query: query, sha256: hex.EncodeToString(sum[:])}, nil
}

func capabilities() *ast.Capabilities {
	allowed := ast.CapabilitiesForThisVersion()
	allowed.Builtins = slices.DeleteFunc(allowed.Builtins, func(b *ast.Builtin) bool { return slices.Contains(removed, b.Name) })
	allowed.AllowNet = []string{} // not nil: nil allows every host
	return allowed
}

func trimData(path string) string {
	const prefix = "data."
	if len(path) > len(prefix) && path[:len(prefix)] == prefix {
		return path[len(prefix):]
	}
	return path
}

// evaluate never fails on account of the policy: what it does wrong is a degraded verdict. Only a panic of the engine is an error.
func (p *prepared) evaluate(ctx context.Context, input map[string]any) (verdict aianalysis.Verdict, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			verdict, err = aianalysis.Verdict{SHA256: p.sha256}, fmt.Errorf("policy engine panicked: %v", cause)
		}
	}()
	results, err := p.query.Eval(ctx, rego.EvalInput(input), rego.EvalTime(time.Now()))
	if err != nil {
		return p.degraded("Policy evaluation failed: " + err.Error()), nil
	}
	if len(results) == 0 || len(results[0].Expressions) == 0 {
		return p.degraded("Policy gave no result"), nil
	}
	return p.read(results[0].Expressions[0].Value), nil
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
