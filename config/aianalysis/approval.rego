# Decides whether a human must approve the workflow that an analysis has chosen.
#
# Each rule that holds adds its text under its id. The reason is the text of the first id in `order` that holds, so two reasons can
# never apply at once; `matched_rules` names all that hold, in the same order. No rule holds: the workflow is approved.
package aianalysis.approval

default require_approval := false

require_approval if count(matched_rules) > 0

default reason := "Auto-approved"

reason := holds[matched_rules[0]]

matched_rules := [id | some id in order; holds[id]]

order := [
	"recovery-escalation",
	"unvalidated-target",
	"failed-detections",
	"warnings",
	"stateful-workload",
	"production",
]

production if input.environment == "production"

holds["recovery-escalation"] := sprintf("Recovery attempt %d: human approval required", [input.recovery_attempt_number]) if {
	input.is_recovery_attempt
	input.recovery_attempt_number >= 3
}

holds["unvalidated-target"] := "Production target is not in the owner chain" if {
	production
	not input.target_in_owner_chain
}

holds["failed-detections"] := sprintf("Label detection failed: %s", [concat(", ", sort(input.failed_detections))]) if {
	count(input.failed_detections) > 0
	failed_detections_matter
}

holds["warnings"] := sprintf("Production analysis has %d warning(s)", [count(input.warnings)]) if {
	production
	count(input.warnings) > 0
}

holds["stateful-workload"] := "Production workload is stateful" if {
	production
	input.detected_labels.stateful
}

holds["production"] := "Production environment" if production

# Whether GitOps or a disruption budget is in the way matters everywhere; the other detections matter in production.
failed_detections_matter if production

failed_detections_matter if {
	some field in input.failed_detections
	field in {"gitOpsManaged", "pdbProtected"}
}
