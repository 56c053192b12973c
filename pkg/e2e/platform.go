// Package e2e is the library's face for a service team: a Platform builds,
// loads and deploys what a suite needs, one method a stage. It is thin: all it
// knows is the order of calls into the other packages.
package e2e

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/kubernaut-ai/kubernaut/pkg/cluster"
	"github.com/kubernaut-ai/kubernaut/pkg/command"
	"github.com/kubernaut-ai/kubernaut/pkg/deploy"
	"github.com/kubernaut-ai/kubernaut/pkg/engine"
	"github.com/kubernaut-ai/kubernaut/pkg/image"
	"github.com/kubernaut-ai/kubernaut/pkg/report"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// Sources gives the images that are not built from the source tree. Each call
// is quick when nothing is missing.
type Sources interface {
	// Base gives the base images: build argument -> reference.
	Base(ctx context.Context, log io.Writer) (map[string]string, error)
	// ThirdParty gives images that are run as they are: repository in the manifests -> reference.
	ThirdParty(ctx context.Context, log io.Writer) (map[string]string, error)
	// Node gives the Kind node image.
	Node(ctx context.Context, log io.Writer) (string, error)
}

// Platform is what one run works with. The fields are set once, before the
// first call; the methods are safe for concurrent use.
type Platform struct {
	Root      string // source tree
	Runner    command.Runner
	Engine    *engine.Engine
	Sources   Sources
	Catalog   []image.Image
	Source    image.Source
	Planner   image.Planner
	Builder   image.Builder
	Clusters  *cluster.Clusters
	Cluster   cluster.Config
	Overlay   string // folder with one kustomization for each component
	Namespace string
	NoBuild   bool // a missing image is an error that names its target

	mu       sync.Mutex
	inputs   map[string]image.Inputs
	unread   map[string]error // images whose inputs could not be read
	bases    map[string]string
	third    map[string]string
	refs     map[string]string // repository in the manifests -> reference
	plans    map[string]image.Plan
	cluster  *cluster.Cluster
	action   cluster.Action
	client   *deploy.Client
	observer *deploy.Observer
	images   []report.Image
	loads    []report.Load
	specs    []report.Spec
	notes    []string
}

// MissingImageError says that a stage which may not build has no image.
type MissingImageError struct {
	Image, Reason string
}

func (e *MissingImageError) Error() string {
	return fmt.Sprintf("image %s is not in the engine's store for this source tree (%s): build it first", e.Image, e.Reason)
}

// Facts are what a report says of images, loads and specs.
func (p *Platform) Facts(r *report.Run) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.Images = append([]report.Image{}, p.images...)
	r.Loads = append([]report.Load{}, p.loads...)
	r.Specs = append([]report.Spec{}, p.specs...)
	r.Notes = append(r.Notes, p.notes...)
}

// Standing is the cluster of this run, nil before Up, and what Up did.
func (p *Platform) Standing() (*cluster.Cluster, cluster.Action) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cluster, p.action
}

func (p *Platform) note(lines ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notes = append(p.notes, lines...)
}

func (p *Platform) image(name string) (image.Image, error) {
	i := slices.IndexFunc(p.Catalog, func(img image.Image) bool { return img.Name == name })
	if i < 0 {
		return image.Image{}, fmt.Errorf("no image %q in the catalog", name)
	}
	return p.Catalog[i], nil
}

// reference records what a repository of the manifests stands for in this run.
func (p *Platform) reference(refs map[string]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refs == nil {
		p.refs = map[string]string{}
	}
	maps.Copy(p.refs, refs)
}

func (p *Platform) references() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.refs)
}

// Base makes the base images ready.
func (p *Platform) Base(ctx context.Context, h *stage.Handle) error {
	bases, err := p.Sources.Base(ctx, h.Log())
	if err != nil {
		return fmt.Errorf("base images: %w", err)
	}
	p.mu.Lock()
	p.bases = bases
	p.mu.Unlock()
	return nil
}

// ThirdParty makes the images ready that are run as they are.
func (p *Platform) ThirdParty(ctx context.Context, h *stage.Handle) error {
	refs, err := p.Sources.ThirdParty(ctx, h.Log())
	if err != nil {
		return fmt.Errorf("third-party images: %w", err)
	}
	p.mu.Lock()
	p.third = refs
	p.mu.Unlock()
	p.reference(refs)
	return nil
}

// Node makes the Kind node image ready.
func (p *Platform) Node(ctx context.Context, h *stage.Handle) error {
	ref, err := p.Sources.Node(ctx, h.Log())
	if err != nil {
		return fmt.Errorf("node image: %w", err)
	}
	p.mu.Lock()
	p.Cluster.NodeImage = ref
	p.mu.Unlock()
	return nil
}

func sorted(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// Reference is what a repository of the manifests stands for in this run; empty before it is built.
func (p *Platform) Reference(repository string) string { return p.references()[repository] }
