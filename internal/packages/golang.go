package packages

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
)

// goTools is the Go of this host: the compiler of what is built here, and the Go of GO_IMAGE.
type goTools struct{ version, root string }

func (s *Source) goTools(ctx context.Context) (goTools, error) {
	result, err := s.Runner.Run(ctx, command.Cmd{Args: []string{"go", "env", "GOVERSION", "GOROOT"}})
	if err != nil {
		return goTools{}, fmt.Errorf("looking for Go: %w", err)
	}
	version, rest, ok := strings.Cut(strings.TrimSpace(string(result.Stdout)), "\n")
	if !ok {
		return goTools{}, fmt.Errorf("go env answers %q", result.Stdout)
	}
	folder, err := filepath.EvalSymlinks(rest)
	if err != nil {
		return goTools{}, fmt.Errorf("looking for Go: %w", err)
	}
	return goTools{version: version, root: folder}, nil
}

// golangImage is the host's Go on the Debian image. GOROOT is the build
// context itself, which every engine can do.
func (s *Source) golangImage(base recipe, tools goTools) recipe {
	key := keyOf("golang", base.key, tools.version, file("golang.Dockerfile"), file("golang.Dockerfile.dockerignore"))
	return recipe{name: "golang", key: key, make: func(ctx context.Context, made recipe, log io.Writer) error {
		ref, err := s.ensure(ctx, base, log)
		if err != nil {
			return err
		}
		work, err := s.workDir(made.name)
		if err != nil {
			return err
		}
		defer os.RemoveAll(work)
		return s.buildOn(ctx, made, place{work, tools.root}, ref, log)
	}}
}

// module is a throw-away Go module that exists to build others' programs: what
// it requires never enters our own go.mod.
type module struct {
	name     string
	requires string // module@version
	replaces func(ctx context.Context, dir string) ([]string, error)
	files    map[string]string
	programs []program
}

// program is one binary of a module.
type program struct {
	name, pkg, tags, ldflags string
}

func (m module) key(tools goTools) string {
	parts := []string{"go", tools.version, m.requires}
	for _, p := range m.programs {
		parts = append(parts, p.argv("")...)
		parts = append(parts, m.files[p.name+".go"])
	}
	return keyOf(parts...)
}

// argv builds the program to target. A low priority leaves the host usable:
// Kubernetes takes all cores for minutes.
func (p program) argv(target string) []string {
	args := []string{"nice", "-n", "10", "go", "build", "-trimpath"}
	if p.tags != "" {
		args = append(args, "-tags="+p.tags)
	}
	return append(args, "-ldflags="+strings.TrimSpace("-s -w "+p.ldflags), "-o="+target, p.pkg)
}

// goEnv keeps the caller's work space and flags out of the throw-away modules.
func goEnv(mod string) []string {
	return []string{"CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-buildvcs=false" + mod}
}

// compile gives the folder of the module's programs. They are built one after
// the other and each is kept when it is done, so a broken-off run goes on with
// the next.
func (s *Source) compile(ctx context.Context, m module, tools goTools, log io.Writer) (string, error) {
	return s.artefact(ctx, m.name, m.key(tools), func(dir string) error {
		source := filepath.Join(dir, "src")
		if err := m.write(ctx, source, tools); err != nil {
			return err
		}
		for i, p := range m.programs {
			final := filepath.Join(dir, p.name)
			if whole(final) {
				continue
			}
			s.note("%s %d/%d %s", m.name, i+1, len(m.programs), p.name)
			began := time.Now()
			unfinished := filepath.Join(dir, p.name+".part")
			build := command.Cmd{Args: p.argv(unfinished), Dir: source, Env: goEnv(" -mod=mod"), Log: log}
			if _, err := s.Runner.Run(ctx, build); err != nil {
				return fmt.Errorf("building %s: %w", p.name, err)
			}
			if err := os.Rename(unfinished, final); err != nil {
				return fmt.Errorf("keeping %s: %w", p.name, err)
			}
			s.note("%s %d/%d %s %s", m.name, i+1, len(m.programs), p.name, time.Since(began).Round(time.Second))
		}
		return os.RemoveAll(source)
	})
}

// write lays the module down. Its go.mod starts from the pins alone every
// time; -mod=mod completes it, and minimal version selection gives the same result.
func (m module) write(ctx context.Context, dir string, tools goTools) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("clearing %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making %s: %w", dir, err)
	}
	var replaces []string
	if m.replaces != nil {
		var err error
		if replaces, err = m.replaces(ctx, dir); err != nil {
			return err
		}
	}
	files := map[string]string{"go.mod": m.goMod(tools.version, replaces)}
	for name, text := range m.files {
		files[name] = text
	}
	return writeFiles(dir, files)
}

func (m module) goMod(goVersion string, replaces []string) string {
	var b strings.Builder
	parts := strings.SplitN(strings.TrimPrefix(goVersion, "go"), ".", 3)
	fmt.Fprintf(&b, "module kubernaut.local/%s\n\ngo %s.0\n", m.name, strings.Join(parts[:min(2, len(parts))], "."))
	if path, version, ok := strings.Cut(m.requires, "@"); ok {
		fmt.Fprintf(&b, "\nrequire %s %s\n", path, version)
	}
	for _, line := range replaces {
		fmt.Fprintf(&b, "\nreplace %s\n", line)
	}
	return b.String()
}

// kubernetesModule builds the seven programs of a node. Staging modules are
// replaced in Kubernetes' own go.mod by folders that its module zip lacks; here
// they are replaced by their published versions.
func (s *Source) kubernetesModule(k kubernetes) module {
	const version = "-X k8s.io/component-base/version."
	flags := strings.Join([]string{
		version + "gitVersion=" + k.version, version + "gitMajor=1", version + "gitMinor=" + k.minor,
		version + "gitTreeState=clean", version + "gitCommit=none", version + "buildDate=1970-01-01T00:00:00Z",
	}, " ")
	m := module{name: "kubernetes", requires: "k8s.io/kubernetes@" + k.version}
	m.replaces = func(ctx context.Context, dir string) ([]string, error) {
		return s.stagingReplaces(ctx, dir, m.requires, k.staging)
	}
	for _, name := range []string{"kube-apiserver", "kubelet", "kubeadm", "kubectl", "kube-controller-manager", "kube-scheduler", "kube-proxy"} {
		m.programs = append(m.programs, program{name: name, pkg: "k8s.io/kubernetes/cmd/" + name, ldflags: flags})
	}
	return m
}

// stagingReplaces reads the replace block of the module's go.mod.
func (s *Source) stagingReplaces(ctx context.Context, dir, module, version string) ([]string, error) {
	var downloaded struct{ GoMod string }
	if err := s.goJSON(ctx, dir, &downloaded, "mod", "download", "-json", module); err != nil {
		return nil, err
	}
	var edited struct {
		Replace []struct{ Old, New struct{ Path string } }
	}
	if err := s.goJSON(ctx, dir, &edited, "mod", "edit", "-json", downloaded.GoMod); err != nil {
		return nil, err
	}
	var lines []string
	for _, r := range edited.Replace {
		if strings.HasPrefix(r.New.Path, "./staging/") {
			lines = append(lines, fmt.Sprintf("%s => %s %s", r.Old.Path, r.Old.Path, version))
		}
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s replaces no staging module: its layout has changed", module)
	}
	return lines, nil
}

func (s *Source) goJSON(ctx context.Context, dir string, into any, args ...string) error {
	result, err := s.Runner.Run(ctx, command.Cmd{Args: append([]string{"go"}, args...), Dir: dir, Env: goEnv("")})
	if err != nil {
		return fmt.Errorf("asking go: %w", err)
	}
	if err := json.Unmarshal(result.Stdout, into); err != nil {
		return fmt.Errorf("reading go %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

func containerdModule() module {
	const path = "github.com/containerd/containerd/v2"
	m := module{name: "containerd", requires: path + "@" + containerdVersion}
	for _, name := range []string{"containerd", "ctr", "containerd-shim-runc-v2"} {
		m.programs = append(m.programs, program{name: name, pkg: path + "/cmd/" + name, tags: containerdTags, ldflags: "-X " + path + "/version.Version=" + containerdVersion})
	}
	return m
}

func etcdModule() module {
	const path = "go.etcd.io/etcd/server/v3"
	return module{name: "etcd", requires: path + "@" + etcdVersion, programs: []program{{name: "etcd", pkg: path}}}
}

func corednsModule() module {
	return module{
		name: "coredns", requires: "github.com/coredns/coredns@" + corednsVersion,
		files:    map[string]string{"coredns.go": file("coredns/main.go.txt")},
		programs: []program{{name: "coredns", pkg: "."}},
	}
}

func pauseModule() module {
	return module{name: "pause", files: map[string]string{"pause.go": file("pause/main.go.txt")}, programs: []program{{name: "pause", pkg: "."}}}
}
