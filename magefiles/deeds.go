//go:build mage

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/kubernaut-ai/kubernaut/internal/packages"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

type deed = func(ctx context.Context, h *stage.Handle) error

func base(ctx context.Context, h *stage.Handle) error {
	return cleared(ctx, h, current.platform.Base(ctx, h))
}

func thirdParty(ctx context.Context, h *stage.Handle) error {
	return cleared(ctx, h, current.platform.ThirdParty(ctx, h))
}

func nodeImage(ctx context.Context, h *stage.Handle) error {
	return cleared(ctx, h, current.platform.Node(ctx, h))
}

func up(ctx context.Context, h *stage.Handle) error { return current.platform.Up(ctx, h) }

// cleared takes away what a cancelled build left in the engine.
func cleared(ctx context.Context, h *stage.Handle, err error) error {
	if ctx.Err() != nil {
		current.removeBuildContainers(h)
	}
	return err
}

// plan reads all inputs and leaves their digests as plan.json.
func plan(ctx context.Context, h *stage.Handle) error {
	if err := current.platform.Plan(ctx, h); err != nil {
		return err
	}
	return current.writeJSON("plan.json", map[string]any{"sourceDigests": current.platform.Digests()})
}

func (s *session) writeJSON(name string, value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", name, err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, name), append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

func loadThirdParty(ctx context.Context, h *stage.Handle) error {
	return current.platform.LoadThirdParty(ctx, h)
}

func build(image string) deed {
	return func(ctx context.Context, h *stage.Handle) error {
		return cleared(ctx, h, current.platform.Build(ctx, h, image))
	}
}

func load(image string) deed {
	return func(ctx context.Context, h *stage.Handle) error { return current.platform.Load(ctx, h, image) }
}

func component(name string) deed {
	return func(ctx context.Context, h *stage.Handle) error { return current.platform.Deploy(ctx, h, name) }
}

func compileSuite(ctx context.Context, h *stage.Handle) (err error) {
	if current.suite.Ginkgo, err = tool(ctx, "", "ginkgo"); err != nil {
		return err
	}
	return current.platform.Compile(ctx, h, current.suite, current.dir)
}

func runSuite(ctx context.Context, h *stage.Handle) error {
	if err := current.writeEnv(); err != nil {
		return err
	}
	return current.platform.Test(ctx, h, current.suite, current.dir)
}

// writeEnv writes env.json: what a person needs to reach the cluster of this run.
func (s *session) writeEnv() error {
	standing, _ := s.platform.Standing()
	urls := map[string]string{}
	for flag, port := range s.suite.URLs {
		urls[flag] = fmt.Sprintf("http://127.0.0.1:%d", standing.Ports[port])
	}
	return s.writeJSON("env.json", map[string]any{"cluster": standing.Name, "kubeconfig": standing.Kubeconfig, "ports": standing.Ports, "urls": urls})
}

// sources fits internal/packages to what a platform asks for.
type sources struct{ *packages.Source }

func (s sources) ThirdParty(ctx context.Context, log io.Writer) (map[string]string, error) {
	refs, err := s.Source.ThirdParty(ctx, log)
	byRepository := map[string]string{}
	for name, ref := range refs {
		byRepository["localhost/kubernaut-"+name] = ref
	}
	return byRepository, err
}
