package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
	"github.com/kubernaut-ai/kubernaut/pkg/engine"
)

// BuildEngine is what a build needs of an engine; *engine.Engine is one.
type BuildEngine interface {
	Store
	Build(ctx context.Context, b engine.Build, log io.Writer) (command.Result, error)
}

// EngineBuilder is the Builder at the bottom: one engine build.
type EngineBuilder struct {
	Engine  BuildEngine
	Planner Planner
	Root    string
	Run     string            // run id, for the label
	Secrets map[string]string // id -> file
	Log     func(ctx context.Context) io.Writer
}

// Build implements Builder.
func (b EngineBuilder) Build(ctx context.Context, p Plan) (Result, error) {
	args := maps.Clone(p.Image.Args)
	if args == nil {
		args = map[string]string{}
	}
	args[p.Image.Base] = p.Inputs["base:"+p.Image.Base]
	if p.Image.Revision != "" {
		args[p.Image.Revision] = p.Digest
	}
	done, err := b.Engine.Build(ctx, engine.Build{
		Dockerfile: filepath.Join(b.Root, p.Image.Dockerfile),
		Ignore:     filepath.Join(b.Root, p.Image.Ignore()),
		Context:    filepath.Join(b.Root, p.Image.Context),
		Tags:       []string{p.Ref, p.Image.Repository() + ":latest"},
		Args:       args,
		Labels:     map[string]string{LabelDigest: p.Digest, LabelImage: p.Image.Name, LabelRun: b.Run},
		Secrets:    b.Secrets,
	}, b.Log(ctx))
	if err != nil {
		return Result{}, err
	}
	found, err := b.Engine.Inspect(ctx, p.Ref)
	if errors.Is(err, engine.ErrNoImage) {
		return Result{}, fmt.Errorf("the engine built %s and does not have it: %w", p.Ref, err)
	}
	if err != nil {
		return Result{}, fmt.Errorf("looking at the built image: %w", err)
	}
	if err := p.Image.fits(found.Size); err != nil {
		return Result{}, err
	}
	if err := b.Planner.Remember(p); err != nil {
		return Result{}, err
	}
	return Result{Ref: p.Ref, ID: found.ID, SizeBytes: found.Size, PeakBytes: done.PeakBytes, Wall: done.Wall}, nil
}
