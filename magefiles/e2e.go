//go:build mage

package main

import (
	"context"
	"runtime"

	"github.com/magefile/mage/mg"

	"github.com/kubernaut-ai/kubernaut/pkg/e2e"
)

// E2E runs suites on a real Kind cluster.
type E2E mg.Namespace

// AIAnalysis builds, deploys and tests everything; without -label every spec that is not disruptive.
func (E2E) AIAnalysis(focus, label *string, procs *int, keep *string, plan *bool) error {
	return enter("e2e:aianalysis", options{teardown: true}, func(ctx context.Context) {
		current.choose(focus, label, procs, keep)
		if plan != nil && *plan {
			printPlan(current.session, "suite:run", 0, map[string]bool{})
			return
		}
		mg.CtxDeps(ctx, Images.DataStorage, Images.HolmesGPT, Images.AIAnalysis, Images.MockLLM, at("suite:run"))
	})
}

// Up brings everything up except the suite; the cluster stays.
func (E2E) Up() error { return reach("e2e:up", options{}, deployed()...) }

// Test runs the suite against what stands, bringing up what is missing but building nothing.
func (E2E) Test(focus, label *string, procs *int) error {
	return enter("e2e:test", options{noBuild: true, adopt: true, frugal: true}, func(ctx context.Context) {
		current.choose(focus, label, procs, nil)
		mg.CtxDeps(ctx, at("suite:run"))
	})
}

// Down removes our cluster.
func (E2E) Down() error { return Cluster{}.Down() }

// suiteOf is the suite of the AIAnalysis controller; the URLs are flags of the suite and node ports.
func suiteOf(ginkgo string) e2e.Suite {
	return e2e.Suite{
		Ginkgo: ginkgo, Package: "./test/e2e/aianalysis", Tags: "e2e", Label: "!disruptive", Procs: min(4, 2*runtime.NumCPU()),
		URLs: map[string]int32{"health-url": 30284, "metrics-url": 30184, "holmesgpt-url": 30088, "datastorage-url": 30081},
	}
}

// choose takes a target's flags into the run; what is not given keeps its default.
func (s *session) choose(focus, label *string, procs *int, keep *string) {
	s.suite = suiteOf("")
	s.suite.Strict = s.Mode == "ci"
	if focus != nil {
		s.suite.Focus = *focus
	}
	if label != nil {
		s.suite.Label = *label
	}
	if procs != nil {
		s.suite.Procs = *procs
	}
	if keep != nil {
		s.Keep = *keep
		if _, err := keepSpan(s.Keep, true); err != nil {
			panic(usageError{err})
		}
	}
}
