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
	end      chan struct{} // closed with the test

	mu         sync.Mutex
	open       chan struct{} // closed while bytes flow
	generation int
	loseCommit bool
}

func newProxy(t *testing.T, upstream string) *proxy {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{port: listener.Addr().(*net.TCPAddr).Port, upstream: upstream, open: make(chan struct{}), end: make(chan struct{})}
	close(p.open)
	t.Cleanup(func() { _ = listener.Close(); p.flow(); close(p.end) })
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

// vanish lets no byte through any more on the connections of now; new ones work. A server does that whose host is replaced.
func (p *proxy) vanish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.generation++
}

func (p *proxy) now() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.generation
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
	lost, generation := make(chan struct{}), p.now()
	go p.pump(client, server, generation, func(b []byte) bool {
		if p.isLost(b) {
			close(lost)
		}
		return true
	})
	p.pump(server, client, generation, func([]byte) bool {
		select {
		case <-lost:
			return false
		default:
			return true
		}
	})
}

// pump copies until an end is closed or see says stop.
func (p *proxy) pump(from, to net.Conn, generation int, see func([]byte) bool) {
	defer func() { _ = to.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		<-p.gate()
		if p.now() != generation {
			<-p.end // not even the end of the connection is told
			return
		}
		if n > 0 && !see(buffer[:n]) {
			return
		}
		if _, writeErr := to.Write(buffer[:n]); err != nil || writeErr != nil {
			return
		}
	}
}
