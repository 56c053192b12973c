package packages

import (
	"fmt"
	"regexp"

	"sigs.k8s.io/kind/pkg/apis/config/defaults"
)

// What is built, and why at this version. Kubernetes is not in the list: it
// follows the kind module (kubernetesVersion), so a newer kind brings it along.
const (
	// suite stays at bookworm on purpose: its systemd 252 is the last Debian one that boots on cgroup v1.
	suite = "bookworm"

	// etcdVersion and corednsVersion are those that kubeadm of this Kubernetes
	// names; preload refuses to build when they differ.
	etcdVersion    = "v3.7.0"
	corednsVersion = "v1.14.6"

	// containerdVersion and its tags are those of the base image of this kind module.
	containerdVersion = "v2.3.4"
	containerdTags    = "no_aufs no_zfs no_btrfs no_devmapper"

	// postgresPackage is the only server that bookworm has; Data Storage asks for 15 at least.
	postgresPackage = "postgresql-15"
)

// The public images, used in registry mode. Exact tags, no digest: a digest is
// only ever written by a program that has pulled the image.
const (
	goToolset      = "registry.access.redhat.com/ubi9/go-toolset:1.26"
	python         = "registry.access.redhat.com/ubi9/python-312:9.6"
	publicPostgres = "docker.io/library/postgres:17.6"
	publicRedis    = "docker.io/library/redis:7.4.5"
)

var nodeTag = regexp.MustCompile(`^kindest/node:(v1\.(\d+)\.(\d+))(@|$)`)

// kubernetes is a version in the two forms that its modules use.
type kubernetes struct {
	version string // v1.37.0
	minor   string // 37
	staging string // v0.37.0: k8s.io/api and the other published staging modules
}

// kubernetesOf reads the version out of the reference of kind's own node image.
func kubernetesOf(image string) (kubernetes, error) {
	found := nodeTag.FindStringSubmatch(image)
	if found == nil {
		return kubernetes{}, fmt.Errorf("kind's default image %q does not look like kindest/node:v1.X.Y", image)
	}
	return kubernetes{version: found[1], minor: found[2], staging: "v0." + found[2] + "." + found[3]}, nil
}

func kindKubernetes() (kubernetes, error) { return kubernetesOf(defaults.Image) }
