//go:build integration

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// apiProxy stands before the API server, acts as the account of the kubeconfig it was made for, notes what is asked, and refuses status
// writes when told to.
type apiProxy struct {
	mu      sync.Mutex
	asked   map[string]bool // "verb group/resource/subresource"
	refuses bool
	refused int
}

// newAPIProxy returns the proxy and a kubeconfig that leads to it.
func newAPIProxy(t *testing.T, access string) (*apiProxy, string) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", access)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	p := &apiProxy{asked: map[string]bool{}}
	forward := &httputil.ReverseProxy{Transport: transport, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.note(r) {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: %q}}]\n"+
		"contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\ncurrent-context: c\n", server.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p, file
}

// note remembers a request for a resource, and reports whether it is to be refused.
func (p *apiProxy) note(r *http.Request) (refuse bool) {
	steps := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	group := ""
	switch {
	case steps[0] == "api" && len(steps) > 2:
		steps = steps[2:]
	case steps[0] == "apis" && len(steps) > 3:
		group, steps = steps[1], steps[3:]
	default:
		return false // discovery
	}
	if steps[0] == "namespaces" && len(steps) > 2 {
		steps = steps[2:]
	}
	resource, named := group+"/"+steps[0], len(steps) > 1
	if len(steps) > 2 {
		resource += "/" + steps[2]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[verb(r, named)+" "+resource] = true
	refuse = p.refuses && strings.HasSuffix(resource, "/status") && r.Method != http.MethodGet
	if refuse {
		p.refused++
	}
	return refuse
}

func verb(r *http.Request, named bool) string {
	if r.Method != http.MethodGet {
		return map[string]string{"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[r.Method]
	}
	switch {
	case r.URL.Query().Get("watch") != "":
		return "watch"
	case named:
		return "get"
	}
	return "list"
}

func (p *apiProxy) refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = on
}

// seen returns what was asked so far, and how many status writes were refused.
func (p *apiProxy) seen() (asked map[string]bool, refused int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked = map[string]bool{}
	for what := range p.asked {
		asked[what] = true
	}
	return asked, p.refused
}
