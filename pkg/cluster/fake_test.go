package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/fake"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
	"github.com/kubernaut-ai/kubernaut/pkg/engine"
)

const kindYAML = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
  - role: control-plane
    extraPortMappings:
      - {containerPort: 30088, hostPort: 8088, listenAddress: 127.0.0.1}
`

// fakeHost is an engine with containers, volumes and images, as far as this package asks it.
type fakeHost struct {
	mu         sync.Mutex
	containers map[string]container
	volumes    map[string]string // name -> key of its label
	images     map[string]string // ref -> id
	store      map[string]string // node -> what `ctr images ls` prints
	onImport   func(h *fakeHost, node string, args []string)
	undying    bool // containers survive their removal
	removed    chan struct{}
	saves      int
}

func newHost() *fakeHost {
	return &fakeHost{containers: map[string]container{}, volumes: map[string]string{}, images: map[string]string{"node:1": "aaa"}, store: map[string]string{}, removed: make(chan struct{}, 100)}
}

func (h *fakeHost) add(name, image string, created time.Time) container {
	h.mu.Lock()
	defer h.mu.Unlock()
	node := name + "-control-plane"
	c := container{ID: fmt.Sprintf("id-%s-%d", node, created.UnixNano()), Name: node, Cluster: name, ImageID: image, Created: created, Running: true}
	h.containers[c.ID] = c
	h.volumes["vol-"+c.ID] = node
	return c
}

func (h *fakeHost) counts() (containers, volumes int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.containers), len(h.volumes)
}

func (h *fakeHost) respond(_ context.Context, c command.Cmd) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	args := c.Args[1:]
	switch strings.Join(args[:min(2, len(args))], " ") {
	case "info --format":
		return []byte(`{"host":{"cgroupVersion":"v2"},"version":{"Version":"5.0.0"}}`), nil
	case "ps --all":
		return h.list(args), nil
	case "container inspect":
		return h.inspect(args[2:])
	case "volume ls":
		return h.listVolumes(), nil
	case "volume rm":
		delete(h.volumes, args[len(args)-1])
		return nil, nil
	case "rm --force":
		if id := args[len(args)-1]; !h.undying {
			delete(h.containers, id)
		}
		select {
		case h.removed <- struct{}{}:
		default:
		}
		return nil, nil
	case "image inspect":
		if id := h.images[args[2]]; id != "" {
			return fmt.Appendf(nil, `[{"Id":"sha256:%s"}]`, id), nil
		}
		return nil, &command.Error{Cmd: c, Code: 125, Output: "image not known", Err: errors.New("exit status 125")}
	}
	return h.other(c, args)
}

func (h *fakeHost) other(c command.Cmd, args []string) ([]byte, error) {
	line := strings.Join(args, " ")
	switch {
	case args[0] == "save":
		h.saves++
		return []byte("archive of " + args[len(args)-1]), nil
	case strings.HasSuffix(line, "images ls"):
		return []byte(h.store[args[1]]), nil
	case strings.HasSuffix(line, "config dump"):
		return []byte("[plugins.'io.containerd.cri.v1.images']\n  snapshotter = 'fuse-overlayfs'\n"), nil
	case strings.Contains(line, "images import"):
		if h.onImport != nil {
			h.onImport(h, args[2], args)
		}
		return nil, nil
	case strings.Contains(line, "images label"):
		h.store[args[1]] += "label " + args[len(args)-1] + "\n"
		return nil, nil
	}
	return nil, &command.Error{Cmd: c, Code: 1, Err: fmt.Errorf("the fake host does not know %q", line)}
}

func (h *fakeHost) list(args []string) []byte {
	var ids []string
	for id, c := range h.containers {
		filter := "--filter=label=" + clusterLabel
		if slices.Contains(args, filter) || slices.Contains(args, filter+"="+c.Cluster) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return []byte(strings.Join(ids, "\n"))
}

func (h *fakeHost) inspect(ids []string) ([]byte, error) {
	var all []map[string]any
	for _, id := range ids {
		c, is := h.containers[id]
		if !is {
			return nil, errors.New("no such container")
		}
		all = append(all, map[string]any{
			"Id": id, "Name": c.Name, "Image": c.ImageID, "Created": c.Created,
			"State": map[string]any{"Running": c.Running}, "Config": map[string]any{"Labels": map[string]string{clusterLabel: c.Cluster}},
		})
	}
	return json.Marshal(all)
}

func (h *fakeHost) listVolumes() []byte {
	var all []map[string]any
	for name, key := range h.volumes {
		all = append(all, map[string]any{"Name": name, "Labels": map[string]string{key: "true"}})
	}
	out, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return out
}

// bench is Clusters over a fakeHost and a fake API server.
type bench struct {
	*Clusters
	host   *fakeHost
	client *fake.FakeDynamicClient
	config Config
	made   []creation
}

func (h *fakeHost) engine(t *testing.T) (*engine.Engine, command.Runner) {
	t.Helper()
	runner := &command.Recorder{Respond: h.respond}
	e, _, err := engine.Detect(t.Context(), runner, "podman")
	if err != nil {
		t.Fatal(err)
	}
	return e, runner
}

func newBench(t *testing.T) *bench {
	t.Helper()
	host := newHost()
	e, runner := host.engine(t)
	folder := t.TempDir()
	b := &bench{host: host, client: api("trial")}
	b.Clusters = New(Options{Engine: e, Runner: runner, State: filepath.Join(folder, "state"), Owner: OwnerOf("run-1", selfPID)})
	b.create = func(a creation) error {
		b.made = append(b.made, a)
		host.add(a.Name, "aaa", time.Now())
		return writeKubeconfig(a.Kubeconfig, a.Name)
	}
	b.connect = func(string) (dynamic.Interface, error) { return b.client, nil }
	b.listens = func(int32) bool { return false }
	b.config = Config{Name: "trial", NodeImage: "node:1", Kind: []byte(kindYAML), Kubeconfig: filepath.Join(folder, "kube", "trial-config"), Mode: Dev, Expires: time.Now().Add(time.Hour)}
	return b
}

// as is the same host seen by another run.
func (b *bench) as(owner Owner) *Clusters {
	other := *b.Clusters
	other.owner = owner
	return &other
}

func (b *bench) ensure(t *testing.T, c *Clusters, cfg Config) (*Cluster, Report) {
	t.Helper()
	made, report, err := c.Ensure(t.Context(), cfg, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return made, report
}

// api is a server whose cluster is usable.
func api(name string) *fake.FakeDynamicClient {
	conditions := func(kind string) []any { return []any{map[string]any{"type": kind, "status": "True"}} }
	return fake.NewSimpleDynamicClient(runtime.NewScheme(),
		object("v1", "Node", "", name+"-control-plane", map[string]any{
			"conditions": conditions("Ready"),
			"nodeInfo":   map[string]any{"operatingSystem": "linux", "architecture": "amd64", "kubeletVersion": "v1.37.2", "runningInUserNamespace": false},
		}),
		object("v1", "ServiceAccount", "default", "default", nil),
		object("apps/v1", "Deployment", "kube-system", "coredns", map[string]any{"conditions": conditions("Available")}),
	)
}

func object(version, kind, namespace, name string, status map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": version, "kind": kind, "metadata": map[string]any{"name": name}}}
	if namespace != "" {
		o.SetNamespace(namespace)
	}
	if status != nil {
		o.Object["status"] = status
	}
	return o
}
