"""From the outcome to the two answers of the interface."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from holmesgpt_api import logs
from holmesgpt_api.catalog import Workflow
from holmesgpt_api.investigation.correct import Findings
from holmesgpt_api.investigation.outcome import Outcome
from holmesgpt_api.investigation.owners import target_in_owner_chain
from holmesgpt_api.investigation.parse import Verdict
from holmesgpt_api.investigation.subject import Subject, level
from holmesgpt_api.investigation.validate import output
from holmesgpt_api.models import (
    AlternativeWorkflow,
    IncidentResponse,
    RecoveryResponse,
    RecoveryStrategy,
    ValidationAttempt,
)

MAX_TEXT = 32768
UNREADABLE = "The model's answer could not be read"


def incident(
    subject: Subject, findings: Findings, outcome: Outcome, alternatives: list[AlternativeWorkflow]
) -> dict[str, Any]:
    common = _common(subject, findings, outcome, alternatives)
    body = IncidentResponse(incident_id=subject.incident_id, confidence=outcome.confidence, **common)
    return _dump(body)


def recovery(
    subject: Subject,
    findings: Findings,
    outcome: Outcome,
    alternatives: list[AlternativeWorkflow],
    metadata: dict[str, Any],
) -> dict[str, Any]:
    common = _common(subject, findings, outcome, alternatives)
    strategies = _strategies(findings, outcome)
    body = RecoveryResponse(
        incident_id=subject.incident_id,
        can_recover=outcome.workflow is not None,
        analysis_confidence=outcome.confidence,
        strategies=strategies,
        primary_recommendation=strategies[0].action_type if strategies else None,
        metadata=metadata | {"attempts": len(findings.attempts), "tool_calls": findings.tool_calls},
        recovery_analysis=None if outcome.exhausted else recovery_analysis(subject, findings.verdict),
        **common,
    )
    return _dump(body)


def _common(
    subject: Subject, findings: Findings, outcome: Outcome, alternatives: list[AlternativeWorkflow]
) -> dict[str, Any]:
    cause = root_cause(subject, findings.verdict)
    named = findings.verdict.root_cause_analysis.resource() if findings.verdict else None
    inside, warnings = target_in_owner_chain(named, subject)
    history = [
        ValidationAttempt(
            attempt=a.number, workflow_id=a.workflow_id, is_valid=not a.flaws, errors=a.errors, timestamp=a.timestamp
        )
        for a in findings.attempts
    ]
    return {
        "analysis": (findings.analysis or cause["summary"])[:MAX_TEXT],
        "root_cause_analysis": cause,
        "selected_workflow": _selected(outcome.workflow, findings.verdict),
        "timestamp": logs.now_ms(),
        "needs_human_review": outcome.reason is not None,
        "human_review_reason": outcome.reason,
        "target_in_owner_chain": inside,
        "warnings": [*outcome.warnings, *warnings],
        "alternative_workflows": alternatives,
        "validation_attempts_history": history,
    }


def root_cause(subject: Subject, verdict: Verdict | None) -> dict[str, Any]:
    by_request = level(subject.severity)
    if verdict is None:
        return {
            "summary": UNREADABLE,
            "severity": by_request,
            "signal_type": subject.signal_type,
            "contributing_factors": [],
        }
    said = verdict.root_cause_analysis
    cause: dict[str, Any] = {
        "summary": said.summary[:MAX_TEXT],
        "severity": level(said.severity, otherwise=by_request),
        "signal_type": said.signal_type or subject.signal_type,
        "contributing_factors": [factor[:MAX_TEXT] for factor in said.contributing_factors or []],
    }
    if resource := said.resource():
        cause["affected_resource"] = {
            "kind": resource.kind,
            "name": resource.name,
            "namespace": resource.namespace,
        }
    return cause


def _selected(row: Workflow | None, verdict: Verdict | None) -> dict[str, Any] | None:
    """Id, confidence, rationale and parameters from the verdict; everything else from the catalog."""
    if row is None or verdict is None or verdict.selected_workflow is None:
        return None
    said = verdict.selected_workflow
    selected: dict[str, Any] = {
        "workflow_id": row.workflow_id,
        "version": row.version,
        "title": row.title,
        "container_image": row.container_image,
        "confidence": round(said.confidence or 0.0, 4),
        "rationale": (said.rationale or "")[:MAX_TEXT],
        "parameters": output(row, said.parameters or {}),
    }
    if row.container_digest:
        selected["container_digest"] = row.container_digest
    return selected


def _strategies(findings: Findings, outcome: Outcome) -> list[RecoveryStrategy]:
    """The verdict's valid entries, else one made of the workflow; none when nothing can be recovered."""
    if outcome.workflow is None or findings.verdict is None:
        return []
    found: list[RecoveryStrategy] = []
    for entry in findings.verdict.strategies or []:
        try:
            found.append(RecoveryStrategy.model_validate(entry))
        except ValidationError:
            continue
    if found:
        return found[:10]
    said = findings.verdict.selected_workflow
    return [
        RecoveryStrategy(
            action_type=outcome.workflow.name,
            confidence=outcome.confidence,
            rationale=(said.rationale if said else None) or "",
            estimated_risk="medium",
        )
    ]


def recovery_analysis(subject: Subject, verdict: Verdict | None) -> dict[str, Any]:
    """Normalised: the verdict may give the four members nested or flat."""
    given = (verdict.recovery_analysis if verdict else None) or {}
    nested = given.get("previous_attempt_assessment")
    said = {**given, **nested} if isinstance(nested, dict) else given

    def word(key: str, otherwise: str) -> str:
        value = said.get(key)
        return value[:MAX_TEXT] if isinstance(value, str) and value else otherwise

    changed = said.get("state_changed") is True
    signal_type = word("current_signal_type", subject.signal_type)
    assessment = {
        "failure_understood": said.get("failure_understood") is True,
        "failure_reason_analysis": word("failure_reason_analysis", ""),
        "state_changed": changed,
        "current_signal_type": signal_type,
    }
    return {
        "previous_attempt_assessment": assessment,
        "root_cause_refinement": word("root_cause_refinement", ""),
        "state_changed": changed,
        "current_signal_type": signal_type,
    }


def _dump(body: IncidentResponse | RecoveryResponse) -> dict[str, Any]:
    answer = body.model_dump(mode="json")
    if answer["target_in_owner_chain"] is None:
        del answer["target_in_owner_chain"]
    return answer
