"""Command line, the application, start and stop."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from holmesgpt_api import VERSION, config, errors, logs, openapi
from holmesgpt_api.api import health, incident, recovery
from holmesgpt_api.middleware import RequestMiddleware, problem_response
from holmesgpt_api.state import State, Transports, build, running

logger = logging.getLogger(__name__)
PATHS = frozenset({*health.ENDPOINTS, "/health", "/ready", "/config", "/metrics", "/openapi.json"})


def create_app(settings: config.Settings, transports: Transports | None = None) -> FastAPI:
    """Nothing is read from environment, files or network before the application starts."""
    state = build(settings, transports or Transports())

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with running(state):
            yield

    app = FastAPI(title="HolmesGPT API Service", lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    app.state.holmes = state
    for router in (incident.router, recovery.router, health.router):
        app.include_router(router)
    app.add_exception_handler(StarletteHTTPException, _routing_problem)
    app.add_middleware(
        RequestMiddleware,
        metrics=state.metrics,
        max_body=settings.count("limits.max_body_bytes"),
        paths=PATHS,
        reviewer=state.reviewer,
    )
    return app


async def _routing_problem(request: Request, error: Exception) -> JSONResponse:
    """The framework's own refusals in our form."""
    status = error.status_code if isinstance(error, HTTPException | StarletteHTTPException) else 500
    if status == 405:
        allow = "POST" if request.url.path in health.ENDPOINTS else "GET"
        found = errors.ServiceError("method-not-allowed", f"allowed: {allow}", "request", headers={"Allow": allow})
    elif status == 404:
        found = errors.ServiceError("not-found", "no such path", "request")
    else:
        found = errors.bad_request({"body": "could not be read"})
    state: State = request.app.state.holmes
    state.metrics.problems.labels(str(found.status), found.slug).inc()
    return problem_response(found, request.scope)


class Server(uvicorn.Server):
    """Signals are ours: not ready first, then no more connections; a second signal ends at once."""

    state: State

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        yield

    def _on_signal(self, number: int) -> None:
        if self.state.shutting_down:
            os._exit(1)
        self.state.shutting_down = signal.Signals(number).name
        logs.event(logger, logging.INFO, "shutting down", reason=self.state.shutting_down)
        delay = self.state.settings.seconds("shutdown.propagation_delay_seconds")
        asyncio.get_running_loop().call_later(delay, setattr, self, "should_exit", True)


def serve(settings: config.Settings) -> int:
    logs.setup(settings.word("logging.level"))
    if settings.ignored:
        logs.event(logger, logging.WARNING, "keys without a meaning here", keys=settings.ignored)
    for note in settings.notes:
        logs.event(logger, logging.WARNING, note)
    app = create_app(settings)
    server = Server(
        uvicorn.Config(
            app,
            host=settings.word("server.host"),
            port=settings.count("server.port"),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(settings.seconds("shutdown.drain_seconds")),
            loop="uvloop",
            http="httptools",
            ws="none",
        )
    )
    server.state = app.state.holmes
    fields = {"version": VERSION, "mode": settings["mode"], "port": settings["server.port"]}
    logs.event(logger, logging.INFO, "starting", **fields)
    server.run()
    return 0 if server.started else 1


def main(args: Sequence[str], env: Mapping[str, str]) -> int:
    parser = argparse.ArgumentParser(prog="holmesgpt-api", description="HolmesGPT-API")
    parser.add_argument("-config", "--config", metavar="FILE", help="configuration file")
    commands = parser.add_subparsers(dest="command")
    contract = commands.add_parser("openapi", help="print the OpenAPI document")
    contract.add_argument("--check", metavar="FILE", help="exit 1 if FILE differs from the document")
    given = parser.parse_args(args)
    if given.command == "openapi":
        return _openapi(given.check)
    try:
        settings = config.load(given.config, env)
    except config.ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return serve(settings)


def _openapi(check: str | None) -> int:
    text = openapi.render()
    if check is None:
        sys.stdout.write(text)
        return 0
    try:
        same = Path(check).read_text(encoding="utf-8") == text
    except OSError as error:
        sys.stderr.write(f"reading {check}: {error.strerror}\n")
        return 1
    if not same:
        sys.stderr.write(f"{check} differs from the models; print it anew with `python3 -m holmesgpt_api openapi`\n")
    return 0 if same else 1


def console() -> None:
    sys.exit(main(sys.argv[1:], os.environ))
