//go:build mage

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/magefile/mage/mg"
)

// Images builds container images.
type Images mg.Namespace

// DataStorage builds the Data Storage image, or says why it need not.
func (Images) DataStorage() error {
	return reach("images:dataStorage", options{}, "build:datastorage")
}

// HolmesGPT builds the HolmesGPT-API image, or says why it need not.
func (Images) HolmesGPT() error { return reach("images:holmesGPT", options{}, "build:holmesgpt") }

// AIAnalysis builds the AIAnalysis controller image, or says why it need not.
func (Images) AIAnalysis() error {
	return reach("images:aiAnalysis", options{}, "build:aianalysis")
}

// MockLLM builds the suite's deterministic language model.
func (Images) MockLLM() error { return reach("images:mockLLM", options{}, "build:mockllm") }

// All builds the three product images in parallel.
func (Images) All() error {
	return enter("images:all", options{}, func(ctx context.Context) {
		mg.CtxDeps(ctx, Images.DataStorage, Images.HolmesGPT, Images.AIAnalysis)
	})
}

// Base makes all base images; without a registry also PostgreSQL, Redis and the Kind node image.
func (Images) Base() error {
	return reach("images:base", options{}, "build:base", "build:thirdparty", "build:nodeimage")
}

// Explain says what decides an image's name, and what would be done now.
func (Images) Explain(name string) error {
	return enter("images:explain", options{}, func(ctx context.Context) {
		mg.CtxDeps(ctx, at("build:base"))
		p, err := current.platform.Decide(ctx, name)
		if err != nil {
			panic(usageError{err})
		}
		current.print.say("%s\n  digest   %s\n  inputs   %d\n  reuse    %v\n  reason   %s", p.Ref, p.Digest, len(p.Inputs), p.Reuse, p.Reason)
	})
}

// List shows each image of the catalog: what is there, how large, and whether it is current.
func (Images) List() error {
	return enter("images:list", options{}, func(ctx context.Context) {
		mg.CtxDeps(ctx, at("build:base"))
		for _, img := range current.platform.Catalog {
			p, err := current.platform.Decide(ctx, img.Name)
			if err != nil {
				panic(err)
			}
			state := map[bool]string{true: "built", false: "missing"}[p.Reuse]
			current.print.say("%s", strings.TrimRight(fmt.Sprintf("%-14s %-52s %-8s %6.1f MB  %s", img.Name, p.Ref, state, float64(p.Size)/1e6, p.Reason), " "))
		}
	})
}
