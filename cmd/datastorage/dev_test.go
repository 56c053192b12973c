//go:build integration

package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// O7: with the programs of PostgreSQL on this host it serves, and leaves nothing; without them it says what to install.
func TestDev(t *testing.T) {
	program := buildService(t)
	folder := t.TempDir()
	for _, open := range []string{filepath.Dir(folder), folder, filepath.Dir(program)} { // an ordinary user goes in and out
		if err := os.Chmod(open, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	port := freePort(t)
	child := exec.Command(program, "serve", "--dev")
	child.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + folder, fmt.Sprintf("DATASTORAGE_SERVER_PORT=%d", port)}
	var lines bytes.Buffer
	child.Stderr = &lines
	if os.Geteuid() == 0 {
		const nobody = 65534
		child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody, NoSetGroups: true}}
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	client := http.Client{Timeout: time.Second}
	tick, late := time.NewTicker(50*time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for serving := false; !serving; {
		select {
		case err := <-ended:
			if _, found := findPostgres(t.Context(), 1); found == nil || child.ProcessState.ExitCode() != 3 || !strings.Contains(lines.String(), "install the package postgresql") {
				t.Fatalf("%v\n%s", err, &lines)
			}
			t.Log("no PostgreSQL on this host: exit code 3")
			return
		case <-late:
			_ = child.Process.Kill()
			t.Fatalf("not ready after a minute\n%s", &lines)
		case <-tick.C:
		}
		answer, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/health/ready", port))
		if err == nil {
			serving = answer.StatusCode == http.StatusOK
			_ = answer.Body.Close()
		}
	}
	if err := child.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("ended with %v\n%s", err, &lines)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
