package cluster

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// Info is what can be said of a cluster without asking its API server.
type Info struct {
	Name       string
	Ours       bool  // the containers that stand are those that our record names
	Owner      Owner // of the record; zero without one
	Alive      bool  // the owner's process runs
	Whole      bool  // its creation was finished
	Mode       Mode  // of the owner
	Created    time.Time
	Expires    time.Time
	Kubernetes string
	Kubeconfig string
	NodeImage  string
	Ports      map[int32]int32
	Nodes      []NodeInfo // empty: only a record is left
}

// NodeInfo is one container of a cluster.
type NodeInfo struct {
	Name    string
	Running bool
}

// Orphan tells whether nobody has the cluster any more and nobody may want it:
// its run is dead and it was left half made, or past its expiry.
func (i Info) Orphan(now time.Time) bool {
	return i.Ours && !i.Alive && (!i.Whole || now.After(i.Expires))
}

// List tells of every kind cluster of the engine and every record of ours, by
// name. With an error the list holds what could be found out.
func (c *Clusters) List(ctx context.Context) ([]Info, error) {
	records, err := c.records()
	all, listed := c.containers(ctx, "")
	if listed != nil {
		return nil, errors.Join(err, listed)
	}
	nodes := map[string][]container{}
	for name := range records {
		nodes[name] = nil
	}
	for _, n := range all {
		nodes[n.Cluster] = append(nodes[n.Cluster], n)
	}
	var infos []Info
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		infos = append(infos, info(name, facts{record: records[name], nodes: nodes[name], self: c.owner}))
	}
	return infos, err
}

// Status tells of one cluster; found is false when there is neither a container nor a record.
func (c *Clusters) Status(ctx context.Context, name string) (status Info, found bool, err error) {
	f, err := c.facts(ctx, name)
	if err != nil {
		return Info{}, false, err
	}
	return info(name, f), f.record != nil || len(f.nodes) > 0, nil
}

func info(name string, f facts) Info {
	i := Info{Name: name}
	for _, n := range f.nodes {
		i.Nodes = append(i.Nodes, NodeInfo{Name: n.Name, Running: n.Running})
		i.Created = n.Created
	}
	if rec := f.record; rec != nil {
		i.Ours = !slices.ContainsFunc(f.nodes, func(n container) bool { return !rec.made(n) })
		i.Owner, i.Alive, i.Whole, i.Mode = rec.Owner, rec.Owner.Alive(), rec.Phase == ready, rec.Mode
		i.Created, i.Expires, i.Ports = rec.Started, rec.Expires, rec.Ports
		i.Kubernetes, i.Kubeconfig, i.NodeImage = rec.Kubernetes, rec.Kubeconfig, rec.NodeImage
	}
	return i
}
