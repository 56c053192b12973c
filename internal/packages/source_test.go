package packages

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
	"github.com/kubernaut-ai/kubernaut/pkg/engine"
)

// store is an engine's store: references with their digest labels.
type store struct {
	mu     sync.Mutex
	images map[string]string
}

func (f *store) respond(_ context.Context, c command.Cmd) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := c.Args[len(c.Args)-1]
	switch line := strings.Join(c.Args, " "); {
	case strings.HasPrefix(line, "podman info"):
		return []byte(`{"host":{"cgroupVersion":"v2"},"version":{"Version":"4.3.1"}}`), nil
	case strings.HasPrefix(line, "podman image inspect"):
		digest, ok := f.images[last]
		if !ok {
			return nil, &command.Error{Cmd: c, Code: 125, Output: "Error: " + last + ": image not known", Err: errors.New("exit status 125")}
		}
		return []byte(`[{"Id":"sha256:1d` + digest + `","Config":{"Labels":{"` + digestLabel + `":"` + digest + `"}}}]`), nil
	case strings.HasPrefix(line, "podman import"):
		for _, arg := range c.Args {
			if digest, ok := strings.CutPrefix(arg, "--change=LABEL "+digestLabel+"="); ok {
				f.images[last] = digest
			}
		}
	case strings.HasPrefix(line, "podman build"):
		for _, arg := range c.Args {
			if ref, ok := strings.CutPrefix(arg, "--tag="); ok {
				f.images[ref] = labelOf(c.Args)
			}
		}
	case strings.HasPrefix(line, "podman pull"):
		f.images[last] = "pulled"
	case strings.HasPrefix(line, "go env"):
		return []byte("go1.26.8\n/\n"), nil
	case c.Args[0] == "mmdebstrap":
		return nil, os.WriteFile(c.Args[len(c.Args)-1], []byte("root"), 0o644)
	}
	return nil, nil
}

func labelOf(args []string) string {
	for _, arg := range args {
		if digest, ok := strings.CutPrefix(arg, "--label="+digestLabel+"="); ok {
			return digest
		}
	}
	return ""
}

func newSource(t *testing.T, mode Mode) (*Source, *store, *command.Recorder) {
	t.Helper()
	images := &store{images: map[string]string{}}
	recorder := &command.Recorder{Respond: images.respond}
	podman, _, err := engine.Detect(t.Context(), recorder, "podman")
	if err != nil {
		t.Fatal(err)
	}
	return &Source{Engine: podman, Runner: recorder, Mode: mode, Cache: t.TempDir(), Host: engine.Host{Root: true, CapSysResource: true}}, images, recorder
}

// verbs are the recorded calls since from, each by its first two words.
func verbs(recorder *command.Recorder, from int) []string {
	var all []string
	for _, c := range recorder.Calls()[from:] {
		all = append(all, strings.Join(c.Args[:min(2, len(c.Args))], " "))
	}
	return all
}

func TestChoose(t *testing.T) {
	answers := func(context.Context) error { return nil }
	refuses := func(context.Context) error { return errors.New("no such host") }
	for _, test := range []struct {
		want   string
		probe  func(context.Context) error
		mode   Mode
		reason string
	}{
		{"registry", nil, Registry, "asked for"},
		{"packages", nil, Packages, "asked for"},
		{"auto", answers, Registry, "answers"},
		{"", refuses, Packages, "no such host"},
	} {
		mode, reason, err := Choose(t.Context(), test.want, test.probe)
		if err != nil || mode != test.mode || !strings.Contains(reason, test.reason) {
			t.Errorf("Choose(%q) = %s, %q, %v", test.want, mode, reason, err)
		}
	}
	if _, _, err := Choose(t.Context(), "docker", nil); err == nil {
		t.Error("an unknown source was taken")
	}
	cancelled, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("interrupted")
	cancel(cause)
	if _, _, err := Choose(cancelled, "auto", func(ctx context.Context) error { return ctx.Err() }); !errors.Is(err, cause) {
		t.Errorf("a cancelled choice gave %v", err)
	}
}

func TestBaseIsMadeOnceThenReused(t *testing.T) {
	s, images, recorder := newSource(t, Packages)
	bases, err := s.Base(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, arg := range []string{"GO_IMAGE", "PYTHON_IMAGE"} {
		ref := bases[arg]
		if digest := images.images[ref]; digest == "" || !strings.HasSuffix(ref, ":h-"+digest[:12]) {
			t.Errorf("%s is %q, store %v", arg, ref, images.images)
		}
	}
	from := len(recorder.Calls())
	if _, err := s.Base(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got := verbs(recorder, from); !slices.Equal(got, []string{"go env", "podman image", "podman image"}) {
		t.Errorf("the second call ran %q", got)
	}
}

func TestImageRemovedByHandComesFromTheCache(t *testing.T) {
	s, images, recorder := newSource(t, Packages)
	first, err := s.ThirdParty(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	clear(images.images)
	from := len(recorder.Calls())
	again, err := s.ThirdParty(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if again["postgres"] != first["postgres"] || images.images[again["redis"]] == "" {
		t.Errorf("first %v, again %v", first, again)
	}
	for _, c := range recorder.Calls()[from:] {
		if c.Args[0] == "mmdebstrap" {
			t.Errorf("Debian packages were fetched again: %s", c)
		}
	}
}

func TestForeignImageIsReplaced(t *testing.T) {
	s, images, _ := newSource(t, Packages)
	ref := s.debianImage(pythonRoot()).ref()
	images.images[ref] = "another"
	var lines []string
	s.Progress = func(line string) { lines = append(lines, line) }
	if _, err := s.Base(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if images.images[ref] == "another" || !strings.Contains(strings.Join(lines, "\n"), "not ours") {
		t.Errorf("store %v, said %q", images.images, lines)
	}
}

func TestRootIsNeeded(t *testing.T) {
	s, _, _ := newSource(t, Packages)
	s.Host.Root = false
	if _, err := s.Base(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "root") {
		t.Errorf("got %v", err)
	}
}

func TestRegistryPullsWhatTheStoreLacks(t *testing.T) {
	s, _, recorder := newSource(t, Registry)
	bases, err := s.Base(t.Context(), &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if bases["GO_IMAGE"] != "localhost/kubernaut-go-image:h-1dpulled" {
		t.Errorf("got %v", bases)
	}
	from := len(recorder.Calls())
	if _, err := s.Base(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got := verbs(recorder, from); slices.Contains(got, "podman pull") {
		t.Errorf("pulled again: %q", got)
	}
	ref, err := s.Node(t.Context(), nil)
	if err != nil || !strings.HasPrefix(ref, "docker.io/kindest/node:v1.") {
		t.Errorf("node %q, %v", ref, err)
	}
	if _, err := s.Engine.Inspect(t.Context(), ref); err != nil { // what making a cluster asks first
		t.Errorf("the node image is not in the store: %v", err)
	}
}

func TestLookOnlyMakesNothing(t *testing.T) {
	for _, mode := range []Mode{Packages, Registry} {
		s, images, _ := newSource(t, mode)
		s.LookOnly = true
		for name, ask := range map[string]func() error{
			"base":        func() error { _, err := s.Base(t.Context(), nil); return err },
			"third party": func() error { _, err := s.ThirdParty(t.Context(), nil); return err },
			"node":        func() error { _, err := s.Node(t.Context(), nil); return err },
		} {
			var missing *MissingError
			if err := ask(); !errors.As(err, &missing) || len(images.images) > 0 {
				t.Errorf("%s, %s: error %v, store %v", mode, name, err, images.images)
			}
		}
	}
}

func TestArtefactIsWholeOrAbsent(t *testing.T) {
	s, _, _ := newSource(t, Packages)
	key := keyOf("x")
	broken := errors.New("network gone")
	_, err := s.artefact(t.Context(), "thing", key, func(dir string) error {
		if err := os.WriteFile(filepath.Join(dir, "first"), nil, 0o644); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) || whole(filepath.Join(s.Cache, "packages", "thing-"+key[:12])) {
		t.Fatalf("error %v, or an unfinished artefact under the final name", err)
	}
	dir, err := s.artefact(t.Context(), "thing", key, func(dir string) error {
		if !whole(filepath.Join(dir, "first")) {
			t.Error("what was finished is gone")
		}
		return nil
	})
	if err != nil || !whole(filepath.Join(dir, "first")) {
		t.Fatalf("dir %q, %v", dir, err)
	}
}

func TestArtefactIsMadeOnceAtATime(t *testing.T) {
	s, _, _ := newSource(t, Packages)
	var mu sync.Mutex
	fills := 0
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			_, err := s.artefact(t.Context(), "thing", keyOf("x"), func(string) error {
				mu.Lock()
				defer mu.Unlock()
				fills++
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if fills != 1 {
		t.Errorf("made %d times", fills)
	}
}

func TestLockIsGivenUpWithTheContext(t *testing.T) {
	s, _, _ := newSource(t, Packages)
	unlock, err := s.lock(t.Context(), "thing")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("interrupted")
	s.Progress = func(string) { cancel(cause) }
	if _, err := s.lock(ctx, "thing"); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}
