package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// Special is a row that answers as another row does, but for what stands here.
type Special struct {
	SignalType string `json:"signal_type"`
	// Like is the signal type of that other row.
	Like     string    `json:"like"`
	Affected *Resource `json:"affected"`
	// Attempts change the answers of the first attempts, in order; later ones are the row's.
	Attempts []Change `json:"attempts"`
	Fault    *Fault   `json:"fault"`
}

// Resource is the one that the root cause names instead of the request's.
type Resource struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// Change is what is wrong with one attempt's answer.
type Change struct {
	ContainerImage string `json:"container_image"`
	WorkflowID     string `json:"workflow_id"`
	// Without is the parameter that is left out.
	Without string `json:"without"`
	// Cut ends the answer in the middle of its block.
	Cut bool `json:"cut"`
}

// Fault strikes the first model call of an attempt: a status, or a delay before the answer.
type Fault struct {
	Status       int `json:"status"`
	RetryAfter   int `json:"retry_after"`
	DelaySeconds int `json:"delay_seconds"`
	// Times it strikes one remediation; 0 is always.
	Times int `json:"times"`
}

// change is that of one attempt, counted from 1.
func (s Special) change(attempt int) Change {
	if attempt > len(s.Attempts) {
		return Change{}
	}
	return s.Attempts[attempt-1]
}

func (b *Book) checkSpecials() []error {
	var problems []error
	known := map[string]bool{}
	for _, row := range b.Rows {
		known[row.SignalType] = true
	}
	for _, special := range b.Specials {
		if special.SignalType == "" || known[special.SignalType] {
			problems = append(problems, fmt.Errorf("special row %q: is empty or stands twice", special.SignalType))
		}
		if row := b.plain(special.Like); row.SignalType != special.Like {
			problems = append(problems, fmt.Errorf("special row %q: there is no row %q", special.SignalType, special.Like))
		}
		if f := special.Fault; f != nil && (f.Status == 0) == (f.DelaySeconds == 0) {
			problems = append(problems, fmt.Errorf("special row %q: a fault is a status or a delay", special.SignalType))
		}
		known[special.SignalType] = true
	}
	return problems
}

const maxCounters = 10_000

// counters say how often a fault has struck each remediation; the oldest are forgotten.
type counters struct {
	mu    sync.Mutex
	of    map[string]int
	order []string
}

// strikes counts a fault, and tells whether it strikes this time.
func (c *counters) strikes(fault *Fault, remediationID string) bool {
	if fault == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, seen := c.of[remediationID]; !seen {
		c.order = append(c.order, remediationID)
	}
	c.of[remediationID]++
	if len(c.order) > maxCounters {
		delete(c.of, c.order[0])
		c.order = c.order[1:]
	}
	return fault.Times == 0 || c.of[remediationID] <= fault.Times
}

// wait ends early with an error when the client goes.
func (f *Fault) wait(ctx context.Context) error {
	timer := time.NewTimer(time.Duration(f.DelaySeconds) * time.Second)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *Fault) header() (name, value string) { return "Retry-After", strconv.Itoa(f.RetryAfter) }
