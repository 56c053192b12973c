//go:build e2e

package aianalysis_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

var _ = Describe("health", Label("health"), func() {
	It("[HEALTH-01] says that the controller lives", Label("HEALTH-01", "canonical"), func(ctx SpecContext) {
		for i := range 10 {
			a, err := get(ctx, opt.health+"/healthz")
			Expect(err).NotTo(HaveOccurred(), "/healthz, request %d", i+1)
			Expect(a.status).To(Equal(http.StatusOK), "/healthz, request %d: status", i+1)
			Expect(string(a.body)).To(Equal("ok"), "/healthz, request %d: body", i+1)
		}
	})

	It("[HEALTH-02] says so in under a second while analyses are in flight", Label("HEALTH-02", "canonical"), func(ctx SpecContext) {
		s := newScene(ctx, "health-busy")
		const analyses, requests, burst, rounds = 10, 20, 5, 8
		var keys []client.ObjectKey
		By("asking while analyses of its own are in flight; new ones only when the last have ended")
		for answered, round := 0, 1; answered < requests; round++ {
			Expect(round).To(BeNumerically("<=", rounds), "only %d of %d answers came while an analysis was in flight", answered, requests)
			own := s.createMany(ctx, analyses, fmt.Sprintf("round-%d", round))
			keys = append(keys, own...)
			for running := analyses; running > 0 && answered < requests; {
				for i, a := range together(ctx, burst, opt.health+"/healthz") {
					Expect(a.status).To(Equal(http.StatusOK), "/healthz, request %d: status", i+1)
					Expect(a.took).To(BeNumerically("<", time.Second), "/healthz, request %d: time", i+1)
				}
				if running = inFlight(ctx, own); running > 0 { // after the answers: they all came before
					answered += burst
				}
			}
		}
		By("letting them end well: they were real")
		for _, key := range keys {
			Eventually(ctx, phase).WithArguments(key).WithTimeout(limit(tRecovery)).WithPolling(polling).
				Should(Equal(v1alpha1.PhaseCompleted), "AIAnalysis %s: phase Completed", key)
		}
	})

	It("[HEALTH-03] says that the controller is ready, check by check", Label("HEALTH-03", "canonical"), func(ctx SpecContext) {
		Expect(statusOf(ctx, opt.health+"/readyz")).To(Equal(http.StatusOK), "/readyz")
		for _, check := range []string{"cache-sync", "approval-policy", "holmesgpt-api", "datastorage"} {
			// A dependency is asked every 5 s: what came up after the controller is known a little later.
			Eventually(ctx, statusOf).WithArguments(opt.health+"/readyz/"+check).WithTimeout(limit(tEndpoint)).WithPolling(polling).
				Should(Equal(http.StatusOK), "/readyz/%s: status", check)
		}
		Expect(statusOf(ctx, opt.health+"/readyz/no-such-check")).To(Equal(http.StatusNotFound), "/readyz/no-such-check")
	})

	It("[HEALTH-04] says what its readiness is made of", Label("HEALTH-04", "canonical"), func(ctx SpecContext) {
		Eventually(ctx, verbose).WithTimeout(limit(tEndpoint)).WithPolling(polling).Should(HaveExactElements(
			Equal("[+]cache-sync ok"),
			MatchRegexp(`^\[\+\]approval-policy ok sha256:[0-9a-f]{12}$`),
			Equal("[+]holmesgpt-api ok"),
			Equal("[+]datastorage ok"),
			Equal("readyz check passed"),
		), "/readyz?verbose=true: lines")
	})

	It("[HEALTH-05] HolmesGPT-API is healthy and ready", Label("HEALTH-05", "canonical"), func(ctx SpecContext) {
		var health struct {
			Status    string          `json:"status"`
			Service   string          `json:"service"`
			Endpoints []string        `json:"endpoints"`
			Features  map[string]bool `json:"features"`
		}
		expectAnswer(ctx, opt.holmes+"/health", &health)
		Expect(health.Status).To(Equal("healthy"), "HolmesGPT-API /health: status")
		Expect(health.Endpoints).To(ConsistOf("/api/v1/incident/analyze", "/api/v1/recovery/analyze"), "HolmesGPT-API /health: endpoints")

		Eventually(ctx, dependencies).WithTimeout(limit(tEndpoint)).WithPolling(polling).Should(Equal(map[string]string{
			"": "ready", "sdk": "up", "prometheus": "up", "data_storage": "up", "audit": "up",
		}), "HolmesGPT-API /ready: its own status, and that of each dependency")
	})

	It("[HEALTH-06] Data Storage is healthy, ready and alive", Label("HEALTH-06", "canonical"), func(ctx SpecContext) {
		var health, ready, alive struct {
			Status   string `json:"status"`
			Database string `json:"database,omitempty"`
			DLQ      string `json:"dlq,omitempty"`
			Mode     string `json:"mode,omitempty"`
		}
		expectAnswer(ctx, opt.datastorage+"/health", &health)
		Expect(health.Status).To(Equal("healthy"), "Data Storage /health: status")
		Expect(health.Database).To(Equal("connected"), "Data Storage /health: database")
		Expect(health.DLQ).To(Equal("connected"), "Data Storage /health: dlq")
		expectAnswer(ctx, opt.datastorage+"/health/ready", &ready)
		Expect(ready.Status).To(Equal("ready"), "Data Storage /health/ready: status")
		Expect(ready.Mode).To(Equal("normal"), "Data Storage /health/ready: mode")
		expectAnswer(ctx, opt.datastorage+"/health/live", &alive)
		Expect(alive.Status).To(Equal("alive"), "Data Storage /health/live: status")
	})
})

// expectAnswer waits for a 200 of a dependency and reads its body.
func expectAnswer(ctx SpecContext, url string, into any) {
	GinkgoHelper()
	Eventually(ctx, statusOf).WithArguments(url).WithTimeout(limit(tEndpoint)).WithPolling(polling).
		Should(Equal(http.StatusOK), "%s: answers 200", url)
	a, err := get(ctx, url)
	Expect(err).NotTo(HaveOccurred(), "%s", url)
	Expect(a.decode(into)).To(Succeed(), "%s: body", url)
}

// createMany creates n analyses at once.
func (s scene) createMany(ctx SpecContext, n int, mark string) []client.ObjectKey {
	GinkgoHelper()
	keys, errs := make([]client.ObjectKey, n), make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		cr := s.stage()
		suffix := fmt.Sprintf("-%s-%d", mark, i)
		cr.Name, cr.Spec.RemediationID = cr.Name+suffix, cr.Spec.RemediationID+suffix
		keys[i] = client.ObjectKeyFromObject(cr)
		all.Go(func() { errs[i] = kube.Create(ctx, cr) })
	}
	all.Wait()
	for i, err := range errs {
		Expect(err).NotTo(HaveOccurred(), "creating AIAnalysis %s", keys[i])
	}
	return keys
}

// together asks a URL n times at once.
func together(ctx SpecContext, n int, url string) []*answer {
	GinkgoHelper()
	answers, errs := make([]*answer, n), make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { answers[i], errs[i] = get(ctx, url) })
	}
	all.Wait()
	for i, err := range errs {
		Expect(err).NotTo(HaveOccurred(), "%s, request %d", url, i+1)
	}
	return answers
}

// inFlight counts the analyses that have no terminal phase.
func inFlight(ctx context.Context, keys []client.ObjectKey) int {
	GinkgoHelper()
	n := 0
	for _, key := range keys {
		cr, err := analysis(ctx, key)
		Expect(err).NotTo(HaveOccurred(), "reading AIAnalysis %s", key)
		if !cr.Status.Phase.Terminal() {
			n++
		}
	}
	return n
}

// verbose are the lines of the controller's verbose readiness, which is 200 whatever its dependencies do.
func verbose(ctx context.Context) ([]string, error) {
	a, err := get(ctx, opt.health+"/readyz?verbose=true")
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("/readyz?verbose=true: status %d; it says\n%s", a.status, a.body)
	}
	return strings.Split(strings.TrimSuffix(string(a.body), "\n"), "\n"), nil
}

// dependencies are those that HolmesGPT-API names, with their status; its own stands under the empty name.
func dependencies(ctx context.Context) (map[string]string, error) {
	a, err := get(ctx, opt.holmes+"/ready")
	if err != nil {
		return nil, err
	}
	var ready struct {
		Status       string `json:"status"`
		Dependencies map[string]struct {
			Status   string `json:"status"`
			Buffered *int   `json:"buffered"`
			Dropped  *int   `json:"dropped"`
		} `json:"dependencies"`
	}
	if a.status != http.StatusOK { // first: such a body has other members
		return nil, fmt.Errorf("/ready: status %d; it says\n%s", a.status, a.body)
	}
	if err := a.decode(&ready); err != nil {
		return nil, err
	}
	all := map[string]string{"": ready.Status}
	for name, d := range ready.Dependencies {
		all[name] = d.Status
	}
	return all, nil
}
