"""The seam between the pipeline and whatever asks the model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from holmesgpt_api.config import Settings


@dataclass(frozen=True)
class ToolResult:
    """What a tool gave: the text for the model, whether it worked, and what the audit trail adds."""

    text: str
    ok: bool = True
    audit: dict[str, Any] = field(default_factory=dict)


def result_limit(window: int | None) -> int:
    """Bytes of one tool result: the SDK replaces one over min(15 % of the window, 25,000 tokens) by an error."""
    tokens = 25_000 if window is None else min(25_000, window * 15 // 100)
    return min(64 << 10, 2 * tokens)


@dataclass(frozen=True)
class Tool:
    """A function the model may call. `run` never raises for the model's mistakes; it answers with a text."""

    name: str
    description: str
    parameters: dict[str, Any]
    run: Callable[[dict[str, Any]], Awaitable[ToolResult]]


@dataclass(frozen=True)
class Task:
    """One attempt: a conversation of its own."""

    system: str
    user: str
    tools: tuple[Tool, ...]
    max_steps: int
    deadline: float  # of the event loop's clock


@dataclass(frozen=True)
class ToolCall:
    name: str
    arguments: dict[str, Any]
    result: ToolResult
    duration_ms: int


@dataclass
class Investigation:
    """Filled while the investigation runs, so that a failed one still tells what it did."""

    text: str = ""
    out_of_steps: bool = False
    llm_calls: int = 0
    tokens: int = 0
    tool_calls: list[ToolCall] = field(default_factory=list)


class Investigator(Protocol):
    """Raises errors.ServiceError when the model could not be asked; never for what the model says."""

    name: str
    sdk_version: str  # none without the SDK

    def slot(self) -> AbstractAsyncContextManager[None]:
        """Held by a request around its attempts; ServiceError 429 when there is none to be had."""
        ...

    def renewed(self, settings: Settings) -> Investigator:
        """The same with other settings; whoever holds this one goes on with its own."""
        ...

    async def start(self) -> None:
        """Once, after the port listens; never raises: `status` tells whether it is up."""
        ...

    async def watch(self) -> None:
        """For ever: what comes and goes."""
        ...

    async def aclose(self) -> None: ...

    def status(self) -> dict[str, str]:
        """`status` up or not, and the cause."""
        ...

    def toolsets(self) -> dict[str, str]:
        """Each toolset: up, or unavailable with the cause."""
        ...

    async def investigate(self, task: Task, record: Investigation) -> None: ...
