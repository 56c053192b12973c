//go:build mage

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/magefile/mage/mg"

	"github.com/kubernaut-ai/kubernaut/pkg/cluster"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// Cluster makes, shows and deletes our Kind cluster.
type Cluster mg.Namespace

// Up creates our cluster, or adopts it when it is equal.
func (Cluster) Up() error { return reach("cluster:up", options{adopt: true}, "cluster:up") }

// Down deletes our cluster; one of somebody else is left alone.
func (Cluster) Down() error {
	return enter("cluster:down", options{frugal: true}, func(ctx context.Context) {
		mg.CtxDeps(ctx, at("doctor"))
		if err := current.run.Do(stage.Stage{Name: "cluster:down", Group: "teardown", Deadline: 3 * time.Minute}, current.platform.Down); err != nil {
			panic(err)
		}
	})
}

// Kubeconfig prints the path of our cluster's kubeconfig.
func (Cluster) Kubeconfig() error {
	return enter("cluster:kubeconfig", options{frugal: true}, func(ctx context.Context) {
		mg.CtxDeps(ctx, at("doctor"))
		current.print.say("%s", current.platform.Cluster.Kubeconfig)
	})
}

// Status shows our cluster: owner, age, ports, nodes.
func (Cluster) Status() error {
	return enter("cluster:status", options{frugal: true}, func(ctx context.Context) {
		mg.CtxDeps(ctx, at("doctor"))
		c := current.platform.Cluster
		info, found, err := current.platform.Clusters.Status(ctx, c.Name)
		if err != nil {
			panic(err)
		}
		if !found {
			current.print.say("no cluster %s", c.Name)
			return
		}
		current.print.say("%s", describe(info, time.Now()))
	})
}

// describe is what a person wants to know of a cluster, in a few lines.
func describe(i cluster.Info, now time.Time) string {
	owner := "not ours"
	if i.Ours {
		owner = fmt.Sprintf("ours, %s, alive %v, expires %s", i.Owner, i.Alive, i.Expires.Local().Format("2006-01-02 15:04"))
	}
	text := fmt.Sprintf("%s  %s\n  age         %s\n  kubernetes  %s\n  kubeconfig  %s\n  ports      ", i.Name, owner, now.Sub(i.Created).Round(time.Second), i.Kubernetes, i.Kubeconfig)
	for _, port := range slices.Sorted(maps.Keys(i.Ports)) {
		text += fmt.Sprintf(" %d->%d", port, i.Ports[port])
	}
	return text + fmt.Sprintf("\n  nodes       %v", i.Nodes)
}
