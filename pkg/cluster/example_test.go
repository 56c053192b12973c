package cluster_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/cluster"
	"github.com/kubernaut-ai/kubernaut/pkg/command"
	"github.com/kubernaut-ai/kubernaut/pkg/engine"
)

// A cluster for one run: made or adopted, loaded with an image, deleted.
func Example() {
	ctx := context.Background()
	podman, _, err := engine.Detect(ctx, command.OS{}, "podman")
	if err != nil {
		panic(err)
	}
	clusters := cluster.New(cluster.Options{
		Engine: podman, Runner: command.OS{}, State: "/var/tmp/state",
		Owner: cluster.OwnerOf("run-1", os.Getpid()),
	})
	kind, err := os.ReadFile("config/e2e/kind/aianalysis.yaml")
	if err != nil {
		panic(err)
	}
	host := engine.ReadHost()
	made, report, err := clusters.Ensure(ctx, cluster.Config{
		Name: "aianalysis-e2e", NodeImage: "docker.io/kindest/node:v1.37.0", Kind: kind, Ports: cluster.Auto,
		Kubeconfig: "/home/me/.kube/aianalysis-e2e-config", Mode: cluster.Dev, Expires: time.Now().Add(2 * time.Hour),
		Limits: cluster.Limits{CgroupV1: host.CgroupV1, KeepOOMScore: !host.CapSysResource},
	}, os.Stderr)
	if err != nil {
		panic(err)
	}
	fmt.Println(report.Action, "Data Storage is at", made.Ports[30081])
	if _, err := made.Load(ctx, "localhost/kubernaut-datastorage:1"); err != nil {
		panic(err)
	}
	if err := clusters.Delete(ctx, "aianalysis-e2e"); err != nil {
		panic(err)
	}
}
