package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// holder names the process that listens on a port of this host, where /proc
// says it and this user may look.
func holder(port int32) string {
	const unknown = "a process that cannot be named"
	inode := ""
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		if inode = listener(string(data), port); inode != "" {
			break
		}
	}
	if inode == "" {
		return unknown
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is good
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == "socket:["+inode+"]" {
			return program(strings.Split(link, "/")[2])
		}
	}
	return unknown
}

// listener finds the inode of the socket that listens on port in proc(5) net/tcp.
func listener(table string, port int32) string {
	const listening, address, state, inode = "0A", 1, 3, 9
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) <= inode || fields[state] != listening {
			continue
		}
		_, hex, _ := strings.Cut(fields[address], ":")
		if value, err := strconv.ParseUint(hex, 16, 16); err == nil && int32(value) == port {
			return fields[inode]
		}
	}
	return ""
}

// program names a process; podman's conmon by the container that it watches.
func program(pid string) string {
	comm, _ := os.ReadFile("/proc/" + pid + "/comm") // it may just have ended
	name := strings.TrimSpace(string(comm))
	if name == "conmon" {
		line, _ := os.ReadFile("/proc/" + pid + "/cmdline") // the same
		args := strings.Split(string(line), "\x00")
		if i := slices.Index(args, "-n"); i >= 0 && i+1 < len(args) {
			name = "container " + args[i+1] + ", " + name
		}
	}
	return fmt.Sprintf("%s (process %s)", name, pid)
}
