//go:build mage

package main

import "github.com/magefile/mage/mg"

// Deploy applies and waits; it never builds: a missing image is an error.
type Deploy mg.Namespace

var deployOnly = options{noBuild: true, adopt: true}

// deployed are the stages after which the suite could run.
func deployed() []any {
	return []any{at("seed"), at("deploy:datastorage"), at("deploy:mockllm"), at("deploy:holmesgpt"), at("deploy:aianalysis")}
}

// Foundation applies the namespace, CRD, roles, Secrets, PostgreSQL and Redis.
func (Deploy) Foundation() error { return reach("deploy:foundation", deployOnly, at("foundation")) }

// DataStorage deploys Data Storage and seeds the workflow catalog.
func (Deploy) DataStorage() error { return reach("deploy:dataStorage", deployOnly, at("seed")) }

// MockLLM deploys the deterministic language model.
func (Deploy) MockLLM() error { return reach("deploy:mockLLM", deployOnly, at("deploy:mockllm")) }

// HolmesGPT deploys HolmesGPT-API.
func (Deploy) HolmesGPT() error { return reach("deploy:holmesGPT", deployOnly, at("deploy:holmesgpt")) }

// AIAnalysis deploys the AIAnalysis controller.
func (Deploy) AIAnalysis() error {
	return reach("deploy:aiAnalysis", deployOnly, at("deploy:aianalysis"))
}

// All deploys every component.
func (Deploy) All() error { return reach("deploy:all", deployOnly, deployed()...) }

// Service builds, loads and deploys one service.
type Service mg.Namespace

// DataStorage builds, loads and deploys Data Storage.
func (Service) DataStorage() error {
	return reach("service:dataStorage", options{adopt: true}, at("seed"))
}

// HolmesGPT builds, loads and deploys HolmesGPT-API.
func (Service) HolmesGPT() error {
	return reach("service:holmesGPT", options{adopt: true}, at("deploy:holmesgpt"))
}

// AIAnalysis builds, loads and deploys the AIAnalysis controller.
func (Service) AIAnalysis() error {
	return reach("service:aiAnalysis", options{adopt: true}, at("deploy:aianalysis"))
}
