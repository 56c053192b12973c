package packages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
)

// nodeParts are the folders and files a node image is put together from.
type nodeParts struct {
	kubernetes, containerd, etcd, coredns, pause string // folders of programs
	proxy                                        string // archive of the tools of kube-proxy
}

// kubeadmImages are the names that this kubeadm will look for, and the names of
// the pause image that containerd itself is configured with.
func (s *Source) kubeadmImages(ctx context.Context, parts nodeParts, k kubernetes, containerdConfig string) ([]string, error) {
	list := command.Cmd{Args: []string{filepath.Join(parts.kubernetes, "kubeadm"), "config", "images", "list", "--kubernetes-version=" + k.version}}
	result, err := s.Runner.Run(ctx, list)
	if err != nil {
		return nil, fmt.Errorf("asking kubeadm for its images: %w", err)
	}
	pause, err := sandboxImage(containerdConfig)
	if err != nil {
		return nil, err
	}
	return append(strings.Fields(string(result.Stdout)), pause), nil
}

var sandbox = regexp.MustCompile(`(?m)^\s*sandbox_image = "([^"]+)"`)

func sandboxImage(config string) (string, error) {
	found := sandbox.FindStringSubmatch(config)
	if found == nil {
		return "", errors.New("kind's containerd configuration names no sandbox image")
	}
	return found[1], nil
}

// binaryOf tells which program an image of that name runs. The versions of etcd
// and CoreDNS are held against those that kubeadm expects.
func (p nodeParts) binaryOf(ref string) (string, error) {
	image, tag, _ := strings.Cut(path.Base(ref), ":")
	folder, pin := p.kubernetes, ""
	switch image {
	case "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy":
	case "etcd":
		folder, pin = p.etcd, strings.TrimPrefix(etcdVersion, "v")+"-"
	case "coredns":
		folder, pin = p.coredns, corednsVersion
	case "pause":
		folder = p.pause
	default:
		return "", fmt.Errorf("kubeadm asks for %s, which nothing here builds", ref)
	}
	if !strings.HasPrefix(tag, pin) {
		return "", fmt.Errorf("kubeadm asks for %s, but the pin of %s is %s: change pins.go", ref, image, strings.TrimSuffix(pin, "-"))
	}
	return filepath.Join(folder, image), nil
}

// archive writes one image to target in the form that containerd imports.
func (p nodeParts) archive(ref, target string) error {
	binary, err := p.binaryOf(ref)
	if err != nil {
		return err
	}
	var below []v1.Layer
	if filepath.Base(binary) == "kube-proxy" {
		layer, err := proxyLayer(p.proxy)
		if err != nil {
			return err
		}
		below = append(below, layer)
	}
	image, err := binaryImage(filepath.Base(binary), binary, below...)
	if err != nil {
		return err
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		return fmt.Errorf("reading the image name %q: %w", ref, err)
	}
	if err := tarball.WriteToFile(target, tag, image); err != nil {
		return fmt.Errorf("writing the image %s: %w", ref, err)
	}
	return nil
}

// storeFormat is part of the store's key: raise it when layers or the import change.
const storeFormat = "2"

// storeFolders are what containerd needs to know images that it has not unpacked.
var storeFolders = []string{"io.containerd.content.v1.content", "io.containerd.metadata.v1.bolt"}

// importerConfig is a containerd that only keeps images: it serves no kubelet.
const importerConfig = `version = 3
disabled_plugins = ["io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri", "io.containerd.nri.v1.nri"]
`

// preload makes a containerd store with the images in dir/store. The containerd
// that was just built for the node does it, on this host, in folders of its own.
func (s *Source) preload(ctx context.Context, parts nodeParts, refs []string, dir string, log io.Writer) error {
	work, store := filepath.Join(dir, "containerd"), filepath.Join(dir, "store")
	for _, old := range []string{work, store} {
		if err := os.RemoveAll(old); err != nil {
			return fmt.Errorf("clearing an unfinished store: %w", err)
		}
	}
	err := s.withContainerd(ctx, parts.containerd, work, log, func(ctx context.Context, ctr []string) error {
		return s.importAll(ctx, parts, refs, ctr, filepath.Join(dir, "image.tar"), log)
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(store, 0o755); err != nil {
		return fmt.Errorf("keeping the store: %w", err)
	}
	for _, folder := range storeFolders {
		if err := os.Rename(filepath.Join(work, folder), filepath.Join(store, folder)); err != nil {
			return fmt.Errorf("keeping the store: %w", err)
		}
	}
	return os.RemoveAll(work)
}

// withContainerd runs containerd with its data in work while use runs; use gets
// the start of a ctr call. A containerd that ends early cancels use.
func (s *Source) withContainerd(ctx context.Context, programs, work string, log io.Writer, use func(context.Context, []string) error) error {
	// A socket's path has a limit of 108 bytes, which a cache folder may break.
	state, err := os.MkdirTemp("", "kubernaut-")
	if err != nil {
		return fmt.Errorf("making a folder for containerd: %w", err)
	}
	defer os.RemoveAll(state)
	socket, config := filepath.Join(state, "s"), filepath.Join(state, "config.toml")
	if err := os.WriteFile(config, []byte(importerConfig), 0o644); err != nil {
		return fmt.Errorf("configuring containerd: %w", err)
	}
	running, stop := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, err := s.Runner.Run(running, command.Cmd{Log: log, Args: []string{
			filepath.Join(programs, "containerd"), "--config=" + config, "--root=" + work, "--state=" + filepath.Join(state, "run"), "--address=" + socket,
		}})
		stop(fmt.Errorf("containerd ended: %w", err))
	}()
	err = use(running, []string{filepath.Join(programs, "ctr"), "--address=" + socket})
	if err != nil && running.Err() != nil {
		err = context.Cause(running)
	}
	stop(errors.New("the import is over"))
	<-ended
	return err
}

// importAll waits until containerd answers and hands it the images one by one:
// all of them at once would take half a gigabyte of memory.
func (s *Source) importAll(ctx context.Context, parts nodeParts, refs, ctr []string, archive string, log io.Writer) error {
	for {
		_, err := s.Runner.Run(ctx, command.Cmd{Args: append(slices.Clone(ctr), "--connect-timeout=1s", "version")})
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for containerd: %w", context.Cause(ctx))
		case <-time.After(lockPoll):
		}
	}
	defer os.Remove(archive)
	for _, ref := range refs {
		if err := parts.archive(ref, archive); err != nil {
			return err
		}
		_, err := s.Runner.Run(ctx, command.Cmd{Log: log, Args: append(slices.Clone(ctr), "--namespace=k8s.io", "images", "import",
			"--all-platforms", "--no-unpack", "--label=io.cri-containerd.pinned=pinned", archive)})
		if err != nil {
			return fmt.Errorf("importing %s for the node: %w", ref, err)
		}
	}
	return nil
}
