package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/deploy"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// Deploy applies one component and waits until it works. It never builds: an
// image that was not loaded is the error of the pod that wants it.
func (p *Platform) Deploy(ctx context.Context, h *stage.Handle, component string) error {
	set, err := deploy.Read(filepath.Join(p.Overlay, component), p.references())
	if err != nil {
		return err
	}
	observer, err := p.observe(ctx)
	if err != nil {
		return err
	}
	applied, err := p.client.Apply(ctx, set)
	if err != nil {
		return err
	}
	fmt.Fprintf(h.Log(), "applied %d objects of %s\n", len(applied), component)
	if err := observer.Wait(ctx, applied); err != nil {
		return err
	}
	h.Note("%d objects, Ready", len(applied))
	return nil
}

// observe starts the one watch of the namespace; it lives as long as the run.
func (p *Platform) observe(ctx context.Context) (*deploy.Observer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.observer != nil {
		return p.observer, nil
	}
	observer, err := p.client.Observe(context.WithoutCancel(ctx), p.Namespace)
	if err != nil {
		return nil, err
	}
	p.observer = observer
	return observer, nil
}

// Close ends the watch.
func (p *Platform) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.observer != nil {
		p.observer.Close()
		p.observer = nil
	}
}

// evidence is what Collect asks the control plane node for: file -> command.
func (p *Platform) evidence() map[string][]string {
	kubectl := []string{"kubectl", "--kubeconfig=/etc/kubernetes/admin.conf"}
	return map[string][]string{
		"objects-events-logs.yaml": append(kubectl, "cluster-info", "dump", "--namespaces="+p.Namespace, "--output=yaml"),
		"pods.txt":                 append(kubectl, "get", "pods", "--all-namespaces", "--output=wide"),
		"events.txt":               append(kubectl, "get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"),
		"aianalyses.yaml":          append(kubectl, "get", "aianalyses", "--all-namespaces", "--output=yaml"),
		"kubelet.log":              {"journalctl", "--unit=kubelet", "--no-pager", "--lines=2000"},
		"containerd.log":           {"journalctl", "--unit=containerd", "--no-pager", "--lines=500"},
		"images.txt":               {"ctr", "--namespace=k8s.io", "images", "ls"},
	}
}

// Collect writes what the cluster can tell into folder. What could not be read
// is said in the stage's log and does not stop the rest.
func (p *Platform) Collect(ctx context.Context, h *stage.Handle, folder string) error {
	standing, _ := p.Standing()
	if standing == nil {
		h.Skip("no cluster stood")
		return nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("making the bundle: %w", err)
	}
	files := 0
	for name, args := range p.evidence() {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		out, err := p.Engine.Do(ctx, append([]string{"exec", standing.Nodes[0].Name}, args...)...)
		cancel()
		if err != nil {
			fmt.Fprintf(h.Log(), "%s: %v\n", name, err)
			continue
		}
		if err := os.WriteFile(filepath.Join(folder, name), out, 0o644); err != nil {
			return fmt.Errorf("writing the bundle: %w", err)
		}
		files++
	}
	h.Note("%d files in %s", files, folder)
	return nil
}
