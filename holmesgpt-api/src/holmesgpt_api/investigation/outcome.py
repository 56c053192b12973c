"""The outcome table: from the findings to what is answered. First row that holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from holmesgpt_api.catalog import Workflow
from holmesgpt_api.investigation.correct import Findings
from holmesgpt_api.investigation.subject import Subject
from holmesgpt_api.investigation.validate import REASONS
from holmesgpt_api.models import ReviewReason

Name = Literal["workflow", "resolved", "no_recovery", "review"]


@dataclass(frozen=True)
class Outcome:
    name: Name
    confidence: float
    workflow: Workflow | None = None
    reason: ReviewReason | None = None
    warnings: list[str] = field(default_factory=list)
    exhausted: bool = False  # no answer of the model was valid


def decide(findings: Findings, subject: Subject, threshold: float) -> Outcome:
    verdict = findings.verdict
    if findings.exhausted or verdict is None:
        reason = exhausted_reason(findings)
        return Outcome("review", 0.0, reason=reason, warnings=["No valid answer after 3 attempts"], exhausted=True)
    overall = round(verdict.confidence or 0.0, 4)
    if subject.kind == "recovery" and verdict.can_recover is False:
        return Outcome("no_recovery", overall)
    if verdict.investigation_outcome is not None:
        return _without_workflow(verdict.investigation_outcome, findings, overall, threshold)
    if findings.workflow is None or verdict.selected_workflow is None:
        warnings = ["No workflows matched the search criteria"]
        return Outcome("review", overall, reason="no_matching_workflows", warnings=warnings)
    confidence = round(verdict.selected_workflow.confidence or 0.0, 4)
    if (verdict.selected_workflow.confidence or 0.0) < threshold:
        warning = f"Confidence {confidence:.2f} is below the threshold {threshold:.2f}"
        return Outcome("review", confidence, findings.workflow, "low_confidence", [warning])
    return Outcome("workflow", confidence, findings.workflow)


def _without_workflow(said: str, findings: Findings, overall: float, threshold: float) -> Outcome:
    if said == "resolved" and overall >= threshold:
        named = ["Answer says resolved but names a workflow; the workflow is not returned"]
        return Outcome("resolved", overall, warnings=named if findings.workflow else [])
    warnings = ["Investigation inconclusive"]
    return Outcome("review", overall, reason="investigation_inconclusive", warnings=warnings)


def exhausted_reason(findings: Findings) -> ReviewReason:
    """That of the last attempt: the first kind present."""
    present = {flaw.kind for flaw in findings.attempts[-1].flaws}
    return next(reason for kind, reason in REASONS.items() if kind in present)
