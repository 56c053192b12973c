package cluster

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// The mark is a ConfigMap that carries the ownership inside the cluster.
const (
	markNamespace = "kube-system"
	markName      = "kubernaut-run"
	fieldManager  = "kubernaut-cluster"
)

// settle waits until a cluster that kind has made is usable, marks it, and
// completes its record.
func (c *Clusters) settle(ctx context.Context, rec Record, log io.Writer) (*Cluster, error) {
	if err := os.Chmod(rec.Kubeconfig, 0o600); err != nil {
		return nil, fmt.Errorf("closing kubeconfig to others: %w", err)
	}
	containers, err := c.containers(ctx, rec.Name)
	if err != nil {
		return nil, err
	}
	rec.Nodes = nil
	for _, n := range containers {
		rec.Nodes = append(rec.Nodes, Node{Name: n.Name, ID: n.ID})
	}
	client, err := c.connect(rec.Kubeconfig)
	if err != nil {
		return nil, err
	}
	if err := await(ctx, client, usable(names(rec.Nodes)), log); err != nil {
		return nil, err
	}
	if err := mark(ctx, client, rec); err != nil {
		return nil, err
	}
	for i := range rec.Nodes {
		if rec.Nodes[i].Platform, rec.Kubernetes, err = platform(ctx, client, rec.Nodes[i].Name); err != nil {
			return nil, err
		}
	}
	rec.Phase = ready
	if err := c.write(rec); err != nil {
		return nil, err
	}
	return c.cluster(rec), nil
}

// adopt takes over a cluster of ours after looking that it is the one that
// was written down, and that it works.
func (c *Clusters) adopt(ctx context.Context, cfg Config, p plan, log io.Writer) (*Cluster, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, adoptLimit, fmt.Errorf("not usable after %s", adoptLimit))
	defer cancel()
	rec := *p.old
	client, err := c.connect(rec.Kubeconfig)
	if err != nil {
		return nil, err
	}
	if err := marked(ctx, client, rec); err != nil {
		return nil, err
	}
	if err := await(ctx, client, usable(names(rec.Nodes)), log); err != nil {
		return nil, err
	}
	for _, node := range rec.Nodes {
		if _, version, err := platform(ctx, client, node.Name); err != nil {
			return nil, err
		} else if version != rec.Kubernetes {
			return nil, fmt.Errorf("kubernetes %s is now %s", rec.Kubernetes, version)
		}
	}
	rec.Owner, rec.Mode, rec.Expires = c.owner, cfg.Mode, p.want.Expires
	if err := mark(ctx, client, rec); err != nil {
		return nil, err
	}
	if err := c.write(rec); err != nil {
		return nil, err
	}
	return c.cluster(rec), nil
}

// Open gives a cluster of ours that stands, as it is: no check of its
// configuration, and no change of its owner. ErrNotOurs when another run has it.
func (c *Clusters) Open(ctx context.Context, name string) (*Cluster, error) {
	f, err := c.facts(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := f.owned(name); err != nil {
		return nil, err
	}
	if f.record == nil || f.record.Phase != ready || len(f.nodes) < len(f.record.Nodes) {
		return nil, fmt.Errorf("cluster %q does not stand: make it first (go tool mage cluster:up)", name)
	}
	return c.cluster(*f.record), nil
}

func (c *Clusters) cluster(rec Record) *Cluster {
	return &Cluster{
		Name: rec.Name, Kubeconfig: rec.Kubeconfig, Kubernetes: rec.Kubernetes, Ports: rec.Ports, Nodes: rec.Nodes,
		engine: c.engine, runner: c.runner, stream: &sync.Mutex{},
	}
}

func names(all []Node) []string {
	var names []string
	for _, n := range all {
		names = append(names, n.Name)
	}
	return names
}

// mark writes who made the cluster and who has it.
func mark(ctx context.Context, client dynamic.Interface, rec Record) error {
	at := client.Resource(configMaps).Namespace(markNamespace)
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"namespace": markNamespace, "name": markName},
		"data":     map[string]any{"made-by": rec.ID, "run": rec.Owner.RunID},
	}}
	_, err := at.Create(ctx, object, metav1.CreateOptions{FieldManager: fieldManager})
	if apierrors.IsAlreadyExists(err) {
		var patch []byte
		if patch, err = object.MarshalJSON(); err == nil {
			_, err = at.Patch(ctx, markName, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
		}
	}
	if err != nil {
		return fmt.Errorf("marking cluster %q: %w", rec.Name, err)
	}
	return nil
}

// marked is ErrNotOurs when the cluster says that somebody else made it.
func marked(ctx context.Context, client dynamic.Interface, rec Record) error {
	object, err := client.Resource(configMaps).Namespace(markNamespace).Get(ctx, markName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("cluster %q: %w: it carries no mark of ours", rec.Name, ErrNotOurs)
	}
	if err != nil {
		return fmt.Errorf("reading the mark of cluster %q: %w", rec.Name, err)
	}
	if by, _, _ := unstructured.NestedString(object.Object, "data", "made-by"); by != rec.ID {
		return fmt.Errorf("cluster %q: %w: it says that run %q made it, the record says %q", rec.Name, ErrNotOurs, by, rec.ID)
	}
	return nil
}
