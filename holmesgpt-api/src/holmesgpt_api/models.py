"""Request and answer models: the wire interface of December 2025 and what we add.

`X | None` stands exactly where null is allowed. Types are strict: "5" is no integer.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.json_schema import SkipJsonSchema

Str = Annotated[str, Field(max_length=1024)]
LongStr = Annotated[str, Field(max_length=32768)]
Id = Annotated[str, Field(max_length=255)]
RemediationId = Annotated[str, Field(min_length=1, max_length=255)]
Unit = Annotated[float, Field(ge=0, le=1)]
FreeObject = dict[str, Any]
Level = Literal["critical", "high", "medium", "low"]
Risk = Literal["low", "medium", "high"]
ReviewReason = Literal[
    "workflow_not_found",
    "image_mismatch",
    "parameter_validation_failed",
    "no_matching_workflows",
    "low_confidence",
    "llm_parsing_error",
    "investigation_inconclusive",
]
Label = Literal[
    "gitOpsManaged",
    "pdbProtected",
    "hpaEnabled",
    "stateful",
    "helmManaged",
    "networkIsolated",
    "gitOpsTool",
    "serviceMesh",
]


class Wire(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False)


class Camel(Wire):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=False)


class DetectedLabels(Camel):
    git_ops_managed: bool = False
    pdb_protected: bool = False
    hpa_enabled: bool = False
    stateful: bool = False
    helm_managed: bool = False
    network_isolated: bool = False
    git_ops_tool: Str = ""
    service_mesh: Str = ""
    failed_detections: Annotated[list[Label], Field(max_length=1000)] = []


class OwnerChainEntry(Wire):
    kind: Str
    name: Str
    namespace: Str = ""


class EnrichmentResults(Camel):
    kubernetes_context: FreeObject | None = None
    detected_labels: DetectedLabels | None = None
    custom_labels: dict[str, Annotated[list[Str], Field(max_length=1000)]] | None = None
    owner_chain: Annotated[list[OwnerChainEntry], Field(max_length=1000)] | None = None
    enrichment_quality: Unit = 0.0


class IncidentRequest(Wire):
    incident_id: Id
    remediation_id: RemediationId
    signal_type: Str
    severity: Str
    signal_source: Str
    resource_namespace: Str
    resource_kind: Str
    resource_name: Str
    error_message: LongStr
    environment: Str
    priority: Str
    risk_tolerance: Str
    business_category: Str
    cluster_name: Str
    description: LongStr | None = None
    storm_type: Str | None = None
    firing_time: Str | None = None
    received_time: Str | None = None
    first_seen: Str | None = None
    last_seen: Str | None = None
    is_duplicate: bool | None = False
    is_storm: bool | None = False
    occurrence_count: int | None = 0
    storm_signal_count: int | None = 0
    deduplication_window_minutes: int | None = None
    storm_window_minutes: int | None = None
    affected_resources: Annotated[list[Str], Field(max_length=1000)] | None = []
    signal_labels: dict[str, Str] | None = {}
    enrichment_results: EnrichmentResults | None = None


class OriginalRCA(Wire):
    summary: LongStr
    signal_type: Str
    severity: Str
    contributing_factors: Annotated[list[LongStr], Field(max_length=1000)] = []


class SelectedWorkflowSummary(Wire):
    workflow_id: Str
    version: Str
    container_image: Str
    rationale: LongStr
    parameters: dict[str, LongStr] = {}


class ExecutionFailure(Wire):
    failed_step_index: Annotated[int, Field(ge=0)]
    failed_step_name: Str
    reason: Str
    message: LongStr
    failed_at: Str
    execution_time: Str
    exit_code: int | None = None


class PreviousExecution(Wire):
    workflow_execution_ref: Str
    original_rca: OriginalRCA
    selected_workflow: SelectedWorkflowSummary
    failure: ExecutionFailure
    natural_language_summary: LongStr | None = None


class RecoveryRequest(Wire):
    incident_id: Id
    remediation_id: RemediationId
    is_recovery_attempt: bool = False
    recovery_attempt_number: Annotated[int, Field(ge=1)] | None = None
    previous_execution: PreviousExecution | None = None
    enrichment_results: EnrichmentResults | None = None
    signal_type: Str | None = None
    severity: Str | None = None
    resource_namespace: Str | None = None
    resource_kind: Str | None = None
    resource_name: Str | None = None
    error_message: LongStr | None = None
    cluster_name: Str | None = None
    signal_source: Str | None = None
    environment: Str = "unknown"
    priority: Str = "P2"
    risk_tolerance: Str = "medium"
    business_category: Str = "standard"


class AlternativeWorkflow(Wire):
    workflow_id: str
    container_image: str | None = None
    confidence: Unit
    rationale: str


class ValidationAttempt(Wire):
    attempt: Annotated[int, Field(ge=1, le=3)]
    workflow_id: str | None = None
    is_valid: bool
    errors: list[str] = []
    timestamp: str


class IncidentResponse(Wire):
    incident_id: str
    analysis: str
    root_cause_analysis: FreeObject
    selected_workflow: FreeObject | None = None
    confidence: Unit
    timestamp: str
    needs_human_review: bool = False
    human_review_reason: ReviewReason | None = None
    # Absent from the JSON when unknown; never null.
    target_in_owner_chain: bool | SkipJsonSchema[None] = None
    warnings: list[str] = []
    alternative_workflows: list[AlternativeWorkflow] = []
    validation_attempts_history: list[ValidationAttempt] = []


class RecoveryStrategy(Wire):
    action_type: str
    confidence: Unit
    rationale: str
    estimated_risk: Risk
    prerequisites: list[str] = []


class RecoveryResponse(Wire):
    incident_id: str
    can_recover: bool
    analysis_confidence: Unit
    strategies: list[RecoveryStrategy] = []
    primary_recommendation: str | None = None
    warnings: list[str] = []
    metadata: FreeObject = {}
    selected_workflow: FreeObject | None = None
    recovery_analysis: FreeObject | None = None
    needs_human_review: bool = False
    human_review_reason: ReviewReason | None = None
    analysis: str = ""
    root_cause_analysis: FreeObject = {}
    timestamp: str = ""
    target_in_owner_chain: bool | SkipJsonSchema[None] = None
    alternative_workflows: list[AlternativeWorkflow] = []
    validation_attempts_history: list[ValidationAttempt] = []


class Problem(Wire):
    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    source: Literal["request", "auth", "llm", "catalog", "service"]
    field_errors: dict[str, str] = {}
