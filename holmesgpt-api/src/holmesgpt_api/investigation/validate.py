"""Checks of a proposed workflow against the catalog's row; pure functions."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from holmesgpt_api.catalog import Workflow
from holmesgpt_api.investigation.parse import ProposedWorkflow
from holmesgpt_api.models import PreviousExecution, ReviewReason

ErrorKind = Literal["parse", "workflow", "image", "parameter", "repeats"]
# What a person is told; of several kinds the first that is present counts.
REASONS: dict[ErrorKind, ReviewReason] = {
    "parse": "llm_parsing_error",
    "workflow": "workflow_not_found",
    "image": "image_mismatch",
    "parameter": "parameter_validation_failed",
    "repeats": "no_matching_workflows",
}
TYPES = {"int": "integer", "float": "number", "bool": "boolean"}


@dataclass(frozen=True)
class Flaw:
    kind: ErrorKind
    text: str


def cut(value: Any) -> str:
    """A value from the model, as an error may quote it."""
    return (value if isinstance(value, str) else to_text(value))[:64]


def check(proposed: ProposedWorkflow, row: Workflow | None, previous: PreviousExecution | None) -> list[Flaw]:
    """The flaws of the first rule that finds any; none means valid."""
    named = cut(proposed.workflow_id)
    if row is None:
        return [Flaw("workflow", f"workflow '{named}' is not in the catalog")]
    if row.status != "active":
        return [Flaw("workflow", f"workflow '{named}' is not active ({row.status})")]
    if proposed.container_image and proposed.container_image != row.container_image:
        said = f"answer says '{cut(proposed.container_image)}', catalog says '{row.container_image}'"
        return [Flaw("image", f"container image mismatch for workflow '{named}': {said}; leave container_image out")]
    parameters = proposed.parameters or {}
    if flaws := [flaw for entry in row.parameters for flaw in check_parameter(entry, parameters)]:
        return flaws
    if previous is not None and _repeats(row, parameters, previous):
        return [Flaw("repeats", f"workflow '{named}' with the same parameters is the one that failed")]
    return []


def _repeats(row: Workflow, parameters: dict[str, Any], previous: PreviousExecution) -> bool:
    former = previous.selected_workflow
    if former.workflow_id.lower() != row.workflow_id and former.workflow_id != row.name:
        return False
    return output(row, parameters) == former.parameters


def check_parameter(entry: dict[str, Any], given: dict[str, Any]) -> list[Flaw]:
    name = entry["name"]
    if given.get(name) is None:
        required = entry.get("required") is True
        return [Flaw("parameter", f"missing required parameter '{name}'")] if required else []
    wanted = TYPES.get(str(entry.get("type", "")), entry.get("type"))
    fits, value = as_type(given[name], wanted)
    if not fits:
        return [Flaw("parameter", f"parameter '{name}': expected {wanted}, got '{cut(given[name])}'")]
    texts = [_length(entry, value), _range(entry, value), _choice(entry, value), _pattern(entry, value)]
    texts.append(_depends(entry, given))
    return [Flaw("parameter", f"parameter '{name}': {text}") for text in texts if text]


def as_type(value: Any, wanted: Any) -> tuple[bool, Any]:
    """Whether it is of the type, and the value; a text that is the exact JSON literal of the type counts."""
    if wanted == "string":
        return isinstance(value, str), value
    if wanted not in ("integer", "number", "boolean", "array"):
        return True, value
    if isinstance(value, str):
        try:
            value = json.loads(value, parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            return False, value
    if wanted == "boolean":
        return isinstance(value, bool), value
    if wanted == "array":
        return isinstance(value, list), value
    allowed = (int,) if wanted == "integer" else (int, float)
    return isinstance(value, allowed) and not isinstance(value, bool), value


def _length(entry: dict[str, Any], value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return _between("length ", len(value), entry.get("min_length"), entry.get("max_length"))


def _range(entry: dict[str, Any], value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return _between("", value, entry.get("minimum"), entry.get("maximum"))


def _between(what: str, value: float, low: Any, high: Any) -> str | None:
    low = low if isinstance(low, (int, float)) else None
    high = high if isinstance(high, (int, float)) else None
    if (low is None or value >= low) and (high is None or value <= high):
        return None
    if low is not None and high is not None:
        return f"{what}must be between {low} and {high}"
    return f"{what}must be at least {low}" if low is not None else f"{what}must be at most {high}"


def _choice(entry: dict[str, Any], value: Any) -> str | None:
    allowed = entry.get("enum")
    if not isinstance(allowed, list) or not allowed:
        return None
    texts = [to_text(choice) for choice in allowed]
    return None if to_text(value) in texts else f"must be one of: {', '.join(texts)}"


def _pattern(entry: dict[str, Any], value: Any) -> str | None:
    pattern = entry.get("pattern")
    if not isinstance(pattern, str) or not isinstance(value, str):
        return None
    try:
        fits = len(value) <= 1024 and re.fullmatch(pattern, value) is not None
    except re.error:
        return None  # the catalog's mistake, not the model's
    return None if fits else f"does not match '{pattern}'"


def _depends(entry: dict[str, Any], given: dict[str, Any]) -> str | None:
    needs = entry.get("depends_on")
    names = [needs] if isinstance(needs, str) else needs if isinstance(needs, list) else []
    absent = [str(name) for name in names if given.get(str(name)) is None]
    return f"needs {', '.join(repr(name) for name in absent)}" if absent else None


def output(row: Workflow, parameters: dict[str, Any]) -> dict[str, str]:
    """Every value a string; what the schema does not name is left out, with no schema all pass."""
    names = {entry["name"] for entry in row.parameters}
    return {
        name: to_text(value) for name, value in parameters.items() if value is not None and (not names or name in names)
    }


def to_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
