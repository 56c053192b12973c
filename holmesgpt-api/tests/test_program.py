"""The real program as a child process: starting, serving, and stopping by signal."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes import INCIDENT, TLS
from holmesgpt_api.investigator.scripted.catalog import BuiltInCatalog

SOURCE = Path(__file__).parents[1] / "src"
CATALOG = BuiltInCatalog()


class Storage(BaseHTTPRequestHandler):
    """Data Storage with the seed's workflows, on a socket."""

    events: list[dict[str, Any]]

    def do_GET(self) -> None:
        found = CATALOG._rows.get(self.path.rpartition("/")[2])
        self._send(200, {"status": "healthy"} if found is None else workflow(found[0]))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/batch"):
            self.events.extend(body)
            self._send(201, {"event_ids": [], "message": ""})
            return
        wanted = body["filters"]["signal_type"]
        hits = [
            {"workflow_id": i, "final_score": 0} for i, (row, _) in CATALOG._rows.items() if row.signal_type == wanted
        ]
        self._send(200, {"workflows": hits, "total_results": len(hits)})

    def _send(self, status: int, body: Any) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


def workflow(row: Any) -> dict[str, Any]:
    parameters = {"schema": {"parameters": list(row.parameters)}}
    return {
        "workflow_id": row.workflow_id,
        "workflow_name": row.name,
        "version": row.version,
        "name": row.title,
        "description": row.description,
        "status": row.status,
        "container_image": row.container_image,
        "labels": {"signal_type": row.signal_type},
        "parameters": parameters,
    }


@pytest.fixture
def storage() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    class Handler(Storage):
        events: list[dict[str, Any]] = []  # noqa: RUF012 - one list for each test, shared by its requests

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", Handler.events
        server.shutdown()


class Program:
    def __init__(self, folder: Path, settings: str, **env: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        file = folder / "config.yaml"
        file.write_text(f"server: {{host: 127.0.0.1, port: {port}}}\n{settings}")
        base = {"PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1", "MOCK_LLM_MODE": "true"}
        command = [sys.executable, "-m", "holmesgpt_api", "--config", str(file)]
        self.log = folder / "log"
        self.started = time.monotonic()
        with self.log.open("wb") as out:
            self.child = subprocess.Popen(command, env=base | env, stdout=out, stderr=out)
        self.url = f"http://127.0.0.1:{port}"
        self._wait_ready()

    def _wait_ready(self) -> None:
        with httpx.Client(verify=TLS) as client:
            while time.monotonic() - self.started < 30:
                with contextlib.suppress(httpx.ConnectError):
                    if client.get(f"{self.url}/ready").status_code == 200:
                        return
        raise AssertionError(f"not ready: {self.log.read_text()}")

    def post(self, number: int, signal_type: str) -> httpx.Response:
        with httpx.Client(verify=TLS, timeout=30) as client:
            body = INCIDENT | {"signal_type": signal_type, "remediation_id": f"rr-{number}"}
            return client.post(f"{self.url}/api/v1/incident/analyze", json=body)

    def busy(self) -> float:
        with httpx.Client(verify=TLS) as client:
            text = client.get(f"{self.url}/metrics").text
        name = 'holmesgpt_api_active_requests{endpoint="/api/v1/incident/analyze",method="POST"} '
        return next((float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name)), 0.0)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def end(self) -> None:
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait(30)


@contextlib.contextmanager
def program(folder: Path, settings: str = "", **env: str) -> Iterator[Program]:
    made = Program(folder, settings, **env)
    try:
        yield made
    finally:
        made.end()


FAST = "shutdown: {propagation_delay_seconds: 1, drain_seconds: 8, flush_seconds: 3}\n"


def test_stop_under_load(tmp_path: Path, storage: tuple[str, list[dict[str, Any]]]) -> None:
    """Five requests of five seconds are answered, their events stored, and the process ends with 0 in time."""
    url, stored = storage
    with program(tmp_path, FAST, DATA_STORAGE_URL=url) as running, ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(running.post, n, "MOCK_FAULT_SLOW") for n in range(5)]
        while running.busy() < 5:
            assert running.child.poll() is None
        told = time.monotonic()
        running.child.send_signal(signal.SIGTERM)
        with httpx.Client(verify=TLS) as client:
            going = client.get(f"{running.url}/ready")
        assert (going.status_code, going.json()) == (503, {"status": "shutting_down", "reason": "SIGTERM"})
        assert [f.result().status_code for f in asked] == [200] * 5
        assert running.child.wait(15) == 0
        assert time.monotonic() - told < 15
        ids = {event["event_id"] for event in stored}
        assert (len(stored), len(ids)) == (20, 20), "four events a request, each once"
        assert running.events()[-1]["event"] == "stopped"


def test_idle_stop_and_second_signal(tmp_path: Path) -> None:
    with program(tmp_path, FAST) as running:
        told = time.monotonic()
        running.child.send_signal(signal.SIGINT)
        assert running.child.wait(10) == 0
        assert time.monotonic() - told < 5
    with program(tmp_path) as running, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(running.post, 1, "MOCK_FAULT_SLOW")
        while running.busy() < 1:
            assert running.child.poll() is None
        running.child.send_signal(signal.SIGTERM)
        while not any(event["event"] == "shutting down" for event in running.events()):
            assert running.child.poll() is None
        running.child.send_signal(signal.SIGTERM)
        assert running.child.wait(5) == 1
        with pytest.raises(httpx.HTTPError):
            asked.result()


def test_last_events_that_nobody_takes_are_counted(tmp_path: Path) -> None:
    """Data Storage is away to the end: the answer is normal, the loss is told with the ids."""
    quick = FAST.replace("flush_seconds: 3", "flush_seconds: 1")
    with program(tmp_path, quick, DATA_STORAGE_URL="http://127.0.0.1:9") as running:
        assert running.post(1, "MOCK_PROBLEM_RESOLVED").status_code == 200
        running.child.send_signal(signal.SIGTERM)
        assert running.child.wait(15) == 0
        (lost,) = [event for event in running.events() if event["event"] == "audit events dropped"]
        assert (lost["reason"], lost["count"], len(lost["ids"])) == ("shutdown", 4, 4)


def test_canaries_stay_inside(tmp_path: Path) -> None:
    """Secrets of the environment, of headers and of bodies are in no log line, problem, setting or metric."""
    secret = tmp_path / "key.yaml"
    secret.write_text("api_key: canary-file\n")
    env = {"LLM_API_KEY": "canary-env", "LLM_ENDPOINT": "http://u:canary-url@127.0.0.1:9/?k=canary-query"}
    text = f"logging: {{level: DEBUG}}\nllm: {{model: m, secrets_file: {secret}}}\n{FAST}"
    with program(tmp_path, text, **env) as running, httpx.Client(verify=TLS, base_url=running.url) as client:
        headers = {"Authorization": "Bearer canary-header", "X-Request-ID": "canary\nx".replace("\n", " ")}
        path = "/api/v1/incident/analyze"
        body = INCIDENT | {"error_message": "password=canary-body", "description": "token: canary-body"}
        seen = [client.post(path, json=change, headers=headers).text for change in (body, body | {"severity": None})]
        seen += [
            client.post(path, content=b'{"canary-body', headers=headers | {"Content-Type": "application/json"}).text
        ]
        seen += [client.get(place, headers=headers).text for place in ("/config", "/metrics", "/ready", "/canary")]
        running.child.send_signal(signal.SIGTERM)
        assert running.child.wait(15) == 0
        seen[-1] = seen[-1].replace('"instance":"/canary"', "")  # the caller's own path
        assert [word for word in [*seen, running.log.read_text()] if "canary" in word] == []


def test_start_is_quick_and_small(tmp_path: Path) -> None:
    """Ready and scripted without anything else, small, and it answers the example of the README."""
    with program(tmp_path) as running:
        pages = int(Path(f"/proc/{running.child.pid}/statm").read_text().split()[1])
        assert pages * os.sysconf("SC_PAGE_SIZE") < 100e6
        readme = (SOURCE.parent / "README.md").read_text()
        body = json.loads(readme[readme.index("-d '{") + 4 : readme.index("}'") + 1])
        with httpx.Client(verify=TLS) as client:
            answer = client.post(f"{running.url}/api/v1/incident/analyze", json=body).json()
        assert CATALOG._rows[answer["selected_workflow"]["workflow_id"]][0].name == "oomkill-increase-memory-v1"
