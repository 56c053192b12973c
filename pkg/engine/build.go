package engine

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
)

// Build is one image build.
type Build struct {
	Dockerfile string
	Ignore     string // ignore file; BuildKit finds <Dockerfile>.dockerignore itself, podman is told
	Context    string
	Tags       []string          // the first is the image's name, the rest are aliases
	Args       map[string]string // --build-arg
	Labels     map[string]string
	Secrets    map[string]string // id -> file; a value never stands in the argument list
	Platform   string            // empty: the engine's own
}

// BuildArgs is the argument list after the engine's name and global options;
// equal builds give equal lists.
func (b Build) BuildArgs(name Name) []string {
	args := []string{"build", "--file=" + b.Dockerfile}
	if name == Podman {
		args = append(args, "--layers", "--force-rm", "--pull=never")
		if b.Ignore != "" {
			args = append(args, "--ignorefile="+b.Ignore)
		}
	} else {
		args = append(args, "--progress=plain")
	}
	if b.Platform != "" {
		args = append(args, "--platform="+b.Platform)
	}
	for _, tag := range b.Tags {
		args = append(args, "--tag="+tag)
	}
	for _, key := range slices.Sorted(maps.Keys(b.Args)) {
		args = append(args, "--build-arg="+key+"="+b.Args[key])
	}
	for _, key := range slices.Sorted(maps.Keys(b.Labels)) {
		args = append(args, "--label="+key+"="+b.Labels[key])
	}
	for _, id := range slices.Sorted(maps.Keys(b.Secrets)) {
		args = append(args, "--secret=id="+id+",src="+b.Secrets[id])
	}
	return append(args, b.Context)
}

// Build builds; everything the engine says goes to log.
func (e *Engine) Build(ctx context.Context, b Build, log io.Writer) (command.Result, error) {
	env := e.Env
	if e.Name == Docker {
		env = append(slices.Clone(env), "DOCKER_BUILDKIT=1")
	}
	result, err := e.runner.Run(ctx, command.Cmd{Args: e.Argv(b.BuildArgs(e.Name)...), Env: env, Log: log})
	if err != nil {
		return result, fmt.Errorf("building %s: %w", b.Tags[0], err)
	}
	return result, nil
}

// RemoveContainers removes every container, working containers of builds
// included, that carries the label.
func (e *Engine) RemoveContainers(ctx context.Context, label string) error {
	list, remove := []string{"ps", "--all", "--quiet", "--filter=label=" + label}, []string{"rm", "--force", "--volumes"}
	if e.Name == Podman { // docker kills at once and knows no working containers
		list, remove = append(list, "--external"), append(remove, "--time=0")
	}
	out, err := e.Do(ctx, list...)
	if err != nil {
		return fmt.Errorf("listing containers of %s: %w", label, err)
	}
	for _, id := range lines(out) {
		if _, err := e.Do(ctx, append(remove, id)...); err != nil {
			return fmt.Errorf("removing container %s: %w", id, err)
		}
	}
	return nil
}
