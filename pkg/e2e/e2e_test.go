package e2e_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubernaut-ai/kubernaut/pkg/e2e"
	"github.com/kubernaut-ai/kubernaut/pkg/engine"
	"github.com/kubernaut-ai/kubernaut/pkg/image"
	"github.com/kubernaut-ai/kubernaut/pkg/report"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// sources gives fixed references.
type sources struct{}

func (sources) Base(context.Context, io.Writer) (map[string]string, error) {
	return map[string]string{"BASE": "base:1"}, nil
}
func (sources) ThirdParty(context.Context, io.Writer) (map[string]string, error) {
	return map[string]string{"localhost/kubernaut-redis": "redis:1"}, nil
}
func (sources) Node(context.Context, io.Writer) (string, error) { return "node:1", nil }

// store has what was built.
type store map[string]engine.Image

func (s store) Inspect(_ context.Context, ref string) (engine.Image, error) {
	if found, ok := s[ref]; ok {
		return found, nil
	}
	return engine.Image{}, engine.ErrNoImage
}

// builder builds into the store and counts.
type builder struct {
	store  store
	builds *int
}

func (b builder) Build(_ context.Context, p image.Plan) (image.Result, error) {
	*b.builds++
	b.store[p.Ref] = engine.Image{ID: "id", Labels: map[string]string{image.LabelDigest: p.Digest, image.LabelImage: p.Image.Name}}
	return image.Result{Ref: p.Ref, ID: "id"}, nil
}

func platform(t *testing.T, builds *int, noBuild bool) (*e2e.Platform, *stage.Run) {
	t.Helper()
	root := t.TempDir()
	for _, name := range []string{"Dockerfile", "Dockerfile.dockerignore", "main.py"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte("*\n!main.py\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run, err := stage.New(t.Context(), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	all := store{}
	return &e2e.Platform{
		Root: root, Sources: sources{}, NoBuild: noBuild,
		Catalog: []image.Image{{Name: "a", Kind: image.Python, Dockerfile: "Dockerfile", Context: ".", Base: "BASE"}, {Name: "broken", Kind: image.Python, Dockerfile: "none", Context: ".", Base: "BASE"}},
		Source:  image.Source{Root: root, Platform: "linux/amd64"}, Planner: image.Planner{Store: all, Memory: t.TempDir()}, Builder: builder{all, builds},
	}, run
}

func do(run *stage.Run, name string, deed func(context.Context, *stage.Handle) error) error {
	return run.Do(stage.Stage{Name: name, Group: "build"}, deed)
}

func build(p *e2e.Platform, name string) func(context.Context, *stage.Handle) error {
	return func(ctx context.Context, h *stage.Handle) error { return p.Build(ctx, h, name) }
}

func TestBuildOnceThenReuse(t *testing.T) {
	builds := 0
	p, run := platform(t, &builds, false)
	for _, step := range []struct {
		name string
		deed func(context.Context, *stage.Handle) error
	}{{"plan", p.Plan}, {"base", p.Base}, {"first", build(p, "a")}, {"second", build(p, "a")}} {
		if err := do(run, step.name, step.deed); err != nil {
			t.Fatal(err)
		}
	}
	var r report.Run
	p.Facts(&r)
	if builds != 1 || len(r.Images) != 2 || r.Images[0].Decision != "build" || r.Images[1].Decision != "reuse" {
		t.Errorf("%d builds, %+v", builds, r.Images)
	}
	if p.Reference("localhost/kubernaut-a") != r.Images[0].Reference {
		t.Error("the manifests would not get the built image")
	}
}

func TestDeployOnlyNeverBuilds(t *testing.T) {
	builds := 0
	p, run := platform(t, &builds, true)
	if err := errors.Join(do(run, "plan", p.Plan), do(run, "base", p.Base)); err != nil {
		t.Fatal(err)
	}
	var missing *e2e.MissingImageError
	if err := do(run, "build:a", build(p, "a")); !errors.As(err, &missing) || missing.Image != "a" || builds != 0 {
		t.Errorf("error %v, %d builds", err, builds)
	}
}

func TestOneBrokenImageHoldsUpNoOther(t *testing.T) {
	builds := 0
	p, run := platform(t, &builds, false)
	if err := errors.Join(do(run, "plan", p.Plan), do(run, "base", p.Base), do(run, "build:a", build(p, "a"))); err != nil {
		t.Fatal(err)
	}
	if err := do(run, "build:broken", build(p, "broken")); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("error %v must name the file", err)
	}
}

func TestSuiteArgsAreGolden(t *testing.T) {
	s := e2e.Suite{Ginkgo: "ginkgo", Package: "./test/e2e/x", Label: "!disruptive", Focus: "FLOW-03", Procs: 2, Strict: true, Flags: map[string]string{"timescale": "2"}}
	want := "ginkgo run --no-color --randomize-all --fail-on-empty --procs=2 --output-dir=/r --json-report=ginkgo.json " +
		"--fail-on-pending --label-filter=!disruptive --focus=FLOW-03 /r/x.test -- -health-url=http://127.0.0.1:1 -timescale=2"
	if got := strings.Join(s.Args("/r", map[string]string{"health-url": "http://127.0.0.1:1"}), " "); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}
