"""The tool `search_workflow_catalog`: one instance for each attempt."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from holmesgpt_api import errors
from holmesgpt_api.catalog import Catalog, SearchRefusedError, Workflow
from holmesgpt_api.investigation.owners import related
from holmesgpt_api.investigation.subject import Resource, Subject, level
from holmesgpt_api.investigator.protocol import Tool, ToolResult

NAME = "search_workflow_catalog"
MAX_SEARCHES = 8
UNAVAILABLE = "workflow catalog unavailable"
PRIORITIES = {"critical": "P0", "high": "P1", "medium": "P2", "low": "P3"}
SHORT_KINDS = {"replicaset": "deployment", "persistentvolumeclaim": "pvc", "persistentvolume": "pv"}
# Values that Data Storage knows; it refuses a search with any other.
LABEL_VALUES = {"gitOpsTool": ("argocd", "flux", "*"), "serviceMesh": ("istio", "linkerd", "*")}
PARAMETER_KEYS = frozenset(
    {"name", "type", "required", "description", "default", "enum", "pattern", "depends_on"}
    | {"min_length", "max_length", "minimum", "maximum"}
)
DESCRIPTION = (
    "Search the catalog of remediation workflows. query is '<signal type> <severity>' of the root cause; "
    "rca_resource is the resource at fault. The score tells how specific the labels are, not how good the workflow is."
)
_WORD = {"type": "string"}
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "query": {"type": "string", "description": "<signal_type> <severity>"},
        "rca_resource": {
            "type": "object",
            "properties": {"signal_type": _WORD, "kind": _WORD, "namespace": _WORD, "name": _WORD},
            "required": ["signal_type", "kind", "namespace", "name"],
        },
        "top_k": {"type": "integer", "minimum": 1, "maximum": 10},
    },
    "required": ["query", "rca_resource"],
}


class CatalogSearch:
    """Counts its searches; `all_failed` tells whether every one of them failed for the catalog's sake."""

    def __init__(self, catalog: Catalog, subject: Subject, max_bytes: int) -> None:
        self._catalog = catalog
        self._subject = subject
        self._max_bytes = max_bytes
        self._searches = 0
        self._failed = 0
        self.tool = Tool(NAME, DESCRIPTION, PARAMETERS, self.run)

    @property
    def all_failed(self) -> bool:
        return self._searches > 0 and self._failed == self._searches

    async def run(self, arguments: dict[str, Any]) -> ToolResult:
        if self._searches >= MAX_SEARCHES:
            return ToolResult("search limit reached", ok=False)
        self._searches += 1
        filters = build_filters(arguments, self._subject)
        top_k = read_top_k(arguments.get("top_k"))
        audit: dict[str, Any] = {"search_filters": filters, "top_k": top_k}
        body = {"top_k": top_k, "remediation_id": self._subject.remediation_id, "filters": filters}
        try:
            answer = await self._catalog.search(body)
            hits = [hit for hit in answer["workflows"] if isinstance(hit, dict)]
            found = await asyncio.gather(*(self._catalog.get(str(hit.get("workflow_id", ""))) for hit in hits))
        except SearchRefusedError as refusal:
            return ToolResult(f"search refused: {refusal}"[:2000], ok=False, audit=audit)
        except errors.ServiceError:
            self._failed += 1
            return ToolResult(UNAVAILABLE, ok=False, audit=audit)
        rows = [describe(hit, row) for hit, row in zip(hits, found, strict=True) if row is not None]
        return ToolResult(render(rows, answer.get("total_results"), self._max_bytes), audit=audit)


def read_top_k(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        return 3
    return min(10, max(1, value))


def build_filters(arguments: dict[str, Any], subject: Subject) -> dict[str, Any]:
    """What Data Storage is asked: the model gives the cause, the request everything else."""
    query = arguments.get("query")
    words = query.split() if isinstance(query, str) else []
    given = arguments.get("rca_resource")
    given = {k: v for k, v in given.items() if isinstance(v, str)} if isinstance(given, dict) else {}
    severity = _severity(words, subject)
    environment = subject.environment.strip()
    filters: dict[str, Any] = {
        "signal_type": (words[0] if words else given.get("signal_type") or subject.signal_type)[:100],
        "severity": severity,
        "component": _component(given.get("kind") or subject.resource.kind),
        "environment": "*" if environment.lower() in ("", "unknown") else environment[:100],
        "priority": _priority(subject.priority, severity),
    }
    if custom := _custom_labels(subject.custom_labels):
        filters["custom_labels"] = custom
    resource = Resource(given.get("kind", ""), given.get("namespace", ""), given.get("name", ""))
    if subject.detected_labels and related(resource, subject):
        labels = {k: v for k, v in subject.detected_labels.items() if v in LABEL_VALUES.get(k, (v,))}
        if labels:
            filters["detected_labels"] = labels
    return filters


def _severity(words: list[str], subject: Subject) -> str:
    known = ("critical", "high", "medium", "low", "warning", "info")
    # Whole words: MOCK_LOW_CONFIDENCE and HighLatency name no severity.
    named = next((w for w in (word.strip(",.;:()").lower() for word in words) if w in known), None)
    return level(named or subject.severity)


def _component(kind: str) -> str:
    word = kind.strip().lower()
    return SHORT_KINDS.get(word, word)[:100] or "*"


def _priority(priority: str, severity: str) -> str:
    word = priority.strip().upper()
    return word if word in PRIORITIES.values() else PRIORITIES[severity]


def _custom_labels(labels: dict[str, list[str]]) -> dict[str, list[str]]:
    """Cut to what Data Storage takes: 10 names of 63, 5 values of 100 characters."""
    kept = {name[:63]: [v[:100] for v in values if v][:5] for name, values in list(labels.items())[:10] if name}
    return {name: values for name, values in kept.items() if values}


def describe(hit: dict[str, Any], row: Workflow) -> dict[str, Any]:
    return {
        "workflow_id": row.workflow_id,
        "workflow_name": row.name,
        "version": row.version,
        "title": row.title,
        "description": row.description[:1000],
        "signal_type": row.signal_type,
        "container_image": row.container_image,
        "container_digest": row.container_digest,
        "score": round(_number(hit.get("final_score", hit.get("confidence"))), 4),
        "parameters": [{key: p[key] for key in p if key in PARAMETER_KEYS} for p in row.parameters],
    }


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0


def render(rows: list[dict[str, Any]], total: Any, max_bytes: int) -> str:
    """The JSON object for the model; too large: descriptions go first, then whole entries, and it is said."""
    result: dict[str, Any] = {"workflows": rows, "total_results": total if isinstance(total, int) else len(rows)}
    text = _compact(result)
    if len(text.encode()) > max_bytes:
        result["cut"] = "descriptions"
        for row in rows:
            row["description"] = row["description"][:100]
        text = _compact(result)
    while len(text.encode()) > max_bytes and rows:
        rows.pop()
        result["cut"] = "descriptions and the last entries"
        text = _compact(result)
    return text


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
