package deploy

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Refusal is one field that the API server did not take.
type Refusal struct {
	Field   string // path, empty if the whole object is refused
	Owner   string // field manager that holds it; conflicts only
	Message string // the server's words
}

// ApplyError says that the API server refused an object.
type ApplyError struct {
	Object   string
	Reason   metav1.StatusReason // Conflict, Invalid, Forbidden, …
	Refusals []Refusal
	Err      error
}

// Error names object, reason, fields and owners on one line.
func (e *ApplyError) Error() string {
	parts := make([]string, 0, len(e.Refusals))
	for _, r := range e.Refusals {
		switch {
		case r.Owner != "":
			parts = append(parts, fmt.Sprintf("field %s is owned by %q", r.Field, r.Owner))
		case r.Field != "":
			parts = append(parts, fmt.Sprintf("field %s: %s", r.Field, r.Message))
		default:
			parts = append(parts, r.Message)
		}
	}
	if len(parts) == 0 {
		parts = append(parts, e.Err.Error())
	}
	return fmt.Sprintf("applying %s: %s: %s", e.Object, e.Reason, strings.Join(parts, "; "))
}

// Unwrap gives the client's error.
func (e *ApplyError) Unwrap() error { return e.Err }

// conflictOwner finds the manager in the server's text `conflict with "kubectl" using apps/v1`;
// the machine-readable status holds the field but not the owner.
var conflictOwner = regexp.MustCompile(`conflict with "([^"]*)"`)

func applyError(o *unstructured.Unstructured, err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return fmt.Errorf("applying %s: %w", describe(o), err)
	}
	s := status.Status()
	out := &ApplyError{Object: describe(o), Reason: s.Reason, Err: err}
	if out.Reason == metav1.StatusReasonUnknown {
		out.Reason = "refused"
	}
	if s.Details != nil {
		for _, cause := range s.Details.Causes {
			r := Refusal{Field: cause.Field, Message: cause.Message}
			if m := conflictOwner.FindStringSubmatch(cause.Message); m != nil {
				r.Owner = m[1]
			}
			out.Refusals = append(out.Refusals, r)
		}
	}
	if out.Refusals == nil {
		out.Refusals = []Refusal{{Message: s.Message}}
	}
	return out
}

// Cause is why a wait cannot succeed.
type Cause string

// The causes that end a wait at once.
const (
	CauseImage         Cause = "image not available"
	CauseCrash         Cause = "crash loop"
	CauseConfig        Cause = "missing configuration"
	CauseUnschedulable Cause = "unschedulable"
	CauseMemory        Cause = "out of memory"
	CauseProbe         Cause = "probe failing"
	CauseJob           Cause = "Job failed"
	CauseCreate        Cause = "pod creation refused"
	CauseCRD           Cause = "CRD not usable"
	CauseRollout       Cause = "rollout stopped"
)

// WaitError says that an object cannot become ready.
type WaitError struct {
	Object string // what was waited for
	Cause  Cause
	Detail string   // what was seen, with the names needed to look further
	Log    []string // last lines of the container concerned, oldest first
	Image  string   // CauseImage: the reference as the pod spells it
}

// Line is the error on one line.
func (e *WaitError) Line() string {
	return fmt.Sprintf("%s: %s: %s", e.Object, e.Cause, e.Detail)
}

// Error is the line, followed by the log lines if there are any.
func (e *WaitError) Error() string {
	var b strings.Builder
	b.WriteString(e.Line())
	for _, line := range e.Log {
		b.WriteString("\n  | " + line)
	}
	return b.String()
}

// TimeoutError says that the context ended first.
type TimeoutError struct {
	Object string
	Detail string // the state when it ended
	Err    error  // the context's
}

// Error implements error.
func (e *TimeoutError) Error() string {
	return fmt.Sprintf("%s: %s: %s", e.Object, e.Detail, e.Err)
}

// Unwrap gives the context's error.
func (e *TimeoutError) Unwrap() error { return e.Err }
