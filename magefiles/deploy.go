//go:build mage

package main

import "github.com/magefile/mage/mg"

// Deploy applies and waits; it never builds: a missing image is an error.
type Deploy mg.Namespace

var deployOnly = options{noBuild: true, adopt: true}

// deployed are the stages after which the suite could run.
func deployed() []string {
	return []string{"seed", "deploy:datastorage", "deploy:mockllm", "deploy:holmesgpt", "deploy:aianalysis"}
}

// Foundation applies the namespace, CRD, roles, Secrets, PostgreSQL and Redis.
func (Deploy) Foundation() error { return reach("deploy:foundation", deployOnly, "foundation") }

// DataStorage deploys Data Storage and seeds the workflow catalog.
func (Deploy) DataStorage() error { return reach("deploy:dataStorage", deployOnly, "seed") }

// MockLLM deploys the deterministic language model.
func (Deploy) MockLLM() error { return reach("deploy:mockLLM", deployOnly, "deploy:mockllm") }

// HolmesGPT deploys HolmesGPT-API.
func (Deploy) HolmesGPT() error { return reach("deploy:holmesGPT", deployOnly, "deploy:holmesgpt") }

// AIAnalysis deploys the AIAnalysis controller.
func (Deploy) AIAnalysis() error {
	return reach("deploy:aiAnalysis", deployOnly, "deploy:aianalysis")
}

// All deploys every component.
func (Deploy) All() error { return reach("deploy:all", deployOnly, deployed()...) }

// Service builds, loads and deploys one service.
type Service mg.Namespace

// DataStorage builds, loads and deploys Data Storage.
func (Service) DataStorage() error {
	return reach("service:dataStorage", options{adopt: true}, "seed")
}

// HolmesGPT builds, loads and deploys HolmesGPT-API.
func (Service) HolmesGPT() error {
	return reach("service:holmesGPT", options{adopt: true}, "deploy:holmesgpt")
}

// AIAnalysis builds, loads and deploys the AIAnalysis controller.
func (Service) AIAnalysis() error {
	return reach("service:aiAnalysis", options{adopt: true}, "deploy:aianalysis")
}
