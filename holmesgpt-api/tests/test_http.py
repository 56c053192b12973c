"""The edge: bodies, ids, problems, probes, metrics, the contract file."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fakes import INCIDENT, RECOVERY, DataStorage, Model, say, serving, verdict
from holmesgpt_api import openapi
from holmesgpt_api.main import main

INCIDENT_PATH = "/api/v1/incident/analyze"
CONTRACT = Path(__file__).parents[2] / "api" / "openapi" / "holmesgpt.yaml"


def send(method: str, path: str, model: Model | None = None, **options: Any) -> httpx.Response:
    async def run() -> httpx.Response:
        async with serving(model or Model(say(verdict())), DataStorage()) as service:
            return await service.client.request(method, path, **options)

    return asyncio.run(run())


def post(body: Any, path: str = INCIDENT_PATH, content_type: str = "application/json") -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    model = Model(say(verdict()))
    response = send("POST", path, model, content=content, headers={"Content-Type": content_type})
    if response.status_code >= 400:
        assert model.requests == [], "the model was asked for a refused body"
        assert response.headers["Content-Type"] == "application/problem+json"
    return response


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


def enriched(**more: Any) -> dict[str, Any]:
    return INCIDENT | {"enrichment_results": more}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"[]", "body"),
        (b"{} x", "body"),
        (b'{"a":"\xff"}', "body"),
        (b'{"a":NaN}', "body"),
        (b"[" * 100000, "body"),
        (enriched(kubernetesContext=deep(70)), "body"),
        (
            json.dumps(enriched(kubernetesContext={"a": 1})).replace("1}", "1e999}").encode(),
            "enrichment_results.kubernetesContext.a",
        ),
        (INCIDENT | {"signal_type": "\ud800"}, "signal_type"),
        (INCIDENT | {"description": "a\x00"}, "description"),
        (INCIDENT | {"remediation_id": ""}, "remediation_id"),
        (INCIDENT | {"remediation_id": "x" * 256}, "remediation_id"),
        (INCIDENT | {"signal_type": "x" * 1025}, "signal_type"),
        (INCIDENT | {"severity": None}, "severity"),
        (INCIDENT | {"occurrence_count": "5"}, "occurrence_count"),
        (INCIDENT | {"occurrence_count": 5.0}, "occurrence_count"),
        (INCIDENT | {"is_storm": "true"}, "is_storm"),
        (enriched(enrichmentQuality=1.1), "enrichment_results.enrichmentQuality"),
        (
            enriched(detectedLabels={"failedDetections": ["nope"]}),
            "enrichment_results.detectedLabels.failedDetections[0]",
        ),
        (enriched(customLabels={"team": "x"}), "enrichment_results.customLabels.team"),
        (enriched(ownerChain=[{"kind": "Pod"}]), "enrichment_results.ownerChain[0].name"),
    ],
)
def test_bad_incident_bodies(body: Any, path: str) -> None:
    response = post(body)
    assert response.status_code == 400
    assert path in response.json()["field_errors"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"recovery_attempt_number": 0}, "recovery_attempt_number"),
        ({"previous_execution": {"workflow_execution_ref": "x"}}, "previous_execution.failure"),
        ({"environment": None}, "environment"),
    ],
)
def test_bad_recovery_bodies(change: dict[str, Any], path: str) -> None:
    response = post(RECOVERY | change, "/api/v1/recovery/analyze")
    assert response.status_code == 400
    assert path in response.json()["field_errors"]


def test_all_mistakes_at_once() -> None:
    labels = {"failedDetections": ["nope"]}
    body = enriched(enrichmentQuality=1.1, detectedLabels=labels)
    del body["signal_type"]
    problem = post(body).json()
    assert len(problem["field_errors"]) == 3
    assert problem["detail"] == "signal_type: is required (and 2 more)"
    assert problem["field_errors"]["enrichment_results.enrichmentQuality"] == "must be between 0 and 1 (got 1.1)"
    assert (problem["source"], problem["instance"], problem["title"]) == ("request", INCIDENT_PATH, "Bad Request")


@pytest.mark.parametrize("change", [{"signal_type": ""}, {"unknown": 1}, {"severity": "odd"}, {"priority": "High"}])
def test_odd_but_good_bodies(change: dict[str, Any]) -> None:
    assert post(INCIDENT | change).status_code == 200


def test_media_type_method_path_and_size() -> None:
    assert post(INCIDENT, content_type="text/plain").status_code == 400
    assert post(INCIDENT, content_type="application/json; charset=utf-8").status_code == 200
    wrong = send("GET", INCIDENT_PATH)
    assert (wrong.status_code, wrong.headers["Allow"], wrong.json()["source"]) == (405, "POST", "request")
    assert send("POST", "/health").headers["Allow"] == "GET"
    assert send("GET", "/nowhere").json()["type"].endswith("/not-found")
    assert post(b" " * (1 << 20)).status_code == 400
    assert post(b" " * ((1 << 20) + 1)).status_code == 413

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(1025):
            yield b" " * 1024

    assert send("POST", INCIDENT_PATH, content=chunks()).status_code == 413


def test_request_ids() -> None:
    assert send("GET", "/health", headers={"X-Request-ID": "good.id_1"}).headers["X-Request-ID"] == "good.id_1"
    for bad in ("a b", "x" * 129, ""):
        made = send("GET", "/health", headers={"X-Request-ID": bad}).headers["X-Request-ID"]
        assert re.fullmatch(r"[0-9a-f-]{36}", made)


def test_a_bug_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    class SecretError(Exception):
        pass

    class Buggy(DataStorage):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            if "/workflows/" in request.url.path:
                raise SecretError("hidden text")
            return super().__call__(request)

    async def run() -> httpx.Response:
        async with serving(Model(say(verdict())), Buggy()) as service:
            return await service.incident()

    response = asyncio.run(run())
    assert response.status_code == 500
    assert response.json()["detail"] == "An unexpected error occurred"
    assert "hidden text" not in response.text + capsys.readouterr().out


def test_probes() -> None:
    async def run() -> None:
        async with serving(Model(say(verdict())), DataStorage()) as service:
            health = (await service.client.get("/health")).json()
            assert health["status"] == "healthy"
            assert health["endpoints"] == [INCIDENT_PATH, "/api/v1/recovery/analyze"]
            await service.state.probed.wait()
            ready = await service.client.get("/ready")
            up = {"status": "up"}
            checks = {"sdk": up, "prometheus": up, "data_storage": up, "audit": up}
            assert ready.json() == {"status": "ready", "dependencies": checks}
            service.state.shutting_down = "SIGTERM"
            going = await service.client.get("/ready")
            assert (going.status_code, going.json()["status"]) == (503, "shutting_down")
            assert (await service.client.get("/health")).status_code == 200

    asyncio.run(run())


def test_ready_while_data_storage_is_down() -> None:
    async def run() -> None:
        storage = DataStorage()
        storage.status = 500
        async with serving(Model(say(verdict())), storage) as service:
            await service.state.probed.wait()
            ready = await service.client.get("/ready")
            assert ready.status_code == 200
            assert ready.json()["dependencies"]["data_storage"] == {"status": "down"}

    asyncio.run(run())


def test_config_hides_secrets() -> None:
    async def run() -> dict[str, Any]:
        endpoint = "http://user:pass@model.test/v1?key=abc"
        async with serving(Model(), DataStorage(), LLM_ENDPOINT=endpoint, LLM_API_KEY="sk-secret") as service:
            body: dict[str, Any] = (await service.client.get("/config")).json()
            return body

    body = asyncio.run(run())
    assert body["llm"]["endpoint"] == "http://***@model.test/v1?***"
    assert body["data_storage"] == {"url": "http://storage.test", "source": "env"}
    assert "secret" not in json.dumps(body)


def test_metrics() -> None:
    async def run() -> httpx.Response:
        async with serving(Model(say(verdict())), DataStorage()) as service:
            await service.incident()
            return await service.client.get("/metrics")

    response = asyncio.run(run())
    assert response.headers["Content-Type"].startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    for name in ("http_requests", "investigations", "llm_calls", "llm_token_usage", "outcomes", "validation_attempts"):
        assert families[f"holmesgpt_api_{name}"].type == "counter"
    assert {s.labels["service"] for s in families["audit_events_buffered"].samples} == {"holmesgpt-api"}


def test_contract_file_is_current(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["openapi", "--check", str(CONTRACT)], {}) == 0, "print it anew"
    edited = tmp_path / "edited.yaml"
    edited.write_text(openapi.render() + "\n")
    assert main(["openapi", "--check", str(edited)], {}) == 1
    assert main(["openapi", "--check", str(tmp_path / "absent")], {}) == 1
    capsys.readouterr()


def test_contract_rules() -> None:
    text = openapi.render()
    assert "null\n" not in text.replace('"null"', "")
    schemas = openapi.document()["components"]["schemas"]
    incident = schemas["IncidentResponse"]
    assert incident["properties"]["target_in_owner_chain"] == {"type": "boolean"}
    assert "target_in_owner_chain" not in incident["required"]
    assert incident["properties"]["root_cause_analysis"] == {"additionalProperties": True, "type": "object"}
    nullable = {n for n, s in incident["properties"].items() if {"type": "null"} in s.get("anyOf", [])}
    assert nullable == {"selected_workflow", "human_review_reason"}
    assert schemas["IncidentRequest"]["required"] == list(INCIDENT)[:-1]
    for path in (INCIDENT_PATH, "/api/v1/recovery/analyze"):
        responses = openapi.document()["paths"][path]["post"]["responses"]
        assert list(responses) == ["200", "400", "401", "403", "413", "429", "500", "503"]


def test_served_contract_is_the_document() -> None:
    assert send("GET", "/openapi.json").json() == openapi.document()
