package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/engine"
)

// Plan is what has to be done for one image, and why.
type Plan struct {
	Image  Image
	Inputs Inputs // base images included
	Digest string
	Ref    string // repository:h-<12 hex of the digest>
	Reuse  bool
	Reason string // since when it is there, or why it must be built
	ID     string // of the image that is reused
	Size   int64  // bytes, of the same
}

// Store looks images up; *engine.Engine is one.
type Store interface {
	Inspect(ctx context.Context, ref string) (engine.Image, error)
}

// Planner decides between reuse and build.
type Planner struct {
	Store  Store
	Memory string // folder that keeps the inputs of each image's last build, for the reason
}

// Plan decides for one image. base is what the image's base argument becomes:
// a reference that names its content.
func (p Planner) Plan(ctx context.Context, img Image, source Inputs, base string) (Plan, error) {
	in := maps.Clone(source)
	in["base:"+img.Base] = base
	digest := in.Digest()
	plan := Plan{Image: img, Inputs: in, Digest: digest, Ref: img.Repository() + ":h-" + digest[:12]}
	found, err := p.Store.Inspect(ctx, plan.Ref)
	switch {
	case errors.Is(err, engine.ErrNoImage):
		plan.Reason, err = p.changed(img, in)
	case err != nil:
	case found.Labels[LabelDigest] != digest || found.Labels[LabelImage] != img.Name:
		plan.Reason = "the image under this tag is not ours: its label has another digest"
	default:
		err = img.fits(found.Size) // a build that was refused for its size has left the image behind
		plan.Reuse, plan.ID, plan.Size = true, found.ID, found.Size
		plan.Reason = "unchanged since " + found.Created.UTC().Format(time.RFC3339)
	}
	if err != nil {
		return Plan{}, fmt.Errorf("planning image %s: %w", img.Name, err)
	}
	return plan, nil
}

func (p Planner) memory(img Image) string { return filepath.Join(p.Memory, img.Name+".json") }

// changed compares with the last build's inputs.
func (p Planner) changed(img Image, now Inputs) (string, error) {
	data, err := os.ReadFile(p.memory(img))
	if errors.Is(err, os.ErrNotExist) {
		return ReasonFirst, nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the last inputs: %w", err)
	}
	var before Inputs
	if json.Unmarshal(data, &before) != nil {
		return "first build (the record of the last one is unreadable)", nil
	}
	return Difference(img, before, now), nil
}

// Remember keeps the inputs of a build that ended well.
func (p Planner) Remember(plan Plan) error {
	data, err := json.Marshal(plan.Inputs)
	if err != nil {
		return fmt.Errorf("encoding inputs: %w", err)
	}
	if err := os.MkdirAll(p.Memory, 0o755); err != nil {
		return fmt.Errorf("keeping the inputs of %s: %w", plan.Image.Name, err)
	}
	temp := p.memory(plan.Image) + ".new"
	if err := os.WriteFile(temp, data, 0o644); err != nil {
		return fmt.Errorf("keeping the inputs of %s: %w", plan.Image.Name, err)
	}
	if err := os.Rename(temp, p.memory(plan.Image)); err != nil {
		return fmt.Errorf("keeping the inputs of %s: %w", plan.Image.Name, err)
	}
	return nil
}

// Reasons to build that no input explains.
const (
	ReasonFirst = "first build"
	ReasonGone  = "image gone from the store"
)

// Difference says in one line what changed: up to three names and a count.
func Difference(img Image, before, now Inputs) string {
	var files, others []string
	for _, key := range slices.Sorted(maps.Keys(merged(before, now))) {
		if before[key] == now[key] {
			continue
		}
		kind, name, _ := strings.Cut(key, ":")
		switch {
		case kind == "file" && name == img.Dockerfile:
			others = append(others, "Dockerfile")
		case kind == "file":
			files = append(files, name)
		case name == "":
			others = append(others, kind)
		default:
			others = append(others, kind+" "+name)
		}
	}
	if len(files)+len(others) == 0 {
		return ReasonGone
	}
	all := append(others, files...)
	text := "changed: " + strings.Join(all[:min(3, len(all))], ", ")
	if more := len(all) - 3; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func merged(a, b Inputs) Inputs {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}
