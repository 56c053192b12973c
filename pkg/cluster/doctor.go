package cluster

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/engine"
)

// Findings are the doctor's checks of what a cluster needs from this host. kind
// is the kind config that holds the ports. The cluster of that name, if ours,
// may hold them.
func (c *Clusters) Findings(ctx context.Context, name string, kind []byte, mode PortMode, host engine.Host) []engine.Finding {
	infos, err := c.List(ctx)
	found := []engine.Finding{c.portCheck(name, kind, mode, infos), provider(c.engine), modules(c.engine, host), deadRuns(infos, time.Now())}
	for _, limit := range []struct {
		name  string
		least int
	}{{"max_user_instances", 128}, {"max_user_watches", 65536}} {
		data, err := os.ReadFile("/proc/sys/fs/inotify/" + limit.name)
		if value, wrong := strconv.Atoi(strings.TrimSpace(string(data))); err == nil && wrong == nil && !c.engine.Remote {
			found = append(found, inotify(limit.name, value, limit.least))
		}
	}
	if err != nil {
		found = append(found, engine.Finding{Check: "clusters", Level: engine.Warn, Measured: err.Error(), Need: "records and containers that can be read"})
	}
	return found
}

func (c *Clusters) portCheck(name string, kind []byte, mode PortMode, infos []Info) engine.Finding {
	_, table, err := render(Config{Name: name, Kind: kind})
	if err != nil {
		return engine.Finding{Check: "ports", Level: engine.Stop, Measured: err.Error(), Need: "a kind config that can be read", Mend: "git checkout config/e2e/kind"}
	}
	var own []int32
	for _, i := range infos {
		if i.Name == name && i.Ours {
			for _, port := range i.Ports {
				own = append(own, port)
			}
		}
	}
	taken := map[int32]string{}
	for _, port := range table {
		if !slices.Contains(own, port.Host) && c.listens(port.Host) {
			taken[port.Host] = holder(port.Host)
		}
	}
	return ports(table, taken, mode)
}

// ports tells whether the host ports of the table are free, given who holds which.
func ports(table []Port, taken map[int32]string, mode PortMode) engine.Finding {
	var want []string
	for _, port := range table {
		want = append(want, strconv.Itoa(int(port.Host)))
	}
	f := engine.Finding{Check: "ports", Level: engine.OK, Measured: strings.Join(want, ", ") + " are free", Need: "these ports of 127.0.0.1"}
	if len(taken) == 0 {
		return f
	}
	f.Measured = held(taken)
	switch mode {
	case Fixed:
		f.Level, f.Mend = engine.Stop, "end the holder, or KUBERNAUT_PORTS=auto"
	case Free:
		f.Need = "nothing: free ports are used"
	default:
		f.Level, f.Mend = engine.Warn, "free ports are used instead; end the holder to have the usual ones"
	}
	return f
}

// provider: kind is forced to our engine, but calls it by its plain name.
func provider(e *engine.Engine) engine.Finding {
	f := engine.Finding{Check: "kind provider", Level: engine.OK, Measured: string(e.Name), Need: "the engine that builds the images"}
	if len(e.Global) > 0 {
		f.Level, f.Measured = engine.Stop, fmt.Sprintf("%s with %s", e.Name, strings.Join(e.Global, " "))
		f.Mend = "put these options into a containers.conf named by CONTAINERS_CONF"
	}
	return f
}

// modules: kind's providers mount the folder, docker makes it by itself.
func modules(e *engine.Engine, host engine.Host) engine.Finding {
	f := engine.Finding{Check: "kernel modules", Level: engine.OK, Measured: "/lib/modules exists", Need: "the folder, though it be empty: kind mounts it"}
	if !host.Modules && !e.Remote {
		f.Measured = "no /lib/modules"
		if e.Name == engine.Podman {
			f.Level, f.Mend = engine.Stop, "go tool mage setup (it makes the empty folder)"
		}
	}
	return f
}

// inotify: systemd, containerd and the kubelet of a node together use most of the usual 128.
func inotify(name string, value, least int) engine.Finding {
	f := engine.Finding{Check: "inotify " + name, Level: engine.OK, Measured: strconv.Itoa(value), Need: fmt.Sprintf("%d or more", least)}
	if value < least {
		f.Level, f.Mend = engine.Warn, fmt.Sprintf("sysctl fs.inotify.%s=%d", name, 4*least)
	}
	return f
}

// deadRuns names the clusters that nobody has any more.
func deadRuns(infos []Info, now time.Time) engine.Finding {
	f := engine.Finding{Check: "dead runs", Level: engine.OK, Measured: "no cluster of a dead run", Need: "none"}
	var dead []string
	for _, i := range infos {
		if i.Orphan(now) {
			dead = append(dead, fmt.Sprintf("%s of %s", i.Name, i.Owner))
		}
	}
	if len(dead) > 0 {
		f.Level, f.Measured, f.Mend = engine.Warn, strings.Join(dead, ", "), "remove each: go tool mage cluster:down, with KUBERNAUT_CLUSTER set to its name"
	}
	return f
}
