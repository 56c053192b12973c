"""What the application holds while it runs: clients, background tasks, and whether it is going down."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from holmesgpt_api import logs, storage
from holmesgpt_api.audit import Buffer, Sender
from holmesgpt_api.auth import Reviewer
from holmesgpt_api.catalog import Catalog, DataStorageCatalog
from holmesgpt_api.config import Settings
from holmesgpt_api.investigation.service import Analysis
from holmesgpt_api.investigator.holmes.adapter import HolmesInvestigator, Network
from holmesgpt_api.investigator.protocol import Investigator, result_limit
from holmesgpt_api.investigator.scripted.catalog import BuiltInCatalog
from holmesgpt_api.investigator.scripted.mock import ScriptedInvestigator
from holmesgpt_api.kube import Cluster
from holmesgpt_api.metrics import Metrics
from holmesgpt_api.reload import Watcher

logger = logging.getLogger(__name__)
PROBE_SECONDS = 5.0
PROBE_LIMIT = 2.0
RESTART_SECONDS = 1.0
API_SERVER_CA = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"


@dataclass
class Transports:
    """Replaced in tests; None is the network."""

    llm: httpx.BaseTransport | None = None
    data_storage: httpx.AsyncBaseTransport | None = None
    api_server: httpx.AsyncBaseTransport | None = None  # for the review of callers' tokens
    cluster: Cluster | None = None  # what the model sees; None: as the environment says


@dataclass
class State:
    settings: Settings
    metrics: Metrics
    buffer: Buffer
    sender: Sender
    analysis: Analysis
    data_storage: httpx.AsyncClient
    investigator: Investigator
    clients: list[httpx.AsyncClient]  # closed at the end
    reviewer: Reviewer | None  # None: everybody may ask
    watcher: Watcher
    shutting_down: str = ""  # the reason, once it began
    data_storage_up: bool | None = None  # None: not asked yet
    probed: asyncio.Event = field(default_factory=asyncio.Event)
    started: asyncio.Event = field(default_factory=asyncio.Event)  # the investigator, or it cannot be

    def dependencies(self) -> dict[str, dict[str, Any]]:
        known = {True: "up", False: "down", None: "unknown"}[self.data_storage_up]
        if self.settings["data_storage.url"] is None:
            known = "off"
        return {
            "sdk": self.investigator.status(),
            "prometheus": {"status": "up"},
            "data_storage": {"status": known},
            "audit": self.buffer.status(),
        }


def build(settings: Settings, transports: Transports) -> State:
    metrics = Metrics()
    data_storage = storage.connect(settings, _verify, transports.data_storage)
    timeout = settings.seconds("data_storage.timeout_seconds")
    if not settings.scripted:
        metrics.start_model(settings.word("llm.provider"), settings.word("llm.model"))
    buffer = Buffer(settings, metrics)
    clients = [data_storage]
    investigator: Investigator = ScriptedInvestigator() if settings.scripted else _holmes(settings, metrics, transports)
    metrics.start_info(settings.word("mode"), investigator.sdk_version)
    catalog: Catalog = (
        BuiltInCatalog() if settings["data_storage.url"] is None else DataStorageCatalog(data_storage, timeout, metrics)
    )

    def analysis(current: Settings) -> Analysis:
        """The pipeline with these settings. Requests that run keep the one they began with."""
        return Analysis(current, investigator.renewed(current), catalog, buffer, metrics)

    def apply(current: Settings) -> None:
        state.analysis, state.settings = analysis(current), current
        logging.getLogger().setLevel(current.word("logging.level"))

    state = State(
        settings=settings,
        metrics=metrics,
        buffer=buffer,
        sender=Sender(buffer, data_storage, settings, metrics),
        analysis=analysis(settings),
        data_storage=data_storage,
        investigator=investigator,
        clients=clients,
        reviewer=_reviewer(settings, transports, clients, metrics),
        watcher=Watcher(settings, metrics, apply),
    )
    return state


def _reviewer(
    settings: Settings, transports: Transports, clients: list[httpx.AsyncClient], metrics: Metrics
) -> Reviewer | None:
    if settings["auth.mode"] == "none":
        return None
    client = httpx.AsyncClient(
        base_url=settings.api_server or "",
        transport=transports.api_server,
        verify=_verify(None if transports.api_server else API_SERVER_CA),
        trust_env=False,
    )
    clients.append(client)
    return Reviewer(client, settings["auth.audiences"], settings["auth.allowed"], metrics)


def _holmes(settings: Settings, metrics: Metrics, transports: Transports) -> Investigator:
    cluster = transports.cluster or Cluster.of_environment(os.environ, result_limit(settings["llm.context_window"]))
    network = Network(functools.partial(_verify, settings["llm.ca_file"]), transports.llm)
    return HolmesInvestigator(settings, metrics, cluster, network)


@functools.cache  # reading the bundle takes a tenth of a second
def _verify(ca_file: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


@contextlib.asynccontextmanager
async def running(state: State) -> AsyncIterator[None]:
    """Background tasks around the life of the application; at the end the audit buffer is flushed."""
    tasks = [
        asyncio.create_task(start(state)),
        asyncio.create_task(kept_running("toolset watch", state.investigator.watch)),
    ]
    if state.settings["data_storage.url"] is not None:
        tasks += [
            asyncio.create_task(kept_running("audit sender", state.sender.run)),
            asyncio.create_task(kept_running("data storage probe", lambda: probe_data_storage(state))),
        ]
    if state.settings["hot_reload.enabled"] and state.settings.file:
        tasks.append(asyncio.create_task(kept_running("settings", state.watcher.run)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            await _limited(state.sender.flush(), state.settings.seconds("shutdown.flush_seconds"))
        finally:
            state.buffer.abandon()  # whatever became of the flush: what is lost is counted
        await state.investigator.aclose()
        for client in state.clients:
            await client.aclose()
        logs.event(logger, logging.INFO, "stopped")


async def start(state: State) -> None:
    """After the port listens: the SDK takes seconds."""
    await state.investigator.start()
    state.started.set()


async def kept_running(name: str, work: Callable[[], Awaitable[None]], pause: float = RESTART_SECONDS) -> None:
    """A background task that fails is a bug: it is told, and the task begins again."""
    while True:
        try:
            await work()
        except Exception as error:
            logs.event(logger, logging.ERROR, "background task failed", task=name, error_class=type(error).__name__)
        await asyncio.sleep(pause)


async def _limited(work: Awaitable[None], seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await work


async def probe_data_storage(state: State) -> None:
    """For people and /ready only: nothing waits for Data Storage."""
    while True:
        try:
            async with asyncio.timeout(PROBE_LIMIT):
                up = (await state.data_storage.get("/health")).status_code == 200
        except (httpx.HTTPError, TimeoutError):
            up = False
        if up != state.data_storage_up:
            logs.event(logger, logging.INFO, "data storage", status="up" if up else "down")
        state.data_storage_up = up
        state.probed.set()
        await asyncio.sleep(PROBE_SECONDS)
