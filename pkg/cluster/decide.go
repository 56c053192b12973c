package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
)

// plan is what Ensure is going to do.
type plan struct {
	action  Action
	reasons []string
	old     *Record // what was written down of the cluster that stands
	want    Record  // what will be, but for phase, ports and nodes
	config  *v1alpha4.Cluster
	table   []Port
}

func (p plan) kubeconfig(cfg Config) string {
	if p.old != nil {
		return p.old.Kubeconfig
	}
	return cfg.Kubeconfig
}

// plan looks, decides, and claims the name for this run before anybody else can.
func (c *Clusters) plan(ctx context.Context, cfg Config) (plan, error) {
	var p plan
	if err := c.check(cfg); err != nil {
		return p, err
	}
	config, table, err := render(cfg)
	if err != nil {
		return p, err
	}
	if err := free(cfg.Kubeconfig, cfg.Name); err != nil {
		return p, err
	}
	image, err := c.engine.Inspect(ctx, cfg.NodeImage)
	if err != nil {
		return p, fmt.Errorf("node image: %w", err)
	}
	p.config, p.table = config, table
	p.want = Record{
		Name: cfg.Name, ID: c.owner.RunID, Owner: c.owner, Mode: cfg.Mode, Engine: string(c.engine.Name), Expires: cfg.Expires.UTC(),
		ConfigHash: hash(config), NodeImage: cfg.NodeImage, ImageID: image.ID, Kubeconfig: cfg.Kubeconfig,
	}
	err = c.locked(cfg.Name, func() error {
		f, err := c.facts(ctx, cfg.Name)
		if err != nil {
			return err
		}
		if err := f.owned(cfg.Name); err != nil {
			return err
		}
		p.old = f.record
		p.action, p.reasons = f.decide(p.want, cfg.Ports, table, time.Now())
		claim := p.want
		claim.Phase, claim.Started = creating, time.Now().UTC()
		if p.old != nil {
			claim = *p.old // still describes the containers that stand
			claim.Owner = c.owner
		}
		return c.write(claim)
	})
	return p, err
}

func (c *Clusters) check(cfg Config) error {
	if cfg.Name == "" || strings.ContainsAny(cfg.Name, "/\\ ") || cfg.NodeImage == "" || cfg.Kubeconfig == "" || c.owner.RunID == "" {
		return fmt.Errorf("a cluster needs a plain name, a node image, a kubeconfig file and a run id: got %q, %q, %q, %q", cfg.Name, cfg.NodeImage, cfg.Kubeconfig, c.owner.RunID)
	}
	if len(c.engine.Global) > 0 {
		return fmt.Errorf("kind calls %s itself and cannot be given its options %v", c.engine.Name, c.engine.Global)
	}
	return nil
}

// facts is what is known about a name.
type facts struct {
	record *Record
	nodes  []container
	self   Owner
	alive  bool // the record's owner
}

func (c *Clusters) facts(ctx context.Context, name string) (facts, error) {
	rec, err := c.read(name)
	if err != nil {
		return facts{}, err
	}
	nodes, err := c.containers(ctx, name)
	if err != nil {
		return facts{}, err
	}
	return facts{record: rec, nodes: nodes, self: c.owner, alive: rec != nil && rec.Owner.Alive()}, nil
}

// owned is nil when this run may do with the name as it likes.
func (f facts) owned(name string) error {
	switch {
	case f.record == nil && len(f.nodes) == 0:
		return nil
	case f.record == nil:
		return fmt.Errorf("cluster %q: %w: container %s of %s has no record of ours: delete it yourself (kind delete cluster --name %s) or choose another name",
			name, ErrNotOurs, f.nodes[0].Name, f.nodes[0].Created.Format(time.DateTime), name)
	case f.alive && !f.record.Owner.same(f.self):
		return fmt.Errorf("cluster %q: %w: %s has it now, until %s: wait for it or choose another name", name, ErrNotOurs, f.record.Owner, f.record.Expires.Format(time.DateTime))
	}
	for _, n := range f.nodes {
		if !f.record.made(n) {
			return fmt.Errorf("cluster %q: %w: container %s (%s) of %s is not the one that %s made: delete it yourself or choose another name",
				name, ErrNotOurs, n.Name, short(n.ID), n.Created.Format(time.DateTime), f.record.Owner)
		}
	}
	return nil
}

// clockSlack is how far an engine's clock (a virtual machine's) may be behind ours.
const clockSlack = 5 * time.Second

// made tells whether a container is the record's: by its id, and while the
// cluster was being made by image and time.
func (r *Record) made(n container) bool {
	if r.Phase == creating {
		return n.ImageID == r.ImageID && !n.Created.Before(r.Started.Add(-clockSlack))
	}
	return slices.ContainsFunc(r.Nodes, func(node Node) bool { return node.ID == n.ID })
}

// decide says what to do with a name that is ours to use.
func (f facts) decide(want Record, mode PortMode, table []Port, now time.Time) (Action, []string) {
	if len(f.nodes) == 0 {
		return Created, nil
	}
	old := f.record
	sameRun := old.Owner.same(f.self)
	var reasons []string
	add := func(differs bool, format string, args ...any) {
		if differs {
			reasons = append(reasons, fmt.Sprintf(format, args...))
		}
	}
	add(old.Phase == creating, "half made by %s", old.Owner)
	add(want.Mode == CI && !sameRun, "mode ci uses no cluster of another run (%s)", old.Owner.RunID)
	add(!sameRun && !old.Expires.IsZero() && now.After(old.Expires), "expired at %s", old.Expires.Format(time.DateTime))
	add(old.ImageID != want.ImageID, "node image %s is now %s", short(old.ImageID), short(want.ImageID))
	add(old.ConfigHash != want.ConfigHash, "kind config %s is now %s", short(old.ConfigHash), short(want.ConfigHash))
	add(old.Engine != want.Engine, "engine %s is now %s", old.Engine, want.Engine)
	add(old.Kubeconfig != want.Kubeconfig, "kubeconfig %s is now %s", old.Kubeconfig, want.Kubeconfig)
	add(mode == Fixed && !maps.Equal(old.Ports, fixed(table)), "host ports %v are not the fixed ones", slices.Sorted(maps.Values(old.Ports)))
	for _, node := range old.Nodes {
		i := slices.IndexFunc(f.nodes, func(n container) bool { return n.ID == node.ID })
		add(i < 0, "node %s is gone", node.Name)
		add(i >= 0 && !f.nodes[max(i, 0)].Running, "node %s is stopped", node.Name)
	}
	if len(reasons) > 0 {
		return Recreated, reasons
	}
	return Adopted, nil
}

func short(id string) string { return id[:min(12, len(id))] }
