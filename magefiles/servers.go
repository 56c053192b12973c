//go:build mage

package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// server is a container for tests.
type server struct {
	image, port string
	options     []string
	arguments   []string // of its program
	ready       []string // a command in the container that succeeds once it serves
	// lasting: it survives a stop, with its data and its port of the host.
	lasting bool
}

// standing is a server that serves.
type standing struct{ id, address string }

// stores are a PostgreSQL and a Redis for the tests of one stage.
type stores struct {
	postgres, redis standing
	env             []string     // where tests look for them
	down            func() error // takes both away
}

// stores starts both. Lasting ones can be stopped and started, and the Redis loses nothing then. down must be called,
// whatever the error is.
func (s *session) stores(ctx context.Context, purpose string, lasting bool) (pair stores, err error) {
	label := "ai.kubernaut.test=" + s.id + "-" + purpose
	pair.down = func() error {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		return s.engine.RemoveContainers(clean, label)
	}
	password := rand.Text()
	secret := filepath.Join(s.dir, purpose+"-postgres.env")
	if err := os.WriteFile(secret, []byte("POSTGRES_USER=kubernaut\nPOSTGRES_DB=kubernaut\nPOSTGRES_PASSWORD="+password+"\n"), 0o600); err != nil {
		return pair, fmt.Errorf("writing the test database's environment: %w", err)
	}
	defer os.Remove(secret)
	if pair.postgres, err = s.start(ctx, label, server{image: "localhost/kubernaut-postgres", port: "5432", lasting: lasting,
		options: []string{"--env-file=" + secret}, ready: []string{"pg_isready", "--host=127.0.0.1", "--username=kubernaut"}}); err != nil {
		return pair, err
	}
	queue := server{image: "localhost/kubernaut-redis", port: "6379", lasting: lasting, ready: []string{"redis-cli", "ping"}}
	if lasting { // as config/ runs it
		queue.arguments = []string{"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"}
	}
	if pair.redis, err = s.start(ctx, label, queue); err != nil {
		return pair, err
	}
	pair.env = []string{
		"KUBERNAUT_TEST_POSTGRES=postgres://kubernaut:" + password + "@" + pair.postgres.address + "/kubernaut?sslmode=disable",
		"KUBERNAUT_TEST_REDIS=" + pair.redis.address,
	}
	return pair, nil
}

// start runs a server in the background and waits until it serves.
func (s *session) start(ctx context.Context, label string, c server) (standing, error) {
	published := ""
	if c.lasting { // docker gives a port of its own choice anew at each start
		port, err := freePort(ctx)
		if err != nil {
			return standing{}, err
		}
		published = fmt.Sprint(port)
	} else {
		c.options = append(c.options, "--rm")
	}
	args := append([]string{"run", "--detach", "--label=" + label, "--publish=127.0.0.1:" + published + ":" + c.port}, c.options...)
	out, err := s.engine.Do(ctx, append(append(args, s.platform.Reference(c.image)), c.arguments...)...)
	if err != nil {
		return standing{}, fmt.Errorf("starting %s: %w", c.image, err)
	}
	id := strings.TrimSpace(string(out))
	if out, err = s.engine.Do(ctx, "port", id, c.port); err != nil {
		return standing{}, fmt.Errorf("asking for the port of %s: %w", c.image, err)
	}
	wait, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err = s.engine.Do(wait, append([]string{"exec", id}, c.ready...)...); err == nil {
			return standing{id, firstLine(strings.TrimSpace(string(out)))}, nil
		}
		select {
		case <-wait.Done():
			return standing{}, fmt.Errorf("%s does not serve after a minute: %w", c.image, err)
		case <-tick.C:
		}
	}
}

// freePort is one that nobody has now.
func freePort(ctx context.Context) (int, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}
