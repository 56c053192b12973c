"""The SDK's import: in a thread, once, after the port listens. Nothing else in this package imports it."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from holmesgpt_api import logs
from holmesgpt_api.investigator.holmes import failures, quiet
from holmesgpt_api.investigator.holmes.prepare import prepare

logger = logging.getLogger(__name__)
DISTRIBUTION = "holmesgpt"
PACKAGE = "holmesgpt_api.investigator.holmes."


@dataclass(frozen=True)
class Modules:
    """What the import gave."""

    gate: ModuleType
    bridge: ModuleType
    endpoint: ModuleType
    loop: type[Any]  # ToolCallingLLM
    executor: type[Any]  # ToolExecutor
    interrupted: type[Exception]
    does_not_fit: type[Exception]


class SDK:
    """`status` is importing, up or failed; `cause` says why it failed."""

    def __init__(self, environment: MutableMapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._modules: Modules | None = None
        self.cause: str | None = None

    @property
    def status(self) -> str:
        return "failed" if self.cause else "importing" if self._modules is None else "up"

    def require(self) -> Modules:
        if self._modules is None or self.cause:
            raise failures.NOT_LOADED
        return self._modules

    async def load(self, verify: Callable[[Modules], None]) -> None:
        """Never raises: a failed import or a wrong tool list leaves the service not ready, with its cause, and running.

        The thread is a daemon: an import that hangs does not hold the process.
        """
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def work() -> None:
            self._load(verify)
            if not loop.is_closed():
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=work, name="sdk-import", daemon=True).start()
        await done.wait()

    def _load(self, verify: Callable[[Modules], None]) -> None:
        started = time.monotonic()
        try:
            prepare(self._environment, tempfile.gettempdir())
            quiet.silence()
            modules = import_modules()
            verify(modules)
            self._modules = modules
        except Exception as error:
            self.cause = f"{type(error).__name__}: {error}"[:300]
            logs.event(logger, logging.ERROR, "sdk not loaded", cause=self.cause)
            return
        elapsed = int((time.monotonic() - started) * 1000)
        logs.event(logger, logging.INFO, "sdk loaded", version=installed(), duration_ms=elapsed)


def installed() -> str:
    """The version that is there to be imported; its metadata tells it without the import."""
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def import_modules() -> Modules:
    litellm: Any = importlib.import_module("litellm")
    litellm.suppress_debug_info = True  # else banners on standard output
    litellm.disable_hf_tokenizer_download = True
    litellm.telemetry = False
    calling: Any = importlib.import_module("holmes.core.tool_calling_llm")
    executing: Any = importlib.import_module("holmes.core.tools_utils.tool_executor")
    truncation: Any = importlib.import_module("holmes.core.truncation.input_context_window_limiter")
    return Modules(
        gate=importlib.import_module(PACKAGE + "gate"),
        bridge=importlib.import_module(PACKAGE + "bridge"),
        endpoint=importlib.import_module(PACKAGE + "endpoint"),
        loop=calling.ToolCallingLLM,
        executor=executing.ToolExecutor,
        interrupted=calling.LLMInterruptedError,
        does_not_fit=truncation.CompactionInsufficientError,
    )
