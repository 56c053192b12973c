package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

type phase string

const (
	creating phase = "creating"
	ready    phase = "ready"
)

// Record is what is written down of a cluster of ours, one JSON file each.
type Record struct {
	Name       string
	ID         string // the run that made it; the same word stands inside the cluster
	Owner      Owner  // the run that has it now
	Phase      phase
	Mode       Mode
	Engine     string
	Started    time.Time // when its creation began
	Expires    time.Time
	ConfigHash string // sha256 of the kind config without the host ports
	NodeImage  string
	ImageID    string
	Kubernetes string
	Kubeconfig string
	Ports      map[int32]int32
	Nodes      []Node
}

func (c *Clusters) file(name string) string { return filepath.Join(c.state, name+".json") }

// read gives nil when there is no record of that name.
func (c *Clusters) read(name string) (*Record, error) {
	data, err := os.ReadFile(c.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the record of cluster %q: %w", name, err)
	}
	var rec Record
	if err := json.Unmarshal(data, &rec); err != nil {
		return nil, fmt.Errorf("reading the record of cluster %q in %s: %w", name, c.file(name), err)
	}
	return &rec, nil
}

// write replaces the record in one step: a reader sees the old or the new one.
func (c *Clusters) write(rec Record) error {
	data, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the record of cluster %q: %w", rec.Name, err)
	}
	if err := os.MkdirAll(c.state, 0o700); err != nil {
		return fmt.Errorf("making the state folder: %w", err)
	}
	next := c.file(rec.Name) + ".new"
	if err := os.WriteFile(next, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing the record of cluster %q: %w", rec.Name, err)
	}
	if err := os.Rename(next, c.file(rec.Name)); err != nil {
		return fmt.Errorf("writing the record of cluster %q: %w", rec.Name, err)
	}
	return nil
}

func (c *Clusters) forget(name string) error {
	if err := os.Remove(c.file(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the record of cluster %q: %w", name, err)
	}
	return nil
}

// records are all that can be read, by name; the error names those that cannot.
func (c *Clusters) records() (map[string]*Record, error) {
	files, err := filepath.Glob(filepath.Join(c.state, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("listing the state folder: %w", err)
	}
	all, broken := map[string]*Record{}, []error(nil)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		rec, err := c.read(name)
		if err != nil {
			broken = append(broken, err)
		} else if rec != nil {
			all[name] = rec
		}
	}
	return all, errors.Join(broken...)
}

// locked runs act while no other process of this user decides about the same
// name. The lock ends with the process; its file stays.
func (c *Clusters) locked(name string, act func() error) error {
	if err := os.MkdirAll(c.state, 0o700); err != nil {
		return fmt.Errorf("making the state folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(c.state, name+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("locking cluster %q: %w", name, err)
	}
	defer lock.Close() // releases
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("locking cluster %q: %w", name, err)
	}
	return act()
}

// Expire sets when the cluster of that name, which must be this run's, may be removed.
func (c *Clusters) Expire(name string, at time.Time) error {
	return c.locked(name, func() error {
		rec, err := c.read(name)
		if err != nil {
			return err
		}
		if rec == nil || !rec.Owner.same(c.owner) {
			return fmt.Errorf("cluster %q: %w: this run does not have it", name, ErrNotOurs)
		}
		rec.Expires = at.UTC()
		return c.write(*rec)
	})
}
