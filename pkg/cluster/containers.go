package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/engine"
)

// clusterLabel is the label that kind puts on every container of a cluster.
const clusterLabel = "io.x-k8s.kind.cluster"

// container is a node as the engine sees it.
type container struct {
	ID, Name, Cluster string
	ImageID           string
	Created           time.Time
	Running           bool
}

// containers are those of the cluster, running or not; of every kind cluster when name is empty.
func (c *Clusters) containers(ctx context.Context, name string) ([]container, error) {
	label := clusterLabel
	if name != "" {
		label += "=" + name
	}
	var err error
	for range 3 { // one may end between the list and the look at it
		var out []byte
		if out, err = c.engine.Do(ctx, "ps", "--all", "--quiet", "--no-trunc", "--filter=label="+label); err != nil {
			break
		}
		ids := strings.Fields(string(out))
		if len(ids) == 0 {
			return nil, nil
		}
		if out, err = c.engine.Do(ctx, append([]string{"container", "inspect"}, ids...)...); err == nil {
			return parseContainers(out)
		}
	}
	return nil, fmt.Errorf("listing the containers of kind clusters: %w", err)
}

func parseContainers(out []byte) ([]container, error) {
	var found []struct {
		ID      string `json:"Id"`
		Name    string
		Image   string
		Created time.Time
		State   struct{ Running bool }
		Config  struct{ Labels map[string]string }
	}
	if err := json.Unmarshal(out, &found); err != nil {
		return nil, fmt.Errorf("reading what the engine says of containers: %w", err)
	}
	all := make([]container, len(found))
	for i, f := range found {
		all[i] = container{
			ID: f.ID, Name: strings.TrimPrefix(f.Name, "/"), Cluster: f.Config.Labels[clusterLabel],
			ImageID: strings.TrimPrefix(f.Image, "sha256:"), Created: f.Created, Running: f.State.Running,
		}
	}
	return all, nil
}

// removeContainers kills and removes the containers of a cluster. Nobody waits
// for a node to shut down in order: podman would for 10 s, docker never does.
func (c *Clusters) removeContainers(ctx context.Context, name string) error {
	found, err := c.containers(ctx, name)
	if err != nil {
		return err
	}
	args := []string{"rm", "--force", "--volumes"}
	if c.engine.Name == engine.Podman {
		args = append(args, "--time=0")
	}
	var failed []error
	for _, n := range found {
		if _, err := c.engine.Do(ctx, append(args, n.ID)...); err != nil {
			failed = append(failed, fmt.Errorf("removing container %s: %w", n.Name, err))
		}
	}
	return errors.Join(failed...)
}

// volumes are the named ones of the cluster's nodes. Only kind's podman
// provider makes such, with the node's name as the key of a label; docker's
// are anonymous and go with the container.
func (c *Clusters) volumes(ctx context.Context, name string) ([]string, error) {
	if c.engine.Name != engine.Podman {
		return nil, nil
	}
	out, err := c.engine.Do(ctx, "volume", "ls", "--format=json")
	if err != nil {
		return nil, fmt.Errorf("listing volumes: %w", err)
	}
	var found []struct {
		Name   string
		Labels map[string]string
	}
	if len(strings.TrimSpace(string(out))) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(out, &found); err != nil {
		return nil, fmt.Errorf("reading what the engine says of volumes: %w", err)
	}
	node := regexp.MustCompile("^" + regexp.QuoteMeta(name) + `-(control-plane|worker)\d*$`)
	var names []string
	for _, volume := range found {
		for key := range volume.Labels {
			if node.MatchString(key) {
				names = append(names, volume.Name)
				break
			}
		}
	}
	return names, nil
}

func (c *Clusters) removeVolumes(ctx context.Context, name string) error {
	names, err := c.volumes(ctx, name)
	if err != nil {
		return err
	}
	var failed []error
	for _, volume := range names {
		if _, err := c.engine.Do(ctx, "volume", "rm", "--force", volume); err != nil {
			failed = append(failed, fmt.Errorf("removing volume %s: %w", short(volume), err))
		}
	}
	return errors.Join(failed...)
}
