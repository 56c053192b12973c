//go:build integration

package main

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
)

// proxy stands between the service and PostgreSQL and misbehaves when told to.
type proxy struct {
	port     int
	upstream string

	mu         sync.Mutex
	open       chan struct{} // closed while bytes flow
	loseCommit bool
}

func newProxy(t *testing.T, upstream string) *proxy {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{port: listener.Addr().(*net.TCPAddr).Port, upstream: upstream, open: make(chan struct{})}
	close(p.open)
	t.Cleanup(func() { _ = listener.Close(); p.flow() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go p.join(client)
		}
	}()
	return p
}

// stall keeps all connections and lets no byte through, not even of a new one.
func (p *proxy) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = make(chan struct{})
}

// flow ends a stall.
func (p *proxy) flow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.open:
	default:
		close(p.open)
	}
}

func (p *proxy) gate() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

// loseNextCommit lets one COMMIT through and cuts its connection instead of bringing the answer.
func (p *proxy) loseNextCommit() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loseCommit = true
}

func (p *proxy) isLost(bytesToServer []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.loseCommit || !bytes.Contains(bytesToServer, []byte("commit\x00")) {
		return false
	}
	p.loseCommit = false
	return true
}

func (p *proxy) join(client net.Conn) {
	defer func() { _ = client.Close() }()
	<-p.gate()
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.upstream)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	lost := make(chan struct{})
	go p.pump(client, server, func(b []byte) bool {
		if p.isLost(b) {
			close(lost)
		}
		return true
	})
	p.pump(server, client, func([]byte) bool {
		select {
		case <-lost:
			return false
		default:
			return true
		}
	})
}

// pump copies until an end is closed or see says stop.
func (p *proxy) pump(from, to net.Conn, see func([]byte) bool) {
	defer func() { _ = to.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		<-p.gate()
		if n > 0 && !see(buffer[:n]) {
			return
		}
		if _, writeErr := to.Write(buffer[:n]); err != nil || writeErr != nil {
			return
		}
	}
}
