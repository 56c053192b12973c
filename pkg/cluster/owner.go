package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Owner is a run and the process that it lives in.
type Owner struct {
	RunID string
	PID   int
	Start string // of the process, in clock ticks since boot; empty where the system does not say
	Boot  string // boot id: after a restart nobody of before is alive
}

// OwnerOf describes the process pid as the owner of a run.
func OwnerOf(runID string, pid int) Owner {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // absent on other systems: pid alone decides
	return Owner{RunID: runID, PID: pid, Start: processStart(pid), Boot: strings.TrimSpace(string(boot))}
}

// Alive tells whether the very process still runs; a reused pid does not count.
func (o Owner) Alive() bool {
	now := OwnerOf(o.RunID, o.PID)
	if o.PID <= 0 || o.Boot != now.Boot || o.Start != now.Start {
		return false
	}
	err := syscall.Kill(o.PID, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

func (o Owner) same(other Owner) bool { return o == other || o.RunID != "" && o.RunID == other.RunID }

func (o Owner) String() string { return fmt.Sprintf("run %s (process %d)", o.RunID, o.PID) }

// processStart is the field of proc(5) stat that, with the pid, names a process once per boot.
func processStart(pid int) string {
	const afterName = 19
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) <= afterName || fields[0] == "Z" {
		return ""
	}
	return fields[afterName]
}
