package engine_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
	"github.com/kubernaut-ai/kubernaut/pkg/engine"
)

const (
	podmanInfo = `{"host":{"cgroupVersion":"v1","memTotal":25000000000,"serviceIsRemote":false},"version":{"Version":"4.3.1"}}`
	dockerInfo = `{"ServerVersion":"28.2.2","CgroupVersion":"2","MemTotal":8000000000,"OperatingSystem":"Docker Desktop"}`
	dockerDead = `{"ServerVersion":"","ServerErrors":["Cannot connect to the Docker daemon"]}`
)

// host answers `info` for the engines it has.
func host(podman, docker string) *command.Recorder {
	return &command.Recorder{Respond: func(_ context.Context, c command.Cmd) ([]byte, error) {
		answer := map[string]string{"podman": podman, "docker": docker}[c.Args[0]]
		if answer == "" {
			return nil, &command.Error{Cmd: c, Code: -1, Err: errors.New("not found")}
		}
		return []byte(answer), nil
	}}
}

func TestDetect(t *testing.T) {
	for name, c := range map[string]struct {
		podman, docker, want string
		name                 engine.Name
		version, errorHas    string
		remote               bool
	}{
		"both, podman first":        {podman: podmanInfo, docker: dockerInfo, name: engine.Podman, version: "4.3.1"},
		"docker asked for":          {podman: podmanInfo, docker: dockerInfo, want: "docker", name: engine.Docker, version: "28.2.2", remote: true},
		"podman absent":             {docker: dockerInfo, want: "auto", name: engine.Docker, version: "28.2.2", remote: true},
		"client without daemon":     {docker: dockerDead, errorHas: "its daemon is not running"},
		"none":                      {errorHas: "no container engine answers"},
		"asked for, absent":         {docker: dockerInfo, want: "podman", errorHas: "podman does not answer"},
		"unknown name says allowed": {want: "lxc", errorHas: "use auto, podman or docker"},
	} {
		t.Run(name, func(t *testing.T) {
			e, reason, err := engine.Detect(t.Context(), host(c.podman, c.docker), c.want)
			if c.errorHas != "" {
				if err == nil || !strings.Contains(err.Error(), c.errorHas) {
					t.Fatalf("error %v, want %q", err, c.errorHas)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if e.Name != c.name || e.Version != c.version || e.Remote != c.remote || reason == "" {
				t.Errorf("got %+v, reason %q", e, reason)
			}
		})
	}
}

func TestBuildArgsAreGolden(t *testing.T) {
	b := engine.Build{
		Dockerfile: "docker/a.Dockerfile", Ignore: "docker/a.Dockerfile.dockerignore", Context: ".", Tags: []string{"localhost/a:1", "localhost/a:latest"},
		Args: map[string]string{"Z": "1", "A": "2"}, Labels: map[string]string{"l": "v"}, Secrets: map[string]string{"ca": "/ca.pem"},
	}
	for name, want := range map[engine.Name]string{
		engine.Podman: "build --file=docker/a.Dockerfile --layers --force-rm --pull=never --ignorefile=docker/a.Dockerfile.dockerignore --tag=localhost/a:1 --tag=localhost/a:latest --build-arg=A=2 --build-arg=Z=1 --label=l=v --secret=id=ca,src=/ca.pem .",
		engine.Docker: "build --file=docker/a.Dockerfile --progress=plain --tag=localhost/a:1 --tag=localhost/a:latest --build-arg=A=2 --build-arg=Z=1 --label=l=v --secret=id=ca,src=/ca.pem .",
	} {
		if got := strings.Join(b.BuildArgs(name), " "); got != want {
			t.Errorf("%s\n got %s\nwant %s", name, got, want)
		}
	}
}

func TestInspectTellsAbsentFromBroken(t *testing.T) {
	for name, c := range map[string]struct {
		output string
		absent bool
	}{
		"podman absent": {"Error: inspecting object: localhost/x:1: image not known", true},
		"docker absent": {"Error response from daemon: No such image: x:1", true},
		"broken store":  {"Error: database is locked", false},
	} {
		t.Run(name, func(t *testing.T) {
			fake := &command.Recorder{Respond: func(_ context.Context, cmd command.Cmd) ([]byte, error) {
				if cmd.Args[1] == "info" {
					return []byte(podmanInfo), nil
				}
				return nil, &command.Error{Cmd: cmd, Code: 125, Output: c.output, Err: errors.New("exit status 125")}
			}}
			e, _, err := engine.Detect(t.Context(), fake, "podman")
			if err != nil {
				t.Fatal(err)
			}
			if _, err = e.Inspect(t.Context(), "x:1"); err == nil || errors.Is(err, engine.ErrNoImage) != c.absent {
				t.Errorf("error %v, absent %v wanted", err, c.absent)
			}
		})
	}
}

func TestContainersConf(t *testing.T) {
	for name, c := range map[string]struct {
		host engine.Host
		has  []string
	}{
		"ordinary":   {host: engine.Host{CapSysResource: true}},
		"restricted": {host: engine.Host{CgroupV1: true, NoFile: 20000, NProc: 96365}, has: []string{`nofile=20000:20000`, `nproc=32768:32768`, `runtime = "runc"`}},
		"few procs":  {host: engine.Host{NoFile: 4096, NProc: 10000}, has: []string{`nofile=4096:4096`, `nproc=5000:5000`}},
	} {
		t.Run(name, func(t *testing.T) {
			conf, reasons := c.host.ContainersConf()
			if (conf == "") != (len(c.has) == 0) || (len(reasons) == 0) != (conf == "") {
				t.Fatalf("conf %q, reasons %v", conf, reasons)
			}
			if slices.ContainsFunc(c.has, func(part string) bool { return !strings.Contains(conf, part) }) {
				t.Errorf("conf %s lacks one of %v", conf, c.has)
			}
		})
	}
}
