package packages

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
)

// root is a Debian root file system of its own.
type root struct {
	name     string
	variant  string // minbase; extract unpacks the packages and their dependencies and nothing else
	packages []string
	excludes []string // paths that dpkg leaves out, beside manuals and translations
	user     string   // a system user that gets uid and gid 999 before packages are installed
	setup    []string // shell lines run in the essential system; "$1" is the root
}

const rootTar = "root.tar"

// pythonRoot is PYTHON_IMAGE, and the ground of the Go image as well: one root
// less to fetch on the way to the first build.
func pythonRoot() root {
	return root{name: "debian", variant: "minbase", packages: []string{"ca-certificates", "python3", "python3-venv"}}
}

func postgresRoot() root {
	return root{
		name: "debian-postgres", variant: "minbase", packages: []string{postgresPackage}, user: "postgres",
		// The just-in-time compiler is 110 MB of LLVM; without its module the server plans without it.
		excludes: []string{"/usr/lib/*/libLLVM*", "/usr/lib/*/libz3*", "/usr/lib/postgresql/*/lib/llvmjit*", "/usr/lib/postgresql/*/lib/bitcode/*"},
		// The image's entrypoint makes the database, not the installation.
		setup: []string{`mkdir -p "$1/etc/postgresql-common" && echo create_main_cluster=false > "$1/etc/postgresql-common/createcluster.conf"`},
	}
}

func redisRoot() root {
	return root{name: "debian-redis", variant: "minbase", packages: []string{"redis-server"}, user: "redis"}
}

// nodeRoot holds what kind's own base image installs, and runc and the network
// plugins, which have no place on the module proxy in a buildable form.
func nodeRoot() root {
	return root{name: "debian-node", variant: "minbase", packages: []string{
		"systemd", "systemd-sysv", "dbus", "conntrack", "iptables", "nftables", "iproute2", "ethtool", "util-linux", "mount", "kmod",
		"libseccomp2", "pigz", "bash", "ca-certificates", "curl", "jq", "procps", "e2fsprogs", "runc", "containernetworking-plugins",
	}}
}

// proxyRoot is what kube-proxy calls, with the libraries, and no Debian around it.
func proxyRoot() root {
	return root{name: "debian-proxy", variant: "extract", packages: []string{"iptables", "nftables", "conntrack"}}
}

func (r root) key(mirror string) string {
	return keyOf(append([]string{"debian", suite}, r.argv("", mirror)...)...)
}

// argv is the mmdebstrap call that writes the root's archive to target.
func (r root) argv(target, mirror string) []string {
	include := r.packages
	args := []string{"mmdebstrap", "--variant=" + r.variant}
	if r.variant == "minbase" {
		// A root that is merged from the start; else Debian merges it with 47 MB of Perl.
		include = append([]string{"usr-is-merged"}, include...)
		args = append(args, "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr")
	}
	args = append(args, "--include="+strings.Join(include, ","))
	for _, path := range append([]string{"/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*", "/usr/share/info/*"}, r.excludes...) {
		args = append(args, "--dpkgopt=path-exclude="+path)
	}
	// An archive that is not whole is thrown away, so nothing has to reach the disk meanwhile.
	args = append(args, "--dpkgopt=path-include=/usr/share/doc/*/copyright", "--dpkgopt=force-unsafe-io")
	if r.user != "" {
		args = append(args,
			fmt.Sprintf(`--essential-hook=echo '%[1]s:x:999:' >> "$1/etc/group"`, r.user),
			fmt.Sprintf(`--essential-hook=echo '%[1]s:x:999:999::/var/lib/%[1]s:/bin/bash' >> "$1/etc/passwd"`, r.user))
	}
	for _, line := range r.setup {
		args = append(args, "--essential-hook="+line)
	}
	args = append(args, suite, target)
	if mirror != "" {
		args = append(args, mirror)
	}
	return args
}

// debianRoot gives the archive of the root, made when the cache lacks it.
func (s *Source) debianRoot(ctx context.Context, r root, log io.Writer) (string, error) {
	dir, err := s.artefact(ctx, r.name, r.key(s.Mirror), func(dir string) error {
		if !s.Host.Root {
			return fmt.Errorf("a Debian root file system can only be made by root: run as root, or where a registry answers")
		}
		s.note("%s: Debian packages %s", r.name, strings.Join(r.packages, " "))
		target := filepath.Join(dir, rootTar)
		if err := os.RemoveAll(target); err != nil {
			return fmt.Errorf("clearing an unfinished root: %w", err)
		}
		_, err := s.Runner.Run(ctx, command.Cmd{Args: r.argv(target, s.Mirror), Env: []string{"DEBIAN_FRONTEND=noninteractive"}, Log: log})
		if err != nil {
			return fmt.Errorf("installing Debian packages: %w: `mage setup` installs mmdebstrap", err)
		}
		return nil
	})
	return filepath.Join(dir, rootTar), err
}

// debianImage is the root as an image of one layer.
func (s *Source) debianImage(r root) recipe {
	return recipe{name: r.name, key: r.key(s.Mirror), make: func(ctx context.Context, made recipe, log io.Writer) error {
		archive, err := s.debianRoot(ctx, r, log)
		if err != nil {
			return err
		}
		return s.Engine.Import(ctx, made.ref(), archive, "LABEL "+digestLabel+"="+made.key, "ENV LANG=C.UTF-8", `CMD ["/bin/bash"]`)
	}}
}

// onDebian is an image by its embedded Dockerfile and files on a Debian root.
func (s *Source) onDebian(name string, r root, files ...string) recipe {
	base := s.debianImage(r)
	parts := []string{name, base.key}
	for _, one := range files {
		parts = append(parts, file(one))
	}
	return recipe{name: name, key: keyOf(parts...), make: func(ctx context.Context, made recipe, log io.Writer) error {
		return s.buildEmbedded(ctx, made, base, log)
	}}
}

func (s *Source) postgresImage() recipe {
	return s.onDebian("postgres", postgresRoot(), "postgres.Dockerfile", "postgres/entrypoint")
}

func (s *Source) redisImage() recipe {
	return s.onDebian("redis", redisRoot(), "redis.Dockerfile", "redis/entrypoint")
}
