package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
)

// Delete removes the cluster of that name, its volumes, its kubeconfig and its
// record, and looks whether they are gone; three times if need be. Nothing
// there is no error. ErrNotOurs: it was left alone. ErrLeftOver: not all went.
func (c *Clusters) Delete(ctx context.Context, name string) error {
	var rec *Record
	err := c.locked(name, func() error {
		f, err := c.facts(ctx, name)
		if err != nil {
			return err
		}
		if err := f.owned(name); err != nil || f.record == nil {
			return err
		}
		rec = f.record
		rec.Owner = c.owner
		return c.write(*rec)
	})
	if err != nil || rec == nil {
		return err
	}
	if err := c.wipe(ctx, name, rec.Kubeconfig); err != nil {
		return fmt.Errorf("deleting cluster %q: %w", name, err)
	}
	return c.forget(name)
}

// wipe removes all of a cluster that is ours but its record.
func (c *Clusters) wipe(ctx context.Context, name, kubeconfig string) error {
	var failed error
	var left []string
	for range 3 {
		failed = errors.Join(
			c.removeContainers(ctx, name),
			c.removeVolumes(ctx, name),
			removeKubeconfig(kubeconfig, name),
		)
		var err error
		if left, err = c.remains(ctx, name, kubeconfig); err != nil {
			failed = errors.Join(failed, err)
		} else if len(left) == 0 {
			return nil
		}
		if err := context.Cause(ctx); err != nil {
			return errors.Join(err, failed)
		}
	}
	if len(left) == 0 {
		left = []string{"nobody can tell what"}
	}
	return errors.Join(fmt.Errorf("%w: %s", ErrLeftOver, strings.Join(left, ", ")), failed)
}

// remains lists what there still is of a cluster.
func (c *Clusters) remains(ctx context.Context, name, kubeconfig string) ([]string, error) {
	nodes, err := c.containers(ctx, name)
	if err != nil {
		return nil, err
	}
	volumes, err := c.volumes(ctx, name)
	if err != nil {
		return nil, err
	}
	var left []string
	for _, n := range nodes {
		left = append(left, "container "+n.Name)
	}
	for _, v := range volumes {
		left = append(left, "volume "+short(v))
	}
	if ours, err := onlyOurs(kubeconfig, name); err != nil || ours {
		left = append(left, "kubeconfig "+kubeconfig)
	}
	return left, nil
}

// removeKubeconfig removes the file, unless somebody has put another cluster into it.
func removeKubeconfig(path, name string) error {
	if path == "" {
		return nil
	}
	ours, err := onlyOurs(path, name)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err == nil && !ours {
		return nil
	}
	// kind's lock file stays when kind is stopped in the middle of a write.
	for _, file := range []string{path + ".lock", path} {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing kubeconfig: %w", err)
		}
	}
	return nil
}

// onlyOurs tells whether the file is there and holds nothing but the cluster.
func onlyOurs(path, name string) (bool, error) {
	if path == "" {
		return false, nil
	}
	config, err := clientcmd.LoadFromFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading kubeconfig %s: %w", path, err)
	}
	entries := slices.Collect(maps.Keys(config.Clusters))
	entries = slices.AppendSeq(entries, maps.Keys(config.Contexts))
	entries = slices.AppendSeq(entries, maps.Keys(config.AuthInfos))
	other := func(entry string) bool { return entry != "kind-"+name }
	return !slices.ContainsFunc(entries, other), nil
}

// free is an error when the file holds somebody else's clusters: kind would write into it.
func free(path, name string) error {
	ours, err := onlyOurs(path, name)
	if err != nil || ours {
		return err
	}
	if _, err := os.Stat(path); err == nil {
		return fmt.Errorf("kubeconfig %s: %w: it holds other clusters: move it or choose another file", path, ErrNotOurs)
	}
	return nil
}
