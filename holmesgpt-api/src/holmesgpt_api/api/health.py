"""Health, readiness, configuration, metrics, and the contract itself."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from holmesgpt_api import VERSION, openapi
from holmesgpt_api.api import incident, recovery
from holmesgpt_api.api.analyze import state_of

router = APIRouter()
ENDPOINTS = [incident.PATH, recovery.PATH]
HEALTH = {
    "status": "healthy",
    "service": "holmesgpt-api",
    "endpoints": ENDPOINTS,
}
FEATURES = {"incident_analysis": True, "recovery_analysis": True, "postexec_analysis": False}


@router.get("/health")
async def health(request: Request) -> JSONResponse:
    authentication = state_of(request).reviewer is not None
    return JSONResponse(HEALTH | {"features": FEATURES | {"authentication": authentication}})


@router.get("/ready")
async def ready(request: Request) -> JSONResponse:
    state = state_of(request)
    if state.shutting_down:
        return JSONResponse({"status": "shutting_down", "reason": state.shutting_down}, 503)
    if state.investigator.status()["status"] != "up":
        return JSONResponse({"status": "not_ready", "dependencies": state.dependencies()}, 503)
    return JSONResponse({"status": "ready", "dependencies": state.dependencies()})


@router.get("/config")
async def config(request: Request) -> JSONResponse:
    settings = state_of(request).settings
    body: dict[str, Any] = {
        "llm": {
            "provider": settings["llm.provider"],
            "model": settings["llm.model"],
            "endpoint": settings["llm.endpoint"] and hide(settings["llm.endpoint"]),
        },
        "environment": settings["environment"],
        "dev_mode": settings["dev_mode"],
        "mode": settings["mode"],
        "data_storage": {
            "url": settings["data_storage.url"] and hide(settings["data_storage.url"]),
            "source": settings.sources["data_storage.url"],
        },
        "toolsets": state_of(request).investigator.toolsets(),
        "limits": {k.split(".")[1]: v for k, v in settings.values.items() if k.startswith("limits.")},
        "config": state_of(request).watcher.describe(),
        "version": VERSION,
    }
    return JSONResponse(body)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    return Response(generate_latest(state_of(request).metrics.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/openapi.json")
async def contract() -> JSONResponse:
    return JSONResponse(openapi.document())


def hide(url: str) -> str:
    """User and query parts never leave the process."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")
    netloc = f"***@{host[2]}" if host[1] else parts.netloc
    return urlunsplit((parts.scheme, netloc, parts.path, "***" if parts.query else "", ""))
