package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/deploy"
	"github.com/kubernaut-ai/kubernaut/pkg/report"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// Up makes or adopts the cluster and connects to it.
func (p *Platform) Up(ctx context.Context, h *stage.Handle) error {
	standing, did, err := p.Clusters.Ensure(ctx, p.Cluster, h.Log())
	for _, reason := range did.Reasons {
		did.Notes = append(did.Notes, "cluster recreated: "+reason)
	}
	p.note(did.Notes...)
	for _, note := range did.Notes {
		h.Say("%s", note)
	}
	if err != nil {
		return err
	}
	client, err := deploy.Connect(standing.Kubeconfig, "")
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.cluster, p.action, p.client = standing, did.Action, client
	p.mu.Unlock()
	h.Note("%s, %d node Ready, Kubernetes %s", did.Action, len(standing.Nodes), standing.Kubernetes)
	return nil
}

// Load brings one image of the catalog to the nodes that lack it.
func (p *Platform) Load(ctx context.Context, h *stage.Handle, name string) error {
	p.mu.Lock()
	plan, planned := p.plans[name]
	p.mu.Unlock()
	if !planned {
		return fmt.Errorf("image %q was not planned", name)
	}
	return p.load(ctx, h, plan.Ref)
}

// LoadThirdParty does the same for the images that are run as they are.
func (p *Platform) LoadThirdParty(ctx context.Context, h *stage.Handle) error {
	p.mu.Lock()
	refs := slices.Sorted(maps.Values(p.third))
	p.mu.Unlock()
	return p.load(ctx, h, refs...)
}

func (p *Platform) load(ctx context.Context, h *stage.Handle, refs ...string) error {
	standing, _ := p.Standing()
	results, err := standing.Load(ctx, refs...)
	var sent int64
	rows := make([]report.Load, 0, len(results))
	for _, r := range results {
		sent += r.BytesSent
		rows = append(rows, report.Load{Image: r.Image, Node: r.Node, Method: string(r.Method), BytesSent: r.BytesSent, Seconds: r.Seconds, Verified: r.Verified})
	}
	p.mu.Lock()
	p.loads = append(p.loads, rows...)
	p.mu.Unlock()
	if err != nil {
		return err
	}
	if sent == 0 {
		h.Skip("present on every node")
		return nil
	}
	h.Note("%.1f MB sent, verified", float64(sent)/1e6)
	return nil
}

// Keep says until when the standing cluster may stay, and gives that time.
func (p *Platform) Keep(span time.Duration) (time.Time, error) {
	until := time.Now().Add(span)
	return until, p.Clusters.Expire(p.Cluster.Name, until)
}

// Down deletes the cluster; nothing there is no error.
func (p *Platform) Down(ctx context.Context, h *stage.Handle) error {
	if err := p.Clusters.Delete(ctx, p.Cluster.Name); err != nil {
		return err
	}
	h.Note("cluster %s is gone", p.Cluster.Name)
	return nil
}
