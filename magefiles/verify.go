//go:build mage

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// verify generates, tidies and formats a copy of the tree, and fails when that made a file of it another one. A copy,
// because other stages read the tree meanwhile.
func verify(ctx context.Context, h *stage.Handle) error {
	listed, err := current.runner.Run(ctx, command.Cmd{Args: []string{"git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"}, Dir: current.root})
	if err != nil {
		return err
	}
	names := strings.FieldsFunc(string(listed.Stdout), func(r rune) bool { return r == 0 })
	folder := filepath.Join(current.dir, "verify")
	defer os.RemoveAll(folder)
	if err := copyTree(current.root, folder, names); err != nil {
		return err
	}
	for _, args := range [][]string{{"go", "generate", "./..."}, {"go", "mod", "tidy"}, {"gofmt", "-w", "api", "cmd", "internal", "magefiles", "pkg", "test"}} {
		if _, err := current.runner.Run(ctx, command.Cmd{Args: args, Dir: folder, Log: h.Log()}); err != nil {
			return err
		}
	}
	differ, err := differences(current.root, folder, names)
	if err == nil && len(differ) > 0 {
		err = fmt.Errorf("generated, tidied or formatted files are not what the tree holds: %s: run `go tool mage generate`, go mod tidy, gofmt", strings.Join(differ, ", "))
	}
	return err
}

// copyTree copies what is there of the named files.
func copyTree(from, to string, names []string) error {
	for _, name := range names {
		source := filepath.Join(from, name)
		info, err := os.Lstat(source)
		if errors.Is(err, os.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue
		}
		content, err := os.ReadFile(source)
		if err != nil {
			return fmt.Errorf("copying the tree: %w", err)
		}
		target := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return fmt.Errorf("copying the tree: %w", err)
		}
		if err := os.WriteFile(target, content, info.Mode().Perm()); err != nil {
			return fmt.Errorf("copying the tree: %w", err)
		}
	}
	return nil
}

// differences names the files that are other, new or gone in the copy.
func differences(tree, copied string, names []string) ([]string, error) {
	var differ []string
	seen := map[string]bool{}
	err := filepath.WalkDir(copied, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(copied, path)
		if err != nil {
			return err
		}
		seen[name] = true
		there, err := os.ReadFile(filepath.Join(tree, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		made, readErr := os.ReadFile(path)
		if err != nil || !bytes.Equal(there, made) {
			differ = append(differ, name)
		}
		return readErr
	})
	for _, name := range names {
		if info, err := os.Lstat(filepath.Join(tree, name)); err == nil && info.Mode().IsRegular() && !seen[name] {
			differ = append(differ, name)
		}
	}
	return differ, err
}
