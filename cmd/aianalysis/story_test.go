package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/yaml"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
	"github.com/kubernaut-ai/kubernaut/internal/aianalysis"
	"github.com/kubernaut-ai/kubernaut/internal/aianalysis/policy"
	"github.com/kubernaut-ai/kubernaut/internal/audit"
	"github.com/kubernaut-ai/kubernaut/internal/holmes"
)

// story is the reconciler with its real adapters and the shipped policy, on a cluster in memory, with a clock that moves when told to.
type story struct {
	r        *aianalysis.Reconciler
	circuit  *holmes.Breaker
	registry *prometheus.Registry
	now      time.Time
}

func newStory(t *testing.T, hapi holmes.Config, change func(*v1alpha1.AIAnalysis)) *story {
	t.Helper()
	content, err := os.ReadFile("testdata/incident.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cr := &v1alpha1.AIAnalysis{}
	if err := yaml.UnmarshalStrict(content, cr); err != nil {
		t.Fatal(err)
	}
	cr.Namespace, cr.Name, cr.UID = "shop", "cart", "3f6c2a10-8b1e-4a77-9d52-6c0f4b7e2d91"
	change(cr)
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(cr).WithStatusSubresource(cr).Build()
	s := &story{registry: prometheus.NewRegistry(), now: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)}
	asker, err := holmes.New(hapi)
	if err != nil {
		t.Fatal(err)
	}
	s.circuit = holmes.NewBreaker(asker, holmes.BreakerConfig{Threshold: 1, ProbeInterval: time.Second, Logger: logr.Discard()}, holmes.NewMetrics(s.registry))
	rules, err := policy.Open("../../config/aianalysis/approval.rego", logr.Discard(), s.registry)
	if err != nil {
		t.Fatal(err)
	}
	trail := audit.New(audit.Config{BufferSize: 100, BatchSize: 100, FlushInterval: time.Second, Logger: logr.Discard(), Wake: func(types.NamespacedName) {}},
		audit.NewClient("http://127.0.0.1:1", "", time.Second), audit.NewMetrics(s.registry))
	s.r = &aianalysis.Reconciler{
		Client: c, Live: c, Recorder: record.NewFakeRecorder(100), HolmesGPT: s.circuit, Circuit: s.circuit, Policy: rules, Audit: trail,
		Metrics: aianalysis.NewMetrics(s.registry), Now: func() time.Time { return s.now }, Jitter: func() float64 { return -1 },
		OnDrained: func(func()) func() bool { return func() bool { return true } },
		Options: aianalysis.Options{CallTimeout: time.Minute, MaxCallTimeout: 10 * time.Minute, MaxRetries: 5, PolicyTimeout: 5 * time.Second,
			FinalizerTimeout: 30 * time.Second, Backoff: aianalysis.Backoff{Base: time.Second, Max: 5 * time.Minute}},
	}
	return s
}

// reconcile does all that can be done now.
func (s *story) reconcile(t *testing.T) (*v1alpha1.AIAnalysis, ctrl.Result) {
	t.Helper()
	key := types.NamespacedName{Namespace: "shop", Name: "cart"}
	result, err := s.r.Reconcile(t.Context(), ctrl.Request{NamespacedName: key})
	if err != nil {
		t.Fatal(err)
	}
	cr := &v1alpha1.AIAnalysis{}
	if err := s.r.Client.Get(t.Context(), key, cr); err != nil {
		t.Fatal(err)
	}
	return cr, result
}

// errors lists what is counted as aianalysis_holmesgpt_call_errors_total, "type alert".
func (s *story) errors(t *testing.T) (all []string) {
	t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "aianalysis_holmesgpt_call_errors_total" {
			continue
		}
		for _, metric := range family.Metric {
			if metric.Counter.GetValue() == 0 {
				continue
			}
			labels := map[string]string{}
			for _, pair := range metric.Label {
				labels[pair.GetName()] = pair.GetValue()
			}
			all = append(all, fmt.Sprintf("%s %s", labels["type"], labels["alert"]))
		}
	}
	return all
}

func saying(status int, header, value, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if header != "" {
			w.Header().Set(header, value)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text))
	}
}

// silent never answers. The end of a connection is seen only once the body has been read.
func silent(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// The table of error classes, from the wire to the status, the audit trail, the alert and the circuit breaker.
func TestErrorClassesFromTheWireToTheAudit(t *testing.T) {
	breakOff := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("{"))
	}
	rows := map[string]struct {
		handler http.HandlerFunc
		url     string
		token   string
		limit   time.Duration
		class   string
		alert   bool
		code    int // -1: no call is in the audit
		opens   bool
	}{
		"deadline passed": {handler: silent, limit: 100 * time.Millisecond, class: "Timeout"},
		"no such host":    {url: "http://holmes.invalid:1", class: "Network", alert: true, opens: true},
		"refused":         {url: refusing(t), class: "Network", alert: true, opens: true},
		"reset":           {handler: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, class: "Network", opens: true},
		"broken off":      {handler: breakOff, class: "Network", code: 200},
		"garbage":         {handler: saying(200, "", "", "hello"), class: "InvalidResponse", alert: true, code: 200},
		"too big":         {handler: saying(200, "", "", strings.Repeat(" ", 3000)), class: "InvalidResponse", alert: true, code: 200},
		"fields missing":  {handler: saying(200, "", "", `{"incident_id":"i"}`), class: "InvalidResponse", alert: true, code: 200},
		"no token":        {url: refusing(t), token: "/does/not/exist", class: "Permanent", alert: true, code: -1},
	}
	for class, codes := range map[string][]int{
		"Permanent !": {400, 405, 413, 415, 422}, "Authentication !": {401}, "Authorization !": {403}, "Configuration !": {404},
		"RateLimit": {429}, "Transient": {500, 502, 503, 504}, "Transient !": {201, 202, 204, 301, 307, 409, 418, 501},
	} {
		name, alert := strings.CutSuffix(class, " !")
		for _, code := range codes {
			row := rows["garbage"]
			row.handler, row.class, row.alert, row.code = saying(code, "Location", "/elsewhere", ""), name, alert, code
			rows[fmt.Sprintf("HTTP %d", code)] = row
		}
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			if row.handler != nil {
				server := httptest.NewServer(row.handler)
				t.Cleanup(server.Close)
				row.url = server.URL
			}
			s := newStory(t, holmes.Config{URL: row.url, MaxResponseBytes: 2000, TokenFile: row.token}, func(cr *v1alpha1.AIAnalysis) {
				cr.Spec.TimeoutConfig.InvestigatingTimeout.Duration = row.limit
			})
			cr, _ := s.reconcile(t)
			want := "Failed APIError/PermanentError"
			if aianalysis.Class(row.class).Retryable() {
				want = "Investigating TransientError/TransientError"
			}
			if got := fmt.Sprintf("%s %s/%s", cr.Status.Phase, cr.Status.Reason, cr.Status.SubReason); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			code, seen, class := audited(t, cr)
			if code != row.code || class != row.class || seen != (row.code >= 0) {
				t.Errorf("audited: code %d, class %s", code, class)
			}
			if got := s.errors(t); !slices.Equal(got, []string{fmt.Sprintf("%s %v", row.class, row.alert)}) {
				t.Errorf("counted: %v", got)
			}
			if s.circuit.Open() != row.opens {
				t.Errorf("circuit open: %v", s.circuit.Open())
			}
		})
	}
}

// audited returns what the trail says of the first call and of the first error.
func audited(t *testing.T, cr *v1alpha1.AIAnalysis) (code int, seen bool, class string) {
	t.Helper()
	code = -1
	for _, e := range cr.Status.AuditTrail {
		var data struct {
			Code  int    `json:"http_status_code"`
			Class string `json:"error_class"`
		}
		if err := json.Unmarshal(e.Data.Raw, &data); err != nil {
			t.Fatal(err)
		}
		switch e.Type {
		case aianalysis.EventCall:
			code, seen = data.Code, true
		case aianalysis.EventError:
			class = data.Class
		}
	}
	return code, seen, class
}

// refusing is the URL of a port where nothing listens.
func refusing(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return "http://" + listener.Addr().String()
}

// What a server asks for is waited for, from 2 s after any 429 to 300 s; the jitter, here as negative as it may be, never shortens it.
func TestRetryAfterFromTheWireToTheStatus(t *testing.T) {
	for name, row := range map[string]struct {
		status      int
		after       string
		least, most time.Duration
	}{
		"429 without":        {429, "", 2 * time.Second, 2200 * time.Millisecond},
		"429, 7 s":           {429, "7", 7 * time.Second, 7700 * time.Millisecond},
		"429, an HTTP date":  {429, time.Now().Add(20 * time.Second).UTC().Format(http.TimeFormat), 15 * time.Second, 22 * time.Second},
		"429, 3600 s":        {429, "3600", 300 * time.Second, 300 * time.Second},
		"503, 7 s":           {503, "7", 7 * time.Second, 7700 * time.Millisecond},
		"503 without":        {503, "", 900 * time.Millisecond, 900 * time.Millisecond},
		"500 is not to ask":  {500, "7", 900 * time.Millisecond, 900 * time.Millisecond},
		"429, in the past":   {429, "Mon, 02 Mar 2020 08:00:00 GMT", 2 * time.Second, 2200 * time.Millisecond},
		"429, not readable":  {429, "later", 2 * time.Second, 2200 * time.Millisecond},
		"429, less than 2 s": {429, "1", 2 * time.Second, 2200 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls++
				saying(row.status, "Retry-After", row.after, "")(w, r)
			}))
			defer server.Close()
			s := newStory(t, holmes.Config{URL: server.URL}, func(*v1alpha1.AIAnalysis) {})
			cr, result := s.reconcile(t)
			wait := cr.Status.NextRetryTime.Sub(s.now)
			if wait < row.least || wait > row.most || result.RequeueAfter != wait {
				t.Errorf("waits %s, requeued after %s", wait, result.RequeueAfter)
			}
			s.now = s.now.Add(wait - time.Millisecond)
			if _, result := s.reconcile(t); calls != 1 || result.RequeueAfter != time.Millisecond {
				t.Errorf("a millisecond early: %d calls, requeued after %s", calls, result.RequeueAfter)
			}
			s.now = s.now.Add(time.Millisecond)
			if s.reconcile(t); calls != 2 {
				t.Errorf("when due: %d calls", calls)
			}
		})
	}
}

// What comes out of the range of our schema is put right, said, and stored; both spellings of the image arrive.
func TestAnswersOutOfRangeAreStored(t *testing.T) {
	for spelling, image := range map[string]string{"container_image": "snake:1", "containerImage": "camel:1"} {
		server := httptest.NewServer(saying(200, "", "", fmt.Sprintf(`{"incident_id":"i","analysis":"a","confidence":0.9,"timestamp":"t",
			"root_cause_analysis":{"summary":"s","severity":"unknown","contributing_factors":[]},"human_review_reason":null,
			"selected_workflow":{"workflow_id":"w","version":"1","confidence":1.7,"rationale":"r",%q:%q},
			"validation_attempts_history":[{"attempt":4,"workflow_id":"w","is_valid":true,"errors":[],"timestamp":"x"}]}`, spelling, image)))
		s := newStory(t, holmes.Config{URL: server.URL}, func(*v1alpha1.AIAnalysis) {})
		cr, _ := s.reconcile(t)
		server.Close()
		workflow := cr.Status.SelectedWorkflow
		if cr.Status.Phase != v1alpha1.PhaseCompleted || workflow.ContainerImage != image || workflow.Confidence != 1 ||
			cr.Status.RootCauseAnalysis.Severity != "medium" || len(cr.Status.ValidationAttemptsHistory) != 0 || cr.Status.TargetInOwnerChain != nil ||
			!slices.Equal(cr.Status.Warnings, []string{"selected_workflow.confidence 1.7 is outside 0..1, using 1"}) {
			t.Errorf("%s: %+v", spelling, cr.Status)
		}
	}
}
