package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
)

// Method is how an image came into a node.
type Method string

// The methods.
const (
	Present Method = "present" // it was there, nothing was sent
	Full    Method = "full"    // the whole archive was sent
)

// LoadResult is one (image, node) pair.
type LoadResult struct {
	Image, Node string
	Method      Method
	BytesSent   int64
	Seconds     float64
	Verified    bool // seen afterwards in the node, by content and platform
}

// Load brings images of the engine's store into every node that lacks them. A
// name that is there with other content counts as lacking. ErrNotLoaded: an
// image was sent and is not there. The results that came before an error are
// given with it.
func (c *Cluster) Load(ctx context.Context, images ...string) ([]LoadResult, error) {
	ids := make(map[string]string, len(images))
	for _, image := range images {
		found, err := c.engine.Inspect(ctx, image)
		if err != nil {
			return nil, fmt.Errorf("loading: %w", err)
		}
		ids[image] = found.ID
	}
	c.stream.Lock()
	defer c.stream.Unlock()
	var results []LoadResult
	for _, node := range c.Nodes {
		have, err := c.store(ctx, node)
		if err != nil {
			return results, err
		}
		for _, image := range images {
			if have.has(fullName(image), ids[image], node.Platform) {
				results = append(results, LoadResult{Image: image, Node: node.Name, Method: Present, Verified: true})
				continue
			}
			start := time.Now()
			sent, err := c.send(ctx, node, image, ids[image])
			results = append(results, LoadResult{Image: image, Node: node.Name, Method: Full, BytesSent: sent, Seconds: time.Since(start).Seconds(), Verified: err == nil})
			if err != nil {
				return results, fmt.Errorf("loading %s into %s: %w", image, node.Name, err)
			}
		}
	}
	return results, nil
}

func (c *Cluster) store(ctx context.Context, node Node) (store, error) {
	out, err := c.engine.Do(ctx, "exec", node.Name, "ctr", "--namespace=k8s.io", "images", "ls")
	if err != nil {
		return nil, fmt.Errorf("listing the images of %s: %w", node.Name, err)
	}
	return parseStore(string(out)), nil
}

// send streams the whole image into the node and proves that it arrived.
func (c *Cluster) send(ctx context.Context, node Node, image, id string) (int64, error) {
	snapshotter, err := c.snapshotter(ctx, node)
	if err != nil {
		return 0, err
	}
	// The label comes with the import, so a line that carries it is of this import or an equal one.
	arriving := sourceLabel + "=" + id
	args := []string{"exec", "--interactive", node.Name, "ctr", "--namespace=k8s.io", "images", "import", "--all-platforms", "--snapshotter=" + snapshotter, "--label=" + arriving, "-"}
	from, to := io.Pipe()
	counted := &counter{to: to}
	both, ctx2 := errgroup.WithContext(ctx)
	both.Go(func() error {
		err := c.engine.Save(ctx2, counted, image)
		to.CloseWithError(err) // nil is the end of the archive
		return err
	})
	both.Go(func() error {
		_, err := c.runner.Run(ctx2, command.Cmd{Args: c.engine.Argv(args...), Env: c.engine.Env, Stdin: from})
		from.CloseWithError(errors.Join(errors.New("the import has ended"), err))
		return err
	})
	if err := both.Wait(); err != nil {
		return counted.bytes, err
	}
	return counted.bytes, c.verify(ctx, node, image, id)
}

const (
	verifyLimit = 10 * time.Second // for the CRI to notice an import
	verifyEvery = 100 * time.Millisecond
)

// verify waits until the CRI knows the image, and binds the engine's id to it.
func (c *Cluster) verify(ctx context.Context, node Node, image, id string) error {
	limit := time.NewTimer(verifyLimit)
	defer limit.Stop()
	again := time.NewTicker(verifyEvery)
	defer again.Stop()
	ref := fullName(image)
	for {
		have, err := c.store(ctx, node)
		if err != nil {
			return err
		}
		if have.has(ref, id, node.Platform) {
			return nil
		}
		if found, usable := have.find(ref, node.Platform); usable && found.labels[sourceLabel] == id {
			_, err := c.engine.Do(ctx, "exec", node.Name, "ctr", "--namespace=k8s.io", "images", "label", ref, sourceLabel+"="+source(id, found.digest))
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limit.C:
			return fmt.Errorf("%w: %s for %s, %s after its import ended well", ErrNotLoaded, ref, node.Platform, verifyLimit)
		case <-again.C:
		}
	}
}

// snapshotter is the one that the node's kubelet uses; rootless nodes have another.
func (c *Cluster) snapshotter(ctx context.Context, node Node) (string, error) {
	out, err := c.engine.Do(ctx, "exec", node.Name, "containerd", "config", "dump")
	if err != nil {
		return "", fmt.Errorf("reading the containerd configuration of %s: %w", node.Name, err)
	}
	return parseSnapshotter(string(out)), nil
}

// parseSnapshotter reads the key of the CRI's image section.
func parseSnapshotter(config string) string {
	section := ""
	for line := range strings.Lines(config) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
		}
		key, value, found := strings.Cut(line, "=")
		cri := strings.Contains(section, "io.containerd.cri.v1.images") || strings.Contains(section, "io.containerd.grpc.v1.cri")
		if found && cri && strings.TrimSpace(key) == "snapshotter" {
			if name := strings.Trim(strings.TrimSpace(value), `"'`); name != "" {
				return name
			}
		}
	}
	return "overlayfs"
}

type counter struct {
	to    io.Writer
	bytes int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.bytes += int64(n)
	return n, err
}
