package packages

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kubernaut-ai/kubernaut/pkg/engine"
	"github.com/kubernaut-ai/kubernaut/pkg/image"
)

//go:embed files
var embedded embed.FS

// file is one of the embedded files; a missing one is a mistake of this package.
func file(name string) string {
	data, err := embedded.ReadFile("files/" + name)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// digestLabel carries the whole content key on every image made here.
const digestLabel = "ai.kubernaut.digest"

// recipe is one image and how to make it.
type recipe struct {
	name string
	key  string
	make func(ctx context.Context, r recipe, log io.Writer) error
}

func (r recipe) ref() string { return "localhost/kubernaut-" + r.name + ":h-" + r.key[:12] }

func (r recipe) labels() map[string]string { return map[string]string{digestLabel: r.key} }

// ensure makes the image unless the engine's store has it; then the engine is
// asked one question and nothing else happens.
func (s *Source) ensure(ctx context.Context, r recipe, log io.Writer) (string, error) {
	why, err := s.why(ctx, r)
	if err != nil {
		return "", err
	}
	if why == "" {
		s.note("%s: reuse", r.ref())
		return r.ref(), nil
	}
	if s.LookOnly {
		return "", &MissingError{Ref: r.ref(), Why: why}
	}
	unlock, err := s.lock(ctx, "image-"+r.name)
	if err != nil {
		return "", err
	}
	defer unlock()
	if again, err := s.why(ctx, r); err != nil || again == "" {
		return r.ref(), err
	}
	s.note("%s: build, %s", r.ref(), why)
	if err := r.make(ctx, r, log); err != nil {
		return "", fmt.Errorf("making image %s: %w", r.name, err)
	}
	left, err := s.why(ctx, r)
	if err == nil && left != "" {
		err = fmt.Errorf("image %s was built and yet %s", r.ref(), left)
	}
	return r.ref(), err
}

// MissingError is of a source that only looks: an image would have to be made.
type MissingError struct{ Ref, Why string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("image %s would have to be made: %s", e.Ref, e.Why)
}

// why says what is wrong with the image in the store; empty when nothing is.
func (s *Source) why(ctx context.Context, r recipe) (string, error) {
	there, err := s.Engine.Inspect(ctx, r.ref())
	switch {
	case errors.Is(err, engine.ErrNoImage):
		return "it is not in the store", nil
	case err != nil:
		return "", err
	case there.Labels[digestLabel] != r.key:
		return "the store's image of that name is not ours", nil
	}
	return "", nil
}

// workDir is an empty folder for a build's context, beside the artefacts, so
// that they can be hard-linked into it. The caller holds the image's lock, so
// what is there already was left by a killed run. The caller removes it.
func (s *Source) workDir(name string) (string, error) {
	dir := filepath.Join(s.Cache, "packages", name+"-context")
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("clearing an old build context: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("making a build context: %w", err)
	}
	return dir, nil
}

// buildEmbedded builds <name>.Dockerfile on base, with a context of the embedded folder <name>, if there is one.
func (s *Source) buildEmbedded(ctx context.Context, r recipe, base recipe, log io.Writer) error {
	ref, err := s.ensure(ctx, base, log)
	if err != nil {
		return err
	}
	work, err := s.workDir(r.name)
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	folder := filepath.Join(work, "context")
	tree, err := fs.Sub(embedded, "files/"+r.name)
	if err != nil {
		return fmt.Errorf("reading the files of %s: %w", r.name, err)
	}
	if err := os.CopyFS(folder, tree); err != nil {
		return fmt.Errorf("writing the files of %s: %w", r.name, err)
	}
	return s.buildOn(ctx, r, place{work, folder}, ref, log)
}

// place is where a build happens: a folder for its Dockerfile, and its context.
type place struct{ work, context string }

func (s *Source) buildOn(ctx context.Context, r recipe, at place, base string, log io.Writer) error {
	name := r.name + ".Dockerfile"
	if err := writeFiles(at.work, map[string]string{name: file(name)}); err != nil {
		return err
	}
	build := engine.Build{
		Dockerfile: filepath.Join(at.work, name),
		Context:    at.context,
		Tags:       []string{r.ref()},
		Args:       map[string]string{"BASE": base},
		Labels:     r.labels(),
	}
	build.Labels[image.LabelRun] = s.Run
	if ignore, err := embedded.ReadFile("files/" + name + ".dockerignore"); err == nil {
		build.Ignore = build.Dockerfile + ".dockerignore"
		if err := os.WriteFile(build.Ignore, ignore, 0o644); err != nil {
			return fmt.Errorf("writing the ignore file of %s: %w", r.name, err)
		}
	}
	_, err := s.Engine.Build(ctx, build, log)
	return err
}
