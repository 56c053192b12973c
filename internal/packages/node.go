package packages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/kind/pkg/apis/config/defaults"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
)

// nodeImage is a Kind node image: Debian, kind's own files, Kubernetes and
// containerd compiled here, and the images of the control plane preloaded.
func (s *Source) nodeImage(ctx context.Context) (recipe, error) {
	k, err := kindKubernetes()
	if err != nil {
		return recipe{}, err
	}
	tools, err := s.goTools(ctx)
	if err != nil {
		return recipe{}, err
	}
	base := s.debianImage(nodeRoot())
	key := keyOf("node", defaults.Image, base.key, s.storeKey(k, tools),
		file("node.Dockerfile"), file("node/etc/cni/net.d/10-kindnet.conflist"), file("node/usr/local/bin/crictl"), fmt.Sprint(s.lowersOOM()))
	return recipe{name: "node", key: key, make: func(ctx context.Context, made recipe, log io.Writer) error {
		return s.makeNode(ctx, made, base, nodePlan{k, tools, s.storeKey(k, tools)}, log)
	}}, nil
}

// nodePlan is what a node image is made of, before it is made.
type nodePlan struct {
	kubernetes kubernetes
	tools      goTools
	storeKey   string
}

// modules are the programs of a node, the longest build first.
func (s *Source) modules(k kubernetes) []module {
	return []module{s.kubernetesModule(k), containerdModule(), etcdModule(), corednsModule(), pauseModule()}
}

func (s *Source) storeKey(k kubernetes, tools goTools) string {
	parts := []string{"store", storeFormat, defaults.Image, importerConfig, proxyRoot().key(s.Mirror)}
	for _, m := range s.modules(k) {
		parts = append(parts, m.key(tools))
	}
	return keyOf(parts...)
}

// lowersOOM says whether the node may lower oom_score_adj of its processes.
func (s *Source) lowersOOM() bool { return s.Host.CapSysResource }

func (s *Source) makeNode(ctx context.Context, made, base recipe, plan nodePlan, log io.Writer) error {
	kind, err := s.kindFiles(ctx)
	if err != nil {
		return err
	}
	parts, err := s.nodeParts(ctx, plan, log)
	if err != nil {
		return err
	}
	store, err := s.artefact(ctx, "store", plan.storeKey, func(dir string) error {
		config, err := os.ReadFile(filepath.Join(kind, "etc/containerd/config.toml"))
		if err != nil {
			return fmt.Errorf("reading kind's files: %w", err)
		}
		refs, err := s.kubeadmImages(ctx, parts, plan.kubernetes, string(config))
		if err != nil {
			return err
		}
		s.note("node: preload %d images", len(refs))
		return s.preload(ctx, parts, refs, dir, log)
	})
	if err != nil {
		return err
	}
	ground, err := s.ensure(ctx, base, log)
	if err != nil {
		return err
	}
	work, err := s.workDir("node")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	at := place{work, filepath.Join(work, "context")}
	if err := s.nodeContext(at.context, kind, parts, plan.kubernetes); err != nil {
		return err
	}
	if err := linkTree(filepath.Join(store, "store"), filepath.Join(at.context, "store")); err != nil {
		return fmt.Errorf("placing the preloaded images: %w", err)
	}
	return s.buildOn(ctx, made, at, ground, log)
}

// nodeParts makes the parts. Debian packages come over the network while the
// compiler has the processors.
func (s *Source) nodeParts(ctx context.Context, plan nodePlan, log io.Writer) (nodeParts, error) {
	var parts nodeParts
	group, ctx := errgroup.WithContext(ctx)
	log = &lockedWriter{w: log}
	group.Go(func() error {
		folders := []*string{&parts.kubernetes, &parts.containerd, &parts.etcd, &parts.coredns, &parts.pause}
		for i, m := range s.modules(plan.kubernetes) {
			folder, err := s.compile(ctx, m, plan.tools, log)
			if err != nil {
				return err
			}
			*folders[i] = folder
		}
		return nil
	})
	group.Go(func() (err error) {
		if _, err = s.debianRoot(ctx, nodeRoot(), log); err != nil { // the image's ground, wanted later
			return err
		}
		parts.proxy, err = s.debianRoot(ctx, proxyRoot(), log)
		return err
	})
	return parts, group.Wait()
}

// kindFiles is the folder of the files of kind's own base image, in the kind
// module of the working folder's module: the one that this program is built with.
func (s *Source) kindFiles(ctx context.Context) (string, error) {
	result, err := s.Runner.Run(ctx, command.Cmd{Args: []string{"go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kind"}})
	if err != nil {
		return "", fmt.Errorf("looking for the kind module (the working folder must be in a module that requires it): %w", err)
	}
	dir := strings.TrimSpace(string(result.Stdout))
	if dir == "" {
		return "", errors.New("the kind module is not in the module cache: run `go mod download sigs.k8s.io/kind`")
	}
	return filepath.Join(dir, "images", "base", "files"), nil
}

// nodeContext lays the build context out: root/ is copied over the root file
// system as it stands, so modes are those of the image.
func (s *Source) nodeContext(dir, kind string, parts nodeParts, k kubernetes) error {
	rootDir := filepath.Join(dir, "root")
	if err := copyKind(kind, rootDir); err != nil {
		return err
	}
	own, err := fs.Sub(embedded, "files/node")
	if err != nil {
		return fmt.Errorf("reading the files of the node: %w", err)
	}
	if err := os.CopyFS(rootDir, own); err != nil {
		return fmt.Errorf("writing the files of the node: %w", err)
	}
	if err := writeFiles(rootDir, map[string]string{"kind/version": k.version}); err != nil {
		return err
	}
	if !s.lowersOOM() {
		if err := restrictOOM(filepath.Join(rootDir, "etc/containerd/config.toml")); err != nil {
			return err
		}
	}
	for folder, names := range map[string][]string{
		parts.kubernetes: {"kubeadm", "kubelet", "kubectl"},
		parts.containerd: {"containerd", "ctr", "containerd-shim-runc-v2"},
	} {
		for _, name := range names {
			target := "usr/local/bin/"
			if folder == parts.kubernetes {
				target = "usr/bin/"
			}
			if err := link(filepath.Join(folder, name), filepath.Join(rootDir, target, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyKind copies kind's files: scripts may be executed, the rest only read,
// whatever modes the module cache gave them.
func copyKind(kind, target string) error {
	return filepath.WalkDir(kind, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(kind, path)
		if err != nil {
			return fmt.Errorf("copying kind's files: %w", err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("copying kind's files: %w", err)
		}
		mode := fs.FileMode(0o644)
		if strings.HasPrefix(name, "usr/local/bin/") || strings.HasPrefix(name, "kind/bin/") {
			mode = 0o755
		}
		final := filepath.Join(target, name)
		if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil {
			return fmt.Errorf("copying kind's files: %w", err)
		}
		return os.WriteFile(final, data, mode)
	})
}

// restrictOOM makes containerd ask for what it may have: lowering a score needs
// CAP_SYS_RESOURCE, and without it no container would start.
func restrictOOM(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("configuring containerd: %w", err)
	}
	const off, on = "restrict_oom_score_adj = false", "restrict_oom_score_adj = true"
	if strings.Count(string(data), off) != 1 {
		return fmt.Errorf("configuring containerd: %q does not stand once in kind's configuration", off)
	}
	return os.WriteFile(path, []byte(strings.Replace(string(data), off, on, 1)), 0o644)
}
