"""From the model's text to a verdict, or to the sentence that tells the model what was wrong."""

from __future__ import annotations

import json
import math
import re
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, ValidationError, field_validator

from holmesgpt_api.decode import field_errors
from holmesgpt_api.investigation.subject import Resource
from holmesgpt_api.models import Unit, Wire

MAX_TEXT_BYTES = 262144
MAX_DEPTH = 32
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class ParseError(Exception):
    """The attempt's error, in words for the model."""


class AffectedResource(Wire):
    kind: str = ""
    name: str = ""
    namespace: str | None = None


class RootCause(Wire):
    summary: Annotated[str, Field(min_length=1)]
    severity: str | None = None
    signal_type: str | None = None
    contributing_factors: Annotated[list[str], Field(max_length=64)] | None = None
    affected_resource: AffectedResource | None = Field(
        None, validation_alias=AliasChoices("affected_resource", "affectedResource")
    )

    def resource(self) -> Resource | None:
        """None when it is not named."""
        found = self.affected_resource
        if found is None or not found.kind or not found.name:
            return None
        return Resource(found.kind, found.namespace or "", found.name)


class ProposedWorkflow(Wire):
    workflow_id: str
    confidence: Unit | None = None
    rationale: str | None = None
    version: str | None = None
    container_image: str | None = None
    parameters: Annotated[dict[str, Any], Field(max_length=100)] | None = None


class ProposedAlternative(Wire):
    workflow_id: str
    confidence: Unit = 0.0
    rationale: str | None = None


class Verdict(Wire):
    root_cause_analysis: RootCause
    selected_workflow: ProposedWorkflow | None = None
    alternative_workflows: list[ProposedAlternative] | None = None
    confidence: Unit | None = None
    investigation_outcome: Literal["resolved", "inconclusive"] | None = None
    can_recover: bool | None = None
    strategies: list[Any] | None = None
    recovery_analysis: dict[str, Any] | None = None

    @field_validator("selected_workflow", mode="before")
    @classmethod
    def _no_id_is_no_workflow(cls, value: Any) -> Any:
        return value if not isinstance(value, dict) or value.get("workflow_id") else None

    @field_validator("alternative_workflows", mode="before")
    @classmethod
    def _drop_without_id(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [entry for entry in value if not isinstance(entry, dict) or entry.get("workflow_id")]


def prose(text: str) -> str:
    """The text without its fenced blocks."""
    kept, inside = [], False
    for line in text.splitlines():
        if not inside and line.rstrip() in ("```", "```json"):
            inside = True
        elif inside and line.rstrip() == "```":
            inside = False
        elif not inside:
            kept.append(line)
    return "\n".join(kept).strip()


def parse(text: str) -> Verdict:
    if not text.strip():
        raise ParseError("answer is empty")
    if len(text.encode(errors="replace")) > MAX_TEXT_BYTES:
        raise ParseError(f"answer is longer than {MAX_TEXT_BYTES} bytes")
    return _shape(_find(text))


def _find(text: str) -> dict[str, Any]:
    """The last block that is an object with a root cause; without any block, the whole text."""
    closed, is_open = _blocks(text)
    for block in reversed(closed):
        value, _ = _load(block)
        if isinstance(value, dict) and "root_cause_analysis" in value:
            return value
    if is_open:
        raise ParseError("JSON block is not closed")
    if not closed:
        value, _ = _load(text.strip())
        if isinstance(value, dict):
            return value
        raise ParseError("answer has no JSON block")
    value, place = _load(closed[-1])
    if isinstance(value, dict):
        return value
    raise ParseError(f"JSON block is not valid at {place}")


def _blocks(text: str) -> tuple[list[str], bool]:
    closed: list[str] = []
    current: list[str] | None = None
    for line in text.splitlines():
        mark = line.rstrip()
        if current is None and mark in ("```", "```json"):
            current = []
        elif current is not None and mark == "```":
            closed.append("\n".join(current))
            current = None
        elif current is not None:
            current.append(line)
    return closed, current is not None


def _load(block: str) -> tuple[Any, str]:
    """The value, or None and the place where it stops being JSON."""

    def refuse(constant: str) -> Any:
        raise json.JSONDecodeError(constant, block, max(block.find(constant), 0))

    try:
        value = json.loads(block, parse_constant=refuse)
    except json.JSONDecodeError as error:
        return None, f"line {error.lineno} column {error.colno}"
    except (RecursionError, ValueError):
        return None, "line 1 column 1"
    return (value, "line 1 column 1") if _sane(value) else (None, "line 1 column 1")


def _sane(root: Any) -> bool:
    """Bounded depth, finite numbers, storable text."""
    stack = [(root, 1)]
    while stack:
        value, depth = stack.pop()
        if isinstance(value, (dict, list)):
            if depth > MAX_DEPTH:
                return False
            items = [*value.keys(), *value.values()] if isinstance(value, dict) else value
            stack += [(item, depth + 1) for item in items]
        elif not _storable(value):
            return False
    return True


def _storable(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, str) or UNSTORABLE.search(value) is None


def _shape(value: dict[str, Any]) -> Verdict:
    try:
        verdict = Verdict.model_validate(value)
    except ValidationError as error:
        raise ParseError(_shape_text(field_errors(error))) from None
    chosen = verdict.selected_workflow
    if chosen is not None and chosen.confidence is None:
        if verdict.confidence is None:
            raise ParseError(_shape_text({"selected_workflow.confidence": "is required"}))
        chosen = chosen.model_copy(update={"confidence": verdict.confidence})
        verdict = verdict.model_copy(update={"selected_workflow": chosen})
    return verdict


def _shape_text(errors: dict[str, str]) -> str:
    return "JSON block: " + "; ".join(f"{path} {text}" for path, text in errors.items())
