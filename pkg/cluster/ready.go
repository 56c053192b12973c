package cluster

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/go-logr/logr/funcr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	watchtools "k8s.io/client-go/tools/watch"
	"k8s.io/klog/v2"
)

// fact is something that must become true of one object.
type fact struct {
	resource        schema.GroupVersionResource
	namespace, name string
	holds           func(object map[string]any) (bool, string) // and what is in the way
}

var (
	nodes       = schema.GroupVersionResource{Version: "v1", Resource: "nodes"}
	accounts    = schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}
	configMaps  = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
)

// usable is what a cluster must have before anything is put into it.
func usable(nodeNames []string) []fact {
	var facts []fact
	for _, name := range nodeNames {
		facts = append(facts, fact{nodes, "", name, condition("Ready")})
	}
	return append(facts,
		fact{accounts, "default", "default", func(map[string]any) (bool, string) { return true, "" }},
		fact{deployments, "kube-system", "coredns", condition("Available")},
	)
}

func condition(kind string) func(map[string]any) (bool, string) {
	return func(object map[string]any) (bool, string) {
		all, _, _ := unstructured.NestedSlice(object, "status", "conditions")
		for _, one := range all {
			c, _ := one.(map[string]any)
			if c["type"] == kind {
				return c["status"] == "True", fmt.Sprintf("%s is %v: %v", kind, c["status"], c["message"])
			}
		}
		return false, "it has no condition " + kind
	}
}

// connect makes a client from that one kubeconfig file, whatever the environment says.
func connect(kubeconfig string) (dynamic.Interface, error) {
	data, err := os.ReadFile(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading kubeconfig: %w", err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(data)
	if err != nil {
		return nil, fmt.Errorf("reading kubeconfig %s: %w", kubeconfig, err)
	}
	config.WarningHandler = rest.NoWarnings{}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connecting by %s: %w", kubeconfig, err)
	}
	return client, nil
}

// quiet makes the client library write to log instead of standard error.
func quiet(ctx context.Context, log io.Writer) context.Context {
	out := &kindLog{out: log}
	return klog.NewContext(ctx, funcr.New(func(prefix, args string) { out.line("%s %s", prefix, args) }, funcr.Options{}))
}

// await watches until every fact holds or the context ends; the error says
// which one did not, and why.
func await(ctx context.Context, client dynamic.Interface, facts []fact, log io.Writer) error {
	ctx = quiet(ctx, log)
	for _, f := range facts {
		why := "it is not there"
		_, err := watchtools.UntilWithSync(ctx, f.watch(client), &unstructured.Unstructured{}, nil, func(e watch.Event) (bool, error) {
			object, ok := e.Object.(*unstructured.Unstructured)
			if !ok || e.Type == watch.Deleted || object.GetName() != f.name {
				return false, nil
			}
			done, reason := f.holds(object.Object)
			why = reason
			return done, nil
		})
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return fmt.Errorf("waiting for %s %s: %s: %w", f.resource.Resource, strings.TrimPrefix(f.namespace+"/"+f.name, "/"), why, err)
		}
	}
	return nil
}

func (f fact) watch(client dynamic.Interface) cache.ListerWatcher {
	at := client.Resource(f.resource).Namespace(f.namespace)
	one := func(o metav1.ListOptions) metav1.ListOptions {
		o.FieldSelector = "metadata.name=" + f.name
		return o
	}
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return at.List(ctx, one(o)) },
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return at.Watch(ctx, one(o))
		},
	}, client)
}

// platform is what the node's kubelet says of itself.
func platform(ctx context.Context, client dynamic.Interface, node string) (platform, kubelet string, err error) {
	object, err := client.Resource(nodes).Get(ctx, node, metav1.GetOptions{})
	if err != nil {
		return "", "", fmt.Errorf("reading node %s: %w", node, err)
	}
	said := func(key string) string {
		value, _, _ := unstructured.NestedString(object.Object, "status", "nodeInfo", key)
		return value
	}
	if said("kubeletVersion") == "" || said("architecture") == "" {
		return "", "", fmt.Errorf("node %s does not say what it is", node)
	}
	return said("operatingSystem") + "/" + said("architecture"), said("kubeletVersion"), nil
}
