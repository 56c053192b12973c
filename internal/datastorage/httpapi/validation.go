package httpapi

import (
	"regexp"
	"strings"
	"sync"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// The metrics name a broken rule by field and reason. Both are fixed sets that follow from the contract and from the
// fixed texts: whatever a request holds, it makes no new series.

// reasonsOfTexts are tried in their order.
var reasonsOfTexts = []struct {
	reason string
	text   *regexp.Regexp
}{
	{"required", regexp.MustCompile(`^(is required|must not be empty)$`)},
	{"unknown_parameter", regexp.MustCompile(`^is not a known parameter$`)},
	{"unknown_parent", regexp.MustCompile(`^` + regexp.QuoteMeta(datastorage.TextUnknownParent) + `$`)},
	{"hash_mismatch", regexp.MustCompile(`^must equal the SHA-256 `)},
	{"too_large", regexp.MustCompile(`^(is too large|must be at most \d+ bytes)`)},
	{"length_exceeded", regexp.MustCompile(`^must (be|have) at most \d+ (characters|members|items)`)},
	{"out_of_range", regexp.MustCompile(`^must be (between|at most|at least) [^ ]+( and | (before|after) |$)|^must not be after `)},
}

func reasonLabel(kind datastorage.Kind, text string) string {
	if kind == datastorage.Immutable {
		return "immutable"
	}
	for _, r := range reasonsOfTexts {
		if r.text.MatchString(text) {
			return r.reason
		}
	}
	return "invalid"
}

// fieldLabel is the innermost part of a path that the contract knows: labels.severity is severity, and
// filters.custom_labels.mine is custom_labels.
func fieldLabel(f datastorage.FieldError) string {
	label := "query" // an unknown parameter
	for n, part := range strings.Split(f.Field, ".") {
		name, index, isItem := strings.Cut(part, "[")
		if n == 0 && name == "" && isItem && index != "" {
			label = "batch"
			continue
		}
		if _, known := validationReasons()[name]; !known {
			break
		}
		label = name
	}
	return label
}

var requestSchemas = []string{
	"AuditEventRequest", "RemediationWorkflow", "WorkflowUpdateRequest", "WorkflowDisableRequest", "WorkflowSearchRequest"}

// validationReasons are the fields with what can be wrong with each.
var validationReasons = sync.OnceValue(func() map[string]map[string]bool {
	all := map[string]map[string]bool{}
	add := func(field string, reasons ...string) {
		if all[field] == nil {
			all[field] = map[string]bool{}
		}
		for _, reason := range reasons {
			all[field][reason] = true
		}
	}
	add("body", "required", "invalid", "too_large", "database_rejected")
	add("batch", "invalid", "too_large")
	add("query", "invalid", "length_exceeded", "unknown_parameter")
	add("path", "invalid")
	add("content", "too_large")
	add("parameters", "too_large")
	add("content_hash", "hash_mismatch")
	add("event_timestamp", "out_of_range")
	add("parent_event_id", "unknown_parent")
	for _, parameters := range queryParams {
		for name := range parameters {
			add(name, "invalid", "out_of_range")
		}
	}
	for _, name := range requestSchemas {
		addReasons(contract()[name], add)
	}
	for name := range contract()["RemediationWorkflow"].Properties {
		if _, mutable := contract()["WorkflowUpdateRequest"].Properties[name]; !mutable {
			add(name, "immutable")
		}
	}
	return all
})

func addReasons(s *schema, add func(field string, reasons ...string)) {
	s = resolve(s)
	if s.Items != nil {
		addReasons(s.Items, add)
	}
	for name, property := range s.Properties {
		add(name, "invalid")
		if p := resolve(property); p.MaxLength != nil || p.MaxItems != nil || p.MaxProperties != nil {
			add(name, "length_exceeded")
		} else if p.Minimum != nil || p.Maximum != nil {
			add(name, "out_of_range")
		}
		addReasons(property, add)
	}
	for _, name := range s.Required {
		add(name, "required")
	}
}
