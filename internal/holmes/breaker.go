package holmes

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
	"github.com/kubernaut-ai/kubernaut/internal/aianalysis"
)

const (
	leastCountedLimit = 5 * time.Second // a call that had less time says nothing about HolmesGPT-API
	probeLimit        = 2 * time.Second
	maxProbeInterval  = time.Minute
	reopenedSoon      = time.Minute // opening again within this doubles the interval
)

// circuitState is the value of the gauge.
type circuitState int

const (
	closed   circuitState = 0
	halfOpen circuitState = 1
	open     circuitState = 2
)

func (s circuitState) String() string { return [...]string{"closed", "half-open", "open"}[s] }

// BreakerConfig says when a Breaker opens and how often it probes.
type BreakerConfig struct {
	Threshold     int // failures in a row without any HTTP answer
	ProbeInterval time.Duration
	Probe         func(context.Context) error // nil: HolmesGPT-API is there
	Logger        logr.Logger
}

// Breaker is an aianalysis.Investigator that counts and measures the calls of another, and the aianalysis.Circuit that they close and
// open: after a run of failures without an answer, over all CRs, it is open until a probe has been answered. See Run.
type Breaker struct {
	next    aianalysis.Investigator
	config  BreakerConfig
	metrics *Metrics
	opened  chan struct{}

	mu       sync.Mutex
	state    circuitState
	failures int // in a row
	interval time.Duration
	closedAt time.Time // of the last time; zero: it was never open
}

// NewBreaker puts a closed circuit before next.
func NewBreaker(next aianalysis.Investigator, config BreakerConfig, metrics *Metrics) *Breaker {
	return &Breaker{next: next, config: config, metrics: metrics, opened: make(chan struct{}, 1), interval: config.ProbeInterval}
}

// Investigate implements aianalysis.Investigator. It sends whatever the state: a caller asks Open before.
func (b *Breaker) Investigate(ctx context.Context, cr *v1alpha1.AIAnalysis, attempt int32) (*aianalysis.Answer, aianalysis.Call, error) {
	limit := leastCountedLimit
	if deadline, ok := ctx.Deadline(); ok {
		limit = time.Until(deadline).Round(time.Second / 10) // a little of it has passed already
	}
	answer, call, err := b.next.Investigate(ctx, cr, attempt)
	b.metrics.called(call, err)
	b.note(call, err, limit)
	return answer, call, err
}

// Open implements aianalysis.Circuit. Half-open is open too: the probe alone decides.
func (b *Breaker) Open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state != closed
}

// note takes the end of a call into account. Any HTTP answer ends the run of failures; what was not sent or was cancelled says nothing.
func (b *Breaker) note(call aianalysis.Call, err error, limit time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var failure *aianalysis.CallError
	switch {
	case call.Status != 0:
		b.failures = 0
		return
	case !errors.As(err, &failure):
		return
	case failure.Class == aianalysis.ClassNetwork, failure.Class == aianalysis.ClassTimeout && limit >= leastCountedLimit:
		b.failures++
	}
	if b.state != closed || b.failures < b.config.Threshold {
		return
	}
	b.interval = b.nextInterval()
	b.change(open)
	select {
	case b.opened <- struct{}{}:
	default:
	}
}

// nextInterval needs the lock. A circuit that did not stay closed is probed less often.
func (b *Breaker) nextInterval() time.Duration {
	if b.closedAt.IsZero() || time.Since(b.closedAt) >= reopenedSoon {
		return b.config.ProbeInterval
	}
	return max(b.config.ProbeInterval, min(2*b.interval, maxProbeInterval))
}

// Run probes while the circuit is open, until ctx ends.
func (b *Breaker) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.opened:
		}
		for b.Open() && ctx.Err() == nil {
			b.probe(ctx)
		}
	}
}

// probe waits for its time and asks once.
func (b *Breaker) probe(ctx context.Context) {
	b.mu.Lock()
	interval := b.interval
	b.mu.Unlock()
	timer := time.NewTimer(interval)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return
	case <-timer.C:
	}
	b.enter(halfOpen)
	limited, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	if err := b.config.Probe(limited); err != nil {
		b.enter(open)
		return
	}
	b.enter(closed)
}

func (b *Breaker) enter(state circuitState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.change(state)
}

// change needs the lock.
func (b *Breaker) change(state circuitState) {
	b.config.Logger.Info("circuit to HolmesGPT-API", "from", b.state.String(), "to", state.String(), "failuresInARow", b.failures)
	b.state = state
	b.metrics.circuit.Set(float64(state))
	if state == closed {
		b.failures, b.closedAt = 0, time.Now()
	}
}
