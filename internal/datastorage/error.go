// Package datastorage is the middle of the Data Storage service: audit events, the workflow catalog and its scoring,
// and what can go wrong with them. It knows no database, no queue and no HTTP.
package datastorage

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what the caller of a failed call can do about it.
type Kind int

const (
	// Internal is a bug: the caller can do nothing.
	Internal Kind = iota
	// Invalid means that the request breaks a rule; sending it again cannot help.
	Invalid
	// TooLarge means that the request is beyond a size limit.
	TooLarge
	// NotFound means that nothing is stored under the id.
	NotFound
	// Conflict means that the name and version are taken.
	Conflict
	// Immutable means that the request names a part of a workflow that needs a new version.
	Immutable
	// PreconditionFailed means that the row is not the one the change was meant for.
	PreconditionFailed
	// PreconditionRequired means that the change must say which row it is meant for.
	PreconditionRequired
	// Unauthorized means that nobody is known to ask.
	Unauthorized
	// Forbidden means that the known account may not do this.
	Forbidden
	// Overloaded means that a read found no room; the same request may work after RetryAfter.
	Overloaded
	// Unavailable means that nothing was kept; the same request may work after RetryAfter.
	Unavailable
)

// Error is every failure that a caller is told about. Detail and Fields are safe to show, Err is for the log only.
type Error struct {
	Kind       Kind
	Detail     string
	Fields     FieldErrors
	Indexes    []int // of a batch: the invalid elements, ascending
	RetryAfter time.Duration
	Cause      Cause // of an Unavailable store
	Err        error
}

// Cause is the class of a failure of PostgreSQL. It is safe to store and to show; the driver's text is not.
type Cause string

// The causes.
const (
	CauseConnection    Cause = "connection"
	CauseShutdown      Cause = "shutdown"
	CauseAuth          Cause = "auth"
	CauseTLS           Cause = "tls"
	CauseReadOnly      Cause = "read_only"
	CauseSchema        Cause = "schema"
	CauseResources     Cause = "resources"
	CauseTimeout       Cause = "timeout"
	CauseSerialization Cause = "serialization"
	CausePool          Cause = "pool"       // no connection was free in time
	CauseQueueFull     Cause = "queue_full" // of the queue itself
)

// KindOf is the kind of an error, Internal if it is none of ours.
func KindOf(err error) Kind {
	var known *Error
	if errors.As(err, &known) {
		return known.Kind
	}
	return Internal
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Detail, e.Err)
	}
	return e.Detail
}

func (e *Error) Unwrap() error { return e.Err }

// FieldError is one broken rule: the path of a field, and one of the fixed texts.
type FieldError struct{ Field, Text string }

// MaxFieldErrors is how many broken rules one answer names.
const MaxFieldErrors = 100

// FieldErrors are the broken rules of a request in the order in which they were found, one a field.
type FieldErrors []FieldError

// Add notes a broken rule. Only the first one of a field is kept, and an empty text notes nothing.
func (f *FieldErrors) Add(field, text string) {
	if text == "" || len(*f) >= MaxFieldErrors || f.Has(field) {
		return
	}
	*f = append(*f, FieldError{field, text})
}

// Has tells whether a rule of this field is broken.
func (f FieldErrors) Has(field string) bool {
	for _, e := range f {
		if e.Field == field {
			return true
		}
	}
	return false
}

// Err is nil without broken rules, else an Invalid error whose detail begins with the first one.
func (f FieldErrors) Err() error {
	if len(f) == 0 {
		return nil
	}
	detail := f[0].Field + ": " + f[0].Text
	if more := len(f) - 1; more > 0 {
		detail += fmt.Sprintf(" (and %d more)", more)
	}
	return &Error{Kind: Invalid, Detail: detail, Fields: f}
}
