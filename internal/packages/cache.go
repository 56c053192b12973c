package packages

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// keyOf is the content key of what is made from the parts: their digest, with
// the lengths, so that no two lists give one key, and the architecture.
func keyOf(parts ...string) string {
	sum := sha256.New()
	for _, part := range append(parts, runtime.GOARCH) {
		fmt.Fprintf(sum, "%d:%s\n", len(part), part)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// artefact gives the folder <cache>/packages/<name>-<key>, made by fill when it
// is not there. fill writes into a folder of another name that gets the final
// one only after success, so what exists is whole. The unfinished folder stays
// for the next attempt: fill finds what it had finished.
func (s *Source) artefact(ctx context.Context, name, key string, fill func(dir string) error) (string, error) {
	dir := filepath.Join(s.Cache, "packages", name+"-"+key[:12])
	if whole(dir) {
		return dir, nil
	}
	unlock, err := s.lock(ctx, name)
	if err != nil {
		return "", err
	}
	defer unlock()
	if whole(dir) {
		return dir, nil
	}
	part := dir + ".part"
	if err := os.MkdirAll(part, 0o755); err != nil {
		return "", fmt.Errorf("making the folder of %s: %w", name, err)
	}
	if err := fill(part); err != nil {
		return "", fmt.Errorf("making %s: %w", name, err)
	}
	if err := os.Rename(part, dir); err != nil {
		return "", fmt.Errorf("finishing %s: %w", name, err)
	}
	return dir, nil
}

func whole(dir string) bool {
	_, err := os.Stat(dir)
	return err == nil
}

const lockPoll = 200 * time.Millisecond

// lock holds the lock file of a name until the returned function is called, or
// the process ends. Another holder is waited for as long as ctx lasts.
func (s *Source) lock(ctx context.Context, name string) (func(), error) {
	if !filepath.IsAbs(s.Cache) {
		return nil, fmt.Errorf("the cache folder %q is not an absolute path", s.Cache)
	}
	dir := filepath.Join(s.Cache, "packages")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the cache folder: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, name+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", name, err)
	}
	for waited := false; ; waited = true {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil // closing releases; nothing was written
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			_ = file.Close() // the lock's error is the one to tell
			return nil, fmt.Errorf("locking %s: %w", name, err)
		}
		if !waited {
			s.note("%s: another run is making it, waiting", name)
		}
		select {
		case <-ctx.Done():
			_ = file.Close() // the same
			return nil, fmt.Errorf("waiting for another run that makes %s: %w", name, context.Cause(ctx))
		case <-time.After(lockPoll):
		}
	}
}

// writeFiles lays a tree of small files down, folders made as needed.
func writeFiles(dir string, files map[string]string) error {
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}

// link puts a file at target without copying its bytes where the file system can.
func link(source, target string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return fmt.Errorf("placing %s: %w", target, err)
	}
	if os.Link(source, target) == nil {
		return nil
	}
	info, err := os.Stat(source)
	if err != nil {
		return fmt.Errorf("placing %s: %w", target, err)
	}
	data, err := os.ReadFile(source)
	if err != nil {
		return fmt.Errorf("placing %s: %w", target, err)
	}
	return os.WriteFile(target, data, info.Mode().Perm())
}

// linkTree does the same for a folder.
func linkTree(source, target string) error {
	return filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(target, name), 0o755)
		}
		return link(path, filepath.Join(target, name))
	})
}
