package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
	"github.com/kubernaut-ai/kubernaut/internal/aianalysis"
)

// dataStorage stands behind the HTTP client, without a network. It counts how often it stored each event.
type dataStorage struct {
	mu     sync.Mutex
	down   bool
	parks  bool                       // answers 202
	refuse func(event) bool           // nil: nothing
	stored map[string]int             // by id
	of     map[string]map[string]bool // ids by resource
	sizes  []int                      // of the batches that were stored or refused
}

func (d *dataStorage) RoundTrip(r *http.Request) (*http.Response, error) {
	var batch []event
	if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	status, body := http.StatusCreated, "{}"
	var bad []int
	for i, e := range batch {
		if d.refuse != nil && d.refuse(e) {
			bad = append(bad, i)
		}
	}
	switch {
	case d.down:
		status = http.StatusServiceUnavailable
	case d.parks:
		status = http.StatusAccepted
	case bad != nil:
		status = http.StatusBadRequest
		content, err := json.Marshal(map[string]any{"title": "Bad Request", "detail": "event_data is wrong", "invalid_indexes": bad})
		if err != nil {
			return nil, err
		}
		body = string(content)
	default:
		for _, e := range batch {
			d.stored[e.EventID]++
			if d.of[e.ResourceID] == nil {
				d.of[e.ResourceID] = map[string]bool{}
			}
			d.of[e.ResourceID][e.EventID] = true
		}
	}
	if status < 500 {
		d.sizes = append(d.sizes, len(batch))
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}}, Body: io.NopCloser(bytes.NewReader([]byte(body)))}, nil
}

func (d *dataStorage) set(change func(*dataStorage)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

// check reports events that are missing or were stored twice.
func (d *dataStorage) check(t *testing.T, name string, want int) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.of[name]) != want {
		t.Errorf("%s: %d events, want %d", name, len(d.of[name]), want)
	}
	for id := range d.of[name] {
		if d.stored[id] != 1 {
			t.Errorf("%s: event %s stored %d times", name, id, d.stored[id])
		}
	}
}

// wellDone answers each call well and at once.
type wellDone struct{}

func (wellDone) Investigate(_ context.Context, cr *v1alpha1.AIAnalysis, _ int32) (*aianalysis.Answer, aianalysis.Call, error) {
	return &aianalysis.Answer{IncidentID: cr.Name, Confidence: 0.9,
		Workflow: &v1alpha1.SelectedWorkflow{WorkflowID: "w", Version: "1", ContainerImage: "i", Confidence: 0.9},
	}, aianalysis.Call{Endpoint: "/api/v1/incident/analyze", Status: 200, Duration: time.Millisecond}, nil
}

func (wellDone) Open() bool { return false }

func (wellDone) Evaluate(context.Context, map[string]any) (aianalysis.Verdict, error) {
	return aianalysis.Verdict{Reason: "Auto-approved"}, nil
}

// story is the reconciler with the real audit log, a queue of its own, and a bubble's clock.
type story struct {
	t      *testing.T
	client client.Client
	log    *Log
	store  *dataStorage
	events *record.FakeRecorder
	queue  chan types.NamespacedName
	r      *aianalysis.Reconciler
}

// tell runs a story in a bubble of time: its seconds pass at once.
func tell(t *testing.T, buffer int, body func(*story)) {
	synctest.Test(t, func(t *testing.T) {
		scheme := runtime.NewScheme()
		if err := v1alpha1.AddToScheme(scheme); err != nil {
			t.Fatal(err)
		}
		registry := prometheus.NewRegistry()
		s := &story{t: t, store: &dataStorage{stored: map[string]int{}, of: map[string]map[string]bool{}}, events: record.NewFakeRecorder(1000),
			queue:  make(chan types.NamespacedName, 100000),
			client: fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.AIAnalysis{}).Build()}
		sender := NewClient("http://store", "", 5*time.Second)
		sender.http.Transport = s.store
		s.log = New(Config{BufferSize: buffer, BatchSize: 1000, FlushInterval: time.Second, Logger: logr.Discard(),
			Wake: func(name types.NamespacedName) { s.queue <- name }}, sender, NewMetrics(registry))
		s.r = &aianalysis.Reconciler{
			Client: s.client, Live: s.client, Recorder: s.events, HolmesGPT: wellDone{}, Circuit: wellDone{}, Policy: wellDone{}, Audit: s.log,
			Metrics: aianalysis.NewMetrics(registry), Now: time.Now, Jitter: func() float64 { return 0 },
			OnDrained: func(func()) func() bool { return func() bool { return true } },
			Options: aianalysis.Options{CallTimeout: time.Minute, MaxCallTimeout: time.Minute, MaxRetries: 5, PolicyTimeout: time.Second,
				FinalizerTimeout: 30 * time.Second, Backoff: aianalysis.Backoff{Base: time.Second, Max: time.Minute}},
		}
		ctx, cancel := context.WithCancel(t.Context())
		go s.log.Run(ctx)
		go s.work(ctx)
		body(s)
		cancel()
		synctest.Wait()
	})
}

func (s *story) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case name := <-s.queue:
			result, err := s.r.Reconcile(ctx, ctrl.Request{NamespacedName: name})
			if err != nil {
				s.t.Error(err)
			}
			if result.RequeueAfter > 0 {
				time.AfterFunc(result.RequeueAfter, func() { s.queue <- name })
			}
		}
	}
}

func (s *story) create(name string) { s.createAs(name, "uid-"+name) }

func (s *story) createAs(name, uid string) {
	s.t.Helper()
	cr := &v1alpha1.AIAnalysis{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(uid)},
		Spec: v1alpha1.AIAnalysisSpec{RemediationID: "rr"}}
	if err := s.client.Create(s.t.Context(), cr); err != nil {
		s.t.Fatal(err)
	}
	s.queue <- client.ObjectKeyFromObject(cr)
}

// after lets time pass, and everything that is due in it come to its end.
func (s *story) after(pause time.Duration) {
	<-time.After(pause)
	synctest.Wait()
}

func (s *story) get(name string) (*v1alpha1.AIAnalysis, bool) {
	s.t.Helper()
	cr := &v1alpha1.AIAnalysis{}
	err := s.client.Get(s.t.Context(), types.NamespacedName{Namespace: "shop", Name: name}, cr)
	if apierrors.IsNotFound(err) {
		return nil, false
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return cr, true
}

// expect compares phase and condition AuditRecorded.
func (s *story) expect(name, want string) {
	s.t.Helper()
	cr, _ := s.get(name)
	c := meta.FindStatusCondition(cr.Status.Conditions, v1alpha1.ConditionAuditRecorded)
	if c == nil {
		c = &metav1.Condition{}
	}
	if got := fmt.Sprintf("%s %s %s: %s", cr.Status.Phase, c.Status, c.Reason, c.Message); got != want {
		s.t.Errorf("%s: %s, want %s", name, got, want)
	}
}

func (s *story) delete(name string) {
	s.t.Helper()
	cr, _ := s.get(name)
	if err := s.client.Delete(s.t.Context(), cr); err != nil {
		s.t.Fatal(err)
	}
	s.queue <- client.ObjectKeyFromObject(cr)
}

func TestDataStorageDownDelaysNothingButTheAudit(t *testing.T) {
	tell(t, 20000, func(s *story) {
		s.store.set(func(d *dataStorage) { d.down = true })
		s.create("cart")
		s.after(0)
		s.expect("cart", "Completed False Pending: audit events are on their way to Data Storage")
		s.after(2 * time.Second)
		s.expect("cart", "Completed False DataStorageUnavailable: 0 of 7 events stored")
		s.after(time.Hour)
		s.store.check(t, "cart", 0)
		s.store.set(func(d *dataStorage) { d.down = false })
		s.after(40 * time.Second)
		s.expect("cart", "Completed True AllEventsStored: 7 of 7 events stored")
		s.store.check(t, "cart", 7)
	})
}

func TestParkedEventsAreNeverTakenForStored(t *testing.T) {
	tell(t, 20000, func(s *story) {
		s.store.set(func(d *dataStorage) { d.parks = true })
		s.create("cart")
		for range 10 {
			s.after(time.Minute)
			s.expect("cart", "Completed False Pending: audit events are on their way to Data Storage")
		}
		s.store.set(func(d *dataStorage) { d.parks = false })
		s.after(31 * time.Second)
		s.expect("cart", "Completed True AllEventsStored: 7 of 7 events stored")
		s.store.check(t, "cart", 7)
	})
}

func TestOneRefusedEventOfAHundred(t *testing.T) {
	tell(t, 20000, func(s *story) {
		refused := aianalysis.EventID("uid-cr-07", aianalysis.EventDecision, 1)
		s.store.set(func(d *dataStorage) { d.refuse = func(e event) bool { return e.EventID == refused } })
		for i := range 15 {
			s.create(fmt.Sprintf("cr-%02d", i))
		}
		s.after(5 * time.Second)
		for i := range 15 {
			name := fmt.Sprintf("cr-%02d", i)
			if i == 7 {
				s.expect(name, "Completed False EventRejected: 6 of 7 events stored; refused: "+refused+" (Bad Request: event_data is wrong)")
				s.store.check(t, name, 6)
				continue
			}
			s.expect(name, "Completed True AllEventsStored: 7 of 7 events stored")
			s.store.check(t, name, 7)
		}
		if n := testutil.ToFloat64(s.log.metrics.Dropped); n != 1 || len(s.store.sizes) == 0 || s.store.sizes[0] < 100 {
			t.Errorf("dropped %v, batches of %v", n, s.store.sizes)
		}
		s.delete("cr-07") // a refused event does not hold the finalizer
		s.after(0)
		if _, there := s.get("cr-07"); there {
			t.Error("the refused event holds the object")
		}
	})
}

func TestBufferOfTenAndAHundredCRs(t *testing.T) {
	tell(t, 10, func(s *story) {
		for i := range 100 {
			s.create(fmt.Sprintf("cr-%02d", i))
		}
		s.after(0)
		for i := range 100 {
			if cr, _ := s.get(fmt.Sprintf("cr-%02d", i)); cr.Status.Phase != v1alpha1.PhaseCompleted {
				t.Fatalf("cr-%02d waits for the audit: %s", i, cr.Status.Phase)
			}
		}
		s.after(10 * time.Minute)
		for i := range 100 {
			name := fmt.Sprintf("cr-%02d", i)
			s.expect(name, "Completed True AllEventsStored: 7 of 7 events stored")
			s.store.check(t, name, 7)
		}
		if deferred, dropped := testutil.ToFloat64(s.log.metrics.Deferred), testutil.ToFloat64(s.log.metrics.Dropped); deferred == 0 || dropped != 0 {
			t.Errorf("deferred %v, dropped %v", deferred, dropped)
		}
	})
}

func TestDeletionWithDataStorageUp(t *testing.T) {
	tell(t, 20000, func(s *story) {
		s.create("cart")
		s.after(0)
		s.delete("cart")
		s.after(2 * time.Second)
		if _, there := s.get("cart"); there {
			t.Error("still there after 2 s")
		}
		s.store.check(t, "cart", 7)
	})
}

func TestDeletionWithDataStorageDown(t *testing.T) {
	tell(t, 20000, func(s *story) {
		s.store.set(func(d *dataStorage) { d.down = true })
		s.create("cart")
		s.after(3 * time.Second)
		s.delete("cart")
		s.after(29 * time.Second)
		if _, there := s.get("cart"); !there {
			t.Fatal("gone before 30 s")
		}
		s.after(2 * time.Second)
		if _, there := s.get("cart"); there {
			t.Error("still there after 31 s")
		}
		if n := testutil.ToFloat64(s.log.metrics.Dropped); n != 7 || s.log.Left() != 0 {
			t.Errorf("dropped %v, left %d", n, s.log.Left())
		}
		var told []string
		for len(s.events.Events) > 0 {
			told = append(told, <-s.events.Events)
		}
		if !slices.Contains(told, "Warning AuditIncomplete 7 audit events not stored") {
			t.Errorf("Events: %s", strings.Join(told, "; "))
		}
		s.store.set(func(d *dataStorage) { d.down = false })
		s.createAs("cart", "another") // the same name again: nothing of the old one is in its way
		s.after(time.Minute)
		s.expect("cart", "Completed True AllEventsStored: 7 of 7 events stored")
	})
}

// The clock of a controller that is ahead of Data Storage's: nothing is dropped, all of it stored once time has caught up.
func TestClockAheadOfDataStorage(t *testing.T) {
	tell(t, 20000, func(s *story) {
		ahead := 10 * time.Minute
		s.r.Now = func() time.Time { return time.Now().Add(ahead) }
		s.store.set(func(d *dataStorage) {
			d.refuse = func(e event) bool {
				at, err := time.Parse(timeFormat, e.EventTimestamp)
				return err != nil || at.After(time.Now().Add(clockSkew))
			}
		})
		s.create("cart")
		s.after(4 * time.Minute)
		s.store.check(t, "cart", 0)
		if n := testutil.ToFloat64(s.log.metrics.Dropped); n != 0 {
			t.Errorf("dropped %v", n)
		}
		s.after(2 * time.Minute)
		s.store.check(t, "cart", 7)
		s.expect("cart", "Completed True AllEventsStored: 7 of 7 events stored")
	})
}
