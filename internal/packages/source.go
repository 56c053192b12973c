// Package packages makes the images that others build on: Go and Python base
// images, PostgreSQL, Redis and the Kind node image. In registry mode they are
// public images; in packages mode they are built on this host from the Go
// module proxy and Debian packages alone, under the same contract.
package packages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
	"github.com/kubernaut-ai/kubernaut/pkg/engine"
)

// Mode is where images come from.
type Mode string

// The modes.
const (
	Registry Mode = "registry"
	Packages Mode = "packages"
)

// probeLimit is how long the registry may take to answer.
const probeLimit = 3 * time.Second

// Choose settles the mode: want is auto, registry or packages. For auto the
// registry is asked once, 3 s at most. The reason is half a sentence for people.
func Choose(ctx context.Context, want string, probe func(context.Context) error) (Mode, string, error) {
	switch want {
	case string(Registry), string(Packages):
		return Mode(want), "asked for", nil
	case "", "auto":
	default:
		return "", "", fmt.Errorf("image source %q is unknown: use auto, registry or packages", want)
	}
	bounded, cancel := context.WithTimeoutCause(ctx, probeLimit, fmt.Errorf("no answer within %s", probeLimit))
	defer cancel()
	err := probe(bounded)
	switch {
	case ctx.Err() != nil:
		return "", "", fmt.Errorf("choosing the image source: %w", context.Cause(ctx))
	case err == nil:
		return Registry, "the registry answers", nil
	case errors.Is(err, context.DeadlineExceeded):
		return Packages, fmt.Sprintf("no registry: %v", context.Cause(bounded)), nil
	default:
		return Packages, fmt.Sprintf("no registry: %v", err), nil
	}
}

// Probe asks whether the registry of the largest of our public images answers
// as a registry: 200, or 401 to anonymous callers.
func Probe(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://registry-1.docker.io/v2/", nil)
	if err != nil {
		return fmt.Errorf("asking the registry: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("asking the registry: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("%s answers %s", request.URL.Host, response.Status)
	}
	return nil
}

// Source makes images in one mode. Its methods may run at the same time, in
// this process or in several.
type Source struct {
	Engine   *engine.Engine
	Runner   command.Runner
	Mode     Mode
	Cache    string // kubernaut's cache folder, absolute; made when absent
	Host     engine.Host
	Mirror   string            // Debian mirror; empty is mmdebstrap's default with updates and security
	Progress func(line string) // one line a step, for people; called from several goroutines; may be nil
	Run      string            // the label of what is built, so that a cancelled build can be cleared away
	LookOnly bool              // make and pull nothing: a MissingError instead
}

// Base makes the images that Dockerfiles name by GO_IMAGE and PYTHON_IMAGE: build argument to reference. Another image is
// another reference.
func (s *Source) Base(ctx context.Context, log io.Writer) (map[string]string, error) {
	if s.Mode == Registry {
		return s.pullBases(ctx, log)
	}
	tools, err := s.goTools(ctx)
	if err != nil {
		return nil, err
	}
	debian := s.debianImage(pythonRoot())
	golang := s.golangImage(debian, tools)
	bases := map[string]string{}
	for arg, image := range map[string]recipe{"PYTHON_IMAGE": debian, "GO_IMAGE": golang} {
		if bases[arg], err = s.ensure(ctx, image, log); err != nil {
			return nil, err
		}
	}
	return bases, nil
}

// ThirdParty makes PostgreSQL and Redis; the keys are postgres and redis.
func (s *Source) ThirdParty(ctx context.Context, log io.Writer) (map[string]string, error) {
	if s.Mode == Registry {
		return s.pullThirdParty(ctx, log)
	}
	refs := map[string]string{}
	for _, image := range []recipe{s.postgresImage(), s.redisImage()} {
		ref, err := s.ensure(ctx, image, log)
		if err != nil {
			return nil, err
		}
		refs[image.name] = ref
	}
	return refs, nil
}

// Node makes the Kind node image. In registry mode it is the one of the pinned kind module.
func (s *Source) Node(ctx context.Context, log io.Writer) (string, error) {
	if s.Mode == Registry {
		_, err := s.pull(ctx, publicNode(), log)
		return publicNode(), err
	}
	image, err := s.nodeImage(ctx)
	if err != nil {
		return "", err
	}
	return s.ensure(ctx, image, log)
}

func (s *Source) note(format string, args ...any) {
	if s.Progress != nil {
		s.Progress(fmt.Sprintf(format, args...))
	}
}
