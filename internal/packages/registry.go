package packages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"sigs.k8s.io/kind/pkg/apis/config/defaults"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
	"github.com/kubernaut-ai/kubernaut/pkg/engine"
)

// pullLimit is for one image; the largest is some 400 MB.
const pullLimit = 10 * time.Minute

// publicNode is named in full: podman asks which registry is meant otherwise.
func publicNode() string { return "docker.io/" + defaults.Image }

// pullBases gives each base a local name by its id, so that a tag that moved in the registry is another base.
func (s *Source) pullBases(ctx context.Context, log io.Writer) (map[string]string, error) {
	bases := map[string]string{}
	for arg, ref := range map[string]string{"GO_IMAGE": goToolset, "PYTHON_IMAGE": python} {
		image, err := s.pull(ctx, ref, log)
		if err != nil {
			return nil, err
		}
		name := strings.ToLower(strings.ReplaceAll(arg, "_", "-"))
		id := strings.TrimPrefix(image.ID, "sha256:")
		bases[arg] = "localhost/kubernaut-" + name + ":h-" + id[:min(12, len(id))]
		if _, err := s.Engine.Do(ctx, "tag", ref, bases[arg]); err != nil {
			return nil, fmt.Errorf("naming %q by its id: %w", ref, err)
		}
	}
	return bases, nil
}

func (s *Source) pullThirdParty(ctx context.Context, log io.Writer) (map[string]string, error) {
	refs := map[string]string{"postgres": publicPostgres, "redis": publicRedis}
	for _, ref := range refs {
		if _, err := s.pull(ctx, ref, log); err != nil {
			return nil, err
		}
	}
	return refs, nil
}

// pull fetches an image that the store lacks; builds never pull by themselves.
func (s *Source) pull(ctx context.Context, ref string, log io.Writer) (engine.Image, error) {
	image, err := s.Engine.Inspect(ctx, ref)
	if err == nil || !errors.Is(err, engine.ErrNoImage) {
		return image, err
	}
	if s.LookOnly {
		return image, &MissingError{Ref: ref, Why: "it is not in the store"}
	}
	s.note("%s: pull", ref)
	bounded, cancel := context.WithTimeoutCause(ctx, pullLimit, fmt.Errorf("no end after %s", pullLimit))
	defer cancel()
	pull := command.Cmd{Args: s.Engine.Argv("pull", "--quiet", ref), Env: s.Engine.Env, Log: log}
	if _, err := s.Runner.Run(bounded, pull); err != nil {
		return engine.Image{}, fmt.Errorf("pulling %q: %w: set KUBERNAUT_IMAGE_SOURCE=packages to build without a registry", ref, err)
	}
	return s.Engine.Inspect(ctx, ref)
}
