"""The investigator that speaks the OpenAI chat completions format itself, over httpx."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import httpx

from holmesgpt_api import errors, logs
from holmesgpt_api.config import Settings
from holmesgpt_api.decode import find_flaws
from holmesgpt_api.investigator.protocol import Investigation, Task, Tool, ToolCall, ToolResult
from holmesgpt_api.metrics import Metrics

logger = logging.getLogger(__name__)
MAX_ANSWER_BYTES = 4 << 20
MAX_ARGUMENT_DEPTH = 32  # with what the audit event adds, below the 64 of Data Storage
LONGEST_WAIT = 10  # seconds; a longer Retry-After is left to the caller
Sleep = Callable[[float], Awaitable[None]]


class OpenAIInvestigator:
    """A bounded loop: ask, run the tools asked for, ask again. Retries are ours alone."""

    name = "holmes"

    def __init__(
        self, settings: Settings, client: httpx.AsyncClient, metrics: Metrics, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._settings = settings
        self._client = client
        self._metrics = metrics
        self._sleep = sleep
        self._url = completions_url(settings.word("llm.endpoint"))
        self._labels = (settings.word("llm.provider"), settings.word("llm.model"))

    async def investigate(self, task: Task, record: Investigation) -> None:
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": task.system},
            {"role": "user", "content": task.user},
        ]
        tools = {tool.name: tool for tool in task.tools}
        for step in range(1, task.max_steps + 1):
            offered = task.tools if step < task.max_steps else ()
            message = await self._ask(messages, offered, task.deadline, record)
            calls = message.get("tool_calls") or []
            if not calls:
                record.text = text_of(message.get("content"))
                return
            messages.append({"role": "assistant", "content": message.get("content") or "", "tool_calls": calls})
            for call in calls:
                messages.append(await self._run_tool(call, tools, record))
        record.out_of_steps = True

    async def _ask(
        self, messages: list[dict[str, Any]], tools: tuple[Tool, ...], deadline: float, record: Investigation
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._settings.word("llm.model"),
            "messages": messages,
            "max_tokens": self._settings.count("llm.max_tokens_per_request"),
        }
        if self._settings["llm.temperature"] is not None:
            body["temperature"] = self._settings["llm.temperature"]
        if tools:
            body["tools"] = [tool_schema(tool) for tool in tools]
            body["tool_choice"] = "auto"
        for retry in range(self._settings.count("llm.max_retries") + 1):
            try:
                return await self._send(body, deadline, record)
            except errors.ServiceError as error:
                wait = self._wait_before(retry, error, deadline)
                if wait is None:
                    raise
                logs.event(logger, logging.WARNING, "model call repeated", reason=error.slug, wait_seconds=wait)
                await self._sleep(wait)
        raise AssertionError("unreachable: the last try returns or raises")

    def _wait_before(self, retry: int, error: errors.ServiceError, deadline: float) -> float | None:
        """None: not worth another try. 1 s, 2 s, 4 s with 10 % jitter, or what the endpoint asks for."""
        if retry >= self._settings.count("llm.max_retries") or error.slug not in (
            "service-unavailable",
            "too-many-requests",
        ):
            return None
        if error.slug == "too-many-requests" and (error.retry_after or LONGEST_WAIT + 1) > LONGEST_WAIT:
            return None
        wait = float(error.retry_after or 2**retry * random.uniform(0.9, 1.1))  # noqa: S311 - jitter, no secret
        left = deadline - asyncio.get_running_loop().time()
        return wait if wait <= min(LONGEST_WAIT, left) else None

    async def _send(self, body: dict[str, Any], deadline: float, record: Investigation) -> dict[str, Any]:
        left = deadline - asyncio.get_running_loop().time()
        limit = min(self._settings.seconds("llm.timeout_seconds"), left)
        if limit <= 0:
            raise errors.deadline_passed()
        started, status = time.monotonic(), "error"
        record.llm_calls += 1
        try:
            async with asyncio.timeout(limit):
                answer = await self._exchange(body)
            status = "success"
        except TimeoutError:
            status = "timeout"
            raise errors.llm_unavailable("the model endpoint did not answer in time") from None
        finally:
            self._metrics.llm_calls.labels(*self._labels, status).inc()
            self._metrics.llm_seconds.labels(*self._labels).observe(time.monotonic() - started)
        self._count_tokens(answer, record)
        return first_message(answer)

    async def _exchange(self, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._settings.api_key or 'none'}"}
        try:
            async with self._client.stream("POST", self._url, json=body, headers=headers) as response:
                if response.status_code != 200:
                    wait = errors.parse_retry_after(response.headers.get("Retry-After"))
                    raise errors.from_llm_status(response.status_code, wait)
                content = bytearray()
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        raise errors.llm_unavailable("the model endpoint's answer is too large")
            answer = json.loads(content)
        except httpx.HTTPError as error:
            logs.event(logger, logging.WARNING, "model endpoint unreachable", error_class=type(error).__name__)
            raise errors.llm_unavailable("the model endpoint could not be reached") from None
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise errors.llm_unavailable("the model endpoint's answer is not a chat completion")
        return answer

    def _count_tokens(self, answer: dict[str, Any], record: Investigation) -> None:
        usage = answer.get("usage")
        for key, kind in (("prompt_tokens", "prompt"), ("completion_tokens", "completion")):
            count = usage.get(key) if isinstance(usage, dict) else None
            if isinstance(count, int) and count > 0:
                record.tokens += count
                self._metrics.llm_tokens.labels(*self._labels, kind).inc(count)

    async def _run_tool(self, call: Any, tools: dict[str, Tool], record: Investigation) -> dict[str, Any]:
        """Run one call; whatever is wrong with it becomes a text for the model."""
        call_id, name, arguments = read_call(call)
        started = time.monotonic()
        if name in tools:
            result = await tools[name].run(arguments)
        else:
            result = ToolResult(f"unknown tool '{name[:64]}'; offered: {', '.join(tools)}", ok=False)
        elapsed = int((time.monotonic() - started) * 1000)
        record.tool_calls.append(ToolCall(name, arguments, result, elapsed))
        known = name if name in tools else "other"
        self._metrics.tool_calls.labels(known, "success" if result.ok else "failure").inc()
        return {"role": "tool", "tool_call_id": call_id, "name": name, "content": result.text}


def completions_url(endpoint: str) -> str:
    """`/v1` is added to an endpoint without a path."""
    base = endpoint if urlsplit(endpoint).path.strip("/") else endpoint.rstrip("/") + "/v1"
    return base.rstrip("/") + "/chat/completions"


def tool_schema(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def first_message(answer: dict[str, Any]) -> dict[str, Any]:
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    if not isinstance(message, dict) or not isinstance(message.get("tool_calls") or [], list):
        raise errors.llm_unavailable("the model endpoint's answer is not a chat completion")
    return message


def text_of(content: Any) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def read_call(call: Any) -> tuple[str, str, dict[str, Any]]:
    """Id, name and arguments; what is no JSON object, or one that Data Storage would refuse, counts as none."""
    function = call.get("function") if isinstance(call, dict) else None
    function = function if isinstance(function, dict) else {}
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except (ValueError, TypeError, RecursionError):
        arguments = {}
    if not isinstance(arguments, dict) or find_flaws(arguments, MAX_ARGUMENT_DEPTH):
        arguments = {}
    call_id = str(call.get("id", "")) if isinstance(call, dict) else ""
    return call_id, str(function.get("name") or "unnamed"), arguments
