"""The audit events of one request, in the order of the facts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from holmesgpt_api.audit import Buffer
from holmesgpt_api.config import Settings
from holmesgpt_api.investigation.subject import Subject
from holmesgpt_api.investigation.validate import REASONS, Flaw
from holmesgpt_api.investigator.protocol import Investigation, Task

EVENT_NAMESPACE = UUID("e920df68-0ffb-584f-b11f-6be718804eaa")
PREVIEW = 500
MAX_RESULT = 32 << 10


def event_id(request_id: str, event_type: str, ordinal: int) -> str:
    """Fixed by the fact, so that a resend is the same event."""
    return str(uuid5(EVENT_NAMESPACE, f"{request_id}/{event_type}/{ordinal}"))


class Trail:
    """The events of one request, in the order of the facts."""

    def __init__(self, buffer: Buffer, settings: Settings, subject: Subject, request_id: str) -> None:
        self._buffer = buffer
        self._settings = settings
        self._subject = subject
        self._request_id = request_id
        self._ordinals: dict[str, int] = {}

    def llm_request(self, attempt: int, task: Task) -> None:
        text = task.system + "\n" + task.user
        data = {
            "model": self._settings.word("llm.model"),
            "prompt_length": len(text),
            "prompt_preview": self._buffer.scrub(task.user)[:PREVIEW],
            "max_tokens": self._settings.count("llm.max_tokens_per_request"),
            "toolsets_enabled": ["workflow/catalog"],
            "mcp_servers": [],
            "attempt": attempt,
            "prompt_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "mode": self._settings.word("mode"),
        }
        self._add("llm_request", "llm_request_sent", "success", data)

    def llm_response(self, attempt: int, record: Investigation, elapsed_ms: int, error_class: str | None) -> None:
        data = {
            "has_analysis": bool(record.text),
            "analysis_length": len(record.text),
            "analysis_preview": self._buffer.scrub(record.text)[:PREVIEW],
            "tokens_used": record.tokens,
            "tool_call_count": len(record.tool_calls),
            "attempt": attempt,
            "llm_calls": record.llm_calls,
            "error_class": error_class,
        }
        outcome = "success" if record.text else "failure"
        self._add("llm_response", "llm_response_received", outcome, data, elapsed_ms)

    def tool_calls(self, attempt: int, record: Investigation) -> None:
        for index, call in enumerate(record.tool_calls):
            result, arguments = self._buffer.scrub(call.result.text), self._buffer.scrub(call.arguments)
            data = {
                "tool_call_index": index,
                "tool_name": self._buffer.scrub(call.name)[:255],
                "tool_arguments": arguments if len(json.dumps(arguments)) <= MAX_RESULT else {},
                "tool_result": result[:MAX_RESULT],
                "tool_result_preview": result[:PREVIEW],
                "attempt": attempt,
                **self._buffer.scrub(call.result.audit),
            }
            if len(result) > MAX_RESULT:
                data["tool_result_truncated"] = True
            self._add(
                "llm_tool_call", "tool_invoked", "success" if call.result.ok else "failure", data, call.duration_ms
            )

    def validation_attempt(
        self, attempt: int, workflow_id: str | None, workflow_name: str | None, flaws: Sequence[Flaw]
    ) -> None:
        texts, final = self._buffer.scrub([flaw.text for flaw in flaws]), not flaws or attempt == 3
        kinds = {flaw.kind for flaw in flaws}
        data = {
            "attempt": attempt,
            "max_attempts": 3,
            "is_valid": not flaws,
            "errors": texts,
            "validation_errors": "; ".join(texts) or None,
            "workflow_id": self._buffer.scrub(workflow_id),
            "workflow_name": workflow_name,
            "human_review_reason": next((r for k, r in REASONS.items() if k in kinds), None) if final else None,
            "is_final_attempt": final,
        }
        outcome = "success" if not flaws else "failure" if final else "pending"
        self._add("workflow_validation_attempt", "validation_executed", outcome, data)

    def _add(
        self, event_type: str, action: str, outcome: str, data: dict[str, Any], duration_ms: int | None = None
    ) -> None:
        ordinal = self._ordinals[event_type] = self._ordinals.get(event_type, 0) + 1
        identity = event_id(self._request_id, event_type, ordinal)
        subject = self._subject
        event: dict[str, Any] = {
            "event_id": identity,
            "version": "1.0",
            "event_type": event_type,
            "event_timestamp": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "event_category": "analysis",
            "event_action": action,
            "event_outcome": outcome,
            "actor_type": "service",
            "actor_id": "holmesgpt-api",
            "resource_type": "Incident",
            "resource_id": subject.incident_id,
            "correlation_id": subject.remediation_id,
            "event_data": {"event_id": identity, "incident_id": subject.incident_id, **data},
        }
        if 0 < len(subject.resource.namespace) <= 253:
            event["namespace"] = subject.resource.namespace
        if duration_ms is not None:
            event["duration_ms"] = min(duration_ms, 2**31 - 1)
        self._buffer.add(clean(event))


def clean(value: Any) -> Any:
    """Text that the database can hold: no U+0000, no lone surrogates."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode(errors="replace").decode()
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    return [clean(item) for item in value] if isinstance(value, list) else value
