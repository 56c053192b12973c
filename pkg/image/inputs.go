package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
)

// Inputs is everything that decides an image's content: what it is -> its
// value. Keys are `file:<path>`, `module:<path>`, `arg:<name>`, `base:<name>`,
// `platform` and `toolchain`; a file's value is its SHA-256 and executable bit.
// Time, commit and host name are not among them.
type Inputs map[string]string

// Digest is SHA-256 over the sorted entries, in hex.
func (in Inputs) Digest() string {
	sum := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(in)) {
		fmt.Fprintf(sum, "%s\x00%s\n", key, in[key])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Source reads a tree's inputs.
type Source struct {
	Root      string
	Runner    command.Runner
	Platform  string // linux/amd64
	Toolchain string // go1.26.8: what compiles Go images
}

// Inputs are those of one image, base images aside.
func (s Source) Inputs(ctx context.Context, img Image) (Inputs, error) {
	in := Inputs{"platform": s.Platform}
	for name, value := range img.Args {
		in["arg:"+name] = value
	}
	files := []string{img.Dockerfile, img.Ignore()}
	var err error
	switch img.Kind {
	case Go:
		in["toolchain"] = s.Toolchain
		var used []string
		if used, err = s.goFiles(ctx, img, in); err == nil {
			files = append(files, used...)
		}
	case Python:
		var used []string
		if used, err = s.contextFiles(img); err == nil {
			files = append(files, used...)
		}
	default:
		err = fmt.Errorf("unknown kind %q", img.Kind)
	}
	if err != nil {
		return nil, fmt.Errorf("inputs of image %s: %w", img.Name, err)
	}
	for _, file := range files {
		value, err := hashFile(filepath.Join(s.Root, file))
		if err != nil {
			return nil, fmt.Errorf("inputs of image %s: %w", img.Name, err)
		}
		in["file:"+filepath.ToSlash(file)] = value
	}
	return in, nil
}

func hashFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("opening an input: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", fmt.Errorf("reading an input: %w", err)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	value := hex.EncodeToString(sum.Sum(nil))
	if info.Mode()&0o111 != 0 {
		value += " x"
	}
	return value, nil
}

// listed is what `go list -json` tells of a package.
type listed struct {
	Dir      string
	Standard bool
	Module   *struct {
		Path, Version, Sum, GoMod string
		Main                      bool
	}
	GoFiles, SFiles, HFiles, EmbedFiles []string
}

// goFiles adds the modules in use to in and returns our own files in use.
func (s Source) goFiles(ctx context.Context, img Image, in Inputs) ([]string, error) {
	system, arch, _ := strings.Cut(s.Platform, "/")
	result, err := s.Runner.Run(ctx, command.Cmd{
		Args: []string{"go", "list", "-deps", "-json=Dir,Standard,Module,GoFiles,SFiles,HFiles,EmbedFiles", img.Main},
		Dir:  s.Root,
		Env:  []string{"GOOS=" + system, "GOARCH=" + arch, "CGO_ENABLED=0"},
	})
	if err != nil {
		return nil, fmt.Errorf("listing the packages of %s: %w", img.Main, err)
	}
	var files []string
	for decoder := json.NewDecoder(bytes.NewReader(result.Stdout)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return files, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading go list: %w", err)
		}
		switch {
		case p.Standard || p.Module == nil:
		case !p.Module.Main:
			in["module:"+p.Module.Path] = p.Module.Version + " " + p.Module.Sum
		default:
			dir, err := filepath.Rel(s.Root, p.Dir)
			if err != nil {
				return nil, fmt.Errorf("package outside the tree: %w", err)
			}
			for _, file := range slices.Concat(p.GoFiles, p.SFiles, p.HFiles, p.EmbedFiles) {
				files = append(files, filepath.Join(dir, file))
			}
		}
	}
}

// contextFiles are the files that the ignore file admits.
func (s Source) contextFiles(img Image) ([]string, error) {
	ignore, err := os.Open(filepath.Join(s.Root, img.Ignore()))
	if err != nil {
		return nil, fmt.Errorf("opening the ignore file: %w", err)
	}
	defer ignore.Close()
	patterns, err := ignorefile.ReadAll(ignore)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", img.Ignore(), err)
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", img.Ignore(), err)
	}
	root := filepath.Join(s.Root, img.Context)
	var files []string
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return fmt.Errorf("walking the context: %w", err)
		}
		ignored, err := matcher.MatchesOrParentMatches(rel)
		if err == nil && !ignored {
			files = append(files, filepath.Join(img.Context, rel))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the build context: %w", err)
	}
	return files, nil
}
