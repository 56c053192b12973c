package cluster

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

var selfPID = os.Getpid()

// dead is the owner of a run that has ended: nothing has the highest pid with no start time.
func dead(run string) Owner { return Owner{RunID: run, PID: 1 << 30, Start: "1", Boot: "before"} }

func writeKubeconfig(path, name string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["kind-"+name] = &clientcmdapi.Cluster{Server: "https://127.0.0.1:1"}
	return clientcmd.WriteToFile(*config, path)
}

func TestCreateThenAdoptThenDelete(t *testing.T) {
	b := newBench(t)
	made, report := b.ensure(t, b.Clusters, b.config)
	if report.Action != Created || made.Ports[30088] != 8088 || made.Kubernetes != "v1.37.2" || made.Nodes[0].Platform != "linux/amd64" {
		t.Fatalf("cluster %+v, report %+v", made, report)
	}
	if info, err := os.Stat(b.config.Kubeconfig); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("kubeconfig: %v, %v", info, err)
	}
	mark, err := b.client.Resource(configMaps).Namespace(markNamespace).Get(t.Context(), markName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if by, _, _ := unstructured.NestedString(mark.Object, "data", "made-by"); by != "run-1" {
		t.Errorf("the mark says %q", by)
	}
	if status, found, err := b.Status(t.Context(), "trial"); err != nil || !found || !status.Ours || !status.Alive || !status.Whole {
		t.Errorf("status %+v, %v, %v", status, found, err)
	}

	// The run ends; the next one, in dev, takes the cluster over.
	rec, err := b.read("trial")
	if err != nil {
		t.Fatal(err)
	}
	rec.Owner = dead("run-1")
	if err := b.write(*rec); err != nil {
		t.Fatal(err)
	}
	next := b.as(OwnerOf("run-2", selfPID))
	if _, report = b.ensure(t, next, b.config); report.Action != Adopted || len(b.made) != 1 {
		t.Fatalf("report %+v, made %d times", report, len(b.made))
	}
	if err := next.Expire("trial", time.Now().Add(8*time.Hour)); err != nil {
		t.Error(err)
	}
	if err := next.Delete(t.Context(), "trial"); err != nil {
		t.Fatal(err)
	}
	if containers, volumes := b.host.counts(); containers+volumes != 0 {
		t.Errorf("%d containers, %d volumes left", containers, volumes)
	}
	for _, gone := range []string{b.config.Kubeconfig, b.file("trial")} {
		if _, err := os.Stat(gone); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", gone, err)
		}
	}
}

func TestOpen(t *testing.T) {
	b := newBench(t)
	if _, err := b.Open(t.Context(), "trial"); err == nil || errors.Is(err, ErrNotOurs) {
		t.Errorf("nothing there: %v", err)
	}
	b.ensure(t, b.Clusters, b.config)
	if made, err := b.Open(t.Context(), "trial"); err != nil || made.Ports[30088] != 8088 {
		t.Errorf("%+v, %v", made, err)
	}
	b.host.add("foreign", "aaa", time.Now())
	if _, err := b.Open(t.Context(), "foreign"); !errors.Is(err, ErrNotOurs) {
		t.Errorf("foreign: %v", err)
	}
}

func TestForeignClusterIsNotTouched(t *testing.T) {
	b := newBench(t)
	b.host.add("trial", "aaa", time.Now())
	before, _ := b.host.counts()
	if _, _, err := b.Ensure(t.Context(), b.config, io.Discard); !errors.Is(err, ErrNotOurs) {
		t.Errorf("ensure: %v", err)
	}
	if err := b.Delete(t.Context(), "trial"); !errors.Is(err, ErrNotOurs) {
		t.Errorf("delete: %v", err)
	}
	if after, _ := b.host.counts(); after != before || len(b.made) > 0 {
		t.Error("it was touched")
	}
	if _, err := os.Stat(b.file("trial")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a record was written: %v", err)
	}
}

func TestClusterThatSaysAnotherMadeItIsNotTouched(t *testing.T) {
	b := newBench(t)
	b.ensure(t, b.Clusters, b.config)
	rec, err := b.read("trial")
	if err != nil {
		t.Fatal(err)
	}
	rec.ID = "another"
	if err := b.write(*rec); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Ensure(t.Context(), b.config, io.Discard); !errors.Is(err, ErrNotOurs) {
		t.Errorf("got %v", err)
	}
	if n, _ := b.host.counts(); n != 1 {
		t.Errorf("%d containers", n)
	}
}

func TestFailedCreationIsTriedOnceMoreAndCleanedUp(t *testing.T) {
	for name, c := range map[string]struct {
		failures int
		fails    bool
	}{"once": {1, false}, "always": {9, true}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			good, calls := b.create, 0
			b.create = func(a creation) error {
				if calls++; calls <= c.failures {
					b.host.add(a.Name, "aaa", time.Now())
					return errors.New("kubeadm failed")
				}
				return good(a)
			}
			_, report, err := b.Ensure(t.Context(), b.config, io.Discard)
			if (err != nil) != c.fails || calls != 2 {
				t.Fatalf("error %v after %d calls", err, calls)
			}
			if c.fails {
				if containers, volumes := b.host.counts(); containers+volumes != 0 {
					t.Errorf("%d containers, %d volumes left", containers, volumes)
				}
			} else if len(report.Notes) != 1 || !strings.Contains(report.Notes[0], "kubeadm failed") {
				t.Errorf("notes %v", report.Notes)
			}
		})
	}
}

// kind goes on making containers after the cancel; none may be left.
func TestCancelDuringCreate(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("interrupted")
	b.create = func(a creation) error {
		b.host.add(a.Name, "aaa", time.Now())
		cancel(stopped)
		<-b.host.removed
		b.host.add(a.Name, "aaa", time.Now().Add(time.Second))
		<-b.host.removed
		return errors.New("podman exec failed")
	}
	_, _, err := b.Ensure(ctx, b.config, io.Discard)
	if !errors.Is(err, stopped) {
		t.Fatalf("got %v", err)
	}
	if containers, volumes := b.host.counts(); containers+volumes != 0 {
		t.Errorf("%d containers, %d volumes left", containers, volumes)
	}
	if rec, err := b.read("trial"); rec != nil || err != nil {
		t.Errorf("record %v, %v", rec, err)
	}
}

func TestLeftOversAreNamed(t *testing.T) {
	b := newBench(t)
	b.ensure(t, b.Clusters, b.config)
	b.host.undying = true
	err := b.Delete(t.Context(), "trial")
	if !errors.Is(err, ErrLeftOver) || !strings.Contains(err.Error(), "container trial-control-plane") {
		t.Fatalf("got %v", err)
	}
	if rec, err := b.read("trial"); rec == nil || err != nil {
		t.Errorf("the record must stay until all is gone: %v, %v", rec, err)
	}
}

func TestKubeconfigOfOthersIsKept(t *testing.T) {
	b := newBench(t)
	if err := writeKubeconfig(b.config.Kubeconfig, "somebody"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Ensure(t.Context(), b.config, io.Discard); !errors.Is(err, ErrNotOurs) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(b.config.Kubeconfig); err != nil {
		t.Error(err)
	}
}

func TestMissingNodeImage(t *testing.T) {
	b := newBench(t)
	b.config.NodeImage = "nowhere:1"
	if _, _, err := b.Ensure(t.Context(), b.config, io.Discard); err == nil || len(b.made) > 0 {
		t.Errorf("error %v, made %v", err, b.made)
	}
}

func TestBrokenRecordIsNoOwner(t *testing.T) {
	b := newBench(t)
	if err := os.MkdirAll(filepath.Dir(b.file("trial")), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.file("trial"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Ensure(t.Context(), b.config, io.Discard); err == nil {
		t.Error("a record that cannot be read was passed over")
	}
}
