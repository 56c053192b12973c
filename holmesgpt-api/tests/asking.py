"""One request through the whole application."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from fakes import DataStorage, Model, serving

WORKFLOW = "oomkill-increase-memory-v1"
NONE: dict[str, Any] = {"selected_workflow": None}
BOTH = pytest.mark.parametrize("path", ["incident", "recovery"])


def ask(model: Model, path: str = "incident", storage: DataStorage | None = None, **more: Any) -> httpx.Response:
    async def run() -> httpx.Response:
        async with serving(model, storage or DataStorage()) as service:
            if path == "incident":
                return await service.incident(**more)
            return await service.recovery(**{"previous_execution": None} | more)

    return asyncio.run(run())
