"""The investigator that lets the HolmesGPT SDK run its tool loop, one conversation in one thread."""

from __future__ import annotations

import asyncio
import copy
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from holmesgpt_api import errors
from holmesgpt_api.config import Settings
from holmesgpt_api.investigator.holmes import failures
from holmesgpt_api.investigator.holmes.sdk import SDK, Modules, installed
from holmesgpt_api.investigator.protocol import Investigation, Task, Tool, ToolCall, ToolResult
from holmesgpt_api.kube import Cluster
from holmesgpt_api.metrics import Metrics
from holmesgpt_api.pool import Pool

CATALOG = "workflow/catalog"
KUBERNETES = "kubernetes/read"
NOT_RUN = ToolResult("the call was not run", ok=False)


@dataclass(frozen=True)
class Network:
    """How the endpoint is reached; the certificates are read when they are needed, a transport replaces it in tests."""

    tls: Callable[[], ssl.SSLContext]
    transport: httpx.BaseTransport | None = None


class HolmesInvestigator:
    name = "holmes"

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        cluster: Cluster,
        network: Network,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._pool = Pool(settings, metrics)
        self.slot = self._pool.slot
        self._cluster = cluster
        self._network = network
        self._labels = (settings.word("llm.provider"), settings.word("llm.model"))
        self._model: Any = None
        self._clients: list[Any] = []  # of all settings that were in force
        self.sdk = SDK()
        self.sdk_version = installed()

    def renewed(self, settings: Settings) -> HolmesInvestigator:
        """Slots, tools and the import are shared; the connection is made anew."""
        other = copy.copy(self)
        other._settings, other._model = settings, None
        other._labels = (settings.word("llm.provider"), settings.word("llm.model"))
        return other

    async def start(self) -> None:
        await self.sdk.load(self._verify)

    async def watch(self) -> None:
        await self._cluster.watch()

    async def aclose(self) -> None:
        await self._cluster.aclose()
        for client in self._clients:
            client.close()

    def status(self) -> dict[str, str]:
        return {"status": self.sdk.status} | ({"cause": self.sdk.cause} if self.sdk.cause else {})

    def toolsets(self) -> dict[str, str]:
        return {CATALOG: "up", KUBERNETES: self._cluster.status}

    def _verify(self, sdk: Modules) -> None:
        """In the import's thread: a model that the SDK refuses, or a tool that nobody allowed, is told now."""
        sdk.gate.Gate(self._connected(sdk), 1, 0.0, threading.Event())
        executor_of(sdk, (), self._cluster.tools(), None)

    def _connected(self, sdk: Modules) -> Any:
        if self._model is not None:
            return self._model
        settings = self._settings
        endpoint, network = settings.word("llm.endpoint"), self._network
        client = sdk.endpoint.connect(endpoint, settings.api_key, network.tls(), network.transport)
        self._clients.append(client)
        self._model = sdk.gate.Model(
            name=sdk.gate.route(settings.word("llm.provider"), settings.word("llm.model")),
            client=client,
            key=settings.api_key,
            timeout=settings.seconds("llm.timeout_seconds"),
            max_retries=settings.count("llm.max_retries"),
            max_tokens=settings.count("llm.max_tokens_per_request"),
            temperature=settings["llm.temperature"],
            window=settings["llm.context_window"],
            observe=self._observe,
            scrubbed=lambda kind: self._metrics.scrubbed.labels(kind).inc(),
        )
        return self._model

    def _observe(self, status: str, seconds: float, prompt: int, completion: int) -> None:
        self._metrics.llm_calls.labels(*self._labels, status).inc()
        self._metrics.llm_seconds.labels(*self._labels).observe(seconds)
        for kind, count in (("prompt", prompt), ("completion", completion)):
            if count:
                self._metrics.llm_tokens.labels(*self._labels, kind).inc(count)

    async def investigate(self, task: Task, record: Investigation) -> None:
        sdk = self.sdk.require()
        loop, cancel = asyncio.get_running_loop(), threading.Event()
        deadline = time.monotonic() + task.deadline - loop.time()
        if deadline <= time.monotonic():
            raise errors.deadline_passed()
        gate = sdk.gate.Gate(self._connected(sdk), task.max_steps, deadline, cancel)
        runs = sdk.bridge.Runs(loop, deadline)
        executor = executor_of(sdk, task.tools, self._cluster.tools(), runs)
        messages = [{"role": "system", "content": task.system}, {"role": "user", "content": task.user}]

        def converse() -> str:
            inner = sdk.loop(tool_executor=executor, max_steps=task.max_steps, llm=gate, tool_results_dir=None)
            return str(inner.call(messages, cancel_event=cancel).result or "")

        try:
            record.text = await self._pool.run(converse)
        except sdk.interrupted:
            raise (errors.deadline_passed() if gate.expired else failures.CANCELLED) from None
        except sdk.does_not_fit:
            raise failures.TOO_LONG from None
        except errors.ServiceError:
            raise
        except Exception:
            if not gate.out_of_steps:
                raise
            record.out_of_steps = True
        finally:
            cancel.set()  # a thread that is abandoned asks the model no more
            runs.stop()
            self._account(gate, runs, record, set(executor.tools_by_name))

    def _account(self, gate: Any, runs: Any, record: Investigation, offered: set[str]) -> None:
        """What the conversation did, in the order of the model's calls; also when it failed."""
        with gate.lock:
            record.llm_calls, record.tokens, calls = gate.requests, gate.tokens, list(gate.calls)
            told = {m.get("tool_call_id"): m.get("content") for m in list(gate.messages) if m.get("role") == "tool"}
        for call_id, name, arguments in calls:
            result, elapsed = runs.result(call_id) or (NOT_RUN, 0)
            if result is NOT_RUN and call_id in told:
                result = ToolResult(str(told[call_id]), ok=False)
            record.tool_calls.append(ToolCall(name, arguments, result, elapsed))
            known = name if name in offered else "other"
            self._metrics.tool_calls.labels(known, "success" if result.ok else "failure").inc()


def executor_of(sdk: Modules, catalog: Sequence[Tool], kubernetes: Sequence[Tool], runs: Any) -> Any:
    """The SDK's executor over our tools and nothing else; a tool that nobody allowed ends it."""
    sets = {CATALOG: catalog, KUBERNETES: kubernetes}
    made = [sdk.bridge.toolset(name, tools, runs) for name, tools in sets.items() if tools]
    executor = sdk.executor(made)
    allowed = {tool.name for tools in sets.values() for tool in tools}
    if surprise := set(executor.tools_by_name) ^ allowed:
        raise RuntimeError(f"the SDK offers other tools than allowed: {', '.join(sorted(surprise))}")
    return executor
