package aianalysis

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubernaut-ai/kubernaut/api/v1alpha1"
)

// Limits on what is taken over into a status; fit bounds their sum.
const (
	maxWarnings      = 64
	maxWarning       = 4096
	maxFactors       = 64
	maxAlternatives  = 20
	maxParameters    = 100
	maxParameterName = 256
	maxAttempts      = 3
	maxErrors        = 64 // of one attempt
	maxRules         = 64
	maxText          = 16384
	maxID            = 1024
	maxIncidentID    = 253
)

// sanitise makes an answer fit the schema of the status: nothing that HolmesGPT-API sends may make a status write fail. It returns
// what it had to leave out, for the log.
func sanitise(answer *Answer, spec *v1alpha1.AIAnalysisSpec, now time.Time) (notes []string) {
	answer.IncidentID = truncate(answer.IncidentID, maxIncidentID)
	sanitiseRootCause(answer, &spec.AnalysisRequest.SignalContext)
	if workflow := answer.Workflow; workflow != nil {
		workflow.Confidence = answer.clamp("selected_workflow.confidence", workflow.Confidence)
		notes = append(notes, sanitiseWorkflow(workflow)...)
	}
	if len(answer.Alternatives) > maxAlternatives {
		answer.Alternatives = answer.Alternatives[:maxAlternatives]
		notes = append(notes, "too many alternative workflows")
	}
	for i := range answer.Alternatives {
		other := &answer.Alternatives[i]
		other.Confidence = answer.clamp(fmt.Sprintf("alternative_workflows[%d].confidence", i), other.Confidence)
		other.Rationale = cut(other.Rationale, maxText)
		other.WorkflowID, other.ContainerImage = truncate(other.WorkflowID, maxID), truncate(other.ContainerImage, maxID)
	}
	notes = append(notes, sanitiseHistory(answer, now)...)
	if recovery := answer.Recovery; recovery != nil {
		recovery.CurrentSignalType = truncate(recovery.CurrentSignalType, maxID)
		if assessment := recovery.PreviousAttemptAssessment; assessment != nil {
			assessment.FailureReasonAnalysis = cut(assessment.FailureReasonAnalysis, maxText)
		}
	}
	if len(answer.Warnings) > maxWarnings {
		answer.Warnings = answer.Warnings[:maxWarnings]
		notes = append(notes, "too many warnings")
	}
	cutAll(answer.Warnings, maxWarning)
	return notes
}

func sanitiseWorkflow(workflow *v1alpha1.SelectedWorkflow) (notes []string) {
	for _, id := range []*string{&workflow.WorkflowID, &workflow.Version, &workflow.ContainerImage, &workflow.ContainerDigest} {
		if short := truncate(*id, maxID); short != *id {
			notes = append(notes, fmt.Sprintf("selected workflow: %q… is too long", truncate(short, 64)))
			*id = short
		}
	}
	if workflow.ContainerImage == "" {
		notes = append(notes, "selected workflow without a container image")
	}
	workflow.Rationale = cut(workflow.Rationale, maxText)
	kept := firstParameters(workflow.Parameters)
	if len(kept) < len(workflow.Parameters) {
		notes = append(notes, fmt.Sprintf("%d parameters left out", len(workflow.Parameters)-len(kept)))
	}
	workflow.Parameters = kept
	return notes
}

func sanitiseRootCause(answer *Answer, signal *v1alpha1.SignalContextInput) {
	if answer.RootCause == nil && answer.RootCauseRefined != "" {
		answer.RootCause = &v1alpha1.RootCauseAnalysis{Summary: answer.RootCauseRefined}
	}
	rca := answer.RootCause
	if rca == nil {
		return
	}
	rca.Summary = cut(rca.Summary, maxText)
	rca.Severity = severity(rca.Severity, signal.Severity)
	if rca.SignalType == "" {
		rca.SignalType = signal.SignalType
	}
	rca.SignalType = cut(rca.SignalType, maxText)
	if len(rca.ContributingFactors) > maxFactors {
		rca.ContributingFactors = rca.ContributingFactors[:maxFactors]
	}
	cutAll(rca.ContributingFactors, maxText)
}

// severity maps any spelling to the four of the schema; what says nothing is replaced by the signal's own severity.
func severity(found, signal string) string {
	for _, candidate := range []string{strings.ToLower(found), strings.ToLower(signal)} {
		switch candidate {
		case "critical", "high", "medium", "low":
			return candidate
		case "warning":
			return "medium"
		case "info":
			return "low"
		}
	}
	return "medium"
}

// clamp cuts a confidence to 0..1 and says so in the warnings.
func (a *Answer) clamp(field string, value float64) float64 {
	limited := math.Min(1, math.Max(0, value))
	if math.IsNaN(value) {
		limited = 0
	}
	if limited != value {
		a.Warnings = append(a.Warnings, fmt.Sprintf("%s %v is outside 0..1, using %v", field, value, limited))
	}
	return limited
}

func sanitiseHistory(answer *Answer, now time.Time) (notes []string) {
	kept := answer.History[:0]
	for _, have := range answer.History {
		if have.Attempt < 1 || have.Attempt > maxAttempts || len(kept) == maxAttempts {
			continue
		}
		if have.Timestamp.IsZero() {
			have.Timestamp = metav1.NewTime(now)
		}
		have.WorkflowID = truncate(have.WorkflowID, maxID)
		have.Errors = have.Errors[:min(len(have.Errors), maxErrors)]
		cutAll(have.Errors, maxText)
		kept = append(kept, have)
	}
	if n := len(answer.History) - len(kept); n > 0 {
		notes = append(notes, fmt.Sprintf("%d validation attempts left out", n))
	}
	answer.History = kept
	return notes
}

func firstParameters(all map[string]string) map[string]string {
	if len(all) == 0 {
		return nil
	}
	kept := make(map[string]string, min(len(all), maxParameters))
	for _, name := range sortedKeys(all) {
		if len(kept) == maxParameters {
			break
		}
		if utf8.RuneCountInString(name) > maxParameterName {
			continue
		}
		kept[name] = cut(all[name], maxText)
	}
	return kept
}

// truncate cuts without an ellipsis: an id must stay a prefix of the real one.
func truncate(text string, limit int) string {
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit])
	}
	return text
}
