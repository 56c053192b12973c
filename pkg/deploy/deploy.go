// Package deploy brings Kubernetes manifests into a cluster and waits until
// they work: Read builds a kustomization in-process, Apply sends it with
// server-side apply, Wait watches the rollouts and ends early with the cause
// when one of them cannot succeed, Delete takes everything away again.
//
// Every call is bounded by its context; nothing in here has a deadline of its
// own except where a doc comment says so. Errors are typed (ApplyError,
// MissingError, WaitError, TimeoutError) and their text is the line to show.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// FieldManager owns the fields that Apply sets.
const FieldManager = "kubernaut-e2e"

// Set is a group of objects that belong together, such as one component.
type Set []*unstructured.Unstructured

// LogRequest names the log of one container.
type LogRequest struct {
	Namespace, Pod, Container string
	Previous                  bool // the container before the last restart
	Lines                     int  // at most so many, from the end
}

// LogReader reads container logs. Client has one for real clusters.
type LogReader interface {
	Logs(ctx context.Context, r LogRequest) (string, error)
}

// Client talks to one cluster. It is safe for concurrent use.
type Client struct {
	dynamic dynamic.Interface
	mapper  meta.RESTMapper
	logs    LogReader
}

// New makes a client from its parts. Logs may be nil: causes then come without
// log lines.
func New(d dynamic.Interface, m meta.RESTMapper, logs LogReader) *Client {
	return &Client{dynamic: d, mapper: m, logs: logs}
}

// Connect makes a client from a kubeconfig file. An empty kubecontext means the
// file's current one. It sends no request.
func Connect(kubeconfig, kubecontext string) (*Client, error) {
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: kubeconfig},
		&clientcmd.ConfigOverrides{CurrentContext: kubecontext})
	cfg, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("reading kubeconfig %q: %w", kubeconfig, err)
	}
	cfg.QPS, cfg.Burst = 200, 400
	cfg.UserAgent = FieldManager
	cfg.WarningHandlerWithContext = rest.NoWarnings{}
	web, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", cfg.Host, err)
	}
	dyn, err := dynamic.NewForConfigAndClient(cfg, web)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", cfg.Host, err)
	}
	disco, err := discovery.NewDiscoveryClientForConfigAndClient(cfg, web)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", cfg.Host, err)
	}
	base, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", cfg.Host, err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(disco))
	return New(dyn, mapper, podLogs{web: web, base: base}), nil
}

// resource is the endpoint of one object. A kind that the mapper does not know
// is looked up once more after forgetting what was discovered before, because
// its CRD may be newer than that.
func (c *Client) resource(o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	gvk := o.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		meta.MaybeResetRESTMapper(c.mapper)
		mapping, err = c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	if err != nil {
		return nil, fmt.Errorf("finding the resource of %s: %w", describe(o), err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		return c.dynamic.Resource(mapping.Resource).Namespace(o.GetNamespace()), nil
	}
	return c.dynamic.Resource(mapping.Resource), nil
}

// describe names an object in messages: Deployment kubernaut-system/datastorage.
func describe(o *unstructured.Unstructured) string {
	return named(o.GetKind(), o.GetNamespace(), o.GetName())
}

func named(kind, namespace, name string) string {
	if namespace == "" {
		return kind + " " + name
	}
	return kind + " " + namespace + "/" + name
}

func kindIs(o *unstructured.Unstructured, group, kind string) bool {
	return o.GroupVersionKind().GroupKind() == schema.GroupKind{Group: group, Kind: kind}
}

// podLogs reads logs from the API server. Only this one sub-resource is needed,
// so the typed clientset stays out.
type podLogs struct {
	web  *http.Client
	base *url.URL
}

const maxLogBytes = 64 << 10

// Logs implements LogReader.
func (p podLogs) Logs(ctx context.Context, r LogRequest) (_ string, err error) {
	u := p.base.JoinPath("api/v1/namespaces", r.Namespace, "pods", r.Pod, "log")
	q := url.Values{"container": {r.Container}, "tailLines": {strconv.Itoa(r.Lines)}}
	if r.Previous {
		q.Set("previous", "true")
	}
	u.RawQuery = q.Encode()
	what := fmt.Sprintf("reading the log of %s/%s container %s", r.Namespace, r.Pod, r.Container)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	resp, err := p.web.Do(req)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxLogBytes))
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s: %s", what, resp.Status, strings.TrimSpace(string(body)))
	}
	return string(body), nil
}
