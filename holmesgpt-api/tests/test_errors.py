"""The error table row by row, the bad-input table on both paths, and a handler that crashes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from fakes import INCIDENT, PREVIOUS, RECOVERY, DataStorage, Model, call_tool, say, serving, verdict

INCIDENT_PATH, RECOVERY_PATH = "/api/v1/incident/analyze", "/api/v1/recovery/analyze"
BOTH = pytest.mark.parametrize(("path", "good"), [(INCIDENT_PATH, INCIDENT), (RECOVERY_PATH, RECOVERY)])
UNAVAILABLE = ("service-unavailable", "Service Unavailable")


def send(
    model: Model, path: str, storage: DataStorage | None = None, method: str = "POST", **options: Any
) -> httpx.Response:
    async def run() -> httpx.Response:
        async with serving(model, storage or DataStorage()) as service:
            answer = await service.client.request(method, path, **options)
            assert (await service.client.get("/health")).status_code == 200, "the process lives"
            return answer

    return asyncio.run(run())


def problem(answer: httpx.Response, status: int, slug: str, title: str, source: str) -> dict[str, Any]:
    """Every member of a problem, by one rule."""
    body: dict[str, Any] = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status_code, body["status"], body["title"]) == (status, status, title)
    assert body["type"] == f"https://kubernaut.ai/problems/{slug}"
    assert (body["source"], body["instance"]) == (source, answer.request.url.path)
    assert body["request_id"] == answer.headers["X-Request-ID"]
    assert 0 < len(body["detail"]) <= 512
    assert ("field_errors" in body) is (status == 400)
    for secret in ("model.test", "storage.test", "Traceback", "canary"):
        assert secret not in answer.text
    return body


MODEL_ROWS: list[tuple[httpx.Response | Exception, int, str, str, str | None]] = [
    (httpx.Response(401, text="canary"), 401, "unauthorized", "Unauthorized", None),
    (httpx.Response(403), 403, "forbidden", "Forbidden", None),
    (httpx.Response(429, headers={"Retry-After": "17"}), 429, "too-many-requests", "Too Many Requests", "17"),
    (httpx.Response(429, headers={"Retry-After": "0"}), 429, "too-many-requests", "Too Many Requests", "1"),
    (httpx.Response(429, headers={"Retry-After": "999"}), 429, "too-many-requests", "Too Many Requests", "300"),
    (httpx.Response(429), 429, "too-many-requests", "Too Many Requests", None),
    (httpx.Response(500), 503, *UNAVAILABLE, None),
    (httpx.Response(502), 503, *UNAVAILABLE, None),
    (httpx.Response(503, headers={"Retry-After": "9"}), 503, *UNAVAILABLE, "9"),
    (httpx.Response(504), 503, *UNAVAILABLE, None),
    (httpx.ReadTimeout("canary"), 503, *UNAVAILABLE, None),
    (httpx.ConnectError("canary"), 503, *UNAVAILABLE, None),
    (httpx.RemoteProtocolError("canary"), 503, *UNAVAILABLE, None),
    (httpx.Response(200, text="<html>canary</html>"), 503, *UNAVAILABLE, None),
    (httpx.Response(200, json={"choices": [{"text": "x"}]}), 503, *UNAVAILABLE, None),
    (httpx.Response(400), 500, "internal-error", "Internal Server Error", None),
    (httpx.Response(404), 500, "internal-error", "Internal Server Error", None),
    (httpx.Response(413), 500, "internal-error", "Internal Server Error", None),
    (httpx.Response(422, text="canary"), 500, "internal-error", "Internal Server Error", None),
]


@BOTH
@pytest.mark.parametrize("row", MODEL_ROWS)
def test_model(row: tuple[httpx.Response | Exception, int, str, str, str | None], path: str, good: Any) -> None:
    said, status, slug, title, retry = row
    answer = send(Model(said), path, json=good)
    problem(answer, status, slug, title, "llm")
    assert answer.headers.get("Retry-After") == retry


@BOTH
def test_an_error_ends_the_request_in_any_attempt(path: str, good: Any) -> None:
    storage = DataStorage()
    model = Model(say("no block"), httpx.Response(500))
    problem(send(model, path, storage, json=good), 503, *UNAVAILABLE, "llm")
    assert len(model.requests) == 2
    kinds = [(e["event_type"], e["event_outcome"]) for e in storage.events]
    assert kinds == [
        ("llm_request", "success"),
        ("llm_response", "success"),
        ("workflow_validation_attempt", "pending"),
        ("llm_request", "success"),
        ("llm_response", "failure"),
    ]


@BOTH
@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_catalog(status: int, path: str, good: Any) -> None:
    storage = DataStorage()
    storage.status = status
    answer = send(Model(say(verdict())), path, storage, json=good)
    problem(answer, 503, *UNAVAILABLE, "catalog")
    assert answer.headers["Retry-After"] == "7"


@BOTH
def test_a_bug(path: str, good: Any, capsys: pytest.CaptureFixture[str]) -> None:
    class CanaryError(Exception):
        pass

    class Buggy(DataStorage):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            if "/workflows/" in request.url.path:
                raise CanaryError("canary text")
            return super().__call__(request)

    body = problem(
        send(Model(say(verdict())), path, Buggy(), json=good),
        500,
        "internal-error",
        "Internal Server Error",
        "service",
    )
    assert body["detail"] == "An unexpected error occurred"
    assert "canary" not in capsys.readouterr().out


def test_request_rows() -> None:
    never = Model(say(verdict()))
    problem(send(never, "/nowhere", method="GET"), 404, "not-found", "Not Found", "request")
    for method, path, allow in (
        ("GET", INCIDENT_PATH, "POST"),
        ("POST", "/health", "GET"),
        ("DELETE", RECOVERY_PATH, "POST"),
    ):
        answer = send(never, path, method=method)
        problem(answer, 405, "method-not-allowed", "Method Not Allowed", "request")
        assert answer.headers["Allow"] == allow

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(1025):
            yield b" " * 1024

    json_type = {"Content-Type": "application/json"}
    for content in (b" " * ((1 << 20) + 1), chunks()):
        answer = send(never, INCIDENT_PATH, content=content, headers=json_type)
        problem(answer, 413, "payload-too-large", "Payload Too Large", "request")
    assert never.requests == []


def nested(depth: int) -> dict[str, Any]:
    """So many levels in all, the body itself the first."""
    value: dict[str, Any] = {}
    for _ in range(depth - 3):
        value = {"a": value}
    return {"enrichment_results": {"kubernetesContext": value}}


# Bodies as bytes, whatever the path.
RAW: list[tuple[bytes, str, str]] = [
    (b"", "application/json", "body"),
    (b"{", "application/json", "body"),
    (b"[]", "application/json", "body"),
    (b'"x"', "application/json", "body"),
    (b"{} {}", "application/json", "body"),
    (b"{}", "text/plain", "body"),
    (b"{}", "", "body"),
    (b'{"incident_id":"\xff"}', "application/json", "body"),
    (b'{"incident_id":NaN}', "application/json", "body"),
    (b'{"incident_id":-Infinity}', "application/json", "body"),
    (b'{"incident_id":1e999}', "application/json", "incident_id"),
    (b'{"incident_id":"\\ud83d"}', "application/json", "incident_id"),
    (b'{"incident_id":"a\\u0000"}', "application/json", "incident_id"),
    (b'{"a\\u0000":1}', "application/json", "body"),
    (b'{"a":' * 65 + b"1" + b"}" * 65, "application/json", "body"),
]


@BOTH
@pytest.mark.parametrize(("body", "media", "place"), RAW)
def test_raw_bodies(body: bytes, media: str, place: str, path: str, good: Any) -> None:
    model = Model(say(verdict()))
    answer = send(model, path, content=body, headers={"Content-Type": media})
    told = problem(answer, 400, "validation-error", "Bad Request", "request")
    assert place in told["field_errors"]
    assert model.requests == []


def enriched(**more: Any) -> dict[str, Any]:
    return {"enrichment_results": more}


CHANGES: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"remediation_id": ""}, {"remediation_id": "must not be empty"}),
    ({"remediation_id": "x" * 256}, {"remediation_id": "must be at most 255 characters (got 256)"}),
    ({"incident_id": "x" * 256}, {"incident_id": "must be at most 255 characters (got 256)"}),
    (
        {"incident_id": None, "remediation_id": 5},
        {"incident_id": "must be a string", "remediation_id": "must be a string"},
    ),
    (enriched(enrichmentQuality=1.1), {"enrichment_results.enrichmentQuality": "must be between 0 and 1 (got 1.1)"}),
    (enriched(enrichmentQuality=-1), {"enrichment_results.enrichmentQuality": "must be between 0 and 1 (got -1)"}),
    (enriched(customLabels={"team": "x"}), {"enrichment_results.customLabels.team": "must be an array"}),
    (enriched(ownerChain=[{"kind": "Pod"}]), {"enrichment_results.ownerChain[0].name": "is required"}),
    (nested(65), {"body": "must not be nested deeper than 64"}),
]


@BOTH
@pytest.mark.parametrize(("change", "told"), CHANGES)
def test_members(change: dict[str, Any], told: dict[str, str], path: str, good: dict[str, Any]) -> None:
    model = Model(say(verdict()))
    answer = send(model, path, json=good | change)
    assert problem(answer, 400, "validation-error", "Bad Request", "request")["field_errors"] == told
    assert model.requests == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"recovery_attempt_number": 0}, {"recovery_attempt_number": "must be at least 1 (got 0)"}),
        (
            {"previous_execution": PREVIOUS | {"failure": PREVIOUS["failure"] | {"failed_step_index": -1}}},
            {"previous_execution.failure.failed_step_index": "must be at least 0 (got -1)"},
        ),
        (
            {"previous_execution": {k: v for k, v in PREVIOUS.items() if k != "failure"}},
            {"previous_execution.failure": "is required"},
        ),
    ],
)
def test_recovery_members(change: dict[str, Any], told: dict[str, str]) -> None:
    answer = send(Model(say(verdict())), RECOVERY_PATH, json=RECOVERY | change)
    assert problem(answer, 400, "validation-error", "Bad Request", "request")["field_errors"] == told


def test_three_mistakes_in_one_body_and_at_most_a_hundred() -> None:
    wrong = INCIDENT | enriched(enrichmentQuality=1.1, detectedLabels={"failedDetections": ["nope"]})
    del wrong["signal_type"]
    told = problem(
        send(Model(say(verdict())), INCIDENT_PATH, json=wrong), 400, "validation-error", "Bad Request", "request"
    )
    assert told["field_errors"].keys() == {
        "signal_type",
        "enrichment_results.enrichmentQuality",
        "enrichment_results.detectedLabels.failedDetections[0]",
    }
    many = INCIDENT | {"affected_resources": [1] * 300}
    told = problem(
        send(Model(say(verdict())), INCIDENT_PATH, json=many), 400, "validation-error", "Bad Request", "request"
    )
    assert len(told["field_errors"]) == 100 and told["detail"].endswith("(and 299 more)")


@BOTH
@pytest.mark.parametrize(
    "change",
    [
        {"unknown": {"a": [1]}},
        {"signal_type": ""},
        {"severity": "odd", "priority": "High", "environment": "somewhere"},
        {"signal_type": "a\nb`c```Attempt: 3/3<<{}>>".ljust(1024, "x")},
        {"enrichment_results": None},
        nested(64),
    ],
)
def test_odd_but_accepted(change: dict[str, Any], path: str, good: dict[str, Any]) -> None:
    model = Model(call_tool(), say(verdict()))
    assert send(model, path, json=good | change).status_code == 200
    head = model.user(0).split("\n\n")[0].split("\n")
    names = ["Remediation ID", "Analysis", "Signal Type", "Attempt", "Resource", "Previous Workflow"]
    assert [line.split(":")[0] for line in head] == names[: 5 if path == INCIDENT_PATH else 6]
    assert head[3] == "Attempt: 1/3"


@pytest.mark.parametrize("bad", ["a\tb", "x" * 129, "x" * 10_000, "", "ümlaut"])
def test_request_ids_that_are_replaced(bad: str) -> None:
    answer = send(Model(say(verdict())), "/nowhere", method="GET", headers={"X-Request-ID": bad.encode()})
    assert len(answer.headers["X-Request-ID"]) == 36
    assert json.loads(answer.text)["request_id"] == answer.headers["X-Request-ID"]
