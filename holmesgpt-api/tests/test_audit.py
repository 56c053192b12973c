"""The trail of whole requests, held against Data Storage's contract, and what outages cost."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import httpx
import pytest

from contract import Contract
from fakes import INCIDENT, DataStorage, Model, call_tool, say, select, serving, settings, verdict
from holmesgpt_api.audit import Buffer, Sender
from holmesgpt_api.metrics import Metrics

STORAGE = Contract(Path(__file__).parents[2] / "api" / "openapi" / "datastorage.yaml")
BATCH = "/api/v1/audit/events/batch"
REQUEST, RESPONSE, TOOL, CHECK = "llm_request", "llm_response", "llm_tool_call", "workflow_validation_attempt"
ACTIONS = {
    REQUEST: "llm_request_sent",
    RESPONSE: "llm_response_received",
    TOOL: "tool_invoked",
    CHECK: "validation_executed",
}
COMMON = {"event_id", "incident_id", "attempt"}
DATA = {
    REQUEST: {"model", "prompt_length", "prompt_preview", "max_tokens", "toolsets_enabled", "mcp_servers"}
    | {"prompt_sha256", "mode"},
    RESPONSE: {"has_analysis", "analysis_length", "analysis_preview", "tokens_used", "tool_call_count"}
    | {"llm_calls", "error_class"},
    TOOL: {"tool_call_index", "tool_name", "tool_arguments", "tool_result", "tool_result_preview"}
    | {"search_filters", "top_k"},
    CHECK: {"max_attempts", "is_valid", "errors", "validation_errors", "workflow_id", "workflow_name"}
    | {"human_review_reason", "is_final_attempt"},
}
BAD = say("no block")
INVENTED = say(select(workflow_id="00000000-dead-4bad-8bad-000000000404"))
ASKED = [(REQUEST, "success"), (RESPONSE, "success")]
AGAIN = [*ASKED, (CHECK, "pending")]
# The model's answers, the status, and each event's type and outcome.
TRAILS: list[tuple[list[Any], int, list[tuple[str, str]]]] = [
    ([call_tool(), say(verdict())], 200, [*ASKED, (TOOL, "success"), (CHECK, "success")]),
    ([INVENTED, say(verdict())], 200, [*AGAIN, *ASKED, (CHECK, "success")]),
    ([BAD], 200, [*AGAIN, *AGAIN, *ASKED, (CHECK, "failure")]),
    ([httpx.Response(401)], 401, [(REQUEST, "success"), (RESPONSE, "failure")]),
]


@pytest.mark.parametrize(("answers", "status", "expected"), TRAILS, ids=["happy", "corrected", "exhausted", "failed"])
def test_trails(answers: list[Any], status: int, expected: list[tuple[str, str]]) -> None:
    storage = DataStorage()

    async def run() -> None:
        async with serving(Model(*answers), storage) as service:
            answer = await service.client.post(
                "/api/v1/incident/analyze", json=INCIDENT, headers={"X-Request-ID": "request-1"}
            )
            assert answer.status_code == status

    asyncio.run(run())
    assert [(e["event_type"], e["event_outcome"]) for e in storage.events] == expected
    schema = STORAGE.body(STORAGE.operation("POST", BATCH)["requestBody"])
    assert STORAGE.flaws(schema, storage.events, BATCH) == []
    ordinals: dict[str, int] = {}
    for event in storage.events:
        kind, data = event["event_type"], event["event_data"]
        ordinals[kind] = ordinals.get(kind, 0) + 1
        name = f"request-1/{kind}/{ordinals[kind]}"
        assert event["event_id"] == str(uuid5(UUID("e920df68-0ffb-584f-b11f-6be718804eaa"), name)) == data["event_id"]
        assert (event["event_action"], event["version"], event["event_category"]) == (ACTIONS[kind], "1.0", "analysis")
        assert (event["actor_type"], event["actor_id"]) == ("service", "holmesgpt-api")
        assert (event["resource_type"], event["resource_id"], event["namespace"]) == ("Incident", "cart-oom-17", "shop")
        assert event["correlation_id"] == "rr-cart-oom-17"
        assert data.keys() == COMMON | DATA[kind]
        assert len(json.dumps(data)) <= 64 << 10


@pytest.mark.parametrize("labels", [None, {}, {"team": ["name=cart"]}])
def test_search_filters_and_real_arguments(labels: Any) -> None:
    storage = DataStorage()
    strange = call_tool("odd_tool", {"a": 1})

    async def run() -> None:
        async with serving(Model(call_tool(), strange, say(verdict())), storage) as service:
            await service.incident(enrichment_results={"customLabels": labels})

    asyncio.run(run())
    first, second = [e["event_data"] for e in storage.events if e["event_type"] == TOOL]
    assert first["search_filters"] == storage.searches[0]["filters"]
    assert ("custom_labels" in first["search_filters"]) is bool(labels)
    assert (first["tool_name"], first["tool_arguments"]["query"]) == ("search_workflow_catalog", "OOMKilled critical")
    assert (second["tool_name"], second["tool_arguments"], second["tool_call_index"]) == ("odd_tool", {"a": 1}, 1)
    assert "search_filters" not in second


class Away(DataStorage):
    """Takes no batch while `away`; the first one afterwards is stored and its answer lost."""

    away, lost = True, True

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == BATCH and self.away:
            raise httpx.ConnectError("away")
        response = super().__call__(request)
        if request.url.path == BATCH and self.lost:
            self.lost = False
            raise httpx.ReadError("lost")
        return response


def test_outage_costs_nothing_but_time() -> None:
    """Fifty answers during the outage; afterwards every event is stored, a resend under the same id."""
    storage = Away()

    async def run() -> None:
        async with serving(Model(say(verdict())), storage) as service:
            loop = asyncio.get_running_loop()
            began = loop.time()
            for number in range(50):
                assert (await service.incident(remediation_id=f"rr-{number}")).status_code == 200
            assert loop.time() - began < 30
            assert len(service.state.buffer) == 150
            storage.away = False

    asyncio.run(run())
    assert len({event["event_id"] for event in storage.events}) == 150


def test_small_buffer_counts_what_it_drops() -> None:
    storage = Away()

    async def run() -> None:
        async with serving(Model(say(verdict())), storage) as service:
            service.state.buffer._max_events = 10
            for _ in range(5):
                assert (await service.incident()).status_code == 200
            told = (await service.client.get("/ready")).json()["dependencies"]["audit"]
            assert told == {"status": "degraded", "buffered": 10, "dropped": 5}
            metrics = (await service.client.get("/metrics")).text
            assert 'audit_events_dropped_total{reason="buffer_full",service="holmesgpt-api"} 5.0' in metrics
            storage.away = False

    asyncio.run(run())
    assert len({event["event_id"] for event in storage.events}) == 10


def test_one_poisoned_event_of_fifty() -> None:
    """Named by Data Storage or not: the other 49 are stored."""
    for named in (True, False):
        stored: list[str] = []

        def answer(request: httpx.Request, named: bool = named, stored: list[str] = stored) -> httpx.Response:
            ids = [event["event_id"] for event in json.loads(request.content)]
            if "e30" in ids:
                return httpx.Response(400, json={"invalid_indexes": [ids.index("e30")]} if named else {})
            stored += ids
            return httpx.Response(201, json={})

        async def run(transport: httpx.MockTransport) -> Buffer:
            buffer = Buffer(settings(), Metrics())
            for number in range(50):
                buffer.add({"event_id": f"e{number}"})
            async with httpx.AsyncClient(transport=transport, base_url="http://storage.test") as client:
                await Sender(buffer, client, settings(), Metrics()).flush()
            return buffer

        buffer = asyncio.run(run(httpx.MockTransport(answer)))
        assert (len(stored), buffer.dropped) == (49, 1)
