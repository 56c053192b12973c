package aianalysis

import "time"

// maxClockJump is how far in the future a stored retry time is still believed; beyond it the clock has jumped.
const maxClockJump = 330 * time.Second

// Backoff is the wait between attempts: base * 2^(n-1), at most max, with ten percent of jitter.
type Backoff struct {
	Base, Max time.Duration
}

// Wait is the time before the next attempt after n failures, n >= 1. jitter lies in [-1, 1] and stands for -10 % to +10 %. A server
// that asked for more gets it: the jitter is then never negative, and max still holds.
func (b Backoff) Wait(n int32, jitter float64, failure *CallError) time.Duration {
	wait := b.Base
	for i := int32(1); i < n && wait < b.Max; i++ {
		wait *= 2
	}
	wait = min(wait, b.Max)
	least := failure.RetryAfter
	if failure.Class == ClassRateLimit {
		least = max(least, minRateLimitWait)
	}
	if least > 0 {
		wait = max(wait, least)
		jitter = max(jitter, -jitter)
	}
	return min(wait+time.Duration(float64(wait)*0.1*jitter), b.Max)
}

// due returns how long an object must still wait.
func due(next, now time.Time) time.Duration {
	wait := next.Sub(now)
	if wait > maxClockJump || wait < 0 {
		return 0
	}
	return wait
}
