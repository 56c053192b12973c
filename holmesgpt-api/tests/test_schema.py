"""Generated requests at the service in both modes: nothing undocumented comes back, nothing forbidden is taken."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck
from hypothesis import settings as budget

from fakes import DataStorage, Model, say, settings, verdict
from holmesgpt_api.main import create_app
from holmesgpt_api.state import Transports, start


def scripted() -> FastAPI:
    return create_app(settings(MOCK_LLM_MODE="true", DATA_STORAGE_URL=""))


def holmes() -> FastAPI:
    transports = Transports(httpx.MockTransport(Model(say(verdict()))), httpx.MockTransport(DataStorage()))
    return create_app(settings(), transports)


@contextlib.asynccontextmanager
async def forever(_: FastAPI) -> AsyncIterator[None]:
    yield


def document(app: FastAPI) -> schemathesis.BaseSchema:
    """U+0000 is the one thing that JSON Schema cannot forbid."""
    app.router.lifespan_context = forever  # each case enters and leaves it: the clients have to stay open
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    schema.config.generation.update(allow_x00=False)
    schema.config.checks.negative_data_rejection.expected_statuses = ["400", "404", "405", "413"]
    # Values that JSON Schema takes and the service does not: 5.0 as an integer, lone surrogates.
    schema.config.checks.positive_data_acceptance.enabled = False
    return schema


FEW = budget(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


HOLMES = holmes()


@pytest.fixture(scope="module", autouse=True)
def ready() -> Iterator[None]:
    """The SDK is in, as it is behind the readiness probe."""
    asyncio.run(start(HOLMES.state.holmes))
    yield
    asyncio.run(HOLMES.state.holmes.investigator.aclose())


@document(scripted()).parametrize()
@FEW
def test_scripted(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate()


@document(HOLMES).parametrize()
@FEW
def test_holmes(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate()
