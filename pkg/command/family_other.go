//go:build !linux

package command

import (
	"os"
	"sync"
	"syscall"
	"time"
)

// family ends a process group; other systems have no /proc to find those that left it.
type family struct {
	grace time.Duration
	done  sync.WaitGroup
}

func (f *family) end(leader int) error {
	f.done.Go(func() {
		for limit := time.Now().Add(f.grace); syscall.Kill(-leader, 0) == nil && time.Now().Before(limit); {
			time.Sleep(20 * time.Millisecond)
		}
		_ = syscall.Kill(-leader, syscall.SIGKILL) // gone already is what we want
	})
	return syscall.Kill(-leader, syscall.SIGTERM)
}

func (f *family) wait() { f.done.Wait() }

func peak(*os.ProcessState) int64 { return 0 }
