//go:build mage

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/kubernaut-ai/kubernaut/internal/images"
	"github.com/kubernaut-ai/kubernaut/internal/packages"
	"github.com/kubernaut-ai/kubernaut/pkg/cluster"
	"github.com/kubernaut-ai/kubernaut/pkg/e2e"
	"github.com/kubernaut-ai/kubernaut/pkg/engine"
	"github.com/kubernaut-ai/kubernaut/pkg/image"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// doctor makes the cheap checks and, with what they found, the platform.
func (s *session) doctor(ctx context.Context, h *stage.Handle) error {
	if err := s.configureContainers(); err != nil {
		return err
	}
	e, reason, err := engine.Detect(ctx, s.runner, s.Engine)
	if err != nil {
		return err
	}
	mode, why, err := packages.Choose(ctx, s.Source, packages.Probe)
	if err != nil {
		return err
	}
	s.engine, s.imageSource = e, string(mode)
	s.print.say("engine %s %s (%s)  images %s (%s)  cluster %s", e.Name, e.Version, reason, mode, why, s.Cluster)
	platform, err := s.assemble(e, mode)
	if err != nil {
		return err
	}
	if err := s.judge(h, s.findings(ctx, platform)); err != nil {
		return err
	}
	s.platform = platform
	return nil
}

// configureContainers writes our own containers.conf where this host needs one.
func (s *session) configureContainers() error {
	conf, reasons := s.host.ContainersConf()
	if conf == "" || s.ContainersConf != "" {
		return nil
	}
	file := filepath.Join(s.Cache, "containers.conf")
	if err := os.MkdirAll(s.Cache, 0o755); err != nil {
		return fmt.Errorf("making the cache folder: %w", err)
	}
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		return fmt.Errorf("writing our containers.conf: %w", err)
	}
	for _, reason := range reasons {
		s.print.say("note   %s (own containers.conf in %s)", reason, s.Cache)
	}
	return os.Setenv("CONTAINERS_CONF", file)
}

func (s *session) findings(ctx context.Context, p *e2e.Platform) []engine.Finding {
	found := append(p.Engine.Findings(s.host), engine.Disk(s.Cache))
	return append(found, p.Clusters.Findings(ctx, p.Cluster.Name, p.Cluster.Kind, p.Cluster.Ports, s.host)...)
}

// judge logs all findings, prints those that are not well, and stops at the bad ones.
func (s *session) judge(h *stage.Handle, found []engine.Finding) error {
	var stops []error
	for _, f := range found {
		fmt.Fprintf(h.Log(), "%-4s %s: %s %s\n", f.Level, f.Check, f.Measured, f.Need)
		if s.options.frugal && (f.Check == "memory" || f.Check == "disk") {
			continue
		}
		switch f.Level {
		case engine.Warn:
			s.print.say("warn   %s: %s; needed: %s; mend: %s", f.Check, f.Measured, f.Need, f.Mend)
		case engine.Stop:
			stops = append(stops, fmt.Errorf("%s: %s; needed: %s; mend: %s", f.Check, f.Measured, f.Need, f.Mend))
		}
	}
	h.Note("%d checks", len(found))
	return errors.Join(stops...)
}

func (s *session) clusters(e *engine.Engine) cluster.Options {
	return cluster.Options{Engine: e, Runner: s.runner, State: s.State, Owner: cluster.OwnerOf(s.id, os.Getpid())}
}

// assemble wires the library for this run.
func (s *session) assemble(e *engine.Engine, mode packages.Mode) (*e2e.Platform, error) {
	kind, err := os.ReadFile(filepath.Join(s.root, "config/e2e/kind/aianalysis.yaml"))
	if err != nil {
		return nil, fmt.Errorf("reading the Kind config: %w", err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, fmt.Errorf("no home folder for the kubeconfig: %w", err)
	}
	planner := image.Planner{Store: e, Memory: filepath.Join(s.Cache, "inputs")}
	clusterMode := cluster.Mode(s.Mode)
	if s.options.adopt {
		clusterMode = cluster.Dev
	}
	return &e2e.Platform{
		Root: s.root, Runner: s.runner, Engine: e, Catalog: images.Catalog, NoBuild: s.options.noBuild,
		Sources: sources{&packages.Source{Engine: e, Runner: s.runner, Mode: mode, Cache: s.Cache, Host: s.host, Run: s.id, LookOnly: s.options.noBuild, Progress: func(line string) { s.print.say("       %s", line) }}},
		Source:  image.Source{Root: s.root, Runner: s.runner, Platform: "linux/" + runtime.GOARCH, Toolchain: runtime.Version()},
		Planner: planner, Builder: s.builder(e, planner), Clusters: cluster.New(s.clusters(e)),
		Cluster: cluster.Config{
			Name: s.Cluster, Kind: kind, Ports: cluster.PortMode(s.Ports), Kubeconfig: filepath.Join(home, ".kube", s.Cluster+"-config"), Mode: clusterMode, Expires: time.Now().Add(2 * s.Timeout),
			Limits: cluster.Limits{CgroupV1: s.host.CgroupV1, KeepOOMScore: !s.host.CapSysResource, StaticCNI: mode == packages.Packages},
		},
		Overlay: filepath.Join(s.root, "config/e2e"), Namespace: "kubernaut-system",
	}, nil
}

// builder is one engine build behind what must hold for every build.
func (s *session) builder(e *engine.Engine, planner image.Planner) image.Builder {
	ledger := &image.Ledger{Path: filepath.Join(s.dir, "ledger.jsonl"), Group: "build"}
	if s.Group != "" {
		ledger.Path = filepath.Join(s.Out, "group-"+filepath.Base(s.Group)+".jsonl")
	}
	secrets := map[string]string{}
	if s.CA != "" {
		secrets["ca"] = s.CA
	}
	log := func(ctx context.Context) io.Writer { return stage.From(ctx).Log() }
	bottom := image.EngineBuilder{Engine: e, Planner: planner, Root: s.root, Run: s.id, Secrets: secrets, Log: log}
	return image.Share(image.Limit(image.Record(bottom, ledger, string(e.Name)), s.run.Pools))
}

// removeBuildContainers takes away what a cancelled build left in the engine.
func (s *session) removeBuildContainers(h *stage.Handle) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.engine.RemoveContainers(ctx, image.LabelRun+"="+s.id); err != nil {
		fmt.Fprintf(h.Log(), "removing build containers: %v\n", err)
	}
}
