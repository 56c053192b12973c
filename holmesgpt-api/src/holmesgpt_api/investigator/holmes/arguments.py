"""The tool calls of an answer, whatever the model wrote: repaired before LiteLLM reads them, which fails on some."""

from __future__ import annotations

import json
from typing import Any

from holmesgpt_api.decode import find_flaws

MAX_DEPTH = 32  # with what the audit event adds, below the 64 of Data Storage


def read_arguments(text: Any) -> dict[str, Any]:
    """What is no JSON object, or one that Data Storage would refuse, counts as none."""
    try:
        arguments = json.loads(text or "{}")
    except (ValueError, TypeError, RecursionError):
        return {}
    return arguments if isinstance(arguments, dict) and not find_flaws(arguments, MAX_DEPTH) else {}


def repair(body: bytes) -> bytes:
    """A chat completion whose calls have a name and JSON object arguments; ValueError for what is no completion."""
    try:
        answer = json.loads(body)
        messages = [choice["message"] for choice in answer["choices"]]
        if not all(isinstance(message, dict) for message in messages) or not messages:
            raise ValueError("no message")
        calls = [call for message in messages for call in message.get("tool_calls") or []]
        for call in calls:
            function = call["function"]
            given = function.get("arguments")
            arguments = read_arguments(json.dumps(given) if isinstance(given, dict) else given)
            name = function.get("name")
            function["arguments"] = json.dumps(arguments)
            function["name"] = name if isinstance(name, str) and name else "unnamed"
            call["id"] = call["id"] if isinstance(call.get("id"), str) else ""
            call["type"] = "function"
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ValueError("not a chat completion") from None
    return json.dumps(answer).encode() if calls else body
