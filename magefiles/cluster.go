//go:build mage

package main

import (
	"context"
	"time"

	"github.com/magefile/mage/mg"

	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// Cluster makes, shows and deletes our Kind cluster.
type Cluster mg.Namespace

// Up creates our cluster, or adopts it when it is equal.
func (Cluster) Up() error { return reach("cluster:up", options{adopt: true}, at("cluster:up")) }

// Down deletes our cluster; one of somebody else is left alone.
func (Cluster) Down() error {
	return enter("cluster:down", options{}, func(ctx context.Context) {
		mg.CtxDeps(ctx, at("doctor"))
		if err := current.run.Do(stage.Stage{Name: "cluster:down", Group: "teardown", Deadline: 3 * time.Minute}, current.platform.Down); err != nil {
			panic(err)
		}
	})
}

// Kubeconfig prints the path of our cluster's kubeconfig.
func (Cluster) Kubeconfig() error {
	return enter("cluster:kubeconfig", options{}, func(ctx context.Context) {
		mg.CtxDeps(ctx, at("doctor"))
		current.print.say("%s", current.platform.Cluster.Kubeconfig)
	})
}
