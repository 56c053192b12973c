//go:build mage

package main

import (
	"context"

	"github.com/magefile/mage/mg"
)

// Test runs tests.
type Test mg.Namespace

// Unit runs every Go test that needs nothing else, with the race detector.
func (Test) Unit() error { return reach("test:unit", options{}, "test:unit") }

// Python runs the tests of HolmesGPT-API.
func (Test) Python() error { return reach("test:python", options{}, "test:python") }

// Integration runs Go tests against real PostgreSQL, Redis and API server.
func (Test) Integration() error { return reach("test:integration", options{}, "test:integration") }

// Faults stops, kills and starts the stores of the real Data Storage, and finds every acknowledged event.
func (Test) Faults() error { return reach("test:faults", options{}, "test:faults") }

// All runs every test: unit, Python, lint, verify and bills of materials beside the base and node images, then integration, faults and the E2E suite.
func (Test) All() error {
	return enter("test:all", options{teardown: true}, func(ctx context.Context) {
		current.choose(nil, nil, nil, nil)
		mg.CtxDeps(ctx, at("build:nodeimage"), at("test:unit"), at("test:python"), at("lint"), at("verify"), at("sbom"))
		mg.CtxDeps(ctx, at("test:integration"))
		mg.CtxDeps(ctx, at("test:faults")) // alone: it measures how soon the service answers
		mg.CtxDeps(ctx, at("suite:run"))
	})
}

// Lint runs go vet, golangci-lint, ruff and mypy.
func Lint() error { return reach("lint", options{}, "lint") }

// Generate makes every generated file again.
func Generate() error { return reach("generate", options{}, "generate") }

// Verify generates, tidies and formats a copy of the tree, and fails when that changes a file.
func Verify() error { return reach("verify", options{}, "verify") }

// Setup installs what is missing on this host, and nothing else.
func Setup() error { return reach("setup", options{}, "setup") }

// Doctor checks whether this host can run everything, and says how to mend what cannot.
func Doctor() error { return reach("doctor", options{}, "doctor") }
