"""Around every request: its id, the bound of its body, problems for what goes wrong, one log line, the metrics."""

from __future__ import annotations

import logging
import re
import time
from typing import Any
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holmesgpt_api import errors, logs
from holmesgpt_api.auth import Reviewer
from holmesgpt_api.metrics import Metrics

logger = logging.getLogger(__name__)
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class RequestMiddleware:
    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        max_body: int,
        paths: frozenset[str],
        reviewer: Reviewer | None = None,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._max_body = max_body
        self._paths = paths
        self._reviewer = reviewer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else str(uuid4())
        scope.setdefault("state", {})["request_id"] = request_id
        endpoint = scope["path"] if scope["path"] in self._paths else "other"
        token = logs.request_context.set({"request_id": request_id, "endpoint": endpoint})
        try:
            await self._measured(scope, receive, send, endpoint)
        finally:
            logs.request_context.reset(token)

    async def _measured(self, scope: Scope, receive: Receive, send: Send, endpoint: str) -> None:
        method = scope["method"] if scope["method"] in METHODS else "other"
        started, status = time.monotonic(), 499

        async def observe(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = scope["state"]["request_id"]
            await send(message)

        self._metrics.active.labels(method, endpoint).inc()
        try:
            await self._guarded(scope, receive, observe)
        finally:
            self._metrics.active.labels(method, endpoint).dec()
            elapsed = time.monotonic() - started
            self._metrics.http_requests.labels(method, endpoint, str(status)).inc()
            self._metrics.http_seconds.labels(method, endpoint).observe(elapsed)
            if endpoint.endswith("/analyze") and method == "POST":
                self._metrics.investigations.labels(method, endpoint, str(status)).inc()
                self._metrics.investigation_seconds.labels(method, endpoint).observe(elapsed)
            severity = logging.INFO if endpoint.startswith("/api/") else logging.DEBUG
            logs.event(logger, severity, "request", method=method, status=status, duration_ms=int(elapsed * 1000))

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The bound of the body, and a problem for every error that nobody caught."""
        begun = False

        async def track(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._authenticate(scope)
            self._check_length(scope)
            await self._app(scope, self._bounded(receive), track)
        except errors.ServiceError as error:
            if begun:
                raise
            await self.respond(error, scope, receive, send)
        except ClientDisconnect:
            return
        except Exception:
            logger.exception("request failed")
            if begun:
                raise
            bug = errors.ServiceError("internal-error", "An unexpected error occurred", "service")
            await self.respond(bug, scope, receive, send)

    async def _authenticate(self, scope: Scope) -> None:
        if self._reviewer is not None:
            path = scope["path"] if scope["path"] in self._paths else "other"
            await self._reviewer.check(path, Headers(scope=scope).get("authorization", ""))

    def _too_large(self) -> errors.ServiceError:
        detail = f"the body is larger than {self._max_body} bytes"
        return errors.ServiceError("payload-too-large", detail, "request", headers={"Connection": "close"})

    def _check_length(self, scope: Scope) -> None:
        length = Headers(scope=scope).get("content-length", "")
        if length.isascii() and length.isdecimal() and int(length[:18]) > self._max_body:
            raise self._too_large()

    def _bounded(self, receive: Receive) -> Receive:
        taken = 0

        async def read() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._max_body:
                raise self._too_large()
            return message

        return read

    async def respond(self, error: errors.ServiceError, scope: Scope, receive: Receive, send: Send) -> None:
        self._metrics.problems.labels(str(error.status), error.slug).inc()
        await problem_response(error, scope)(scope, receive, send)


def problem_response(error: errors.ServiceError, scope: Scope) -> JSONResponse:
    headers = dict(error.headers)
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    body: dict[str, Any] = errors.problem(error, scope["path"], scope["state"]["request_id"])
    return JSONResponse(body, error.status, headers, media_type="application/problem+json")
