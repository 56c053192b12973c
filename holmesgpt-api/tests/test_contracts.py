"""Both sides: what the Go client sends to this service, and what this service sends to and reads of Data Storage."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from contract import Contract
from fakes import OOM, TLS, DataStorage, Model, call_tool, say, select, serving, settings, verdict
from holmesgpt_api.audit import Buffer, Sender
from holmesgpt_api.catalog import DataStorageCatalog, SearchRefusedError
from holmesgpt_api.decode import decode
from holmesgpt_api.metrics import Metrics
from holmesgpt_api.models import IncidentRequest, RecoveryRequest

ROOT = Path(__file__).parents[2]
STORAGE = Contract(ROOT / "api" / "openapi" / "datastorage.yaml")
SEARCH, BATCH, ONE = "/api/v1/workflows/search", "/api/v1/audit/events/batch", f"/api/v1/workflows/{OOM}"


@pytest.mark.parametrize(("name", "model"), [("incident", IncidentRequest), ("recovery", RecoveryRequest)])
def test_what_the_go_client_sends_is_known(name: str, model: type[BaseModel]) -> None:
    body = (ROOT / "internal" / "holmes" / "testdata" / f"{name}.json").read_bytes()
    request = decode(model, body, "application/json")
    assert request.model_dump(mode="json", by_alias=True, exclude_unset=True) == json.loads(body), "a member is ignored"


class Watched(DataStorage):
    """Holds every request against the contract, and the fake's own answer too, which may leave members out."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()
        self.flaws: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        where = f"{request.method} {request.url.path}"
        self.asked.add(where)
        operation = STORAGE.operation(request.method, request.url.path)
        if request.content:
            schema = STORAGE.body(operation["requestBody"])
            self.flaws += STORAGE.flaws(schema, json.loads(request.content), where)
        response = super().__call__(request)
        answer = STORAGE.body(operation["responses"][str(response.status_code)])
        self.flaws += STORAGE.flaws(answer, response.json(), f"the fake's {where}", partial=True)
        return response


def test_what_is_sent_to_data_storage_keeps_the_contract() -> None:
    async def run() -> Watched:
        storage = Watched()
        invented = say(select(workflow_id="00000000-dead-4bad-8bad-000000000404"))
        async with serving(Model(call_tool(), invented, say(verdict())), storage) as service:
            assert (await service.incident()).status_code == 200
            assert (await service.recovery()).status_code == 200
        return storage

    storage = asyncio.run(run())
    assert storage.flaws == []
    assert {"GET /health", f"POST {SEARCH}", f"POST {BATCH}", f"GET {ONE}"} <= storage.asked
    assert {event["event_type"] for event in storage.events} == {
        "llm_request",
        "llm_response",
        "llm_tool_call",
        "workflow_validation_attempt",
    }
    assert {"custom_labels", "detected_labels"} <= storage.searches[0]["filters"].keys()


def answer(method: str, path: str, status: int, **change: Any) -> httpx.Response:
    """An answer that has every member of the contract, some with another value."""
    schema = STORAGE.body(STORAGE.operation(method, path)["responses"][str(status)])
    body = STORAGE.example(schema) | change
    assert STORAGE.flaws(schema, body, path) == []
    return httpx.Response(status, json=body)


def ask_catalog(response: httpx.Response) -> tuple[DataStorageCatalog, httpx.AsyncClient]:
    transport = httpx.MockTransport(lambda _: response)
    client = httpx.AsyncClient(transport=transport, base_url="http://storage.test", verify=TLS)
    return DataStorageCatalog(client, 10, Metrics()), client


def test_every_member_of_a_workflow_is_found() -> None:
    parameters = {"schema": {"parameters": [{"name": "NAMESPACE"}]}}

    async def run() -> dict[str, Any]:
        catalog, client = ask_catalog(answer("GET", ONE, 200, parameters=parameters))
        async with client:
            workflow = await catalog.get(OOM)
        assert workflow is not None
        return dataclasses.asdict(workflow)

    assert [name for name, value in asyncio.run(run()).items() if not value] == []


def tool_result(model: Model) -> dict[str, Any]:
    """The object at the end of the tool message; the SDK writes a line of its own before it."""
    content = model.requests[1]["messages"][-1]["content"]
    result: dict[str, Any] = json.loads(content[content.index('{"workflows"') :])
    return result


def test_a_search_is_read_by_the_contract() -> None:
    hit = STORAGE.example({"$ref": "#/components/schemas/WorkflowSearchResult"})
    hit |= {"workflow_id": OOM, "confidence": 0.25, "final_score": 0.75}
    found = answer("POST", SEARCH, 200, workflows=[hit], total_results=41).json()

    class Storage(DataStorage):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            response = super().__call__(request)
            return httpx.Response(200, json=found) if request.url.path == SEARCH else response

    async def run() -> dict[str, Any]:
        model = Model(call_tool(), say(verdict()))
        async with serving(model, Storage()) as service:
            await service.incident()
        result: dict[str, Any] = tool_result(model)
        return result

    result = asyncio.run(run())
    assert result["total_results"] == 41
    assert [(row["workflow_id"], row["score"]) for row in result["workflows"]] == [(OOM, 0.75)]


@pytest.mark.parametrize(
    ("change", "told"), [({"field_errors": {"filters.severity": "odd"}}, "odd"), ({"field_errors": {}}, "why")]
)
def test_a_refused_search_says_why(change: dict[str, Any], told: str) -> None:
    async def run() -> None:
        catalog, client = ask_catalog(answer("POST", SEARCH, 400, detail="why", **change))
        async with client:
            await catalog.search({})

    with pytest.raises(SearchRefusedError, match=told):
        asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "change", "left", "dropped"),
    [(201, {}, 0, 0), (202, {}, 0, 0), (400, {"invalid_indexes": [1]}, 2, 1), (413, {"invalid_indexes": []}, 3, 0)],
)
def test_the_answers_to_a_batch_are_understood(status: int, change: dict[str, Any], left: int, dropped: int) -> None:
    response = answer("POST", BATCH, status, **change)

    async def run() -> Buffer:
        buffer = Buffer(settings(), Metrics())
        for i in range(3):
            buffer.add({"event_id": f"e{i}"})
        transport = httpx.MockTransport(lambda _: response)
        async with httpx.AsyncClient(transport=transport, base_url="http://storage.test", verify=TLS) as client:
            assert await Sender(buffer, client, settings(), Metrics()).send_once() is None
        return buffer

    buffer = asyncio.run(run())
    assert (len(buffer), buffer.dropped) == (left, dropped)
