package aianalysis

import (
	"fmt"
	"math"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// plan is the result of a step: the whole next status, and what must happen once it is stored. It is computed once; writing it may
// be tried again and again.
type plan struct {
	from    v1alpha1.AIAnalysisStatus // what it was computed on
	next    v1alpha1.AIAnalysisStatus
	entries []entry          // audit entries, numbered by seal
	effects []func(*Metrics) // business counters
	events  []kubeEvent
	now     time.Time
	gen     int64
	called  time.Duration // spent in the call to HolmesGPT-API

	shortened bool // by seal, to fit
}

type kubeEvent struct {
	warning         bool
	reason, message string
}

func newPlan(cr *v1alpha1.AIAnalysis, now time.Time) *plan {
	p := &plan{from: *cr.Status.DeepCopy(), next: *cr.Status.DeepCopy(), now: now, gen: cr.Generation}
	p.next.ObservedGeneration = cr.Generation
	return p
}

func (p *plan) conditions() conditionSetter { return newConditionSetter(&p.next, p.gen, p.now) }

func (p *plan) audit(entries ...entry) { p.entries = append(p.entries, entries...) }

func (p *plan) count(effect func(*Metrics)) { p.effects = append(p.effects, effect) }

func (p *plan) announce(reason, format string, args ...any) {
	p.events = append(p.events, kubeEvent{reason: reason, message: fmt.Sprintf(format, args...)})
}

// move changes the phase. A transition outside the state machine is a programming error and refused.
func (p *plan) move(to v1alpha1.Phase, message string) error {
	if !allowed(p.from.Phase, to) {
		return fmt.Errorf("refusing transition %q -> %q", p.from.Phase, to)
	}
	p.next.Phase = to
	p.next.Message = cut(message, maxMessage)
	if p.from.Phase != "" {
		p.audit(transition(p.now, p.from.Phase, to))
	}
	return nil
}

func allowed(from, to v1alpha1.Phase) bool {
	switch from {
	case "":
		return to == v1alpha1.PhasePending
	case v1alpha1.PhasePending:
		return to == v1alpha1.PhaseInvestigating || to == v1alpha1.PhaseFailed
	case v1alpha1.PhaseInvestigating:
		return to == v1alpha1.PhaseAnalyzing || to == v1alpha1.PhaseCompleted || to == v1alpha1.PhaseFailed
	case v1alpha1.PhaseAnalyzing:
		return to == v1alpha1.PhaseCompleted || to == v1alpha1.PhaseFailed
	default:
		return false
	}
}

// succeed clears the traces of earlier failed attempts.
func (p *plan) succeed() {
	p.next.Reason, p.next.SubReason = "", ""
	p.next.NextRetryTime = nil
	p.next.ConsecutiveFailures = 0
}

// complete ends the analysis well.
func (p *plan) complete(message string) error {
	if err := p.move(v1alpha1.PhaseCompleted, message); err != nil {
		return err
	}
	p.announce("AnalysisCompleted", "%s -> Completed", p.from.Phase)
	p.conditions().completed(p.next.Message)
	p.end()
	return nil
}

// fail ends the analysis badly, for good.
func (p *plan) fail(reason string, sub v1alpha1.SubReason, message string) error {
	if err := p.move(v1alpha1.PhaseFailed, message); err != nil {
		return err
	}
	p.next.Reason, p.next.SubReason, p.next.NextRetryTime = reason, sub, nil
	p.events = append(p.events, kubeEvent{warning: true, reason: "AnalysisFailed",
		message: fmt.Sprintf("%s -> Failed: %s/%s", p.from.Phase, reason, sub)})
	p.count(func(m *Metrics) { m.Failures.WithLabelValues(reason, string(sub)).Inc() })
	p.conditions().failed(p.next.Message)
	p.end()
	return nil
}

func (p *plan) end() {
	completed := metav1.NewTime(p.now)
	p.next.CompletedAt = &completed
	p.next.TotalAnalysisTime = 1
	if started := p.next.StartedAt; started != nil {
		p.next.TotalAnalysisTime = max(1, int64(math.Ceil(p.now.Sub(started.Time).Seconds())))
	}
	p.conditions().auditPending()
	p.audit(analysisCompleted(p.now, &p.next))
}

// seal numbers the audit entries and makes the whole fit to be stored; afterwards next is final.
func (p *plan) seal() (err error) {
	if err := appendTrail(&p.next, p.entries); err != nil {
		return err
	}
	p.shortened, err = fit(&p.next)
	return err
}
