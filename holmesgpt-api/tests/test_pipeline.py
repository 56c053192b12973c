"""Whole requests through the application: outcome, correction, errors, audit."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from fakes import ALTERNATIVE, OOM, DataStorage, Model, call_tool, parameter, row, say, select, serving, verdict
from holmesgpt_api.trail import event_id


def ask(model: Model, storage: DataStorage | None = None, path: str = "incident", **more: Any) -> httpx.Response:
    async def run() -> httpx.Response:
        async with serving(model, storage or DataStorage()) as service:
            return await (service.incident(**more) if path == "incident" else service.recovery(**more))

    return asyncio.run(run())


def test_happy_incident_comes_from_the_catalog() -> None:
    model, storage = Model(call_tool(), say(verdict())), DataStorage()
    response = ask(model, storage)
    body = response.json()
    assert response.status_code == 200
    assert response.headers["X-Investigator"] == "holmes"
    assert response.headers["Cache-Control"] == "no-store"
    chosen = body["selected_workflow"]
    assert chosen["workflow_id"] == OOM
    assert chosen["container_image"] == "quay.io/kubernaut/oomkill-increase-memory-v1:v1.0.0"
    assert (chosen["version"], chosen["title"]) == ("1.0.0", "Title of oomkill-increase-memory-v1")
    assert body["target_in_owner_chain"] is True
    assert body["warnings"] == []
    assert body["human_review_reason"] is None
    assert [a["workflow_id"] for a in body["alternative_workflows"]] == [ALTERNATIVE]
    assert [(h["attempt"], h["is_valid"]) for h in body["validation_attempts_history"]] == [(1, True)]
    tool_message = model.requests[1]["messages"][-1]
    assert tool_message["role"] == "tool"
    assert tool_message["content"].startswith('tool_call_metadata={"tool_name": "search_workflow_catalog", ')
    assert '"tool_call_id": "call_1"}{"workflows":[{"workflow_id":' in tool_message["content"]
    assert '"workflow_name":"oomkill-increase-memory-v1"' in tool_message["content"]
    assert storage.searches[0]["filters"]["custom_labels"] == {"team": ["name=cart"]}
    assert storage.searches[0]["filters"]["detected_labels"] == {"hpaEnabled": True}


def test_invented_workflow_is_corrected() -> None:
    invented = "00000000-dead-4bad-8bad-000000000404"
    model = Model(say(select(workflow_id=invented)), say(verdict()))
    body = ask(model).json()
    assert body["needs_human_review"] is False
    assert [h["is_valid"] for h in body["validation_attempts_history"]] == [False, True]
    assert body["validation_attempts_history"][0]["errors"] == [f"workflow '{invented}' is not in the catalog"]
    assert f"workflow '{invented}' is not in the catalog" in model.user(1)
    assert "Attempt: 2/3\n" in model.user(1)


def test_missing_parameter_gives_the_schema_to_the_next_attempt() -> None:
    model = Model(say(select(parameters={"NAMESPACE": "shop"})), say(verdict()))
    ask(model)
    assert "missing required parameter 'MEMORY_LIMIT'" in model.user(1)
    assert '"name":"MEMORY_LIMIT"' in model.user(1)
    assert "Memory limit too low" in model.user(1)


def test_reason_is_that_of_the_last_attempt() -> None:
    model = Model(
        say(select(container_image="quay.io/kubernaut/wrong:v0")), say(select(parameters={})), say("no block here")
    )
    body = ask(model).json()
    assert body["human_review_reason"] == "llm_parsing_error"
    assert body["selected_workflow"] is None
    assert body["confidence"] == 0
    assert body["warnings"] == ["No valid answer after 3 attempts"]
    assert len(body["validation_attempts_history"]) == 3
    assert body["root_cause_analysis"]["summary"] == "Memory limit too low"
    assert len(model.requests) == 3


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (select(workflow_id="not-a-uuid"), "workflow_not_found"),
        (select(container_image="x"), "image_mismatch"),
        (select(parameters={}), "parameter_validation_failed"),
        ("```json\n{", "llm_parsing_error"),
        (verdict(selected_workflow=None, confidence=0.0), "no_matching_workflows"),
        (select(confidence=0.6999), "low_confidence"),
        (verdict(selected_workflow=None, investigation_outcome="inconclusive"), "investigation_inconclusive"),
        (
            verdict(selected_workflow=None, investigation_outcome="resolved", confidence=0.69),
            "investigation_inconclusive",
        ),
        (verdict(selected_workflow=None, investigation_outcome="resolved", confidence=0.7), None),
        (select(confidence=0.70), None),
    ],
)
def test_outcome_table(answer: Any, reason: str | None) -> None:
    body = ask(Model(say(answer))).json()
    assert body["human_review_reason"] == reason
    assert body["needs_human_review"] is (reason is not None)
    kept = reason == "low_confidence" or (reason is None and "investigation_outcome" not in answer)
    assert (body["selected_workflow"] is not None) is kept
    recovery = ask(Model(say(answer)), path="recovery", previous_execution=None).json()
    assert recovery["human_review_reason"] == reason
    assert recovery["can_recover"] is (recovery["selected_workflow"] is not None) is kept


def test_recovery_normalises_its_analysis() -> None:
    flat = {"failure_understood": True, "state_changed": True, "current_signal_type": "Evicted"}
    nested = {"previous_attempt_assessment": flat}
    answers = []
    for given in (flat, nested):
        parameters = {"NAMESPACE": "shop", "MEMORY_LIMIT": "2Gi"}
        model = Model(say(select(parameters=parameters) | {"recovery_analysis": given, "can_recover": True}))
        body = ask(model, path="recovery").json()
        answers.append(body["recovery_analysis"])
        assert body["can_recover"] is True
        assert body["strategies"][0]["action_type"] == "oomkill-increase-memory-v1"
        assert body["primary_recommendation"] == "oomkill-increase-memory-v1"
        assert body["metadata"]["recovery_attempt_number"] == 2
        user = model.user(0)
        assert "Previous Workflow: oomkill-increase-memory-v1\n" in user
        assert "apply-memory-patch" in user and "Forbidden" in user
        assert "Signal Type: OOMKilled\n" in user
    assert answers[0] == answers[1]
    assert answers[0]["state_changed"] is True
    assert answers[0]["previous_attempt_assessment"]["current_signal_type"] == "Evicted"


def test_recovery_refuses_what_failed_and_what_cannot() -> None:
    body = ask(Model(say(verdict())), path="recovery").json()
    assert body["human_review_reason"] == "no_matching_workflows"
    assert "is the one that failed" in body["validation_attempts_history"][0]["errors"][0]
    body = ask(Model(say(verdict(selected_workflow=None, can_recover=False, confidence=0.95))), path="recovery").json()
    assert (body["can_recover"], body["needs_human_review"], body["analysis_confidence"]) == (False, False, 0.95)


def test_values_become_strings_and_strangers_go() -> None:
    storage = DataStorage()
    storage.rows[OOM] = row(
        "oomkill-increase-memory-v1", parameter("N", type="integer"), parameter("B", type="boolean")
    )
    model = Model(say(select(parameters={"N": 3, "B": True, "STRANGER": "x"})))
    assert ask(model, storage).json()["selected_workflow"]["parameters"] == {"N": "3", "B": "true"}


@pytest.mark.parametrize(
    ("chain", "target", "expected"),
    [
        ([], {"kind": "pod", "name": "cart"}, True),
        (None, {"kind": "Deployment", "name": "cart", "namespace": "shop"}, None),
        ([{"kind": "Deployment", "name": "cart", "namespace": "shop"}], {"kind": "Deployment", "name": "cart"}, True),
        ([], {"kind": "Deployment", "name": "other", "namespace": "elsewhere"}, False),
        ([], None, None),
    ],
)
def test_owner_chain(chain: Any, target: Any, expected: bool | None) -> None:
    cause = verdict()["root_cause_analysis"] | {"affected_resource": target}
    body = ask(Model(say(verdict(root_cause_analysis=cause))), enrichment_results={"ownerChain": chain}).json()
    assert body.get("target_in_owner_chain") is expected
    assert ("target_in_owner_chain" in body) is (expected is not None)
    assert bool(body["warnings"]) is (expected is False)


@pytest.mark.parametrize(
    ("answer", "status", "retry_after"),
    [
        (httpx.Response(401), 401, None),
        (httpx.Response(403), 403, None),
        (httpx.Response(429, headers={"Retry-After": "900"}), 429, "300"),
        (httpx.Response(429), 429, None),
        (httpx.Response(500), 503, None),
        (httpx.Response(503, headers={"Retry-After": "4"}), 503, "4"),
        (httpx.Response(422), 500, None),
        (httpx.Response(200, content=b"<html>"), 503, None),
        (httpx.Response(200, json={"choices": []}), 503, None),
        (httpx.ConnectError("refused"), 503, None),
        (httpx.ReadTimeout("slow"), 503, None),
    ],
)
def test_model_failures(answer: httpx.Response | Exception, status: int, retry_after: str | None) -> None:
    model = Model(answer)
    response = ask(model)
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers.get("Retry-After") == retry_after
    assert response.json()["source"] == "llm"
    assert len(model.requests) == 1


def test_catalog_away() -> None:
    storage = DataStorage()
    storage.status = 503
    away = ask(Model(say(verdict())), storage)
    assert (away.status_code, away.json()["source"], away.headers["Retry-After"]) == (503, "catalog", "7")
    nothing = verdict(selected_workflow=None)
    assert ask(Model(call_tool(), say(nothing)), storage).status_code == 503
    resolved = nothing | {"investigation_outcome": "resolved"}
    model = Model(call_tool(), say(resolved))
    assert ask(model, storage).status_code == 200
    assert model.requests[1]["messages"][-1]["content"].endswith("}workflow catalog unavailable:\n\n")


def test_tool_mistakes_and_endless_loops() -> None:
    model = Model(call_tool("rm"), call_tool(arguments="[1"), say(verdict()))
    assert ask(model).status_code == 200
    assert model.requests[1]["messages"][-1]["content"].endswith("}Failed to find tool rm:\n\n")
    endless = Model(call_tool())
    body = ask(endless).json()
    assert body["validation_attempts_history"][0]["errors"] == ["no answer within 20 steps"]
    assert len(endless.requests) == 20 + 6 + 6
    assert "tools" not in endless.requests[19]


def test_audit_events_of_a_happy_and_a_failed_request() -> None:
    async def run() -> DataStorage:
        storage, model = DataStorage(), Model(call_tool(), say(verdict()), httpx.Response(401))
        async with serving(model, storage) as service:
            request_id = "7d1f0c52-64a8-4b0e-9a3f-2c5e8b917d40"
            service.client.headers["X-Request-ID"] = request_id
            assert (await service.incident()).headers["X-Request-ID"] == request_id
            service.client.headers["X-Request-ID"] = "second"
            assert (await service.incident()).status_code == 401
        return storage  # the end of the application flushes

    events = asyncio.run(run()).events
    kinds = [
        "llm_request",
        "llm_response",
        "llm_tool_call",
        "workflow_validation_attempt",
        "llm_request",
        "llm_response",
    ]
    assert [e["event_type"] for e in events] == kinds
    assert events[0]["event_id"] == "67b4c3f2-6b38-5e30-9ed5-75eba7b848e9"
    assert [e["event_outcome"] for e in events] == ["success"] * 5 + ["failure"]
    first, tool = events[0], events[2]["event_data"]
    assert (first["correlation_id"], first["resource_id"], first["namespace"]) == (
        "rr-cart-oom-17",
        "cart-oom-17",
        "shop",
    )
    assert tool["tool_name"] == "search_workflow_catalog"
    assert tool["search_filters"]["custom_labels"] == {"team": ["name=cart"]}
    assert events[3]["event_data"]["workflow_name"] == "oomkill-increase-memory-v1"
    assert events[5]["event_data"]["error_class"] == "unauthorized"


def test_event_id_check_values() -> None:
    request_id = "7d1f0c52-64a8-4b0e-9a3f-2c5e8b917d40"
    assert event_id(request_id, "workflow_validation_attempt", 3) == "b595b52d-d573-558d-abb4-cde431c27a13"
