package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/kubernaut-ai/kubernaut/pkg/engine"
	"github.com/kubernaut-ai/kubernaut/pkg/image"
	"github.com/kubernaut-ai/kubernaut/pkg/report"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// Plan reads the inputs of every image of the catalog. An image whose inputs
// cannot be read fails when it is decided upon, so that it holds up no other.
func (p *Platform) Plan(ctx context.Context, h *stage.Handle) error {
	all, failed := make([]image.Inputs, len(p.Catalog)), make([]error, len(p.Catalog))
	var group errgroup.Group
	for i, img := range p.Catalog {
		group.Go(func() error {
			all[i], failed[i] = p.Source.Inputs(ctx, img)
			return nil
		})
	}
	if err := errors.Join(group.Wait(), context.Cause(ctx)); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inputs, p.unread = map[string]image.Inputs{}, map[string]error{}
	files := 0
	for i, img := range p.Catalog {
		if failed[i] != nil {
			p.unread[img.Name] = failed[i]
			fmt.Fprintln(h.Log(), failed[i])
			continue
		}
		p.inputs[img.Name] = all[i]
		for key := range all[i] {
			if strings.HasPrefix(key, "file:") {
				files++
			}
		}
		fmt.Fprintf(h.Log(), "%s: %d inputs, source digest %.12s\n", img.Name, len(all[i]), all[i].Digest())
	}
	h.Note("%d images, %d files read", len(p.inputs), files)
	return nil
}

// Digests are the source digests that Plan found, by image; base images are not yet in them.
func (p *Platform) Digests() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[string]string{}
	for name, inputs := range p.inputs {
		all[name] = inputs.Digest()
	}
	return all
}

// Decide plans one image against the store; Plan and Base must be done.
func (p *Platform) Decide(ctx context.Context, name string) (image.Plan, error) {
	img, err := p.image(name)
	if err != nil {
		return image.Plan{}, err
	}
	p.mu.Lock()
	inputs, base, unread := p.inputs[name], p.bases[img.Base], p.unread[name]
	p.mu.Unlock()
	if unread != nil {
		return image.Plan{}, unread
	}
	if base == "" {
		return image.Plan{}, fmt.Errorf("no base image for %s of image %s", img.Base, name)
	}
	plan, err := p.Planner.Plan(ctx, img, inputs, base)
	if err != nil {
		return image.Plan{}, err
	}
	p.mu.Lock()
	if p.plans == nil {
		p.plans = map[string]image.Plan{}
	}
	p.plans[name] = plan
	p.mu.Unlock()
	p.reference(map[string]string{img.Repository(): plan.Ref})
	return plan, nil
}

// Build builds one image, or says why it need not.
func (p *Platform) Build(ctx context.Context, h *stage.Handle, name string) error {
	plan, err := p.Decide(ctx, name)
	if err != nil {
		return err
	}
	row := report.Image{Name: name, Reference: plan.Ref, InputDigest: plan.Digest, Reason: plan.Reason, Attempts: []report.Attempt{}}
	if plan.Reuse {
		row.Decision, row.Cache, row.ImageID, row.SizeBytes = "reuse", "reused", plan.ID, plan.Size
		p.addImage(row)
		h.Skip("reuse: %s", plan.Reason)
		return nil
	}
	if p.NoBuild {
		return &MissingImageError{Image: name, Reason: plan.Reason}
	}
	row.Decision, row.Cache = "build", "warm"
	switch plan.Reason {
	case image.ReasonFirst:
		row.Cache = "cold"
	case image.ReasonGone: // nobody knows what else went with it
		row.Cache = "unknown"
	}
	h.Say("%s", plan.Reason)
	result, err := p.Builder.Build(ctx, plan)
	row.ImageID, row.SizeBytes, row.PeakBytes, row.Seconds = result.ID, result.SizeBytes, result.PeakBytes, result.Wall.Seconds()
	attempt := report.Attempt{Result: "built"}
	if err != nil {
		attempt = report.Attempt{Result: "failed", Fault: string(engine.Classify(err))}
	}
	row.Attempts = append(row.Attempts, attempt)
	p.addImage(row)
	if err != nil {
		return err
	}
	h.Note("%s; %.1f MB", plan.Reason, float64(result.SizeBytes)/1e6)
	return nil
}

func (p *Platform) addImage(row report.Image) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.images = append(p.images, row)
}
