package cluster

import (
	"slices"
	"strings"
)

// sourceLabel stands on an image in a node: the id that the engine gave it, and
// the digest that the name pointed to at that time. When something else moves
// the name on, the digest no longer fits and the label proves nothing.
const sourceLabel = "kubernaut.ai/source"

func source(id, digest string) string { return id + "_" + strings.TrimPrefix(digest, "sha256:") }

// stored is a line of a node's image store.
type stored struct {
	ref       string
	digest    string // of the manifest or index
	platforms []string
	labels    map[string]string
}

// store is what a node's containerd has. Beside each image that the kubelet may
// use, its CRI part keeps a line whose name is the config digest.
type store []stored

// parseStore reads `ctr images ls`: REF TYPE DIGEST SIZE UNIT PLATFORMS LABELS.
func parseStore(out string) store {
	const columns = 7
	var all store
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < columns || f[0] == "REF" {
			continue
		}
		s := stored{ref: f[0], digest: f[2], platforms: strings.Split(f[5], ","), labels: map[string]string{}}
		for _, label := range strings.Split(strings.Join(f[6:], " "), ",") {
			key, value, _ := strings.Cut(label, "=")
			s.labels[key] = value
		}
		all = append(all, s)
	}
	return all
}

// find gives the line of a name, if the kubelet can use it on the platform.
func (s store) find(ref, platform string) (stored, bool) {
	i := slices.IndexFunc(s, func(one stored) bool { return one.ref == ref })
	if i < 0 {
		return stored{}, false
	}
	runs := slices.ContainsFunc(s[i].platforms, func(p string) bool { return p == platform || strings.HasPrefix(p, platform+"/") })
	return s[i], runs && len(s.configs(s[i].digest)) > 0
}

// configs are the config digests under which the CRI knows a manifest.
func (s store) configs(digest string) []string {
	var all []string
	for _, one := range s {
		if id, ok := strings.CutPrefix(one.ref, "sha256:"); ok && one.digest == digest {
			all = append(all, id)
		}
	}
	return all
}

// has tells whether the name is there with the content of the engine's id. An
// id is a config digest (podman, docker), or with docker's containerd store a
// manifest digest, or that of an index of which a part was saved: then only the
// label that we left can tell.
func (s store) has(ref, id, platform string) bool {
	found, usable := s.find(ref, platform)
	return usable && (s.same(found, id) || found.labels[sourceLabel] == source(id, found.digest))
}

func (s store) same(found stored, id string) bool {
	return found.digest == "sha256:"+id || slices.Contains(s.configs(found.digest), id)
}

// fullName is what containerd calls an image: with registry and tag.
func fullName(ref string) string {
	first, _, path := strings.Cut(ref, "/")
	switch {
	case !path:
		ref = "docker.io/library/" + ref
	case !strings.ContainsAny(first, ".:") && first != "localhost":
		ref = "docker.io/" + ref
	}
	if last := ref[strings.LastIndexByte(ref, '/'):]; !strings.ContainsAny(last, ":@") {
		ref += ":latest"
	}
	return ref
}
