"""Both modes give the same answers: scripted, and the SDK against the deterministic model of the test cluster."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from fakes import NO_CLUSTER, TLS, settings
from holmesgpt_api.main import create_app
from holmesgpt_api.state import Transports
from test_scripted import FAULTS, PLAIN, ROOT, SPECIAL, Seeded, incident, recovery

Ask = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The program itself, built here; its address."""
    go = shutil.which("go")
    assert go, "the Go tool chain builds the model of this test"
    program = tmp_path_factory.mktemp("model") / "mockllm"
    subprocess.run([go, "build", "-o", program, "./test/mockllm"], cwd=ROOT, check=True, timeout=600)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    files = (f"-scenarios={ROOT}/config/e2e/mockllm/scenarios.yaml", f"-seed={ROOT}/config/e2e/seed/workflows.yaml")
    with subprocess.Popen([program, f"-listen={address}", *files], stdout=subprocess.DEVNULL) as running:
        try:
            url = f"http://{address}"
            transport = httpx.HTTPTransport(retries=8)  # while it begins to listen
            with httpx.Client(transport=transport, verify=TLS) as client:
                assert client.get(url + "/healthz").status_code == 200
            yield url
        finally:
            running.terminate()
            running.wait(10)


def asks() -> list[list[Ask]]:
    """Each list in order, one remediation each; the lists at the same time."""
    plain = [row[0] for row in PLAIN]
    rows: list[list[Ask]] = [[incident(name)] for name in [*plain, "oomkilled", "Something"]]
    rows += [[recovery(name)] for name in [*plain, "MOCK_NOT_REPRODUCIBLE"]]
    rows += [[recovery("OOMKilled", previous_execution=None)]]
    rows += [[incident(row[0])] for row in SPECIAL]
    rows += [[incident("MOCK_OUTSIDE_CHAIN", enrichment_results=None)]]
    rows += [[incident(name)] * 3 for name in FAULTS]
    return [[(path, body | {"remediation_id": f"rr-{i}"}) for path, body in row] for i, row in enumerate(rows)]


def answers(**env: str) -> list[list[httpx.Response]]:
    async def run() -> list[list[httpx.Response]]:
        transports = Transports(None, httpx.MockTransport(Seeded()), cluster=NO_CLUSTER)
        app = create_app(settings(**env), transports)
        async with app.router.lifespan_context(app):
            await app.state.holmes.started.wait()
            transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://h.test", verify=TLS) as client:

                async def in_order(row: list[Ask]) -> list[httpx.Response]:
                    return [await client.post(f"/api/v1/{path}/analyze", json=body) for path, body in row]

                return await asyncio.gather(*map(in_order, asks()))

    return asyncio.run(run())


def comparable(response: httpx.Response) -> Any:
    """Without what may differ: metadata, time stamps, the request's own id, the header of the mode."""
    body = response.json()
    for key in ("metadata", "timestamp", "request_id"):
        body.pop(key, None)
    for entry in body.get("validation_attempts_history", []):
        entry.pop("timestamp")
    kept = {k: v for k, v in response.headers.items() if k in ("content-type", "cache-control", "retry-after")}
    return response.status_code, kept, body


def test_both_modes_answer_alike(model: str) -> None:
    scripted, holmes = answers(MOCK_LLM_MODE="true"), answers(LLM_ENDPOINT=model, MOCK_LLM_MODE="false")
    for row, one, other in zip(asks(), scripted, holmes, strict=True):
        for (path, body), first, second in zip(row, one, other, strict=True):
            assert comparable(first) == comparable(second), (path, body["signal_type"])
            if first.status_code == 200:
                modes = (first.headers["X-Investigator"], second.headers["X-Investigator"])
                assert modes == ("scripted", "holmes")
    assert sum(len(row) for row in asks()) == 40
