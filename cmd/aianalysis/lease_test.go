package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubernaut-ai/kubernaut/internal/aianalysis/settings"
)

// The lease lies in the namespace that is set, else in the pod's own; with neither, the error names the flag.
func TestNamespaceOfTheLease(t *testing.T) {
	dir := t.TempDir()
	pod, empty, absent := filepath.Join(dir, "pod"), filepath.Join(dir, "empty"), filepath.Join(dir, "absent")
	for file, content := range map[string]string{pod: "own\n", empty: ""} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, row := range map[string]struct {
		elect     bool
		set, file string
		want, err string
	}{
		"set":      {true, "there", pod, "there", ""},
		"in a pod": {true, "", pod, "own", ""},
		"outside":  {true, "", absent, "", "set --leader-election-namespace: open " + absent},
		"empty":    {true, "", empty, "", "set --leader-election-namespace: " + empty + " is empty"},
		"no need":  {false, "", absent, "", ""},
	} {
		have, err := leaseNamespace(&settings.Settings{LeaderElection: row.elect, LeaseNamespace: row.set}, row.file)
		if have != row.want || (err != nil) != (row.err != "") || err != nil && !strings.Contains(err.Error(), row.err) {
			t.Errorf("%s: %q, %v", name, have, err)
		}
	}
}

// The program takes the namespace that it is given to its election.
func TestElectionOutsideAClusterInANamespaceOfItsOwn(t *testing.T) {
	p := launch(t, t, kubeconfigToNowhere(t), "--leader-elect", "--leader-election-namespace", "there")
	until(t, "it tries for the lease there", func(context.Context) bool { return strings.Contains(p.log.String(), "there/"+leaderElectionID) })
}
