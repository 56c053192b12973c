package aianalysis

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

func TestConflictsNeverRepeatACall(t *testing.T) {
	conflicts := 0
	funcs := interceptor.Funcs{SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
		conflicts++
		if conflicts%2 == 1 { // a foreign label change comes first
			live := &v1alpha1.AIAnalysis{}
			if err := c.Get(ctx, client.ObjectKeyFromObject(o), live); err != nil {
				return err
			}
			live.Labels = map[string]string{"touched": strings.Repeat("x", conflicts)}
			if err := c.Update(ctx, live); err != nil {
				return err
			}
		}
		return c.SubResource(sub).Update(ctx, o, opts...)
	}}
	w := newWorld(t, funcs, sample())
	w.hapi.replies = []reply{{answer: goodAnswer(), status: 200}}
	cr := w.finish()
	if cr.Status.Phase != v1alpha1.PhaseCompleted || len(cr.Status.AuditTrail) != 7 || len(w.hapi.attempts) != 1 || conflicts < 6 {
		t.Errorf("%s, %d events, calls %v, %d writes", cr.Status.Phase, len(cr.Status.AuditTrail), w.hapi.attempts, conflicts)
	}
}

func TestFailedWriteKeepsTheAnswer(t *testing.T) {
	broken := false
	funcs := interceptor.Funcs{SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
		if broken && o.(*v1alpha1.AIAnalysis).Status.Phase == v1alpha1.PhaseAnalyzing {
			return apierrors.NewInvalid(schema.GroupKind{}, o.GetName(), nil) // ends the write at once
		}
		return c.SubResource(sub).Update(ctx, o, opts...)
	}}
	w := newWorld(t, funcs, sample())
	w.hapi.replies = []reply{{answer: goodAnswer(), status: 200}}
	broken = true
	for range 3 {
		if _, err := w.r.Reconcile(context.Background(), ctrl.Request{NamespacedName: w.key}); err == nil {
			t.Fatal("the write should have failed")
		}
	}
	broken = false
	cr := w.finish()
	if len(w.hapi.attempts) != 1 || len(cr.Status.AuditTrail) != 7 {
		t.Errorf("calls %v, trail %v", w.hapi.attempts, trailTypes(cr))
	}
	if n := testutil.ToFloat64(w.r.Metrics.Reconciliations.WithLabelValues("Investigating", "error")); n != 3 {
		t.Errorf("errors counted: %v", n)
	}
}

// liveReader fails when told to.
type liveReader struct {
	client.Reader
	err error
}

func (l *liveReader) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	if l.err != nil {
		return l.err
	}
	return l.Reader.Get(ctx, key, o, opts...)
}

func TestFailedLiveReadForgetsNothing(t *testing.T) {
	broken := true
	funcs := interceptor.Funcs{SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
		if broken && o.(*v1alpha1.AIAnalysis).Status.Phase == v1alpha1.PhaseAnalyzing {
			return apierrors.NewInvalid(schema.GroupKind{}, o.GetName(), nil)
		}
		return c.SubResource(sub).Update(ctx, o, opts...)
	}}
	w := newWorld(t, funcs, sample())
	w.hapi.replies = []reply{{answer: goodAnswer(), status: 200}}
	live := &liveReader{Reader: w.r.Client}
	w.r.Live = live
	if _, err := w.r.Reconcile(context.Background(), ctrl.Request{NamespacedName: w.key}); err == nil {
		t.Fatal("the write should have failed")
	}
	touched := w.get() // the cache now shows another version than this process's last write
	touched.Labels = map[string]string{"touched": "yes"}
	if err := w.r.Client.Update(context.Background(), touched); err != nil {
		t.Fatal(err)
	}
	live.err = errors.New("connection refused")
	if _, err := w.r.Reconcile(context.Background(), ctrl.Request{NamespacedName: w.key}); !errors.Is(err, live.err) {
		t.Fatalf("the live read should have failed: %v", err)
	}
	live.err, broken = nil, false
	if cr := w.finish(); len(w.hapi.attempts) != 1 || len(cr.Status.AuditTrail) != 7 || len(w.audit.forgotten) != 0 {
		t.Errorf("calls %v, trail %v, audits forgotten %v", w.hapi.attempts, trailTypes(cr), w.audit.forgotten)
	}
}

func TestLostReplyIsRecognised(t *testing.T) {
	lose := true
	funcs := interceptor.Funcs{SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
		err := c.SubResource(sub).Update(ctx, o, opts...)
		if err == nil && lose && o.(*v1alpha1.AIAnalysis).Status.Phase == v1alpha1.PhaseAnalyzing {
			lose = false
			return errors.New("connection reset")
		}
		return err
	}}
	w := newWorld(t, funcs, sample())
	w.hapi.replies = []reply{{answer: goodAnswer(), status: 200}}
	if cr := w.finish(); len(cr.Status.AuditTrail) != 7 || len(w.hapi.attempts) != 1 || lose {
		t.Errorf("calls %v, trail %v", w.hapi.attempts, trailTypes(cr))
	}
}

// A second attempt is claimed by a write that adds nothing to the trail.
func TestLostReplyOfAClaim(t *testing.T) {
	for name, row := range map[string]struct {
		foreign bool // the claim that is stored is another process's
		calls   []int32
		trail   int
	}{
		"own claim":     {calls: []int32{1, 2}, trail: 9},
		"foreign claim": {foreign: true, calls: []int32{1, 3}, trail: 10},
	} {
		t.Run(name, func(t *testing.T) {
			lose := true
			funcs := interceptor.Funcs{SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
				status := &o.(*v1alpha1.AIAnalysis).Status
				lost := lose && status.InvestigationAttempt == 2
				if lost && row.foreign {
					other := metav1.NewMicroTime(status.NextRetryTime.Add(time.Microsecond))
					status.NextRetryTime = &other
				}
				if err := c.SubResource(sub).Update(ctx, o, opts...); err != nil || !lost {
					return err
				}
				lose = false
				return errors.New("connection reset")
			}}
			w := newWorld(t, funcs, sample())
			w.hapi.replies = []reply{{err: transient()}, {answer: goodAnswer(), status: 200}}
			cr := w.finish()
			if lose || !slices.Equal(w.hapi.attempts, row.calls) || len(cr.Status.AuditTrail) != row.trail || cr.Status.Phase != v1alpha1.PhaseCompleted {
				t.Errorf("%s, calls %v, trail %v", cr.Status.Phase, w.hapi.attempts, trailTypes(cr))
			}
		})
	}
}
