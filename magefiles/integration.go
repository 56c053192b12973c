//go:build mage

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/cluster"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// integrationTests starts PostgreSQL, Redis and an API server of their own,
// runs the tests against them, and takes all three away again.
func integrationTests(ctx context.Context, h *stage.Handle) (err error) {
	s := current.session
	password := rand.Text()
	label := "ai.kubernaut.test=" + s.id
	defer func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, s.engine.RemoveContainers(clean, label))
	}()
	secret := filepath.Join(s.dir, "postgres.env")
	if err := os.WriteFile(secret, []byte("POSTGRES_USER=kubernaut\nPOSTGRES_DB=kubernaut\nPOSTGRES_PASSWORD="+password+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing the test database's environment: %w", err)
	}
	defer os.Remove(secret)
	postgres, err := s.start(ctx, label, server{image: "localhost/kubernaut-postgres", port: "5432", options: []string{"--env-file=" + secret},
		ready: []string{"pg_isready", "--host=127.0.0.1", "--username=kubernaut"}})
	if err != nil {
		return err
	}
	redis, err := s.start(ctx, label, server{image: "localhost/kubernaut-redis", port: "6379", ready: []string{"redis-cli", "ping"}})
	if err != nil {
		return err
	}
	kubeconfig, down, err := s.apiServer(ctx, h)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, down()) }()
	return goTest(ctx, h, []string{
		"KUBERNAUT_TEST_POSTGRES=postgres://kubernaut:" + password + "@" + postgres + "/kubernaut?sslmode=disable",
		"KUBERNAUT_TEST_REDIS=" + redis,
		"KUBERNAUT_TEST_KUBECONFIG=" + kubeconfig,
	}, "-race", "-tags=integration", "./cmd/...", "./internal/...", "./pkg/deploy")
}

// server is a container for tests.
type server struct {
	image, port string
	options     []string
	ready       []string // a command in the container that succeeds once it serves
}

// start runs a server in the background and gives the host's address of its port once it serves.
func (s *session) start(ctx context.Context, label string, c server) (string, error) {
	args := append([]string{"run", "--detach", "--rm", "--label=" + label, "--publish=127.0.0.1::" + c.port}, c.options...)
	out, err := s.engine.Do(ctx, append(args, s.platform.Reference(c.image))...)
	if err != nil {
		return "", fmt.Errorf("starting %s: %w", c.image, err)
	}
	id := strings.TrimSpace(string(out))
	if out, err = s.engine.Do(ctx, "port", id, c.port); err != nil {
		return "", fmt.Errorf("asking for the port of %s: %w", c.image, err)
	}
	wait, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err = s.engine.Do(wait, append([]string{"exec", id}, c.ready...)...); err == nil {
			return firstLine(strings.TrimSpace(string(out))), nil
		}
		select {
		case <-wait.Done():
			return "", fmt.Errorf("%s does not serve after a minute: %w", c.image, err)
		case <-tick.C:
		}
	}
}

// apiServer is a Kind cluster of its own: a real API server in both image sources.
func (s *session) apiServer(ctx context.Context, h *stage.Handle) (kubeconfig string, down func() error, err error) {
	clusters := s.platform.Clusters
	cfg := s.platform.Cluster
	cfg.Name, cfg.Ports, cfg.Mode = "kubernaut-integration", cluster.Free, cluster.CI
	cfg.Kubeconfig = filepath.Join(filepath.Dir(cfg.Kubeconfig), cfg.Name+"-config")
	if _, _, err := clusters.Ensure(ctx, cfg, h.Log()); err != nil {
		return "", nil, fmt.Errorf("an API server for the tests: %w", err)
	}
	return cfg.Kubeconfig, func() error {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
		defer cancel()
		return clusters.Delete(clean, cfg.Name)
	}, nil
}
