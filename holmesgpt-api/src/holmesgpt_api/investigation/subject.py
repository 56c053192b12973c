"""What is investigated: one shape for both requests, with the gaps of a recovery filled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from holmesgpt_api.models import (
    EnrichmentResults,
    IncidentRequest,
    OwnerChainEntry,
    PreviousExecution,
    RecoveryRequest,
)

Kind = Literal["incident", "recovery"]
LEVELS = ("critical", "high", "medium", "low")


@dataclass(frozen=True)
class Resource:
    kind: str
    namespace: str
    name: str


@dataclass(frozen=True)
class Subject:
    kind: Kind
    incident_id: str
    remediation_id: str
    signal_type: str
    severity: str
    environment: str
    priority: str
    resource: Resource
    # None: not known. Empty: known to have no owner.
    owner_chain: tuple[Resource, ...] | None
    detected_labels: dict[str, bool | str]
    custom_labels: dict[str, list[str]]
    kubernetes_context: dict[str, Any]
    previous: PreviousExecution | None
    # What only the prompt needs, in its order.
    signal: dict[str, Any] = field(default_factory=dict)
    business: dict[str, Any] = field(default_factory=dict)


def level(severity: str | None, otherwise: str = "medium") -> str:
    """One of the four levels; warning and info have their place, anything else takes `otherwise`."""
    word = (severity or "").strip().lower()
    if word in LEVELS:
        return word
    return {"warning": "medium", "info": "low"}.get(word, otherwise)


def from_incident(request: IncidentRequest) -> Subject:
    names = (
        "severity signal_source cluster_name firing_time received_time first_seen last_seen is_duplicate "
        "occurrence_count deduplication_window_minutes is_storm storm_type storm_signal_count storm_window_minutes "
        "affected_resources signal_labels error_message description"
    )
    return _subject("incident", request, request.signal_type, request.severity, names)


def from_recovery(request: RecoveryRequest) -> Subject:
    rca = request.previous_execution.original_rca if request.previous_execution else None
    signal_type = request.signal_type or (rca.signal_type if rca else "")
    severity = request.severity or (rca.severity if rca else "") or "medium"
    names = "severity signal_source cluster_name recovery_attempt_number error_message"
    return _subject("recovery", request, signal_type, severity, names)


def _subject(
    kind: Kind, request: IncidentRequest | RecoveryRequest, signal_type: str, severity: str, names: str
) -> Subject:
    enrichment = request.enrichment_results or EnrichmentResults()
    signal = {
        name: getattr(request, name) for name in names.split() if getattr(request, name) not in (None, "", [], {})
    }
    signal["severity"] = severity
    return Subject(
        kind=kind,
        incident_id=request.incident_id,
        remediation_id=request.remediation_id,
        signal_type=signal_type.strip() or "Unknown",
        severity=severity,
        environment=request.environment,
        priority=request.priority,
        resource=Resource(request.resource_kind or "", request.resource_namespace or "", request.resource_name or ""),
        owner_chain=_chain(enrichment.owner_chain),
        detected_labels=_labels(enrichment),
        custom_labels=dict(enrichment.custom_labels or {}),
        kubernetes_context=dict(enrichment.kubernetes_context or {}),
        previous=getattr(request, "previous_execution", None),
        signal=signal,
        business={
            "environment": request.environment,
            "priority": request.priority,
            "risk_tolerance": request.risk_tolerance,
            "business_category": request.business_category,
        },
    )


def _chain(entries: list[OwnerChainEntry] | None) -> tuple[Resource, ...] | None:
    if entries is None:
        return None
    return tuple(Resource(entry.kind, entry.namespace, entry.name) for entry in entries)


def _labels(enrichment: EnrichmentResults) -> dict[str, bool | str]:
    """True booleans and strings with content, without what could not be detected."""
    labels = enrichment.detected_labels
    if labels is None:
        return {}
    failed: set[str] = set(labels.failed_detections)
    if "gitOpsManaged" in failed:
        failed.add("gitOpsTool")
    found = labels.model_dump(by_alias=True, exclude={"failed_detections"})
    return {name: value for name, value in found.items() if value and name not in failed}
