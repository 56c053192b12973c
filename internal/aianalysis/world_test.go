package aianalysis

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// world is a reconciler among small stand-ins, with a clock that only moves when told to.
type world struct {
	t        *testing.T
	r        *Reconciler
	registry *prometheus.Registry
	hapi     *scriptedHolmes
	policy   *fixedPolicy
	audit    *memoryAudit
	circuit  fixedCircuit
	recorder *record.FakeRecorder
	now      time.Time
	key      types.NamespacedName
}

func newWorld(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.AIAnalysis{}).WithInterceptorFuncs(funcs).Build()
	w := &world{
		t: t, registry: prometheus.NewRegistry(), now: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC), key: client.ObjectKeyFromObject(objects[0]),
		hapi: &scriptedHolmes{}, policy: &fixedPolicy{verdict: Verdict{Reason: "Auto-approved", SHA256: "abc"}},
		audit: &memoryAudit{}, recorder: record.NewFakeRecorder(100),
	}
	w.r = w.process(c)
	return w
}

// process is a new process on the same cluster: nothing in memory.
func (w *world) process(c client.Client) *Reconciler {
	return &Reconciler{
		Client: c, Live: c, Recorder: w.recorder, HolmesGPT: w.hapi, Circuit: &w.circuit, Policy: w.policy, Audit: w.audit,
		Metrics: NewMetrics(w.registry), Now: func() time.Time { return w.now }, Jitter: func() float64 { return 0 },
		OnDrained: func(func()) func() bool { return func() bool { return true } },
		Options: Options{CallTimeout: time.Minute, MaxCallTimeout: 10 * time.Minute, MaxRetries: 5, PolicyTimeout: time.Second,
			FinalizerTimeout: 30 * time.Second, Backoff: Backoff{Base: time.Second, Max: 5 * time.Minute}},
	}
}

func (w *world) restart() {
	w.registry = prometheus.NewRegistry()
	w.audit = &memoryAudit{}
	w.r = w.process(w.r.Client)
}

func (w *world) reconcile() ctrl.Result {
	w.t.Helper()
	result, err := w.r.Reconcile(context.Background(), ctrl.Request{NamespacedName: w.key})
	if err != nil {
		w.t.Fatalf("reconcile: %v", err)
	}
	return result
}

func (w *world) get() *v1alpha1.AIAnalysis {
	w.t.Helper()
	var cr v1alpha1.AIAnalysis
	if err := w.r.Client.Get(context.Background(), w.key, &cr); err != nil {
		w.t.Fatal(err)
	}
	return &cr
}

// finish reconciles, letting the clock jump over every wait, until the analysis has ended.
func (w *world) finish() *v1alpha1.AIAnalysis {
	w.t.Helper()
	for range 20 {
		result := w.reconcile()
		if cr := w.get(); cr.Status.Phase.Terminal() {
			return cr
		}
		w.now = w.now.Add(result.RequeueAfter)
	}
	w.t.Fatalf("not terminal: %+v", w.get().Status)
	return nil
}

// types lists the audit event types of a trail, in order, without their prefix.
func trailTypes(cr *v1alpha1.AIAnalysis) (kinds []string) {
	for _, e := range cr.Status.AuditTrail {
		kinds = append(kinds, e.Type[len("aianalysis."):])
	}
	return kinds
}

func (w *world) kubeEvents() (all []string) {
	for {
		select {
		case e := <-w.recorder.Events:
			all = append(all, e)
		default:
			return all
		}
	}
}

func sample() *v1alpha1.AIAnalysis {
	return &v1alpha1.AIAnalysis{
		ObjectMeta: metav1.ObjectMeta{Name: "cart-oom", Namespace: "shop", UID: "3f6c2a10-8b1e-4a77-9d52-6c0f4b7e2d91"},
		Spec: v1alpha1.AIAnalysisSpec{
			RemediationID: "rr-1",
			AnalysisRequest: v1alpha1.AnalysisRequest{
				AnalysisTypes: []string{"investigation"},
				SignalContext: v1alpha1.SignalContextInput{
					Severity: "warning", SignalType: "OOMKilled", Environment: "staging", BusinessPriority: "P2",
					TargetResource: v1alpha1.TargetResource{Kind: "Pod", Name: "cart-0", Namespace: "shop"},
				},
			},
		},
	}
}

func goodAnswer() *Answer {
	return &Answer{
		IncidentID: "cart-oom", Analysis: "The limit is too low.", Confidence: 0.9, CanRecover: true,
		RootCause: &v1alpha1.RootCauseAnalysis{Summary: "limit too low", Severity: "high", ContributingFactors: []string{"peak"}},
		Workflow: &v1alpha1.SelectedWorkflow{WorkflowID: "raise-limit", Version: "1.0.0", ContainerImage: "flows/raise:1",
			Confidence: 0.9, Rationale: "fits"},
		Alternatives: []v1alpha1.AlternativeWorkflow{{WorkflowID: "restart", Confidence: 0.4, Rationale: "short-lived"}},
	}
}

type reply struct {
	answer *Answer
	err    *CallError
	status int
	unsent bool
}

// scriptedHolmes answers in order; the last reply is repeated. block, if set, makes a call wait for the end of its context.
type scriptedHolmes struct {
	mu       sync.Mutex
	replies  []reply
	attempts []int32
	block    chan struct{}
	limits   []time.Duration
}

func (h *scriptedHolmes) Investigate(ctx context.Context, cr *v1alpha1.AIAnalysis, attempt int32) (*Answer, Call, error) {
	h.mu.Lock()
	h.attempts = append(h.attempts, attempt)
	next := h.replies[min(len(h.attempts), len(h.replies))-1]
	if until, ok := ctx.Deadline(); ok {
		h.limits = append(h.limits, time.Until(until))
	}
	h.mu.Unlock()
	call := Call{Endpoint: "/api/v1/incident/analyze", Status: next.status, Duration: 1500 * time.Microsecond}
	if cr.Spec.IsRecoveryAttempt {
		call.Endpoint = "/api/v1/recovery/analyze"
	}
	if next.unsent {
		call = Call{}
	}
	if h.block != nil {
		close(h.block)
		<-ctx.Done()
		return nil, call, &CallError{Class: ClassCancelled, Text: "cancelled"}
	}
	if next.err != nil {
		return nil, call, next.err
	}
	answer := *next.answer
	return &answer, call, nil
}

type fixedCircuit bool

func (c *fixedCircuit) Open() bool { return bool(*c) }

type fixedPolicy struct {
	verdict Verdict
	err     error
	inputs  []map[string]any
	limits  []time.Duration
}

func (p *fixedPolicy) Evaluate(ctx context.Context, input map[string]any) (Verdict, error) {
	p.inputs = append(p.inputs, input)
	if until, ok := ctx.Deadline(); ok {
		p.limits = append(p.limits, time.Until(until))
	}
	return p.verdict, p.err
}

// memoryAudit stores at once if up, else never, and has refused what it is told to.
type memoryAudit struct {
	up        bool
	events    map[string]AuditEvent
	order     []string
	forgotten []types.UID
	refused   []string
}

func (a *memoryAudit) Submit(_ types.NamespacedName, events []AuditEvent) {
	if a.events == nil {
		a.events = map[string]AuditEvent{}
	}
	for _, e := range events {
		if _, known := a.events[e.ID]; !known {
			a.order = append(a.order, e.ID)
			a.events[e.ID] = e
		}
	}
}

func (a *memoryAudit) Delivery(uid types.UID) (d Delivery) {
	d.Failing, d.Rejected = !a.up, a.refused
	for _, e := range a.events {
		if a.up && e.UID == uid {
			d.Stored++
		}
	}
	return d
}

func (a *memoryAudit) Abandon(_ types.UID, events []AuditEvent) (lost []string) {
	for _, e := range events {
		lost = append(lost, e.ID)
	}
	return lost
}

func (a *memoryAudit) Forget(uid types.UID) { a.forgotten = append(a.forgotten, uid) }
