"""More requests than slots: what is taken, what is refused, and /health meanwhile; and a service without its SDK."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes import DataStorage, Model, Service, say, serving, verdict


class Held(Model):
    """Answers nobody before it is let go."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(answer)
        self.go = threading.Event()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert self.go.wait(120)
        return super().__call__(request)


def sample(service: Service, name: str, **labels: str) -> float:
    return service.state.metrics.registry.get_sample_value(f"holmesgpt_api_{name}", labels) or 0.0


async def probes(service: Service, count: int) -> list[float]:
    """Seconds of so many calls of /health, sorted."""
    spent: list[float] = []
    for _ in range(count):
        started = time.monotonic()
        assert (await service.client.get("/health")).status_code == 200
        spent.append(time.monotonic() - started)
    return sorted(spent)


def test_two_hundred_requests_at_once(tmp_path: Path) -> None:
    """With 16 slots and 64 places 80 are answered and 120 refused with a wait, whatever the model does."""
    file = tmp_path / "config.yaml"
    file.write_text("limits: {max_concurrent: 16, queue: 64, queue_timeout_seconds: 60}\n")
    model = Held(say(verdict()))

    async def run() -> None:
        async with serving(model, DataStorage(), CONFIG_FILE=str(file)) as service:
            asked = [asyncio.create_task(service.incident(remediation_id=f"rr-{n}")) for n in range(200)]
            arriving = asyncio.as_completed(asked)
            refused = [await next(arriving) for _ in range(120)]
            assert {r.status_code for r in refused} == {429}
            assert all(2 <= int(r.headers["Retry-After"]) <= 30 for r in refused)
            assert sample(service, "rejected_total", reason="queue_full") == 120
            assert (sample(service, "workers_busy"), sample(service, "queue_length")) == (16, 64)
            spent = await probes(service, 500)
            assert spent[494] < 0.1, f"p99 of /health {spent[494]:.3f} s"
            assert not any(task.done() for task in asked if task.done() and task.result().status_code != 429)
            model.go.set()
            answers = [response.status_code for response in await asyncio.gather(*asked)]
            assert (answers.count(200), answers.count(429)) == (80, 120)
            assert (sample(service, "workers_busy"), sample(service, "queue_length")) == (0, 0)

    asyncio.run(run())


def test_a_deadline_is_told_and_counted(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("limits: {request_timeout_seconds: 5}\n")
    model = Held(say(verdict()))

    async def run() -> None:
        async with serving(model, DataStorage(), CONFIG_FILE=str(file)) as service:
            answer = await service.incident()
            assert (answer.status_code, answer.json()["detail"]) == (503, "the request's deadline has passed")
            assert sample(service, "cancelled_total", cause="deadline") == 1
            assert sample(service, "outcomes_total", endpoint="incident", outcome="error", reason="deadline") == 1
            model.go.set()

    asyncio.run(run())


def test_without_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process lives, is not ready, says why, and asks nobody."""
    monkeypatch.setitem(sys.modules, "holmes.core.tool_calling_llm", None)  # as if it were not installed
    model = Model(say(verdict()))

    async def run() -> None:
        async with serving(model, DataStorage()) as service:
            ready, health = await service.client.get("/ready"), await service.client.get("/health")
            assert (ready.status_code, health.status_code) == (503, 200)
            body = ready.json()
            assert body["status"] == "not_ready" and body["dependencies"]["sdk"]["status"] == "failed"
            assert "holmes.core.tool_calling_llm" in body["dependencies"]["sdk"]["cause"]
            answer = await service.incident()
            assert (answer.status_code, answer.json()["source"]) == (503, "service")
            assert model.requests == []

    asyncio.run(run())
