//go:build integration

package dlq

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	addr := os.Getenv("KUBERNAUT_TEST_REDIS")
	if addr == "" {
		t.Fatal("KUBERNAUT_TEST_REDIS is not set: host:port of a Redis")
	}
	q, err := Open(Options{Addr: addr, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = q.Close() }()
	if err := ask(t.Context(), q); err != nil {
		t.Error(err)
	}
}

func TestCheckGivesUp(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }() // it takes connections and never answers
	q, err := Open(Options{Addr: listener.Addr().String(), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = q.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := ask(ctx, q); err == nil || time.Since(start) > 10*time.Second {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
}

func TestOpenWithABadAuthority(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{path, path + ".absent"} {
		if _, err := Open(Options{Addr: "redis:6379", TLS: true, CAFile: file}); err == nil {
			t.Errorf("%s was taken", file)
		}
	}
}

func ask(ctx context.Context, q *Queue) error {
	_, err := q.Status(ctx)
	return err
}
