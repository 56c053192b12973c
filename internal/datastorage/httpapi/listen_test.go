package httpapi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// counted is a listener that counts what its connections read.
type counted struct {
	net.Listener
	read atomic.Int64
}

type countedConn struct {
	net.Conn
	read *atomic.Int64
}

func (l *counted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(64 << 10) // so that a client that does not read is noticed soon
	}
	return &countedConn{c, &l.read}, nil
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read.Add(int64(n))
	return n, err
}

// listen serves the fixture on a port.
func (f *fixture) listen(t *testing.T, timeouts Timeouts) *counted {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &counted{Listener: listener}
	server := NewServer(f.handler, timeouts, log.New(io.Discard, "", 0))
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return l
}

func (l *counted) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

var long = Timeouts{Header: time.Minute, Read: time.Minute, Write: time.Minute, Idle: time.Minute}

func head(method, path string, lines ...string) string {
	return method + " " + path + " HTTP/1.1\r\nHost: datastorage\r\nContent-Type: application/json\r\n" + strings.Join(append(lines, "", ""), "\r\n")
}

// A5: a body beyond its limit is 413 without its rest being read, whether or not its length is said.
func TestTooLargeBodiesAreNotRead(t *testing.T) {
	const margin = 64 << 10
	for _, c := range []struct {
		name, path string
		limit      int
	}{{"event", eventsPath, maxEventBody}, {"batch", batchPath, maxBatchBody}, {"workflow", workflowPath, maxWorkflowBody}, {"search", searchPath, maxSmallBody}} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s chunked=%t", c.name, chunked), func(t *testing.T) {
				f := newFixture(t)
				l := f.listen(t, long)
				conn := l.dial(t)
				most := margin
				if chunked {
					most += c.limit + 256<<10 // net/http looks so far for the end, after the answer
					_, _ = io.WriteString(conn, head("POST", c.path, "Transfer-Encoding: chunked"))
					go func() { // as much as the server takes
						chunk := fmt.Sprintf("%x\r\n%s\r\n", margin/2, strings.Repeat(" ", margin/2))
						for {
							if _, err := io.WriteString(conn, chunk); err != nil {
								return
							}
						}
					}()
				} else {
					_, _ = io.WriteString(conn, head("POST", c.path, "Content-Length: "+strconv.Itoa(c.limit+1))+"[")
				}
				answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = answer.Body.Close() }()
				var p problem
				if err := json.NewDecoder(answer.Body).Decode(&p); err != nil || answer.StatusCode != 413 || p.Status != 413 || !answer.Close {
					t.Errorf("%d %+v %v, closed %t", answer.StatusCode, p, err, answer.Close)
				}
				if read := l.read.Load(); read > int64(most) {
					t.Errorf("%d bytes were read, at most %d expected", read, most)
				}
				if !f.metric(t, "datastorage_inflight_bytes 0") || !f.metric(t, `datastorage_validation_failures_total{field="body",reason="too_large"} 1`) {
					t.Error("bytes are still taken, or it was not counted")
				}
			})
		}
	}
}

func TestLimitOfHeaders(t *testing.T) {
	l := newFixture(t).listen(t, long)
	for _, c := range []struct{ size, status int }{{16<<10 - 64, 200}, {16<<10 + 64, 431}} {
		conn := l.dial(t)
		start := head("GET", "/health/live", "X-Long: ")
		start = strings.TrimSuffix(start, "\r\n\r\n")
		_, _ = io.WriteString(conn, start+strings.Repeat("x", c.size-len(start)-4)+"\r\n\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != c.status {
			t.Errorf("%d bytes: %d, want %d", c.size, answer.StatusCode, c.status)
		}
	}
}

// O3: a sender that stalls keeps nobody from working, is cut at the limit without an answer (a 4xx would make it drop its
// batch), and its memory is free again.
func TestStalledUpload(t *testing.T) {
	timeouts := long
	timeouts.Read = 500 * time.Millisecond
	f := newFixture(t, func(o *Options) { o.Limits.Writes = 1 })
	l := f.listen(t, timeouts)
	conn := l.dial(t)
	_, _ = io.WriteString(conn, head("POST", batchPath, "Content-Length: 1000")+"[")
	until(t, "its bytes are reserved", func() bool { return f.metric(t, "datastorage_inflight_bytes 1000") })
	if w := f.do("POST", eventsPath, event(nil)); w.Code != http.StatusCreated {
		t.Errorf("another write meanwhile: %d", w.Code)
	}
	if answer, err := io.ReadAll(conn); err != nil || len(answer) > 0 {
		t.Errorf("cut with %q, %v", answer, err)
	}
	until(t, "its bytes are free", func() bool { return f.metric(t, "datastorage_inflight_bytes 0") })
	if !f.metric(t, `datastorage_http_requests_total{code="aborted",operation="createAuditEventsBatch"} 1`) {
		t.Error("it was not counted")
	}
}

// O3: headers that never end are cut as well.
func TestStalledHeaders(t *testing.T) {
	timeouts := long
	timeouts.Header = 100 * time.Millisecond
	conn := newFixture(t).listen(t, timeouts).dial(t)
	_, _ = io.WriteString(conn, "POST "+eventsPath+" HTTP/1.1\r\n")
	if _, err := io.ReadAll(conn); err != nil {
		t.Errorf("not cut: %v", err)
	}
}

// O3: a reader that stalls is cut at the limit, and its slot is free again.
func TestStalledReader(t *testing.T) {
	timeouts := long
	timeouts.Write = time.Second
	f := newFixture(t, func(o *Options) { o.Limits.Reads, o.Limits.QueueTimeout = 1, time.Minute })
	large := json.RawMessage(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`)
	for range 32 { // more than the buffers of both ends hold
		f.events = append(f.events, datastorage.Event{ID: uuid.NullUUID{UUID: uuid.New(), Valid: true}, Category: "analysis", Data: large})
	}
	l := f.listen(t, timeouts)
	stalled := l.dial(t)
	_, _ = io.WriteString(stalled, head("GET", eventsPath))
	until(t, "the slot is taken", func() bool { return f.metric(t, `datastorage_inflight_requests{class="read"} 1`) })
	if w := f.do("GET", workflowPath, ""); w.Code != http.StatusOK { // waits for the slot
		t.Errorf("another read: %d", w.Code)
	}
	if n, err := io.Copy(io.Discard, stalled); err == nil && n > 32<<20 {
		t.Errorf("it got all %d bytes", n)
	}
}
