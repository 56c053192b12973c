"""Servers on loopback for what only a wire can show: a model endpoint that records, and an API server with tables."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, dict[str, str], bytes]
Handle = Callable[[str, dict[str, list[str]], dict[str, str], bytes], Answer | None]


def respond(status: int, body: Any, **headers: str) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return status, {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}, content


@contextlib.contextmanager
def listening(handle: Handle, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """`handle` gets path, query, headers and body; None breaks the connection."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            target = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = handle(target.path, parse_qs(target.query), dict(self.headers), body)
            self.close_connection = answer is None
            if answer is None:
                return
            status, headers, content = answer
            with contextlib.suppress(OSError):
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

        do_GET = do_POST  # noqa: N815 - the name is the standard library's

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Endpoint:
    """A model endpoint that gives its answers in turn, the last again and again, and keeps what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[dict[str, Any]] = []
        self.raw: list[bytes] = []
        self.at: list[float] = []
        self.headers: list[dict[str, str]] = []
        self.lock = threading.Lock()

    def __call__(self, path: str, _: Any, headers: dict[str, str], body: bytes) -> Answer | None:
        assert path == "/v1/chat/completions"
        with self.lock:
            self.at.append(time.monotonic())
            self.headers.append(headers)
            self.raw.append(body)
            self.requests.append(json.loads(body))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = answer()
        if answer is None or isinstance(answer, tuple):
            return answer
        return respond(200, answer)


class APIServer:
    """Pods in tables and as objects; everything asked is kept. `broken` answers any path but /version with a status."""

    def __init__(self, pods: int = 3) -> None:
        self.pods = pods
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.tokens: set[str | None] = set()
        self.broken = 0
        self.log = b"one\ntwo\n"
        self.wait = threading.Event()
        self.hang = False

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked if path != "/version"]

    def __call__(self, path: str, query: dict[str, list[str]], headers: dict[str, str], _: bytes) -> Answer | None:
        self.asked.append((path, query))
        self.tokens.add(headers.get("Authorization"))
        if path == "/version":
            return respond(200, {"major": "1"})
        if self.hang:
            self.wait.wait(30)
        if self.broken:
            return respond(self.broken, {"kind": "Status", "message": "the server's own words"})
        if path.endswith("/log"):
            return 200, {"Content-Type": "text/plain"}, self.log
        if path.endswith("/events"):
            return respond(200, {"items": [self.event(n) for n in range(60)], "metadata": {}})
        if path.endswith("/pods"):
            return respond(200, self.table(int(query["limit"][0]), int(query.get("continue", ["0"])[0])))
        if path.endswith("/pods/cart"):
            return respond(200, pod())
        return respond(404, {"kind": "Status"})

    def table(self, limit: int, start: int) -> dict[str, Any]:
        rows = [
            {
                "cells": [f"cart-{n}", "0/1", "CrashLoopBackOff", 4, "5m", "10.0.0.1"],
                "object": {"metadata": {"namespace": "shop"}},
            }
            for n in range(start, min(self.pods, start + limit))
        ]
        columns = [{"name": n, "priority": 0} for n in ("Name", "Ready", "Status", "Restarts", "Age")]
        end = start + len(rows)
        more = {"continue": str(end), "remainingItemCount": self.pods - end} if end < self.pods else {}
        return {"columnDefinitions": [*columns, {"name": "IP", "priority": 1}], "rows": rows, "metadata": more}

    def event(self, n: int) -> dict[str, Any]:
        return {
            "metadata": {"name": f"e{n}"},
            "lastTimestamp": f"2026-01-01T00:{n:02}:00Z",
            "type": "Warning",
            "reason": "BackOff",
            "involvedObject": {"kind": "Pod", "name": "cart"},
            "message": f"message {n}",
        }


def pod() -> dict[str, Any]:
    applied = {"kubectl.kubernetes.io/last-applied-configuration": '{"env":[{"name":"A","value":"planted-value"}]}'}
    environment = [
        {"name": "DB_HOST", "value": "planted-value"},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
    ]
    return {
        "kind": "Pod",
        "metadata": {"name": "cart", "namespace": "shop", "managedFields": [{"manager": "x"}], "annotations": applied},
        "spec": {
            "containers": [{"name": "app", "env": environment}],
            "initContainers": [{"name": "i", "env": environment}],
        },
        "status": {"phase": "Running"},
    }
