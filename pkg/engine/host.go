package engine

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Host is what of this host decides how an engine must be set up.
type Host struct {
	Root            bool
	CapSysResource  bool // without it no container gets --privileged by docker, nor an rlimit above ours
	CgroupV1        bool // pure v2 is what crun wants
	NoFile, NProc   uint64
	Modules         bool // /lib/modules exists: kind's podman provider mounts it
	MemoryAvailable int64
}

// capSysResource is the bit of linux/capability.h.
const capSysResource = 24

// ReadHost reads /proc and /sys; what is absent there (another system) counts as ordinary.
func ReadHost() Host {
	h := Host{Root: os.Geteuid() == 0, CapSysResource: true, Modules: true}
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		h.CapSysResource = capability(status, capSysResource)
	} else {
		return h
	}
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	h.CgroupV1 = err != nil
	_, err = os.Stat("/lib/modules")
	h.Modules = err == nil
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		h.NoFile = limit.Max
	}
	if unix.Getrlimit(unix.RLIMIT_NPROC, &limit) == nil {
		h.NProc = limit.Max
	}
	h.MemoryAvailable = memoryAvailable()
	return h
}

// capability reads the bounding set of /proc/<pid>/status: what root may have
// on this host. The effective set of an ordinary user is empty everywhere.
func capability(status []byte, bit uint) bool {
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "CapBnd:"); ok {
			set, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			return err == nil && set&(1<<bit) != 0
		}
	}
	return true
}

// memoryAvailable is the smaller of MemAvailable and the cgroup's limit, in bytes.
func memoryAvailable() int64 {
	var available int64
	if data, err := os.ReadFile("/proc/meminfo"); err == nil {
		for line := range strings.Lines(string(data)) {
			if value, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
				kib, _ := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
				available = kib << 10
			}
		}
	}
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64); err == nil && limit > 0 && (available == 0 || limit < available) {
			available = limit
		}
	}
	return available
}

// ContainersConf is the podman configuration that this host needs, and why,
// one reason a line. An ordinary host needs none: both are empty.
//
// podman asks for rlimits of 1048576, which a process without CAP_SYS_RESOURCE
// may not set above its own; a value equal to the hard limit of processes is
// still refused, so both stay well below. crun refuses hybrid cgroups.
func (h Host) ContainersConf() (conf string, reasons []string) {
	var containers, engine []string
	if !h.CapSysResource {
		containers = append(containers, fmt.Sprintf("default_ulimits = [\"nofile=%[1]d:%[1]d\", \"nproc=%[2]d:%[2]d\"]", min(h.NoFile, 20000), min(h.NProc/2, 32768)))
		reasons = append(reasons, "no CAP_SYS_RESOURCE: rlimits of containers are lowered to what this host allows")
	}
	if h.CgroupV1 {
		engine = append(engine, `runtime = "runc"`)
		reasons = append(reasons, "cgroup v1: runc instead of crun")
	}
	if len(reasons) == 0 {
		return "", nil
	}
	var b strings.Builder
	for _, part := range []struct {
		name  string
		lines []string
	}{{"containers", containers}, {"engine", engine}} {
		if len(part.lines) > 0 {
			fmt.Fprintf(&b, "[%s]\n%s\n", part.name, strings.Join(part.lines, "\n"))
		}
	}
	return b.String(), reasons
}

func lines(out []byte) []string {
	var all []string
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		if line := strings.TrimSpace(s.Text()); line != "" {
			all = append(all, line)
		}
	}
	return all
}
