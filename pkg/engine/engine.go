// Package engine is podman or docker behind one small face: detect, build,
// look at an image, save, import. What only one of them can do is not here.
package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
)

// Name is which engine it is.
type Name string

// The engines, in the order in which Detect prefers them.
const (
	Podman Name = "podman"
	Docker Name = "docker"
)

// ErrNoImage is wrapped when the store has no image of a reference.
var ErrNoImage = errors.New("no such image in the engine's store")

// Engine is one engine that answered. Its fields do not change after Detect.
type Engine struct {
	Name    Name
	Version string
	Remote  bool // a machine of its own (podman machine, Docker Desktop): limits are read there
	Cgroup  string
	Memory  int64    // bytes that the engine's machine has; 0 when it does not say
	Global  []string // options before the verb, for example a storage root of its own
	Env     []string // KEY=value for every call, for example TMPDIR

	runner command.Runner
}

// answerLimit is how long an engine may take to answer `info`.
const answerLimit = 5 * time.Second

// Detect finds the engine that answers. want is auto, podman or docker; the
// reason says in half a sentence why this one was chosen. The PATH proves
// nothing: an engine counts when `info` answers within 5 s.
func Detect(ctx context.Context, runner command.Runner, want string) (*Engine, string, error) {
	candidates := []Name{Podman, Docker}
	switch want {
	case "", "auto":
	case string(Podman), string(Docker):
		candidates = []Name{Name(want)}
	default:
		return nil, "", fmt.Errorf("engine %q is unknown: use auto, podman or docker", want)
	}
	var refused []string
	for _, name := range candidates {
		e := &Engine{Name: name, runner: runner}
		err := e.ask(ctx)
		if err == nil {
			return e, reason(name, want, refused), nil
		}
		refused = append(refused, fmt.Sprintf("%s does not answer (%v)", name, err))
	}
	return nil, "", fmt.Errorf("no container engine answers: %s: install podman or start docker (`go tool mage setup` on Debian and Ubuntu)", strings.Join(refused, "; "))
}

func reason(name Name, want string, refused []string) string {
	switch {
	case want == string(name):
		return "asked for"
	case len(refused) > 0:
		return strings.Join(refused, "; ")
	default:
		return "first that answers"
	}
}

func (e *Engine) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	format := "json"
	if e.Name == Docker {
		format = "{{json .}}"
	}
	out, err := e.Do(ctx, "info", "--format", format)
	if err != nil {
		return err
	}
	if e.Name == Docker {
		var answer struct {
			ServerVersion, CgroupVersion, OperatingSystem string
			MemTotal                                      int64
			ServerErrors                                  []string
		}
		if err := json.Unmarshal(out, &answer); err != nil {
			return fmt.Errorf("reading docker info: %w", err)
		}
		if answer.ServerVersion == "" {
			return fmt.Errorf("its daemon is not running: %s", strings.Join(answer.ServerErrors, "; "))
		}
		e.Version, e.Cgroup, e.Memory = answer.ServerVersion, "v"+answer.CgroupVersion, answer.MemTotal
		e.Remote = strings.Contains(answer.OperatingSystem, "Docker Desktop")
		return nil
	}
	var answer struct {
		Host struct {
			CgroupVersion   string `json:"cgroupVersion"`
			MemTotal        int64  `json:"memTotal"`
			ServiceIsRemote bool   `json:"serviceIsRemote"`
		} `json:"host"`
		Version struct{ Version string } `json:"version"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return fmt.Errorf("reading podman info: %w", err)
	}
	e.Version, e.Cgroup, e.Memory, e.Remote = answer.Version.Version, answer.Host.CgroupVersion, answer.Host.MemTotal, answer.Host.ServiceIsRemote
	return nil
}

// Argv is the full argument list for a verb of this engine.
func (e *Engine) Argv(args ...string) []string {
	return append(append([]string{string(e.Name)}, e.Global...), args...)
}

// Do runs one verb and gives what it printed.
func (e *Engine) Do(ctx context.Context, args ...string) ([]byte, error) {
	result, err := e.runner.Run(ctx, command.Cmd{Args: e.Argv(args...), Env: e.Env})
	return result.Stdout, err
}

// Image is what the store says of an image.
type Image struct {
	ID      string // without the sha256: prefix
	Labels  map[string]string
	Layers  []string // diff ids, base first
	Size    int64    // bytes, as the engine counts them
	Created time.Time
}

// Inspect looks an image up; ErrNoImage is wrapped when it is not there.
func (e *Engine) Inspect(ctx context.Context, ref string) (Image, error) {
	out, err := e.Do(ctx, "image", "inspect", ref)
	if err != nil {
		var failed *command.Error
		if errors.As(err, &failed) && noImage(failed.Output) {
			return Image{}, fmt.Errorf("inspecting %q: %w", ref, ErrNoImage)
		}
		return Image{}, fmt.Errorf("inspecting %q: %w", ref, err)
	}
	var found []struct {
		ID      string `json:"Id"`
		Size    int64
		Created time.Time
		Config  struct{ Labels map[string]string }
		RootFS  struct{ Layers []string }
	}
	if err := json.Unmarshal(out, &found); err != nil || len(found) != 1 {
		return Image{}, fmt.Errorf("inspecting %q: %d answers: %w", ref, len(found), err)
	}
	f := found[0]
	return Image{ID: strings.TrimPrefix(f.ID, "sha256:"), Labels: f.Config.Labels, Layers: f.RootFS.Layers, Size: f.Size, Created: f.Created}, nil
}

func noImage(output string) bool {
	lower := strings.ToLower(output)
	return strings.Contains(lower, "no such image") || strings.Contains(lower, "image not known") || strings.Contains(lower, "failed to find image")
}

// Tag gives an image one more name.
func (e *Engine) Tag(ctx context.Context, ref, alias string) error {
	_, err := e.Do(ctx, "tag", ref, alias)
	if err != nil {
		return fmt.Errorf("tagging %q as %q: %w", ref, alias, err)
	}
	return nil
}

// Save streams a docker archive of the images to w. This is the whole image,
// however much of it the reader has already.
func (e *Engine) Save(ctx context.Context, w io.Writer, refs ...string) error {
	args := []string{"save"}
	if e.Name == Podman {
		args = append(args, "--quiet", "--format=docker-archive", "--multi-image-archive")
	}
	_, err := e.runner.Run(ctx, command.Cmd{Args: e.Argv(append(args, refs...)...), Env: e.Env, Stdout: w})
	if err != nil {
		return fmt.Errorf("saving %s: %w", strings.Join(refs, ", "), err)
	}
	return nil
}

// Import makes an image of one layer from a root file system archive; changes
// are Dockerfile instructions such as `ENTRYPOINT ["/pause"]`.
func (e *Engine) Import(ctx context.Context, ref, archive string, changes ...string) error {
	args := []string{"import"}
	for _, change := range changes {
		args = append(args, "--change="+change)
	}
	if _, err := e.Do(ctx, append(args, archive, ref)...); err != nil {
		return fmt.Errorf("importing %q: %w", ref, err)
	}
	return nil
}
