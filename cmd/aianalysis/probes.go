package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	askEvery = 5 * time.Second
	askLimit = 2 * time.Second
)

// check is one line of /readyz. Ask answers at once, from memory.
type check struct {
	name          string
	informational bool // never changes the verdict
	ask           func() (detail string, err error)
}

// probes serves /healthz and /readyz.
type probes struct {
	checks []check
}

func (p probes) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("/readyz", p.ready)
	mux.HandleFunc("/readyz/{name}", p.one)
	return mux
}

func (p probes) ready(w http.ResponseWriter, r *http.Request) {
	var lines strings.Builder
	status, verdict := http.StatusOK, "passed"
	for _, c := range p.checks {
		detail, err := c.ask()
		if err != nil && !c.informational {
			status, verdict = http.StatusInternalServerError, "failed"
		}
		fmt.Fprintln(&lines, line(c.name, detail, err))
	}
	if _, verbose := r.URL.Query()["verbose"]; !verbose && status == http.StatusOK {
		answer(w, status, "ok")
		return
	}
	fmt.Fprintf(&lines, "readyz check %s\n", verdict)
	answer(w, status, lines.String())
}

func (p probes) one(w http.ResponseWriter, r *http.Request) {
	for _, c := range p.checks {
		if c.name != r.PathValue("name") {
			continue
		}
		detail, err := c.ask()
		status := http.StatusOK
		if err != nil {
			status = http.StatusInternalServerError
		}
		answer(w, status, line(c.name, detail, err)+"\n")
		return
	}
	http.NotFound(w, r)
}

func line(name, detail string, err error) string {
	if err != nil {
		return fmt.Sprintf("[-]%s: %s", name, strings.Join(strings.Fields(err.Error()), " "))
	}
	return strings.TrimSpace(fmt.Sprintf("[+]%s ok %s", name, detail))
}

func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // the client has gone; there is nobody to tell
}

// dependency asks a service again and again and remembers the last answer. up, if set, is called when the service has come back, not
// while it stays.
type dependency struct {
	ready func(context.Context) error
	up    func()

	mu   sync.Mutex
	last error
}

func newDependency(ready func(context.Context) error, up func()) *dependency {
	return &dependency{ready: ready, up: up, last: errors.New("not asked yet")}
}

// watch asks until ctx ends.
func (d *dependency) watch(ctx context.Context) {
	ticker := time.NewTicker(askEvery)
	defer ticker.Stop()
	for {
		d.refresh(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (d *dependency) refresh(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	err := d.ready(limited)
	d.mu.Lock()
	back := err == nil && d.last != nil
	d.last = err
	d.mu.Unlock()
	if back && d.up != nil {
		d.up()
	}
}

func (d *dependency) ask() (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return "", d.last
}
