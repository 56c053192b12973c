//go:build mage

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/kubernaut-ai/kubernaut/pkg/cluster"
	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// integrationTests starts PostgreSQL, Redis and an API server of their own,
// runs the tests against them, and takes all three away again.
func integrationTests(ctx context.Context, h *stage.Handle) (err error) {
	s := current.session
	pair, err := s.stores(ctx, "integration", false)
	defer func() { err = errors.Join(err, pair.down()) }()
	if err != nil {
		return err
	}
	kubeconfig, down, err := s.apiServer(ctx, h)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, down()) }()
	server := "KUBERNAUT_TEST_KUBECONFIG=" + kubeconfig
	return errors.Join(
		goTest(ctx, h, append(pair.env, server), "-race", "-tags=integration", "-timeout=18m", "./cmd/...", "./internal/...", "./pkg/deploy"),
		pytest(ctx, h, "python-integration", []string{server}, "integration"),
	)
}

// faultRuns lets tests stop, kill and start the two stores of the real program.
func faultRuns(ctx context.Context, h *stage.Handle) (err error) {
	s := current.session
	pair, err := s.stores(ctx, "faults", true)
	defer func() { err = errors.Join(err, pair.down()) }()
	if err != nil {
		return err
	}
	return goTest(ctx, h, append(pair.env,
		"KUBERNAUT_TEST_ENGINE="+string(s.engine.Name),
		"KUBERNAUT_TEST_POSTGRES_CONTAINER="+pair.postgres.id,
		"KUBERNAUT_TEST_REDIS_CONTAINER="+pair.redis.id,
	), "-race", "-tags=faults", "-run=^TestFaults$", "-timeout=10m", "./cmd/datastorage")
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
