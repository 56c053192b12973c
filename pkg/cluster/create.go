package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	kind "sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/exec"

	"github.com/kubernaut-ai/kubernaut/pkg/engine"
)

// creation is what kind is asked for.
type creation struct {
	Name, Kubeconfig, Image string
	Config                  *v1alpha4.Cluster
	Engine                  engine.Name
	Log                     io.Writer
}

// kindCreate asks kind's library. What kind's commands wrote before a failure
// goes to the log. Nodes of a failed creation stay, for whoever wants evidence.
func kindCreate(a creation) error {
	provider := kind.ProviderWithPodman()
	if a.Engine == engine.Docker {
		provider = kind.ProviderWithDocker()
	}
	log := &kindLog{out: a.Log}
	err := kind.NewProvider(provider, kind.ProviderWithLogger(log)).Create(a.Name,
		kind.CreateWithV1Alpha4Config(a.Config),
		kind.CreateWithNodeImage(a.Image),
		kind.CreateWithKubeconfigPath(a.Kubeconfig),
		kind.CreateWithRetain(true),
	)
	if failed := exec.RunErrorForError(err); failed != nil {
		log.line("%s\n%s", failed.PrettyCommand(), failed.Output)
	}
	return err
}

const (
	removeEvery = 200 * time.Millisecond
	giveUp      = 2 * time.Minute // for a creation whose context has ended
)

// run is create with a context: kind knows none. When it ends, the containers
// of the cluster are removed again and again, which makes kind's commands fail,
// until kind has returned; so nothing appears after run has returned.
func (c *Clusters) run(ctx context.Context, a creation) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	var failed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		failed = c.create(a)
	}()
	select {
	case <-done:
		if failed != nil {
			return fmt.Errorf("kind: %w", failed)
		}
		return nil
	case <-ctx.Done():
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveUp)
	defer cancel()
	again := time.NewTicker(removeEvery)
	defer again.Stop()
	for {
		err := c.removeContainers(clean, a.Name) // one that goes by itself is an error, too: tried again
		select {
		case <-done:
			return context.Cause(ctx)
		case <-clean.Done():
			return errors.Join(context.Cause(ctx), fmt.Errorf("%w: kind still creates cluster %q", ErrLeftOver, a.Name), err)
		case <-again.C:
		}
	}
}
