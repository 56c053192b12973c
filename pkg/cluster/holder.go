package cluster

import (
	"fmt"
	"os"
	"path/filepath"
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
			pid := strings.Split(link, "/")[2]
			name, _ := os.ReadFile("/proc/" + pid + "/comm") // it may just have ended
			return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), pid)
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
