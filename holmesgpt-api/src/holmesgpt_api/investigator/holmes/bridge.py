"""Our tools as the SDK's: its threads call them, the event loop runs them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Sequence
from typing import Any

from holmes.core.tools import (
    StructuredToolResult,
    StructuredToolResultStatus,
    ToolInvokeContext,
    ToolParameter,
    Toolset,
    ToolsetStatusEnum,
)
from holmes.core.tools import Tool as SDKTool
from pydantic import PrivateAttr

from holmesgpt_api.investigator.protocol import Tool, ToolResult

CONSTRAINTS = ("minimum", "maximum", "minLength", "maxLength", "pattern")
TOO_LATE = ToolResult("the request's deadline has passed", ok=False)


class Runs:
    """What the tools of one conversation gave, by the id of the call; filled by the SDK's tool threads."""

    def __init__(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        self._loop = loop
        self._deadline = deadline  # of time.monotonic
        self._lock = threading.Lock()
        self._results: dict[str, tuple[ToolResult, int]] = {}
        self._running: set[concurrent.futures.Future[ToolResult]] = set()
        self._stopped = False

    def run(self, tool: Tool, arguments: dict[str, Any], call_id: str) -> ToolResult:
        started = time.monotonic()
        result = self._on_the_loop(tool, arguments)
        with self._lock:
            self._results[call_id] = (result, int((time.monotonic() - started) * 1000))
        return result

    def result(self, call_id: str) -> tuple[ToolResult, int] | None:
        with self._lock:
            return self._results.get(call_id)

    def stop(self) -> None:
        """The request has ended: what runs is cancelled, nothing new begins."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for future in running:
            future.cancel()

    def _on_the_loop(self, tool: Tool, arguments: dict[str, Any]) -> ToolResult:
        with self._lock:
            left = self._deadline - time.monotonic()
            if left <= 0 or self._stopped:
                return TOO_LATE
            future = asyncio.run_coroutine_threadsafe(_run(tool, arguments), self._loop)
            self._running.add(future)
        try:
            return future.result(left)
        except (TimeoutError, concurrent.futures.TimeoutError, concurrent.futures.CancelledError):
            future.cancel()
            return TOO_LATE
        finally:
            with self._lock:
                self._running.discard(future)


async def _run(tool: Tool, arguments: dict[str, Any]) -> ToolResult:
    return await tool.run(arguments)


class Bridge(SDKTool):
    _tool: Tool = PrivateAttr()
    _runs: Runs = PrivateAttr()

    def __init__(self, tool: Tool, runs: Runs) -> None:
        super().__init__(name=tool.name, description=tool.description, parameters=parameters(tool.parameters))
        self._tool, self._runs = tool, runs

    def _invoke(self, params: dict[str, Any], context: ToolInvokeContext) -> StructuredToolResult:
        result = self._runs.run(self._tool, params, context.tool_call_id)
        # `params` stays unset: no text before the result, and a repeated call is not refused.
        if result.ok:
            return StructuredToolResult(status=StructuredToolResultStatus.SUCCESS, data=result.text)
        return StructuredToolResult(status=StructuredToolResultStatus.ERROR, error=result.text)

    def get_parameterized_one_liner(self, params: dict[str, Any]) -> str:
        del params
        return str(self.name)


def toolset(name: str, tools: Sequence[Tool], runs: Runs) -> Any:
    made = Toolset(name=name, description=name, enabled=True, tools=[Bridge(tool, runs) for tool in tools])
    made.status = ToolsetStatusEnum.ENABLED  # `enabled` alone does not offer it
    return made


def parameters(schema: dict[str, Any]) -> dict[str, Any]:
    required = schema.get("required", [])
    return {name: parameter(part, name in required) for name, part in schema.get("properties", {}).items()}


def parameter(schema: dict[str, Any], required: bool) -> Any:
    return ToolParameter(
        type=schema.get("type", "string"),
        description=schema.get("description"),
        enum=schema.get("enum"),
        required=required,
        properties=parameters(schema) if "properties" in schema else None,
        json_schema_extra={key: schema[key] for key in CONSTRAINTS if key in schema} or None,
    )
