package httpapi

import (
	"log"
	"net/http"
	"time"
)

// Timeouts of connections.
type Timeouts struct {
	Header time.Duration // to send the headers
	Read   time.Duration // to send the whole request
	Write  time.Duration // to take the answer, from the end of the headers on
	Idle   time.Duration // between requests
}

// maxHeader bounds request line and headers. net/http lets 4 KiB more pass.
const maxHeader = 16<<10 - 4<<10

// NewServer cuts clients that stall.
func NewServer(handler http.Handler, t Timeouts, errors *log.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: t.Header, ReadTimeout: t.Read, WriteTimeout: t.Write, IdleTimeout: t.Idle,
		MaxHeaderBytes: maxHeader, ErrorLog: errors,
	}
}
