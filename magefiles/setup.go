//go:build mage

package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/kubernaut-ai/kubernaut/internal/packages"
	"github.com/kubernaut-ai/kubernaut/pkg/command"
	"github.com/kubernaut-ai/kubernaut/pkg/engine"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// Debian packages by what they are for.
var (
	always    = []string{"ca-certificates", "curl", "gcc", "git", "libc6-dev", "python3-venv"}
	forPodman = []string{"podman", "buildah", "runc", "netavark", "aardvark-dns", "containernetworking-plugins", "iptables", "nftables", "conntrack"}
	forDebian = []string{"mmdebstrap", "debian-archive-keyring"}
)

// setup installs what is missing and nothing else; it is the only stage that installs.
func (s *session) setup(ctx context.Context, h *stage.Handle) error {
	wanted, err := s.packages(ctx)
	if err != nil {
		return err
	}
	missing, err := s.missing(ctx, wanted)
	if err != nil {
		return err
	}
	installed := []string{}
	if len(missing) > 0 {
		if err := s.install(ctx, h, missing); err != nil {
			return err
		}
		installed = append(installed, missing...)
	}
	if _, err := os.Stat("/lib/modules"); s.host.Root && errors.Is(err, os.ErrNotExist) {
		if err := os.Mkdir("/lib/modules", 0o755); err != nil {
			return fmt.Errorf("making /lib/modules, which kind mounts: %w", err)
		}
		installed = append(installed, "the empty folder /lib/modules")
	}
	made, err := s.makePython(ctx, h)
	if err != nil {
		return err
	}
	if made {
		installed = append(installed, "the Python tools")
	}
	if len(installed) == 0 {
		h.Skip("nothing is missing")
		return nil
	}
	h.Note("installed %s", strings.Join(installed, " "))
	return nil
}

// packages is what this host needs for the engine and image source that it will use.
func (s *session) packages(ctx context.Context) ([]string, error) {
	wanted := append([]string{}, always...)
	if err := s.configureContainers(); err != nil {
		return nil, err
	}
	e, _, err := engine.Detect(ctx, s.runner, s.Engine)
	usable := err == nil && (e.Name == engine.Podman || s.host.CapSysResource)
	if !usable && s.Engine == string(engine.Docker) {
		return nil, fmt.Errorf("docker cannot be used (%w): install docker and start its service, or leave KUBERNAUT_ENGINE at auto", cmp.Or(err, errors.New("no CAP_SYS_RESOURCE on this host")))
	}
	if !usable {
		wanted = append(wanted, forPodman...)
	}
	if mode, _, err := packages.Choose(ctx, s.Source, packages.Probe); err != nil {
		return nil, err
	} else if mode == "packages" {
		wanted = append(wanted, forDebian...)
		if s.host.CgroupV1 {
			wanted = append(wanted, "runc")
		}
	}
	return wanted, nil
}

// missing asks dpkg; on a system without it nothing can be said.
func (s *session) missing(ctx context.Context, wanted []string) ([]string, error) {
	if _, err := os.Stat("/usr/bin/dpkg-query"); err != nil {
		s.print.say("note   this is no Debian or Ubuntu: install the counterparts of %s by hand where they are missing", strings.Join(wanted, " "))
		return nil, nil
	}
	result, err := s.runner.Run(ctx, command.Cmd{Args: append([]string{"dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n"}, wanted...)})
	var failed *command.Error
	if err != nil && (!errors.As(err, &failed) || failed.Code != 1) { // 1: some are unknown
		return nil, fmt.Errorf("asking dpkg: %w", err)
	}
	var missing []string
	for _, name := range wanted {
		if !strings.Contains("\n"+string(result.Stdout), "\n"+name+" installed\n") {
			missing = append(missing, name)
		}
	}
	return missing, nil
}

func (s *session) install(ctx context.Context, h *stage.Handle, missing []string) error {
	apt := append([]string{"apt-get", "install", "--yes", "--no-remove"}, missing...)
	if !s.host.Root {
		return fmt.Errorf("missing: %s: run `sudo apt-get update && sudo %s`", strings.Join(missing, " "), strings.Join(apt, " "))
	}
	s.print.say("       installing %s", strings.Join(missing, " "))
	env := []string{"DEBIAN_FRONTEND=noninteractive"}
	if _, err := program(ctx, h, env, "apt-get", "update"); err != nil {
		return fmt.Errorf("refreshing the package lists: %w", err)
	}
	if _, err := program(ctx, h, env, apt...); err != nil {
		return fmt.Errorf("installing %s: %w", strings.Join(missing, " "), err)
	}
	return nil
}

var requiredUV = regexp.MustCompile(`required-version = "==([0-9.]+)"`)

// pythonEnv is the virtual environment of this lock file, below the cache folder.
func (s *session) pythonEnv() (string, error) {
	sum := sha256.New()
	for _, name := range []string{"pyproject.toml", "uv.lock"} {
		data, err := os.ReadFile(filepath.Join(s.root, "holmesgpt-api", name))
		if err != nil {
			return "", fmt.Errorf("reading the Python lock: %w", err)
		}
		sum.Write(data)
	}
	return filepath.Join(s.Cache, "python", fmt.Sprintf("%.6x", sum.Sum(nil))), nil
}

// makePython makes that environment: a venv, the pinned uv by pip, the locked rest by uv.
func (s *session) makePython(ctx context.Context, h *stage.Handle) (bool, error) {
	env, err := s.pythonEnv()
	if err != nil {
		return false, err
	}
	ready := filepath.Join(env, "ready")
	if _, err := os.Stat(ready); err == nil {
		return false, nil
	}
	project, err := os.ReadFile(filepath.Join(s.root, "holmesgpt-api", "pyproject.toml"))
	if err != nil {
		return false, fmt.Errorf("reading the Python project: %w", err)
	}
	uv := requiredUV.FindSubmatch(project)
	if uv == nil {
		return false, errors.New(`holmesgpt-api/pyproject.toml has no line required-version = "==X.Y.Z" that pins uv`)
	}
	environment := []string{"UV_PROJECT_ENVIRONMENT=" + env, "UV_NO_PROGRESS=1", "UV_PYTHON_DOWNLOADS=never"}
	if s.CA != "" { // of an inspecting proxy: pip and uv bring certificates of their own
		environment = append(environment, "PIP_CERT="+s.CA, "SSL_CERT_FILE="+s.CA)
	}
	steps := [][]string{
		{"python3", "-m", "venv", "--clear", env},
		{filepath.Join(env, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "uv==" + string(uv[1])},
		{filepath.Join(env, "bin", "uv"), "sync", "--frozen", "--all-groups", "--all-extras", "--inexact", "--project=holmesgpt-api"},
	}
	for _, args := range steps {
		if _, err := program(ctx, h, environment, args...); err != nil {
			return false, fmt.Errorf("making the Python environment: %w", err)
		}
	}
	if err := os.WriteFile(ready, nil, 0o644); err != nil {
		return false, fmt.Errorf("marking the Python environment as whole: %w", err)
	}
	return true, nil
}
