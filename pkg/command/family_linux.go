package command

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a pid with its start time, so that a reused pid is not taken for it.
type process struct {
	pid   int
	start string
}

// family ends a process, its group, and the descendants that made a session
// or group of their own: the RUN step of a `podman build` outlives it otherwise.
type family struct {
	grace time.Duration
	done  sync.WaitGroup
}

// end signals the group of leader and returns at once; wait waits for the rest.
func (f *family) end(leader int) error {
	members := descendants(leader)
	f.done.Go(func() {
		limit := time.Now().Add(f.grace)
		for alive(leader, members) && time.Now().Before(limit) {
			time.Sleep(20 * time.Millisecond)
		}
		for limit = time.Now().Add(f.grace); alive(leader, members) && time.Now().Before(limit); {
			for _, m := range members {
				for _, d := range descendants(m.pid) {
					members[d.pid] = d
				}
				if running(m) {
					_ = syscall.Kill(m.pid, syscall.SIGKILL) // gone already is what we want
				}
			}
			_ = syscall.Kill(-leader, syscall.SIGKILL) // the same
			time.Sleep(20 * time.Millisecond)
		}
	})
	return syscall.Kill(-leader, syscall.SIGTERM)
}

func (f *family) wait() { f.done.Wait() }

func alive(leader int, members map[int]process) bool {
	if syscall.Kill(-leader, 0) == nil && !onlyZombies(leader) {
		return true
	}
	for _, m := range members {
		if running(m) {
			return true
		}
	}
	return false
}

// onlyZombies tells a group that waits for its parent from one that works.
func onlyZombies(leader int) bool {
	state, _, ok := stat(leader)
	return ok && state == "Z"
}

func running(p process) bool {
	state, start, ok := stat(p.pid)
	return ok && state != "Z" && start == p.start
}

func descendants(root int) map[int]process {
	children := map[int][]process{}
	entries, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, entry := range entries {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(entry)))
		if err != nil {
			continue
		}
		if fields, ok := fields(pid); ok {
			parent, _ := strconv.Atoi(fields[1])
			children[parent] = append(children[parent], process{pid, fields[19]})
		}
	}
	found := map[int]process{}
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
		for _, child := range children[queue[0]] {
			found[child.pid] = child
			queue = append(queue, child.pid)
		}
	}
	return found
}

func stat(pid int) (state, start string, ok bool) {
	f, ok := fields(pid)
	if !ok {
		return "", "", false
	}
	return f[0], f[19], true
}

// fields are those of proc(5) stat after the command name: state, ppid, …, start time at 19.
func fields(pid int) ([]string, bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil, false
	}
	f := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	return f, len(f) > 19
}

// peak is in bytes: Linux counts the resident set in KiB.
func peak(state *os.ProcessState) int64 {
	if state == nil {
		return 0
	}
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		return usage.Maxrss << 10
	}
	return 0
}
