"""What both analyze routes share: a checked request in, an answer that nobody may cache out."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from holmesgpt_api import errors, logs
from holmesgpt_api.decode import decode
from holmesgpt_api.state import State

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


async def read(request: Request, model: type[M]) -> M:
    body = decode(model, await request.body(), request.headers.get("content-type", ""))
    context = logs.request_context.get()
    if context is not None:
        context["remediation_id"] = getattr(body, "remediation_id", None)
        context["incident_id"] = getattr(body, "incident_id", None)
    return body


async def while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """A client that leaves cancels the work: no further model call starts for nobody. The end of the drain is told."""
    task, left = asyncio.ensure_future(work), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((task, left), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        state_of(request).metrics.cancelled.labels("disconnect").inc()
        raise ClientDisconnect
    except asyncio.CancelledError:
        if not state_of(request).shutting_down:
            raise
        state_of(request).metrics.cancelled.labels("shutdown").inc()
        raise errors.shutting_down() from None
    finally:
        for one in (task, left):
            one.cancel()
        await asyncio.gather(task, left, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def state_of(request: Request) -> State:
    state: State = request.app.state.holmes
    return state


def answer(request: Request, body: dict[str, Any]) -> JSONResponse:
    mode = state_of(request).settings.word("mode")
    return JSONResponse(body, headers={"X-Investigator": mode, "Cache-Control": "no-store"})
