// Package datastorage is the middle of the Data Storage service: audit events, the workflow catalog and its scoring,
// and what can go wrong with them. It knows no database, no queue and no HTTP.
package datastorage

import (
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
	Err        error
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
