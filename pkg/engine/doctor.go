package engine

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Level is how bad a finding is.
type Level string

// A run stops at Stop; Warn is said and gone past.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Stop Level = "stop"
)

// Finding is one doctor check: what was measured, what is needed, and the one
// line that mends it.
type Finding struct {
	Check    string `json:"check"`
	Level    Level  `json:"level"`
	Measured string `json:"measured"`
	Need     string `json:"need,omitempty"`
	Mend     string `json:"mend,omitempty"`
}

// oldest are the versions that build what the Dockerfiles use.
var oldest = map[Name][2]int{Podman: {4, 3}, Docker: {20, 10}}

// Findings are the checks of an engine that answered, on this host.
func (e *Engine) Findings(h Host) []Finding {
	found := []Finding{e.version(), e.capabilities(h), e.rlimits(h), e.runtime(h)}
	return append(found, Memory(h))
}

func (e *Engine) version() Finding {
	f := Finding{Check: "engine", Level: OK, Measured: fmt.Sprintf("%s %s", e.Name, e.Version)}
	need := oldest[e.Name]
	if major, minor := majorMinor(e.Version); major < need[0] || major == need[0] && minor < need[1] {
		f.Level, f.Need = Stop, fmt.Sprintf("%s %d.%d or newer", e.Name, need[0], need[1])
		f.Mend = "update " + string(e.Name)
	}
	return f
}

func majorMinor(version string) (major, minor int) {
	parts := strings.SplitN(version, ".", 3)
	major, _ = strconv.Atoi(parts[0])
	if len(parts) > 1 {
		minor, _ = strconv.Atoi(parts[1])
	}
	return major, minor
}

func (e *Engine) capabilities(h Host) Finding {
	f := Finding{Check: "capabilities", Level: OK, Measured: "all that privileged containers ask for"}
	if h.CapSysResource || e.Remote {
		return f
	}
	f.Measured = "no CAP_SYS_RESOURCE"
	if e.Name == Docker {
		f.Level, f.Need = Stop, "CAP_SYS_RESOURCE: docker cannot start a privileged container without it, so no Kind node"
		f.Mend = "use podman: KUBERNAUT_ENGINE=podman"
	}
	return f
}

func (e *Engine) rlimits(h Host) Finding {
	f := Finding{Check: "rlimits", Level: OK, Measured: fmt.Sprintf("nofile %d, nproc %d", h.NoFile, h.NProc)}
	const least = 8192
	if !e.Remote && h.NoFile > 0 && h.NoFile < least {
		f.Level, f.Need, f.Mend = Warn, fmt.Sprintf("nofile of %d for a Kind node", least), "ulimit -Hn 65536, or the limits of the service that starts this"
	}
	return f
}

func (e *Engine) runtime(h Host) Finding {
	f := Finding{Check: "cgroup", Level: OK, Measured: "v2"}
	if h.CgroupV1 && !e.Remote {
		f.Measured = "v1"
		if e.Name == Podman {
			f.Measured = "v1, runc chosen by our own containers.conf"
		}
	}
	return f
}

// Memory is what builds and a Kind node can have.
func Memory(h Host) Finding {
	const least = 4 << 30
	f := Finding{Check: "memory", Level: OK, Measured: fmt.Sprintf("%.1f GiB available", float64(h.MemoryAvailable)/(1<<30))}
	if h.MemoryAvailable > 0 && h.MemoryAvailable < least {
		f.Level, f.Need, f.Mend = Stop, "4 GiB available for the node and one build", "close what uses it, or give the machine more"
	}
	return f
}

// Disk checks that a folder's file system has room for the images of a run.
func Disk(folder string) Finding {
	const least = 10 << 30
	var fs unix.Statfs_t
	if err := unix.Statfs(folder, &fs); err != nil {
		return Finding{Check: "disk", Level: Warn, Measured: fmt.Sprintf("%s: %v", folder, err)}
	}
	free := int64(fs.Bavail) * int64(fs.Bsize) //nolint:unconvert // the field types differ between systems
	f := Finding{Check: "disk", Level: OK, Measured: fmt.Sprintf("%.0f GiB free below %s", float64(free)/(1<<30), folder)}
	if free < least {
		f.Level, f.Need = Stop, "10 GiB for base images, the node image and the cluster"
		f.Mend = "podman image prune, or set KUBERNAUT_CACHE to a larger file system"
	}
	return f
}
