package policy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubernaut-ai/kubernaut/internal/aianalysis"
)

const (
	maxSize    = 1 << 20
	settleTime = 100 * time.Millisecond
	lookAgain  = time.Minute
)

// File is an aianalysis.Policy kept in a file, usually a mounted ConfigMap. The last version that compiled stays in force.
type File struct {
	path    string
	logger  logr.Logger
	reloads *prometheus.CounterVec
	info    *prometheus.GaugeVec
	inForce atomic.Pointer[prepared]

	mu      sync.Mutex
	refused error  // why the file's present content is not in force; nil if it is
	seen    string // hash of the content looked at last; empty if it could not be read
}

// Open reads the policy. Without a valid one there is no File: the caller must not run.
func Open(path string, logger logr.Logger, registry prometheus.Registerer) (*File, error) {
	f := &File{path: path, logger: logger,
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aianalysis_rego_policy_reloads_total", Help: "Changes of the approval policy that were looked at."}, []string{"result"}),
		info: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "aianalysis_rego_policy_info", Help: "The approval policy in force."}, []string{"sha256"}),
	}
	text, err := readLimited(path)
	if err != nil {
		return nil, fmt.Errorf("reading approval policy: %w", err)
	}
	first, err := compile(path, text)
	if err != nil {
		return nil, err
	}
	registry.MustRegister(f.reloads, f.info)
	f.reloads.WithLabelValues("success")
	f.reloads.WithLabelValues("failure")
	f.use(first)
	return f, nil
}

// Evaluate implements aianalysis.Policy with the version in force at this moment.
func (f *File) Evaluate(ctx context.Context, input map[string]any) (aianalysis.Verdict, error) {
	return f.inForce.Load().evaluate(ctx, input)
}

// Status returns the hash in force, and why the file's present content is not.
func (f *File) Status() (sha string, refused error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inForce.Load().sha256, f.refused
}

// Watch reloads on change until ctx ends. It watches the directory: a ConfigMap changes by renaming a symbolic link beside the file.
// Where that cannot be watched it looks again every minute.
func (f *File) Watch(ctx context.Context) {
	var changes chan fsnotify.Event
	var mishaps chan error
	if watcher, err := watchFolder(filepath.Dir(f.path)); err != nil {
		f.logger.Error(err, "changes of the approval policy are noticed late: raise the node's fs.inotify limits", "lookAgain", lookAgain.String())
	} else {
		defer watcher.Close()
		changes, mishaps = watcher.Events, watcher.Errors
	}
	settle := time.NewTimer(settleTime) // for a change between Open and now
	defer settle.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-changes:
			if name := filepath.Base(event.Name); name == filepath.Base(f.path) || name == "..data" {
				settle.Reset(settleTime)
			}
		case err := <-mishaps:
			f.logger.Error(err, "watching approval policy")
		case <-settle.C:
			f.reload()
			settle.Reset(lookAgain)
		}
	}
}

func watchFolder(folder string) (*fsnotify.Watcher, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watching %q: %w", folder, err)
	}
	if err := watcher.Add(folder); err != nil {
		return nil, errors.Join(fmt.Errorf("watching %q: %w", folder, err), watcher.Close())
	}
	return watcher, nil
}

// reload looks at the file and puts a new, valid content in force.
func (f *File) reload() {
	text, err := readLimited(f.path)
	sum := ""
	if err == nil {
		hash := sha256.Sum256(text)
		sum = hex.EncodeToString(hash[:])
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if sum == f.seen && (err == nil || f.refused != nil) {
		return
	}
	f.seen = sum
	var next *prepared
	if err == nil {
		next, err = compile(f.path, text)
	}
	f.refused = err
	if err != nil {
		f.reloads.WithLabelValues("failure").Inc()
		f.logger.Error(err, "approval policy refused, the last good one stays in force", "sha256", f.inForce.Load().sha256)
		return
	}
	if next.sha256 == f.inForce.Load().sha256 {
		return
	}
	f.reloads.WithLabelValues("success").Inc()
	f.use(next)
}

func (f *File) use(next *prepared) {
	f.inForce.Store(next)
	f.seen = next.sha256
	f.info.Reset()
	f.info.WithLabelValues(next.sha256).Set(1)
	f.logger.Info("approval policy in force", "path", f.path, "sha256", next.sha256)
}

func readLimited(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", path, err)
	}
	if len(text) > maxSize {
		return nil, fmt.Errorf("reading %q: larger than %d bytes", path, maxSize)
	}
	return text, nil
}
