//go:build mage

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/magefile/mage/mg"

	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// Bench measures, both sides of a ratio in one run.
type Bench mg.Namespace

// DataStorage measures Data Storage against the goals of its page: ingest against raw COPY, queries, memory, drain.
func (Bench) DataStorage() error {
	return reach("bench:dataStorage", options{}, "bench:datastorage")
}

// AIAnalysis measures the controller against the goals of its page: overhead of a step, memory, requests of an analysis.
func (Bench) AIAnalysis() error {
	return reach("bench:aianalysis", options{}, "bench:aianalysis")
}

// HolmesGPT measures HolmesGPT-API against the goals of its page: throughput beside a bare route, overhead around the
// model, start, memory, health of a full pool, scrubbing, image.
func (Bench) HolmesGPT() error {
	return reach("bench:holmesgpt", options{}, "bench:holmesgpt")
}

// errGate is a goal that was missed.
var errGate = errors.New("a goal was missed")

// figures are what a bench leaves in its run folder.
type figures struct {
	Notes []string `json:"notes"`
	Goals []struct {
		Name     string    `json:"name"`
		Unit     string    `json:"unit"`
		Runs     []float64 `json:"runs"`
		Median   float64   `json:"median"`
		Target   float64   `json:"target"`
		AtMost   bool      `json:"atMost"`
		Met      bool      `json:"met"`
		InTheWay string    `json:"inTheWay"`
	} `json:"goals"`
}

func benchDataStorage(ctx context.Context, h *stage.Handle) (err error) {
	s := current.session
	pair, err := s.stores(ctx, "bench", true)
	defer func() { err = errors.Join(err, pair.down()) }()
	if err != nil {
		return err
	}
	out := filepath.Join(s.dir, "bench.json")
	testErr := goTest(ctx, h, append(pair.env, "KUBERNAUT_TEST_ENGINE="+string(s.engine.Name),
		"KUBERNAUT_TEST_POSTGRES_CONTAINER="+pair.postgres.id, "KUBERNAUT_BENCH_OUT="+out),
		"-tags=bench", "-run=^TestBench$", "-count=1", "-timeout=25m", "./cmd/datastorage")
	return s.gate(out, testErr)
}

func benchAIAnalysis(ctx context.Context, h *stage.Handle) (err error) {
	s := current.session
	kubeconfig, down, err := s.apiServer(ctx, h)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, down()) }()
	out := filepath.Join(s.dir, "bench.json")
	testErr := goTest(ctx, h, []string{"KUBERNAUT_TEST_KUBECONFIG=" + kubeconfig, "KUBERNAUT_BENCH_OUT=" + out},
		"-tags=integration,bench", "-run=^TestBench$", "-count=1", "-timeout=25m", "./cmd/aianalysis")
	return s.gate(out, testErr)
}

func benchHolmesGPT(ctx context.Context, h *stage.Handle) error {
	s := current.session
	bin, err := s.python()
	if err != nil {
		return err
	}
	image, err := s.platform.Decide(ctx, "holmesgpt-api")
	if err != nil {
		return err
	}
	out := filepath.Join(s.dir, "bench.json")
	testErr := goTest(ctx, h, []string{"KUBERNAUT_TEST_PYTHON=" + filepath.Join(bin, "python3"), "KUBERNAUT_TEST_ENGINE=" + string(s.engine.Name),
		"KUBERNAUT_BENCH_IMAGE=" + image.Ref, "KUBERNAUT_BENCH_OUT=" + out},
		"-tags=bench", "-run=^TestBench$", "-count=1", "-timeout=25m", "./internal/holmes")
	return s.gate(out, testErr)
}

// gate shows a bench and ends it with errGate if it missed a goal.
func (s *session) gate(out string, testErr error) error {
	missed, err := s.printFigures(out)
	if missed > 0 {
		return errors.Join(fmt.Errorf("%w: %d of them", errGate, missed), testErr, err)
	}
	return errors.Join(testErr, err)
}

// printFigures shows a bench, the spread of several runs beside their median, and tells how many goals it missed.
func (s *session) printFigures(file string) (missed int, err error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("reading the figures: %w", err)
	}
	var all figures
	if err := json.Unmarshal(raw, &all); err != nil {
		return 0, fmt.Errorf("reading the figures: %w", err)
	}
	for _, note := range all.Notes {
		s.print.say("%s", note)
	}
	for _, g := range all.Goals {
		wanted := fmt.Sprintf("at least %g", g.Target)
		switch {
		case g.AtMost:
			wanted = fmt.Sprintf("at most %g", g.Target)
		case g.Target == 0:
			wanted = "-"
		}
		if !g.Met {
			missed++
			wanted += "  MISSED"
		}
		spread := ""
		if len(g.Runs) > 1 {
			spread = fmt.Sprintf("(%.3f .. %.3f)", slices.Min(g.Runs), slices.Max(g.Runs))
		}
		s.print.say("%-52s %12.3f %-7s %-22s %s", g.Name, g.Median, g.Unit, spread, wanted)
		if g.InTheWay != "" {
			s.print.say("    in the way: %s", g.InTheWay)
		}
	}
	return missed, nil
}
