// Package aianalysis drives an AIAnalysis from Pending to Completed or Failed.
//
// A step reads one object, computes the whole next status and writes it once. What is slow or remote - HolmesGPT-API, the policy
// engine, the audit store - stands behind the small interfaces of this file.
package aianalysis

import (
	"context"
	"encoding/json"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// Component is the name of this controller in Events and audit records.
const Component = "aianalysis-controller"

// Investigator asks HolmesGPT-API once. It never retries; ctx carries the deadline of the one call.
//
// The error is always a *CallError. Call is valid in either case.
type Investigator interface {
	Investigate(ctx context.Context, cr *v1alpha1.AIAnalysis, attempt int32) (*Answer, Call, error)
}

// Circuit says whether HolmesGPT-API is known to be away: an attempt that is due then fails without a call.
type Circuit interface {
	Open() bool
}

// Call is one request to HolmesGPT-API as it really went; zero if none was sent.
type Call struct {
	Endpoint string // path, without host
	Status   int    // 0: no answer
	Duration time.Duration
}

// Answer is what HolmesGPT-API said, in the words of the status but not yet made safe for it; see sanitise.
type Answer struct {
	IncidentID         string
	Analysis           string
	Confidence         float64
	CanRecover         bool
	NeedsHumanReview   bool
	HumanReviewReason  string
	RootCause          *v1alpha1.RootCauseAnalysis
	Workflow           *v1alpha1.SelectedWorkflow // nil: no workflow
	Alternatives       []v1alpha1.AlternativeWorkflow
	Warnings           []string
	History            []v1alpha1.ValidationAttempt // zero Timestamp: unreadable
	TargetInOwnerChain *bool
	Recovery           *v1alpha1.RecoveryStatus // nil: absent
	RootCauseRefined   string
}

// Policy decides whether a human must approve. An error means that the evaluator itself broke; everything that is the policy's own
// fault, the deadline included, is a degraded Verdict.
type Policy interface {
	Evaluate(ctx context.Context, input map[string]any) (Verdict, error)
}

// Verdict is one decision of the policy.
type Verdict struct {
	RequireApproval bool
	Reason          string
	MatchedRules    []string
	Degraded        bool   // RequireApproval is then true
	SHA256          string // of the policy text that decided
}

// AuditLog delivers audit events in the background. No method waits for the store.
type AuditLog interface {
	// Submit takes the events of one CR. Known ids are ignored, so a caller may submit a whole trail again and again. Events that find
	// the buffer full are not remembered: submit them again later.
	Submit(owner types.NamespacedName, events []AuditEvent)
	Delivery(uid types.UID) Delivery
	// Abandon gives up what is not stored of one CR and returns the ids; they count as dropped. The CR is forgotten.
	Abandon(uid types.UID, events []AuditEvent) []string
	Forget(uid types.UID)
}

// Delivery says how far the events of one CR have come.
type Delivery struct {
	Stored   int
	Rejected []string // ids
	Detail   string   // why the last one was rejected
	Failing  bool     // the last try to store one of them failed
}

// AuditEvent is one event, a pure function of the CR's metadata and spec and of one trail entry.
type AuditEvent struct {
	ID            string
	UID           types.UID
	Type          string
	Action        string
	Outcome       string
	At            time.Time
	CorrelationID string
	Namespace     string
	Name          string
	DurationMS    *int64
	Data          json.RawMessage
}
