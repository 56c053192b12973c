package aianalysis

import (
	"errors"
	"fmt"
	"time"
)

// Class says what kind of failure an attempt met; it decides over the retry.
type Class string

// The classes.
const (
	ClassTimeout         Class = "Timeout"
	ClassNetwork         Class = "Network"
	ClassPermanent       Class = "Permanent"
	ClassAuthentication  Class = "Authentication"
	ClassAuthorization   Class = "Authorization"
	ClassConfiguration   Class = "Configuration"
	ClassRateLimit       Class = "RateLimit"
	ClassTransient       Class = "Transient"
	ClassInvalidResponse Class = "InvalidResponse"
	ClassCircuitOpen     Class = "CircuitOpen"
	ClassInterrupted     Class = "Interrupted"
	ClassCancelled       Class = "Cancelled"
	ClassPolicy          Class = "Policy" // of evaluations, not of attempts
)

// Retryable reports whether another attempt may end better.
func (c Class) Retryable() bool {
	switch c {
	case ClassTimeout, ClassNetwork, ClassRateLimit, ClassTransient, ClassInvalidResponse, ClassCircuitOpen, ClassInterrupted:
		return true
	default:
		return false
	}
}

// minRateLimitWait is the least wait after a 429, whatever the server says.
const minRateLimitWait = 2 * time.Second

// ClassOfStatus classifies an HTTP status other than 200. Alert means that a person should look: it will not mend itself.
func ClassOfStatus(status int) (class Class, alert bool) {
	switch status {
	case 401:
		return ClassAuthentication, true
	case 403:
		return ClassAuthorization, true
	case 404:
		return ClassConfiguration, true
	case 400, 405, 413, 415, 422:
		return ClassPermanent, true
	case 429:
		return ClassRateLimit, false
	case 500, 502, 503, 504:
		return ClassTransient, false
	default:
		return ClassTransient, true
	}
}

// CallError is a failed attempt. Text is fit for a status message, but for its length: it quotes no bodies.
type CallError struct {
	Class      Class
	Alert      bool
	RetryAfter time.Duration // least wait asked for by the server; 0: none
	Text       string
	Err        error // cause, may be nil
}

func (e *CallError) Error() string { return e.Text }

func (e *CallError) Unwrap() error { return e.Err }

// maxErrorText is the length in characters of an error's text in a status.
const maxErrorText = 512

// failureOf makes the error of an Investigator fit to be stored. What is no CallError is nothing that a retry would mend.
func failureOf(err error) *CallError {
	if err == nil {
		return nil
	}
	failure := CallError{Class: ClassPermanent, Alert: true, Text: err.Error(), Err: err}
	var known *CallError
	if errors.As(err, &known) {
		failure = *known
	}
	failure.Text = cut(failure.Text, maxErrorText)
	return &failure
}

func circuitOpen() *CallError {
	return &CallError{Class: ClassCircuitOpen, Text: "holmesgpt-api: circuit open"}
}

func interrupted(attempt int32) *CallError {
	return &CallError{Class: ClassInterrupted, Text: fmt.Sprintf("attempt %d was interrupted by a controller restart", attempt)}
}
