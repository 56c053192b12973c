//go:build mage

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/magefile/mage/mg"

	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// node is one stage of the graph: what it needs, and its deed.
type node struct {
	name, group string
	needs       string // names, apart by spaces
	tokens      map[string]int64
	deadline    time.Duration
	deed        func(ctx context.Context, h *stage.Handle) error
}

// graph is all stages. Whoever needs another waits for that one alone: nothing waits for a phase.
func graph() []node {
	s := current.session
	oneNode := map[string]int64{"node": 1}
	return []node{
		{name: "doctor", group: "doctor", deadline: time.Minute, deed: s.doctor},
		{name: "plan", group: "plan", needs: "doctor", deadline: 3 * time.Minute, deed: plan},
		{name: "build:base", group: "build", needs: "plan", deadline: 20 * time.Minute, deed: base},
		{name: "build:thirdparty", group: "build", needs: "plan", deadline: 20 * time.Minute, deed: thirdParty},
		{name: "build:nodeimage", group: "build", needs: "plan", deadline: 50 * time.Minute, deed: nodeImage},
		{name: "build:datastorage", group: "build", needs: "build:base", deadline: 20 * time.Minute, deed: build("datastorage")},
		{name: "build:holmesgpt", group: "build", needs: "build:base", deadline: 20 * time.Minute, deed: build("holmesgpt-api")},
		{name: "build:aianalysis", group: "build", needs: "build:base", deadline: 20 * time.Minute, deed: build("aianalysis")},
		{name: "build:mockllm", group: "build", needs: "build:base", deadline: 20 * time.Minute, deed: build("mockllm")},
		{name: "cluster:up", group: "cluster", needs: "build:nodeimage", deadline: 12 * time.Minute, deed: up},
		{name: "load:thirdparty", group: "load", needs: "build:thirdparty cluster:up", tokens: oneNode, deadline: 5 * time.Minute, deed: loadThirdParty},
		{name: "load:datastorage", group: "load", needs: "build:datastorage cluster:up", tokens: oneNode, deadline: 5 * time.Minute, deed: load("datastorage")},
		{name: "load:holmesgpt", group: "load", needs: "build:holmesgpt cluster:up", tokens: oneNode, deadline: 5 * time.Minute, deed: load("holmesgpt-api")},
		{name: "load:aianalysis", group: "load", needs: "build:aianalysis cluster:up", tokens: oneNode, deadline: 5 * time.Minute, deed: load("aianalysis")},
		{name: "load:mockllm", group: "load", needs: "build:mockllm cluster:up", tokens: oneNode, deadline: 5 * time.Minute, deed: load("mockllm")},
		{name: "foundation", group: "deploy", needs: "cluster:up load:thirdparty", deadline: 5 * time.Minute, deed: component("foundation")},
		{name: "deploy:datastorage", group: "deploy", needs: "load:datastorage foundation", deadline: 2 * time.Minute, deed: component("datastorage")},
		{name: "deploy:mockllm", group: "deploy", needs: "load:mockllm foundation", deadline: 2 * time.Minute, deed: component("mockllm")},
		{name: "seed", group: "deploy", needs: "deploy:datastorage", deadline: 2 * time.Minute, deed: component("catalog")},
		{name: "deploy:holmesgpt", group: "deploy", needs: "load:holmesgpt foundation", deadline: 2 * time.Minute, deed: component("holmesgpt")},
		{name: "deploy:aianalysis", group: "deploy", needs: "load:aianalysis foundation", deadline: 5 * time.Minute, deed: component("aianalysis")},
		{name: "suite:compile", group: "build", needs: "plan", deadline: 10 * time.Minute, deed: compileSuite},
		{name: "suite:run", group: "suite", needs: "suite:compile seed deploy:datastorage deploy:mockllm deploy:holmesgpt deploy:aianalysis", deadline: 30 * time.Minute, deed: runSuite},
		{name: "test:unit", group: "check", deadline: 30 * time.Minute, deed: unitTests},
		{name: "test:python", group: "check", deadline: 10 * time.Minute, deed: pythonTests},
		{name: "test:integration", group: "check", needs: "build:thirdparty build:nodeimage", deadline: 20 * time.Minute, deed: integrationTests},
		{name: "test:faults", group: "check", needs: "build:thirdparty", deadline: 12 * time.Minute, deed: faultRuns},
		{name: "bench:datastorage", group: "bench", needs: "build:thirdparty", deadline: 30 * time.Minute, deed: benchDataStorage},
		{name: "bench:aianalysis", group: "bench", needs: "build:nodeimage", deadline: 30 * time.Minute, deed: benchAIAnalysis},
		{name: "bench:holmesgpt", group: "bench", needs: "build:holmesgpt", deadline: 30 * time.Minute, deed: benchHolmesGPT},
		{name: "lint", group: "check", deadline: 30 * time.Minute, deed: lint},
		{name: "sbom", group: "check", deadline: 10 * time.Minute, deed: sbom},
		{name: "vulncheck", group: "check", deadline: 10 * time.Minute, deed: vulnerabilities},
		{name: "generate", group: "check", deadline: 15 * time.Minute, deed: generate},
		{name: "verify", group: "check", deadline: 15 * time.Minute, deed: verify},
		{name: "setup", group: "setup", deadline: 15 * time.Minute, deed: s.setup},
	}
}

// do is the one node function: mage keeps each name of a run once, whoever asks.
func do(ctx context.Context, _, name string) error {
	all := graph()
	i := slices.IndexFunc(all, func(n node) bool { return n.name == name })
	if i < 0 {
		return fmt.Errorf("no stage %q in the graph", name)
	}
	n := all[i]
	needs := strings.Fields(n.needs)
	nodes := make([]any, len(needs))
	for j, need := range needs {
		nodes[j] = at(need)
	}
	mg.CtxDeps(ctx, nodes...)
	return current.run.Do(stage.Stage{Name: n.name, Group: n.group, Needs: needs, Tokens: n.tokens, Deadline: n.deadline}, n.deed)
}

// at is the stage as a dependency within the open run: the next target of the same call of mage has a run of its own.
func at(name string) mg.Fn { return mg.F(do, current.id, name) }

// printPlan prints what a stage needs, in an order in which it could run.
func printPlan(s *session, name string, depth int, seen map[string]bool) {
	for _, n := range graph() {
		if n.name != name || seen[name] {
			continue
		}
		seen[name] = true
		for _, need := range strings.Fields(n.needs) {
			printPlan(s, need, depth+1, seen)
		}
		s.print.say("%-8s %-20s needs %s", n.group, n.name, map[bool]string{true: "-", false: n.needs}[n.needs == ""])
	}
}
