//go:build integration

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	rbac "k8s.io/api/rbac/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// rig is a namespace on a real API server, behind a proxy, with a HolmesGPT-API and a Data Storage that do as told.
type rig struct {
	c          client.WithWatch
	namespace  string
	proxy      *apiProxy
	access     string
	hapi       *fakeHolmes
	store      *fakeStore
	hapiURL    string
	storeURL   string
	hapiServer *httptest.Server

	mu  sync.Mutex
	ids map[string]int // X-Request-ID: calls
}

func newRig(t *testing.T) *rig {
	t.Helper()
	g := &rig{hapi: &fakeHolmes{calls: map[string]int{}}, ids: map[string]int{}}
	g.c, g.namespace = cluster(t)
	g.store = &fakeStore{namespace: g.namespace, events: map[string]map[string]any{}}
	g.proxy, g.access = newAPIProxy(t, leastAccess(t, g.c))
	storeServer := httptest.NewServer(g.store)
	g.hapiServer = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := r.Header.Get("X-Request-ID"); id != "" {
			g.mu.Lock()
			g.ids[id]++
			g.mu.Unlock()
		}
		g.hapi.ServeHTTP(w, r)
	}))
	t.Cleanup(g.hapiServer.Close)
	t.Cleanup(storeServer.Close)
	g.hapiURL, g.storeURL = g.hapiServer.URL, storeServer.URL
	return g
}

// begin launches a controller and returns when it is ready; later args win.
func (g *rig) begin(t *testing.T, args ...string) *program {
	t.Helper()
	p := launch(t, t, g.access, append([]string{"--holmesgpt-api-url", g.hapiURL, "--datastorage-url", g.storeURL}, args...)...)
	until(t, "the controller is ready", func(ctx context.Context) bool {
		status, _ := p.get(ctx, "/readyz")
		return status == http.StatusOK
	})
	return p
}

func (g *rig) create(t *testing.T, name string, paths map[string]any) {
	t.Helper()
	object := manifest(t, "incident.yaml", g.namespace, name)
	for path, value := range paths {
		set(t, object, path, value)
	}
	if err := g.c.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

// happy checks that an analysis has ended well, after one call and with its seven events.
func (g *rig) happy(t *testing.T, name string) *v1alpha1.AIAnalysis {
	t.Helper()
	cr := await(t, g.c, g.namespace, name, "recorded", recorded)
	if kinds := g.store.of(name); cr.Status.Phase != v1alpha1.PhaseCompleted || !slices.Equal(kinds, happyTrail) || g.hapi.count(name) != 1 {
		t.Errorf("%s: %s, events %v, %d calls", name, cr.Status.Phase, kinds, g.hapi.count(name))
	}
	return cr
}

// once checks that no request was sent twice.
func (g *rig) once(t *testing.T) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, n := range g.ids {
		if n != 1 {
			t.Errorf("request %s was sent %d times", id, n)
		}
	}
}

func (g *rig) stop(t *testing.T, p *program) (took time.Duration) {
	t.Helper()
	begun := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if <-p.ended; p.err != nil {
		t.Errorf("ended with %v", p.err)
	}
	return time.Since(begun)
}

// A hundred foreign patches while a call is in flight cost nothing: one call, one attempt, seven events.
func TestForeignPatchesDuringTheCall(t *testing.T) {
	g := newRig(t)
	g.begin(t)
	release := g.hapi.holdCalls(t)
	g.create(t, "patched", nil)
	until(t, "the call", func(context.Context) bool { return g.hapi.count("patched") == 1 })
	object := manifest(t, "incident.yaml", g.namespace, "patched")
	for i := range 100 {
		if i == 50 {
			release()
		}
		patch := fmt.Sprintf(`{"metadata":{"labels":{"touched":"%d"},"annotations":{"touched":"%d"}}}`, i, i)
		if err := g.c.Patch(t.Context(), object, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
			t.Fatal(err)
		}
	}
	if cr := g.happy(t, "patched"); cr.Status.InvestigationAttempt != 1 || cr.Labels["touched"] != "99" {
		t.Errorf("attempt %d, labels %v", cr.Status.InvestigationAttempt, cr.Labels)
	}
}

// Status writes fail for ten seconds after the answer: it is kept, and written when they work again.
func TestStatusWritesFailAfterTheAnswer(t *testing.T) {
	g := newRig(t)
	g.begin(t)
	release := g.hapi.holdCalls(t)
	g.create(t, "unwritable", nil)
	until(t, "the call", func(context.Context) bool { return g.hapi.count("unwritable") == 1 })
	g.proxy.refuse(true)
	release()
	begun := time.Now()
	until(t, "writes have failed for 10 s", func(context.Context) bool {
		_, refused := g.proxy.seen()
		return refused > 10 && time.Since(begun) >= 10*time.Second
	})
	g.proxy.refuse(false)
	if cr := g.happy(t, "unwritable"); cr.Status.InvestigationAttempt != 1 {
		t.Errorf("attempt %d", cr.Status.InvestigationAttempt)
	}
}

// Two processes that take no notice of each other: whatever they do to each other's attempts, none is sent twice.
func TestTwoProcessesNeverSendAnAttemptTwice(t *testing.T) {
	g := newRig(t)
	g.begin(t)
	g.begin(t)
	for i := range 50 {
		g.create(t, fmt.Sprintf("shared-%d", i), nil)
	}
	for i := range 50 {
		await(t, g.c, g.namespace, fmt.Sprintf("shared-%d", i), "ended", func(cr *v1alpha1.AIAnalysis) bool { return cr.Status.Phase.Terminal() })
	}
	g.once(t)
	if len(g.ids) < 50 {
		t.Errorf("%d requests for 50 objects", len(g.ids))
	}
}

// The limit of one call: the object's own, else the configured one; 0s counts as absent.
func TestInvestigatingTimeoutIsTheLimitOfOneCall(t *testing.T) {
	g := newRig(t)
	g.begin(t, "--holmesgpt-api-timeout", "4s")
	g.hapi.holdCalls(t)
	limits := map[string]time.Duration{"own": 2 * time.Second, "zero": 4 * time.Second, "absent": 4 * time.Second}
	g.create(t, "own", map[string]any{"spec.timeoutConfig": map[string]any{"investigatingTimeout": "2s"}})
	g.create(t, "zero", map[string]any{"spec.timeoutConfig": map[string]any{"investigatingTimeout": "0s"}})
	g.create(t, "absent", map[string]any{"spec.timeoutConfig": nil})
	for name, limit := range limits {
		cr := await(t, g.c, g.namespace, name, "failed once", func(cr *v1alpha1.AIAnalysis) bool { return cr.Status.ConsecutiveFailures > 0 })
		if !strings.HasPrefix(cr.Status.Message, "Transient error (attempt 1/5): holmesgpt-api: no response: deadline exceeded; next attempt at ") {
			t.Errorf("%s: %s", name, cr.Status.Message)
		}
		var call struct {
			Took  int64  `json:"duration_ms"`
			Code  int    `json:"http_status_code"`
			Class string `json:"error_class"`
		}
		if err := yaml.Unmarshal(cr.Status.AuditTrail[1].Data.Raw, &call); err != nil {
			t.Fatal(err)
		}
		if took := time.Duration(call.Took) * time.Millisecond; took < limit-100*time.Millisecond || took > limit+1500*time.Millisecond || call.Code != 0 || call.Class != "Timeout" {
			t.Errorf("%s: %+v, want %s", name, call, limit)
		}
	}
}

// An object stored under an older schema, with a timeout that cannot be read, ends well and stops no other.
func TestUnreadableStoredTimeoutStopsNobody(t *testing.T) {
	g := newRig(t)
	relaxed := &apiextensions.CustomResourceDefinition{}
	if err := g.c.Get(t.Context(), client.ObjectKey{Name: "aianalyses.kubernaut.ai"}, relaxed); err != nil {
		t.Fatal(err)
	}
	spec := relaxed.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
	timeouts := spec.Properties["timeoutConfig"]
	for name, property := range timeouts.Properties {
		property.XValidations, property.MaxLength = nil, nil
		timeouts.Properties[name] = property
	}
	if err := g.c.Update(t.Context(), relaxed); err != nil {
		t.Fatal(err)
	}
	defer installCRD(t, g.c)
	until(t, "the older schema lets abc through", func(ctx context.Context) bool {
		old := manifest(t, "incident.yaml", g.namespace, "old")
		set(t, old, "spec.timeoutConfig", map[string]any{"investigatingTimeout": "abc", "analyzingTimeout": "5"})
		return g.c.Create(ctx, old) == nil
	})
	installCRD(t, g.c)
	p := g.begin(t)
	g.create(t, "empty", map[string]any{"spec.remediationRequestRef": map[string]any{}, "spec.analysisRequest.signalContext.enrichmentResults": map[string]any{}})
	g.happy(t, "empty")
	g.happy(t, "old")
	if log := p.log.String(); !strings.Contains(log, `"msg":"unreadable duration counts as absent"`) || !strings.Contains(log, `"value":"abc"`) {
		t.Error("the log does not tell of it")
	}
}

// A signal with calls of five seconds in flight: they may end and are written; the next process goes on, and repeats none.
func TestTerminationWithCallsInFlight(t *testing.T) {
	g := newRig(t)
	p := g.begin(t)
	release := g.hapi.holdCalls(t)
	const n = 10
	for i := range n {
		g.create(t, fmt.Sprintf("flying-%d", i), nil)
	}
	until(t, "all calls", func(context.Context) bool {
		total := 0
		for i := range n {
			total += g.hapi.count(fmt.Sprintf("flying-%d", i))
		}
		return total == n
	})
	begun := time.Now()
	if status, text := p.get(t.Context(), "/healthz"); status != http.StatusOK || text != "ok" || time.Since(begun) > time.Second {
		t.Errorf("/healthz with %d calls in flight: %d %q after %s", n, status, text, time.Since(begun))
	}
	time.AfterFunc(5*time.Second, release)
	took := g.stop(t, p)
	if took > 13*time.Second || took < 4*time.Second {
		t.Errorf("ended after %s", took)
	}
	next := g.begin(t)
	for i := range n {
		g.happy(t, fmt.Sprintf("flying-%d", i))
	}
	g.once(t)
	if took := g.stop(t, next); took > 5*time.Second {
		t.Errorf("idle, ended after %s", took)
	}
}

// Both services down, then a bad policy: the process stays ready and says what is wrong.
func TestReadinessTellsAndStaysReady(t *testing.T) {
	g := newRig(t)
	good, err := os.ReadFile("../../config/aianalysis/approval.rego")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "approval.rego")
	write := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(good)
	p := g.begin(t, "--holmesgpt-api-url", refusing(t), "--datastorage-url", refusing(t), "--rego-policy-path", file)
	lines := func(ctx context.Context) []string {
		status, text := p.get(ctx, "/readyz?verbose=yes")
		if status != http.StatusOK {
			t.Fatalf("%d %s", status, text)
		}
		return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	}
	until(t, "both are found away", func(ctx context.Context) bool {
		have := lines(ctx)
		return len(have) == 5 && have[0] == "[+]cache-sync ok" && strings.HasPrefix(have[1], "[+]approval-policy ok sha256:") &&
			strings.HasPrefix(have[2], "[-]holmesgpt-api: ") && strings.Contains(have[2], "connection refused") &&
			strings.HasPrefix(have[3], "[-]datastorage: ") && strings.Contains(have[3], "connection refused") && have[4] == "readyz check passed"
	})
	sum := strings.TrimPrefix(lines(t.Context())[1], "[+]approval-policy ok ")
	for name, want := range map[string]int{"cache-sync": 200, "approval-policy": 200, "holmesgpt-api": 500, "datastorage": 500, "else": 404} {
		if status, text := p.get(t.Context(), "/readyz/"+name); status != want {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	write([]byte("package aianalysis.approval\n\nrequire_approval := {"))
	begun := time.Now()
	until(t, "the bad policy is refused", func(ctx context.Context) bool {
		have := lines(ctx)[1]
		return strings.HasPrefix(have, "[-]approval-policy: ") && strings.Contains(have, file+":3") && strings.HasSuffix(have, "; in force "+sum)
	})
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("refused after %s", took)
	}
	if !strings.Contains(p.log.String(), "approval policy refused, the last good one stays in force") {
		t.Error("the log does not tell of it")
	}
	write(append(good, '\n'))
	until(t, "the next good one is in force", func(ctx context.Context) bool {
		have := lines(ctx)[1]
		return strings.HasPrefix(have, "[+]approval-policy ok sha256:") && !strings.HasSuffix(have, sum)
	})
}

// The role grants what AA-810 lists, and nothing is called that it does not grant. What is granted and not called is named here.
func TestRoleIsTheLeast(t *testing.T) {
	g := newRig(t)
	p := g.begin(t)
	g.create(t, "happy", nil)
	g.happy(t, "happy")
	release := g.hapi.holdCalls(t)
	g.create(t, "deleted", nil)
	until(t, "the call", func(context.Context) bool { return g.hapi.count("deleted") == 1 })
	if err := g.c.Delete(t.Context(), manifest(t, "incident.yaml", g.namespace, "deleted")); err != nil {
		t.Fatal(err)
	}
	until(t, "it is gone", func(ctx context.Context) bool {
		return client.IgnoreNotFound(g.c.Get(ctx, client.ObjectKey{Namespace: g.namespace, Name: "deleted"}, &v1alpha1.AIAnalysis{})) == nil &&
			len(g.store.of("deleted")) == 5
	})
	release()
	until(t, "its Events", func(ctx context.Context) bool { return len(kubeEvents(ctx, g.c, g.namespace, "deleted")) >= 2 })
	g.stop(t, p)
	granted := grantedBy(t)
	want := []string{"create /events", "create coordination.k8s.io/leases", "get coordination.k8s.io/leases", "get kubernaut.ai/aianalyses", "get kubernaut.ai/aianalyses/status",
		"list kubernaut.ai/aianalyses", "patch /events", "patch kubernaut.ai/aianalyses", "patch kubernaut.ai/aianalyses/status",
		"update coordination.k8s.io/leases", "update kubernaut.ai/aianalyses", "update kubernaut.ai/aianalyses/status", "watch kubernaut.ai/aianalyses"}
	if !slices.Equal(granted, want) {
		t.Errorf("granted\n got %s\nwant %s", strings.Join(granted, "\n     "), strings.Join(want, "\n     "))
	}
	asked, _ := g.proxy.seen()
	for what := range asked {
		if !slices.Contains(granted, what) {
			t.Errorf("%s is called and not granted", what)
		}
	}
	never := []string{
		"get kubernaut.ai/aianalyses/status", "patch kubernaut.ai/aianalyses/status", "update kubernaut.ai/aianalyses", // part of the interface of December 2025
		"create coordination.k8s.io/leases", "get coordination.k8s.io/leases", "update coordination.k8s.io/leases", // only with leader election
	}
	perhaps := []string{
		"patch /events",                // an Event that comes again
		"list kubernaut.ai/aianalyses", // an API server that does not stream the first list
	}
	for _, what := range granted {
		if asked[what] == slices.Contains(never, what) && !slices.Contains(perhaps, what) {
			t.Errorf("%s: called %v", what, asked[what])
		}
	}
}

// grantedBy lists what config/rbac grants, "verb group/resource", sorted.
func grantedBy(t *testing.T) (all []string) {
	t.Helper()
	content, err := os.ReadFile("../../config/rbac/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range bytes.Split(content, []byte("---\n")) {
		var role rbac.ClusterRole
		if err := yaml.Unmarshal(document, &role); err != nil {
			t.Fatal(err)
		}
		for _, rule := range role.Rules {
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						all = append(all, verb+" "+group+"/"+resource)
					}
				}
			}
			if len(rule.ResourceNames)+len(rule.NonResourceURLs) > 0 {
				t.Errorf("rule of another kind: %+v", rule)
			}
		}
	}
	slices.Sort(all)
	return all
}

// Each condition type stands once, on a real API server too.
func TestConditionsOnARealAPIServer(t *testing.T) {
	g := newRig(t)
	g.begin(t)
	g.create(t, "conditions", nil)
	cr := g.happy(t, "conditions")
	var all []string
	for _, c := range cr.Status.Conditions {
		all = append(all, c.Type+" "+string(c.Status)+" "+c.Reason)
	}
	slices.Sort(all)
	want := []string{"AnalysisComplete True AnalysisSucceeded", "ApprovalRequired False AutoApproved", "AuditRecorded True AllEventsStored",
		"InvestigationComplete True InvestigationSucceeded", "Ready True AnalysisCompleted", "WorkflowResolved True WorkflowSelected"}
	if !slices.Equal(all, want) || meta.FindStatusCondition(cr.Status.Conditions, "AuditRecorded").Message != "7 of 7 events stored" {
		t.Errorf("%s", strings.Join(all, "\n"))
	}
}
