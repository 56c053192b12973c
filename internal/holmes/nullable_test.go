package holmes

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	generated "github.com/kubernaut-ai/kubernaut/api/openapi/holmesgpt"
)

var generatedTypes = map[string]reflect.Type{
	"AlternativeWorkflow": reflect.TypeFor[generated.AlternativeWorkflow](), "DetectedLabels": reflect.TypeFor[generated.DetectedLabels](),
	"EnrichmentResults": reflect.TypeFor[generated.EnrichmentResults](), "ExecutionFailure": reflect.TypeFor[generated.ExecutionFailure](),
	"IncidentRequest": reflect.TypeFor[generated.IncidentRequest](), "IncidentResponse": reflect.TypeFor[generated.IncidentResponse](),
	"OriginalRCA": reflect.TypeFor[generated.OriginalRCA](), "OwnerChainEntry": reflect.TypeFor[generated.OwnerChainEntry](),
	"PreviousExecution": reflect.TypeFor[generated.PreviousExecution](), "Problem": reflect.TypeFor[generated.Problem](),
	"RecoveryRequest": reflect.TypeFor[generated.RecoveryRequest](), "RecoveryResponse": reflect.TypeFor[generated.RecoveryResponse](),
	"RecoveryStrategy": reflect.TypeFor[generated.RecoveryStrategy](), "SelectedWorkflowSummary": reflect.TypeFor[generated.SelectedWorkflowSummary](),
	"ValidationAttempt": reflect.TypeFor[generated.ValidationAttempt](),
}

// The members that the specification marks N, and no other.
var nullable = map[string]string{
	"AlternativeWorkflow": "container_image",
	"EnrichmentResults":   "kubernetesContext detectedLabels customLabels ownerChain",
	"ExecutionFailure":    "exit_code",
	"IncidentRequest": "description storm_type firing_time received_time first_seen last_seen is_duplicate is_storm occurrence_count " +
		"storm_signal_count deduplication_window_minutes storm_window_minutes affected_resources signal_labels enrichment_results",
	"IncidentResponse":  "selected_workflow human_review_reason",
	"PreviousExecution": "natural_language_summary",
	"RecoveryRequest": "recovery_attempt_number previous_execution enrichment_results signal_type severity resource_namespace " +
		"resource_kind resource_name error_message cluster_name signal_source",
	"RecoveryResponse":  "primary_recommendation selected_workflow recovery_analysis human_review_reason",
	"ValidationAttempt": "workflow_id",
}

// ogen makes an OptNil type of exactly the members that may be null, and a map of each free object.
func TestGeneratedTypesOfNullableAndFreeMembers(t *testing.T) {
	schemas := readContract(t).Components.Schemas
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		kind, known := generatedTypes[name]
		if !known {
			t.Errorf("schema %s: no generated type is named here", name)
			continue
		}
		may := strings.Fields(nullable[name])
		for member, is := range members(kind) {
			if got, want := strings.HasPrefix(is.kind.Name(), "OptNil"), slices.Contains(may, member); got != want {
				t.Errorf("%s.%s is a %s; may be null: %t", name, member, is.kind.Name(), want)
			}
			free := schemas[name].Properties[member]
			if len(free.AnyOf) > 0 {
				free = free.AnyOf[0]
			}
			if string(free.AdditionalProperties) == "true" && held(is.kind).Kind() != reflect.Map {
				t.Errorf("%s.%s is free and a %s", name, member, is.kind)
			}
		}
		if len(members(kind)) != len(schemas[name].Properties) {
			t.Errorf("%s has %d members, its type %d", name, len(schemas[name].Properties), len(members(kind)))
		}
	}
}

// held is what an optional type holds.
func held(kind reflect.Type) reflect.Type {
	if kind.Kind() == reflect.Struct {
		if field, found := kind.FieldByName("Value"); found {
			return field.Type
		}
	}
	return kind
}
