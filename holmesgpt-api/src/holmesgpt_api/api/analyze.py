"""What both analyze routes share: a checked request in, an answer that nobody may cache out."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from holmesgpt_api import logs
from holmesgpt_api.decode import decode
from holmesgpt_api.state import State

M = TypeVar("M", bound=BaseModel)


async def read(request: Request, model: type[M]) -> M:
    body = decode(model, await request.body(), request.headers.get("content-type", ""))
    context = logs.request_context.get()
    if context is not None:
        context["remediation_id"] = getattr(body, "remediation_id", None)
        context["incident_id"] = getattr(body, "incident_id", None)
    return body


def state_of(request: Request) -> State:
    state: State = request.app.state.holmes
    return state


def answer(request: Request, body: dict[str, Any]) -> JSONResponse:
    mode = state_of(request).settings.word("mode")
    return JSONResponse(body, headers={"X-Investigator": mode, "Cache-Control": "no-store"})
