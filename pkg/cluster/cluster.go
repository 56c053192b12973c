// Package cluster gives Kind clusters: made or adopted, loaded with images,
// deleted, each with an owner written down beside it and inside it. It touches
// no cluster, container or kubeconfig that is not provably its own.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"k8s.io/client-go/dynamic"

	"github.com/kubernaut-ai/kubernaut/pkg/command"
	"github.com/kubernaut-ai/kubernaut/pkg/engine"
)

var (
	// ErrNotOurs is wrapped when a cluster belongs to somebody else; the text says to whom.
	ErrNotOurs = errors.New("not ours")
	// ErrLeftOver is wrapped when a deletion left something behind; the text lists it.
	ErrLeftOver = errors.New("left over")
	// ErrPort is wrapped when a port that must be free is taken; the text names port and holder.
	ErrPort = errors.New("port is taken")
	// ErrNotLoaded is wrapped when an image is not in a node's store after it was sent.
	ErrNotLoaded = errors.New("not in the node's store")
)

// Mode decides what Ensure does with a cluster of an earlier run of ours.
type Mode string

// The modes: CI always makes a new cluster, Dev adopts an equal one.
const (
	CI  Mode = "ci"
	Dev Mode = "dev"
)

// Options set up Clusters. All are needed.
type Options struct {
	Engine *engine.Engine // kind's provider is forced to the same
	Runner command.Runner
	State  string // folder of the ownership records, made (0700) when absent
	Owner  Owner  // the run that makes, adopts and deletes
}

// Clusters makes, finds and deletes clusters. It is safe for concurrent use.
type Clusters struct {
	engine *engine.Engine
	runner command.Runner
	state  string
	owner  Owner

	create  func(creation) error // kind's library; tests have their own
	connect func(kubeconfig string) (dynamic.Interface, error)
	listens func(port int32) bool
}

// New gives Clusters over kind's library.
func New(o Options) *Clusters {
	return &Clusters{engine: o.Engine, runner: o.Runner, state: o.State, owner: o.Owner, create: kindCreate, connect: connect, listens: listens}
}

// Config is the cluster that is wanted.
type Config struct {
	Name       string
	NodeImage  string   // must be in the engine's store
	Kind       []byte   // kind config (v1alpha4 YAML); its name and node images are set from here
	Ports      PortMode // how the host ports of its port mappings are chosen
	Kubeconfig string   // own file, written 0600; no other kubeconfig is read or written
	Mode       Mode
	Expires    time.Time // when nobody needs it any more
	Limits     Limits
}

// Limits is what a host or a node image asks of the kind config; the zero
// value is the ordinary one.
type Limits struct {
	CgroupV1     bool // the kubelet must be told to start all the same
	KeepOOMScore bool // no CAP_SYS_RESOURCE: the kubelet cannot lower its oom_score_adj
	StaticCNI    bool // the node image brings its own CNI configuration
}

// Cluster is one that stands and is ours.
type Cluster struct {
	Name       string
	Kubeconfig string
	Kubernetes string          // version, as the kubelet says
	Ports      map[int32]int32 // node port -> port of 127.0.0.1
	Nodes      []Node

	engine *engine.Engine
	runner command.Runner
	stream *sync.Mutex // one import at a time: parallel ones are slower
}

// Node is one node of a cluster.
type Node struct {
	Name     string // of the node and of its container
	ID       string // container id
	Platform string // such as linux/amd64
}

// Action is what Ensure did.
type Action string

// The actions.
const (
	Created   Action = "created"
	Adopted   Action = "adopted"
	Recreated Action = "recreated"
)

// Report tells what Ensure did, why, and how long it took.
type Report struct {
	Action  Action
	Reasons []string // why a cluster was recreated
	Notes   []string // what the user should read, such as ports that moved
	Delete  time.Duration
	Create  time.Duration // kind's part
	Ready   time.Duration // from kind's end to usable
}

// readyLimits bound the waits for a fresh and for an adopted cluster.
const (
	createLimit = 5 * time.Minute // all of one creation
	adoptLimit  = 30 * time.Second
	wipeLimit   = 2 * time.Minute
)

// Ensure gives the cluster of cfg: a new one, or ours of an earlier run when
// the mode allows and nothing differs. A cluster of somebody else is left
// alone: ErrNotOurs. After any error nothing of this call is left behind, or
// ErrLeftOver says what. log gets kind's progress.
func (c *Clusters) Ensure(ctx context.Context, cfg Config, log io.Writer) (*Cluster, Report, error) {
	var report Report
	plan, err := c.plan(ctx, cfg)
	if err != nil {
		return nil, report, err
	}
	if plan.action == Adopted {
		start := time.Now()
		made, err := c.adopt(ctx, cfg, plan, log)
		if err == nil {
			report.Action, report.Ready = Adopted, time.Since(start)
			return made, report, nil
		}
		if ctx.Err() != nil || errors.Is(err, ErrNotOurs) {
			return nil, report, err
		}
		plan.action, plan.reasons = Recreated, []string{err.Error()}
	}
	report.Action, report.Reasons = plan.action, plan.reasons
	start := time.Now()
	if err := c.wipe(ctx, cfg.Name, plan.kubeconfig(cfg)); err != nil {
		return nil, report, fmt.Errorf("removing what stood of cluster %q: %w", cfg.Name, err)
	}
	report.Delete = time.Since(start)
	made, err := c.build(ctx, cfg, plan, &report, log)
	return made, report, err
}

// build creates at most twice; what a failed attempt made is removed each time.
func (c *Clusters) build(ctx context.Context, cfg Config, plan plan, report *Report, log io.Writer) (*Cluster, error) {
	for attempt := 1; ; attempt++ {
		made, err := c.attempt(ctx, cfg, plan, report, log)
		if err == nil {
			return made, nil
		}
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), wipeLimit)
		left := c.wipe(clean, cfg.Name, cfg.Kubeconfig)
		cancel()
		if left != nil {
			return nil, fmt.Errorf("creating cluster %q: %w", cfg.Name, errors.Join(err, left))
		}
		if ctx.Err() != nil || attempt == 2 || errors.Is(err, ErrPort) {
			return nil, fmt.Errorf("creating cluster %q: %w", cfg.Name, errors.Join(err, c.forget(cfg.Name)))
		}
		report.Notes = append(report.Notes, fmt.Sprintf("creation failed and is tried once more: %v", err))
	}
}

// attempt makes the cluster once. It leaves to the caller what it has made.
func (c *Clusters) attempt(ctx context.Context, cfg Config, plan plan, report *Report, log io.Writer) (*Cluster, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, createLimit, fmt.Errorf("not usable after %s", createLimit))
	defer cancel()
	ports, note, err := choosePorts(cfg.Ports, plan.table, c.listens)
	if err != nil {
		return nil, err
	}
	if note != "" {
		report.Notes = append(report.Notes, note)
	}
	rec := plan.want
	rec.Phase, rec.Started, rec.Ports = creating, time.Now().UTC(), ports
	if err := c.write(rec); err != nil {
		return nil, err
	}
	start := time.Now()
	if err := c.run(ctx, creation{Name: cfg.Name, Kubeconfig: cfg.Kubeconfig, Image: cfg.NodeImage, Config: withPorts(plan.config, ports), Engine: c.engine.Name, Log: log}); err != nil {
		return nil, err
	}
	report.Create = time.Since(start)
	start = time.Now()
	made, err := c.settle(ctx, rec, log)
	report.Ready = time.Since(start)
	return made, err
}
