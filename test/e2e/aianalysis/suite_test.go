//go:build e2e

// The end-to-end suite of AIAnalysis. It attaches to a cluster in which
// everything is deployed, and goes through public doors only: the custom
// resource, the REST APIs, /metrics and the probes.
package aianalysis_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// Table 2.1 of the suite's contract; scaled by -timescale.
const (
	tHappy    = 10 * time.Second
	tRecovery = 30 * time.Second
	tAudit    = 10 * time.Second
	tEndpoint = 30 * time.Second
	tAttach   = 60 * time.Second
	tRoll     = 120 * time.Second

	polling = 250 * time.Millisecond
)

const (
	testLabel = "kubernaut.ai/test" // on every namespace of a spec
	testValue = "e2e-aianalysis"
	runLabel  = "kubernaut.ai/test-run"
)

// options are the suite's flags; nothing is read from the environment.
type options struct {
	kubeconfig, kubecontext, namespace   string
	health, metrics, holmes, datastorage string
	artifacts                            string
	timescale                            float64
	disruptive                           bool
}

// attached is what process 1 finds out for all.
type attached struct {
	Run string `json:"run"` // marks this run's namespaces
}

// What the specs share: where things are, and how to talk to them.
var (
	opt    options
	common attached
	kube   client.Client
	server *http.Client // to the API server, with credentials
	apiURL string
	web    *http.Client // to everything else
)

func init() {
	flag.StringVar(&opt.kubeconfig, "kubeconfig", "", "kubeconfig file of the cluster (required)")
	flag.StringVar(&opt.kubecontext, "kube-context", "", "context of the kubeconfig; empty: its current one")
	flag.StringVar(&opt.namespace, "namespace", "kubernaut-system", "namespace of the product")
	flag.StringVar(&opt.health, "health-url", "http://127.0.0.1:8184", "probes of the controller")
	flag.StringVar(&opt.metrics, "metrics-url", "http://127.0.0.1:9184", "metrics of the controller")
	flag.StringVar(&opt.holmes, "holmesgpt-url", "http://127.0.0.1:8088", "HolmesGPT-API")
	flag.StringVar(&opt.datastorage, "datastorage-url", "http://127.0.0.1:8091", "Data Storage")
	flag.StringVar(&opt.artifacts, "artifacts", "", "absolute folder for what failed specs leave; empty: nothing is kept")
	flag.Float64Var(&opt.timescale, "timescale", 1, "factor of every time limit")
	flag.BoolVar(&opt.disruptive, "disruptive", false, "allow specs that disturb the cluster")
}

func TestAIAnalysis(t *testing.T) {
	if opt.kubeconfig == "" {
		t.Fatal("-kubeconfig is required: this suite attaches to a cluster, it makes none")
	}
	if opt.artifacts != "" && !strings.HasPrefix(opt.artifacts, "/") {
		t.Fatalf("-artifacts %q: must be absolute, the suite runs in its binary's folder", opt.artifacts)
	}
	RegisterFailHandler(Fail)
	if !opt.disruptive {
		for _, spec := range PreviewSpecs("AIAnalysis", Label("e2e")).SpecReports {
			if !spec.State.Is(ignored) && slices.Contains(spec.Labels(), "disruptive") {
				t.Fatalf("%s is disruptive: pass -disruptive, or leave it out with -label-filter=!disruptive", spec.LeafNodeText)
			}
		}
	}
	RunSpecs(t, "AIAnalysis", Label("e2e"))
}

var _ = SynchronizedBeforeSuite(func(ctx SpecContext) []byte {
	connect()
	if opt.disruptive {
		namespace := &corev1.Namespace{}
		Expect(kube.Get(ctx, client.ObjectKey{Name: opt.namespace}, namespace)).To(Succeed(), "API server does not answer, or namespace %s is missing: run deploy:foundation", opt.namespace)
		Expect(namespace.Labels).To(HaveKeyWithValue("kubernaut.ai/e2e", "disposable"), "-disruptive on namespace %s, which is not marked as disposable", opt.namespace)
	}
	checkCluster(ctx)
	handed, err := json.Marshal(attached{Run: randomHex()})
	Expect(err).NotTo(HaveOccurred())
	return handed
}, func(ctx SpecContext, handed []byte) {
	connect()
	Expect(json.Unmarshal(handed, &common)).To(Succeed())
	for _, url := range []string{opt.health + "/healthz", opt.metrics + "/metrics"} {
		Eventually(ctx, statusOf).WithArguments(url).WithTimeout(limit(tAttach)).WithPolling(polling).
			Should(Equal(http.StatusOK), "%s: answers 200", url)
	}
})

var _ = SynchronizedAfterSuite(func(SpecContext) {}, func(ctx SpecContext) {
	Eventually(ctx, leftNamespaces).WithTimeout(limit(tRoll)).WithPolling(polling).
		Should(BeEmpty(), "namespaces of run %s: all are gone", common.Run)
})

func leftNamespaces(ctx context.Context) ([]string, error) {
	if common.Run == "" {
		return nil, nil // the suite never began
	}
	list := &corev1.NamespaceList{}
	err := kube.List(ctx, list, client.MatchingLabels{testLabel: testValue, runLabel: common.Run})
	var names []string
	for _, item := range list.Items {
		names = append(names, item.Name)
	}
	return names, err
}

// connect makes this process's clients.
func connect() {
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: opt.kubeconfig},
		&clientcmd.ConfigOverrides{CurrentContext: opt.kubecontext})
	cfg, err := loader.ClientConfig()
	Expect(err).NotTo(HaveOccurred(), "reading kubeconfig %s", opt.kubeconfig)
	cfg.QPS, cfg.Burst, cfg.UserAgent = 200, 400, testValue
	cfg.Timeout = limit(10 * time.Second)
	server, err = rest.HTTPClientFor(cfg)
	Expect(err).NotTo(HaveOccurred(), "connecting to %s", cfg.Host)
	base, _, err := rest.DefaultServerUrlFor(cfg)
	Expect(err).NotTo(HaveOccurred(), "connecting to %s", cfg.Host)
	apiURL = strings.TrimSuffix(base.String(), "/")
	scheme := runtime.NewScheme()
	Expect(corev1.AddToScheme(scheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	kube, err = client.New(cfg, client.Options{Scheme: scheme, HTTPClient: server})
	Expect(err).NotTo(HaveOccurred(), "connecting to %s", cfg.Host)
	web = &http.Client{Timeout: limit(10 * time.Second)}
}

// limit is a time limit as this run wants it.
func limit(d time.Duration) time.Duration { return time.Duration(float64(d) * opt.timescale) }

// missing is the one line of a suite that cannot start.
func missing(what, target string, err error) string {
	return fmt.Sprintf("%s: %v; run %s", what, err, target)
}
