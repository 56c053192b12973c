package packages

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const imagePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// binaryImage is an image FROM scratch, or from the layers below, that runs one
// binary. Layers are not compressed: the node unpacks them when it boots, and
// that is what a cluster's start waits for.
func binaryImage(name, binary string, below ...v1.Layer) (v1.Image, error) {
	layer, err := binaryLayer(name, binary)
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, append(below, layer)...)
	if err != nil {
		return nil, fmt.Errorf("making the image of %s: %w", name, err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("making the image of %s: %w", name, err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config.Env = []string{"PATH=" + imagePath}
	config.Config.Entrypoint = []string{"/usr/local/bin/" + name}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, fmt.Errorf("making the image of %s: %w", name, err)
	}
	return image, nil
}

// binaryLayer carries no time and no owner, so equal binaries give equal layers.
func binaryLayer(name, binary string) (v1.Layer, error) {
	data, err := os.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, dir := range []string{"usr/", "usr/local/", "usr/local/bin/"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}); err != nil {
			return nil, fmt.Errorf("packing %s: %w", name, err)
		}
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "usr/local/bin/" + name, Mode: 0o755, Size: int64(len(data))}); err != nil {
		return nil, fmt.Errorf("packing %s: %w", name, err)
	}
	if _, err := w.Write(data); err != nil {
		return nil, fmt.Errorf("packing %s: %w", name, err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("packing %s: %w", name, err)
	}
	return static.NewLayer(archive.Bytes(), types.DockerUncompressedLayer), nil
}

// proxyLayer takes from the root what iptables, nft and conntrack need to run,
// and points the plain names at the nft flavour, which every kernel has that
// this Kubernetes supports.
func proxyLayer(archive string) (v1.Layer, error) {
	file, err := os.Open(archive)
	if err != nil {
		return nil, fmt.Errorf("reading the tools of kube-proxy: %w", err)
	}
	defer file.Close()
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for r := tar.NewReader(file); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading the tools of kube-proxy: %w", err)
		}
		if !neededByProxy(path.Clean("/" + header.Name)) {
			continue
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("packing the tools of kube-proxy: %w", err)
		}
		if _, err := io.Copy(w, r); err != nil {
			return nil, fmt.Errorf("packing the tools of kube-proxy: %w", err)
		}
	}
	for _, name := range []string{"iptables", "ip6tables"} {
		for _, verb := range []string{"", "-save", "-restore"} {
			link := &tar.Header{Typeflag: tar.TypeSymlink, Name: "usr/sbin/" + name + verb, Linkname: "xtables-nft-multi", Mode: 0o777}
			if err := w.WriteHeader(link); err != nil {
				return nil, fmt.Errorf("packing the tools of kube-proxy: %w", err)
			}
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("packing the tools of kube-proxy: %w", err)
	}
	return static.NewLayer(packed.Bytes(), types.DockerUncompressedLayer), nil
}

func neededByProxy(name string) bool {
	if strings.Contains(name, "/gconv/") || strings.HasPrefix(name, "/usr/share/") {
		return false
	}
	for _, top := range []string{"/lib", "/lib64", "/bin", "/sbin", "/usr", "/etc/protocols", "/etc/services", "/etc/ld.so.conf.d"} {
		if name == top || strings.HasPrefix(name, top+"/") {
			return true
		}
	}
	return false
}
