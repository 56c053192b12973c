package image_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
	"github.com/kubernaut-ai/kubernaut/pkg/engine"
	"github.com/kubernaut-ai/kubernaut/pkg/image"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// tree writes files below a new folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

var goImage = image.Image{Name: "a", Kind: image.Go, Dockerfile: "docker/a.Dockerfile", Context: ".", Main: "./cmd/a", Base: "GO_IMAGE", Revision: "REVISION"}

func goTree(t *testing.T) string {
	return tree(t, map[string]string{
		"go.mod": "module example.com/m\n\ngo 1.26\n", "README.md": "hello",
		"cmd/a/main.go": "package main\n\nimport \"example.com/m/lib\"\n\nfunc main() { lib.Do() }\n", "cmd/a/main_test.go": "package main\n",
		"cmd/b/main.go": "package main\n\nfunc main() {}\n",
		"lib/lib.go":    "package lib\n\nimport _ \"embed\"\n\n//go:embed data.txt\nvar data string\n\nfunc Do() { println(data) }\n", "lib/data.txt": "1",
		"docker/a.Dockerfile": "FROM scratch\n", "docker/a.Dockerfile.dockerignore": "*\n",
	})
}

// ACC-20: what is no input does not change the digest, what is one does.
func TestGoInputs(t *testing.T) {
	for name, c := range map[string]struct {
		file, text string
		changes    bool
	}{
		"README":           {"README.md", "other", false},
		"test file":        {"cmd/a/main_test.go", "package main\n// more\n", false},
		"another service":  {"cmd/b/main.go", "package main\n\nfunc main() { println() }\n", false},
		"own source":       {"cmd/a/main.go", "package main\n\nimport \"example.com/m/lib\"\n\nfunc main() { lib.Do(); lib.Do() }\n", true},
		"imported package": {"lib/lib.go", "package lib\n\nfunc Do() {}\n", true},
		"embedded file":    {"lib/data.txt", "2", true},
		"Dockerfile":       {"docker/a.Dockerfile", "FROM scratch\nUSER 1\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			root := goTree(t)
			source := image.Source{Root: root, Runner: command.OS{}, Platform: "linux/amd64", Toolchain: "go1.26"}
			before, err := source.Inputs(t.Context(), goImage)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, c.file), []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
			after, err := source.Inputs(t.Context(), goImage)
			if err != nil {
				t.Fatal(err)
			}
			if changed := before.Digest() != after.Digest(); changed != c.changes {
				t.Errorf("changed %v, want %v: %s", changed, c.changes, image.Difference(goImage, before, after))
			}
		})
	}
}

func TestPythonInputsFollowTheIgnoreFile(t *testing.T) {
	root := tree(t, map[string]string{
		"api/Dockerfile": "FROM x\n", "api/Dockerfile.dockerignore": "*\n!src\n!uv.lock\n**/__pycache__\n",
		"api/src/p/main.py": "x", "api/src/p/__pycache__/main.pyc": "x", "api/tests/t.py": "x", "api/uv.lock": "x",
	})
	in, err := image.Source{Root: root, Platform: "linux/amd64"}.Inputs(t.Context(),
		image.Image{Name: "p", Kind: image.Python, Dockerfile: "api/Dockerfile", Context: "api", Base: "PYTHON_IMAGE"})
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for key := range in {
		if name, ok := strings.CutPrefix(key, "file:"); ok {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	if got := strings.Join(files, " "); got != "api/Dockerfile api/Dockerfile.dockerignore api/src/p/main.py api/uv.lock" {
		t.Errorf("files %s", got)
	}
}

// store is an engine's store with one image at most.
type store struct {
	found engine.Image
	err   error
}

func (s store) Inspect(context.Context, string) (engine.Image, error) { return s.found, s.err }

func TestPlanDecides(t *testing.T) {
	in := image.Inputs{"file:cmd/a/main.go": "1", "file:docker/a.Dockerfile": "1", "toolchain": "go1"}
	with := func(key, value string) image.Inputs {
		changed := image.Inputs{key: value}
		for k, v := range in {
			if k != key {
				changed[k] = v
			}
		}
		changed["base:GO_IMAGE"] = "base"
		return changed
	}
	digest := with("toolchain", "go1").Digest()
	ours := engine.Image{ID: "id", Labels: map[string]string{image.LabelDigest: digest, image.LabelImage: "a"}, Created: time.Unix(0, 0)}
	foreign := engine.Image{ID: "id", Labels: map[string]string{image.LabelDigest: "x", image.LabelImage: "a"}}
	for name, c := range map[string]struct {
		store  store
		last   image.Inputs
		reuse  bool
		reason string
	}{
		"there":         {store: store{found: ours}, reuse: true, reason: "unchanged since 1970"},
		"foreign":       {store: store{found: foreign}, reason: "not ours"},
		"first":         {store: store{err: engine.ErrNoImage}, reason: "first build"},
		"gone":          {store: store{err: engine.ErrNoImage}, last: with("toolchain", "go1"), reason: "image gone from the store"},
		"file":          {store: store{err: engine.ErrNoImage}, last: with("file:cmd/a/main.go", "0"), reason: "changed: cmd/a/main.go"},
		"Dockerfile":    {store: store{err: engine.ErrNoImage}, last: with("file:docker/a.Dockerfile", "0"), reason: "changed: Dockerfile"},
		"toolchain":     {store: store{err: engine.ErrNoImage}, last: with("toolchain", "go0"), reason: "changed: toolchain"},
		"base":          {store: store{err: engine.ErrNoImage}, last: in, reason: "changed: base GO_IMAGE"},
		"removed input": {store: store{err: engine.ErrNoImage}, last: with("arg:X", "1"), reason: "changed: arg X"},
	} {
		t.Run(name, func(t *testing.T) {
			planner := image.Planner{Store: c.store, Memory: t.TempDir()}
			if c.last != nil {
				if err := planner.Remember(image.Plan{Image: goImage, Inputs: c.last}); err != nil {
					t.Fatal(err)
				}
			}
			plan, err := planner.Plan(t.Context(), goImage, in, "base")
			if err != nil {
				t.Fatal(err)
			}
			if plan.Reuse != c.reuse || !strings.Contains(plan.Reason, c.reason) {
				t.Errorf("reuse %v, reason %q", plan.Reuse, plan.Reason)
			}
			if plan.Ref != "localhost/kubernaut-a:h-"+digest[:12] {
				t.Errorf("ref %s", plan.Ref)
			}
		})
	}
}

func TestDifferenceNamesThreeAndACount(t *testing.T) {
	before, now := image.Inputs{}, image.Inputs{}
	for i := range 5 {
		now[fmt.Sprint("file:f", i)] = "1"
	}
	if got := image.Difference(goImage, before, now); got != "changed: f0, f1, f2 and 2 more" {
		t.Errorf("got %q", got)
	}
}

// builder is a Builder of one function.
type builder func(ctx context.Context, p image.Plan) (image.Result, error)

func (b builder) Build(ctx context.Context, p image.Plan) (image.Result, error) { return b(ctx, p) }

func plan(name string) image.Plan {
	return image.Plan{Image: image.Image{Name: name, Memory: 1}, Digest: strings.Repeat(name, 12), Ref: "localhost/" + name}
}

func TestAllKeepsOrderAndNamesEveryFailure(t *testing.T) {
	both := make(chan struct{})
	var failing sync.WaitGroup
	failing.Add(2)
	go func() { failing.Wait(); close(both) }()
	results, err := image.All(t.Context(), builder(func(_ context.Context, p image.Plan) (image.Result, error) {
		if p.Image.Name == "ok" {
			return image.Result{Ref: p.Ref}, nil
		}
		failing.Done()
		<-both
		return image.Result{}, errors.New("broken " + p.Image.Name)
	}), []image.Plan{plan("x"), plan("ok"), plan("y")})
	if err == nil || !strings.Contains(err.Error(), "image x: broken x") || !strings.Contains(err.Error(), "image y: broken y") {
		t.Errorf("error %v", err)
	}
	if results[1].Ref != "localhost/ok" {
		t.Errorf("results %v", results)
	}
}

func TestShareBuildsADigestOnce(t *testing.T) {
	var builds atomic.Int32
	shared := image.Share(builder(func(context.Context, image.Plan) (image.Result, error) {
		builds.Add(1)
		return image.Result{Ref: "r"}, nil
	}))
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			if result, err := shared.Build(t.Context(), plan("a")); err != nil || result.Ref != "r" {
				t.Error(result, err)
			}
		})
	}
	group.Wait()
	if builds.Load() != 1 {
		t.Errorf("%d builds", builds.Load())
	}
}

func TestLimitHoldsTokensWhileBuilding(t *testing.T) {
	pools := stage.NewPools(map[string]int64{image.PoolBuilder: 1, image.PoolMemory: 4})
	var now, most atomic.Int32
	limited := image.Limit(builder(func(context.Context, image.Plan) (image.Result, error) {
		most.Store(max(most.Load(), now.Add(1)))
		now.Add(-1)
		return image.Result{}, nil
	}), pools)
	var group sync.WaitGroup
	for i := range 10 {
		group.Go(func() {
			if _, err := limited.Build(t.Context(), plan(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if most.Load() != 1 {
		t.Errorf("%d builds at once", most.Load())
	}
}

// inStage runs deed as a stage of the group.
func inStage(t *testing.T, group string, deed func(ctx context.Context) error) error {
	t.Helper()
	run, err := stage.New(t.Context(), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return run.Do(stage.Stage{Name: group + ":a", Group: group}, func(ctx context.Context, _ *stage.Handle) error { return deed(ctx) })
}

func TestLedger(t *testing.T) {
	good := builder(func(context.Context, image.Plan) (image.Result, error) { return image.Result{PeakBytes: 7}, nil })
	bad := builder(func(context.Context, image.Plan) (image.Result, error) {
		return image.Result{}, &command.Error{Code: 1, Output: "x", Err: errors.New("exit status 1")}
	})
	for name, c := range map[string]struct {
		first, second image.Builder
		group         string
		refused       bool
	}{
		"second build of a digest": {good, good, "build", true},
		"after a failure":          {bad, good, "build", false},
		"outside the group":        {good, good, "deploy", true},
	} {
		t.Run(name, func(t *testing.T) {
			ledger := &image.Ledger{Path: filepath.Join(t.TempDir(), "ledger.jsonl"), Group: "build"}
			first := inStage(t, "build", func(ctx context.Context) error {
				_, err := image.Record(c.first, ledger, "podman").Build(ctx, plan("a"))
				return err
			})
			if errors.Is(first, image.ErrLedger) {
				t.Fatal(first)
			}
			err := inStage(t, c.group, func(ctx context.Context) error {
				_, err := image.Record(c.second, ledger, "podman").Build(ctx, plan("a"))
				return err
			})
			if errors.Is(err, image.ErrLedger) != c.refused {
				t.Errorf("error %v", err)
			}
			entries, err := ledger.Entries()
			if err != nil || len(entries) == 0 || entries[0].Stage != "build:a" {
				t.Errorf("entries %+v, error %v", entries, err)
			}
		})
	}
}

// buildEngine answers a build and has the image afterwards.
type buildEngine struct {
	store
	asked engine.Build
}

func (b *buildEngine) Build(_ context.Context, asked engine.Build, _ io.Writer) (command.Result, error) {
	b.asked, b.err = asked, nil
	return command.Result{}, nil
}

func TestEngineBuilderLabelsAndRemembers(t *testing.T) {
	fake := &buildEngine{store: store{found: engine.Image{ID: "id"}, err: engine.ErrNoImage}}
	planner := image.Planner{Store: fake, Memory: t.TempDir()}
	p, err := planner.Plan(t.Context(), goImage, image.Inputs{"toolchain": "go1"}, "base-ref")
	if err != nil {
		t.Fatal(err)
	}
	b := image.EngineBuilder{Engine: fake, Planner: planner, Root: "/src", Run: "run-1", Secrets: map[string]string{"ca": "/ca.pem"}, Log: func(context.Context) io.Writer { return io.Discard }}
	result, err := b.Build(t.Context(), p)
	if err != nil || result.ID != "id" {
		t.Fatal(result, err)
	}
	if fake.asked.Args["GO_IMAGE"] != "base-ref" || fake.asked.Args["REVISION"] != p.Digest || fake.asked.Labels[image.LabelDigest] != p.Digest || fake.asked.Tags[0] != p.Ref {
		t.Errorf("asked %+v", fake.asked)
	}
	fake.err = engine.ErrNoImage
	again, err := planner.Plan(t.Context(), goImage, image.Inputs{"toolchain": "go1"}, "base-ref")
	if err != nil || again.Reason != "image gone from the store" {
		t.Errorf("reason %q, error %v", again.Reason, err)
	}
}

func ExampleInputs_Digest() {
	fmt.Println(image.Inputs{"file:main.go": "1"}.Digest()[:12] == image.Inputs{"file:main.go": "2"}.Digest()[:12])
	// Output: false
}
