"""The specification of the wire interface, written down once more.

A line is a member: its name (! when it must be present), its type, its bounds, its default and ? when it may be null.
"""

TEXT = " string ..1024"
REQUIRED_TEXT = (
    "signal_type severity signal_source resource_namespace resource_kind resource_name environment priority "
    "risk_tolerance business_category cluster_name"
)
LABELS = [
    "gitOpsManaged",
    "pdbProtected",
    "hpaEnabled",
    "stateful",
    "helmManaged",
    "networkIsolated",
    "gitOpsTool",
    "serviceMesh",
]
REASON = (
    "workflow_not_found|image_mismatch|parameter_validation_failed|no_matching_workflows|low_confidence"
    "|llm_parsing_error|investigation_inconclusive"
)


def lines(names: str, rest: str) -> str:
    return "\n".join(name + rest for name in names.split())


REQUESTS = {
    "IncidentRequest": f"""
incident_id! string ..255
remediation_id! string 1..255
{lines(REQUIRED_TEXT, "!" + TEXT)}
error_message! string ..32768
description string ..32768 ?
{lines("storm_type firing_time received_time first_seen last_seen", TEXT + " ?")}
{lines("is_duplicate is_storm", " boolean =False ?")}
{lines("occurrence_count storm_signal_count", " integer =0 ?")}
{lines("deduplication_window_minutes storm_window_minutes", " integer ?")}
affected_resources [string ..1024] ..1000 ?
signal_labels {{string ..1024}} ?
enrichment_results EnrichmentResults ?""",
    "EnrichmentResults": """
kubernetesContext {any} ?
detectedLabels DetectedLabels ?
customLabels {[string ..1024] ..1000} ?
ownerChain [OwnerChainEntry] ..1000 ?
enrichmentQuality number 0..1 =0.0""",
    "DetectedLabels": f"""
{lines(" ".join(LABELS[:6]), " boolean =False")}
{lines(" ".join(LABELS[6:]), TEXT + " =")}
failedDetections [string {"|".join(LABELS)}] ..1000 =[]""",
    "OwnerChainEntry": f"""
{lines("kind name", "!" + TEXT)}
namespace{TEXT} =""",
    "RecoveryRequest": f"""
incident_id! string ..255
remediation_id! string 1..255
is_recovery_attempt boolean =False
recovery_attempt_number integer 1.. ?
previous_execution PreviousExecution ?
enrichment_results EnrichmentResults ?
{lines("signal_type severity resource_namespace resource_kind resource_name cluster_name signal_source", TEXT + " ?")}
error_message string ..32768 ?
environment{TEXT} =unknown
priority{TEXT} =P2
risk_tolerance{TEXT} =medium
business_category{TEXT} =standard""",
    "PreviousExecution": f"""
workflow_execution_ref!{TEXT}
original_rca! OriginalRCA
selected_workflow! SelectedWorkflowSummary
failure! ExecutionFailure
natural_language_summary string ..32768 ?""",
    "OriginalRCA": f"""
summary! string ..32768
{lines("signal_type severity", "!" + TEXT)}
contributing_factors [string ..32768] ..1000 =[]""",
    "SelectedWorkflowSummary": f"""
{lines("workflow_id version container_image", "!" + TEXT)}
rationale! string ..32768
parameters {{string ..32768}}""",
    "ExecutionFailure": f"""
failed_step_index! integer 0..
{lines("failed_step_name reason failed_at execution_time", "!" + TEXT)}
message! string ..32768
exit_code integer ?""",
}
REVIEW = f"""
needs_human_review boolean =False
human_review_reason string {REASON} ?
target_in_owner_chain boolean
alternative_workflows [AlternativeWorkflow] =[]
validation_attempts_history [ValidationAttempt] =[]
warnings [string] =[]
selected_workflow {{any}} ?"""
ANSWERS = {
    "IncidentResponse": f"""
incident_id! string
analysis! string
root_cause_analysis! {{any}}
confidence! number 0..1
timestamp! string{REVIEW}""",
    "RecoveryResponse": f"""
incident_id! string
can_recover! boolean
analysis_confidence! number 0..1
strategies [RecoveryStrategy] =[]
primary_recommendation string ?
metadata {{any}}
recovery_analysis {{any}} ?
analysis string =
root_cause_analysis {{any}}
timestamp string ={REVIEW}""",
    "AlternativeWorkflow": """
workflow_id! string
container_image string ?
confidence! number 0..1
rationale! string""",
    "ValidationAttempt": """
attempt! integer 1..3
workflow_id string ?
is_valid! boolean
errors [string] =[]
timestamp! string""",
    "RecoveryStrategy": """
action_type! string
confidence! number 0..1
rationale! string
estimated_risk! string low|medium|high
prerequisites [string] =[]""",
    "Problem": """
type! string
title! string
status! integer
detail! string
instance! string
request_id! string
source! string request|auth|llm|catalog|service
field_errors {string}""",
}
