"""What is answered: outcomes, owners, an absent catalog, and what recovery adds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asking import BOTH, NONE, WORKFLOW, ask
from fakes import ALTERNATIVE, OOM, PREVIOUS, DataStorage, Model, call_tool, parameter, row, say, select, verdict

BELOW = "Confidence 0.70 is below the threshold 0.70"
MATCHED, UNSURE = "No workflows matched the search criteria", "Investigation inconclusive"
# The verdict; then: workflow kept, confidence, reason, warnings.
OUTCOMES: list[tuple[dict[str, Any], bool, float, str | None, list[str]]] = [
    (select(confidence=0.70), True, 0.70, None, []),
    (select(confidence=0.6999), True, 0.6999, "low_confidence", [BELOW]),
    (select(confidence=0.45), True, 0.45, "low_confidence", ["Confidence 0.45 is below the threshold 0.70"]),
    (verdict(**NONE, confidence=0.3), False, 0.3, "no_matching_workflows", [MATCHED]),
    ({k: v for k, v in verdict(**NONE).items() if k != "confidence"}, False, 0.0, "no_matching_workflows", [MATCHED]),
    (verdict(**NONE, investigation_outcome="inconclusive"), False, 0.92, "investigation_inconclusive", [UNSURE]),
    (verdict(investigation_outcome="inconclusive"), False, 0.92, "investigation_inconclusive", [UNSURE]),
    (
        verdict(**NONE, investigation_outcome="resolved", confidence=0.69),
        False,
        0.69,
        "investigation_inconclusive",
        [UNSURE],
    ),
    (verdict(**NONE, investigation_outcome="resolved", confidence=0.7), False, 0.7, None, []),
    (
        verdict(investigation_outcome="resolved", confidence=0.95),
        False,
        0.95,
        None,
        ["Answer says resolved but names a workflow; the workflow is not returned"],
    ),
]


@BOTH
@pytest.mark.parametrize("case", OUTCOMES, ids=range(len(OUTCOMES)))
def test_outcomes(case: tuple[dict[str, Any], bool, float, str | None, list[str]], path: str) -> None:
    said, kept, confidence, reason, warnings = case
    body = ask(Model(say(said)), path).json()
    assert (body["selected_workflow"] is not None, body["human_review_reason"]) == (kept, reason)
    assert (body["needs_human_review"], body["warnings"]) == (reason is not None, warnings)
    assert body["confidence" if path == "incident" else "analysis_confidence"] == confidence
    assert [a["workflow_id"] for a in body["alternative_workflows"]] == [ALTERNATIVE]
    if path == "recovery":
        assert body["can_recover"] is kept
        assert bool(body["strategies"]) is kept
        assert body["primary_recommendation"] == (WORKFLOW if kept else None)


@pytest.mark.parametrize("change", [{}, NONE, {"investigation_outcome": "inconclusive"}])
def test_cannot_recover_comes_first(change: dict[str, Any]) -> None:
    said = verdict(can_recover=False, confidence=0.4, **change)
    body = ask(Model(say(said)), "recovery").json()
    told = (body["can_recover"], body["selected_workflow"], body["human_review_reason"], body["analysis_confidence"])
    assert told == (False, None, None, 0.4)
    assert body["warnings"] == []


CHAIN = [
    {"kind": "ReplicaSet", "name": "cart-5", "namespace": "shop"},
    {"kind": "Deployment", "name": "cart", "namespace": "shop"},
]
OUTSIDE = "Target Deployment elsewhere/other is not in the owner chain"


@BOTH
@pytest.mark.parametrize(
    ("chain", "named", "inside"),
    [
        (CHAIN, {"kind": "pod", "name": "cart", "namespace": "shop"}, True),
        (CHAIN, {"kind": "Pod", "name": "cart"}, True),
        (None, {"kind": "Pod", "name": "cart", "namespace": "shop"}, True),
        ([], {"kind": "Pod", "name": "cart", "namespace": "shop"}, True),
        (CHAIN, {"kind": "DEPLOYMENT", "name": "cart", "namespace": "shop"}, True),
        (CHAIN, {"kind": "Deployment", "name": "other", "namespace": "elsewhere"}, False),
        ([], {"kind": "Deployment", "name": "other", "namespace": "elsewhere"}, False),
        (None, {"kind": "Deployment", "name": "other", "namespace": "elsewhere"}, None),
        (CHAIN, None, None),
        ([], {}, None),
        (None, {"kind": "Pod"}, None),
    ],
)
def test_owner_chain(chain: Any, named: Any, inside: bool | None, path: str) -> None:
    said = verdict(root_cause_analysis={"summary": "s", "affectedResource": named})
    enrichment: dict[str, Any] = {"enrichment_results": {} if chain is None else {"ownerChain": chain}}
    answer = ask(Model(say(said)), path, **enrichment)
    body = answer.json()
    assert body.get("target_in_owner_chain", "left out") == ("left out" if inside is None else inside)
    assert body["warnings"] == ([OUTSIDE] if inside is False else [])


@BOTH
def test_catalog_that_is_away(path: str) -> None:
    """Not needed: answered. Every search failed: no statement about the catalog. Up: nothing matched."""
    for down, outcome, expected in ((True, "resolved", 200), (True, None, 503), (False, None, 200)):
        storage = DataStorage()
        storage.status = 503 if down else 0
        said = verdict(**NONE, investigation_outcome=outcome, alternative_workflows=[])
        answer = ask(Model(call_tool(), say(said)), path, storage)
        assert answer.status_code == expected
        if not down:
            assert answer.json()["human_review_reason"] == "no_matching_workflows"
    storage = DataStorage()
    storage.status = 500
    model = Model(say(verdict()))
    assert ask(model, path, storage).status_code == 503
    assert len(model.requests) == 1, "an outage is not an attempt"


@BOTH
def test_happy_answers_are_clean(path: str) -> None:
    storage = DataStorage()
    storage.rows[OOM] = row(
        WORKFLOW,
        *(parameter(n, type=t) for n, t in (("N", "integer"), ("F", "number"), ("B", "boolean"), ("A", "array"))),
    )
    given = {"N": 3, "F": 1e-7, "B": False, "A": ["x", 1], "STRANGER": "x"}
    body = ask(Model(call_tool(), say(select(parameters=given))), path, storage).json()
    assert body["warnings"] == []
    assert body["selected_workflow"]["parameters"] == {"N": "3", "F": "0.0000001", "B": "false", "A": '["x",1]'}
    storage.rows[OOM] = row(WORKFLOW, parameters=None)
    body = ask(Model(say(select(parameters=given))), path, storage).json()
    assert body["selected_workflow"]["parameters"].keys() == given.keys()


@pytest.mark.parametrize("known_by", [OOM, OOM.upper(), WORKFLOW])
def test_the_workflow_that_failed(known_by: str) -> None:
    """The same parameters are refused, others are taken; numbers compare as what was sent."""
    former: dict[str, Any] = {
        "previous_execution": PREVIOUS
        | {"selected_workflow": PREVIOUS["selected_workflow"] | {"workflow_id": known_by}}
    }
    other = {"NAMESPACE": "shop", "MEMORY_LIMIT": "2Gi"}
    model = Model(say(verdict()), say(select(parameters=other)))
    body = ask(model, "recovery", **former).json()
    first, second = body["validation_attempts_history"]
    assert first["errors"] == [f"workflow '{OOM}' with the same parameters is the one that failed"]
    assert second["is_valid"] and body["can_recover"]
    assert body["selected_workflow"]["parameters"] == other
    body = ask(Model(say(verdict())), "recovery", **former).json()
    assert body["human_review_reason"] == "no_matching_workflows"


def test_recovery_analysis_nested_and_flat() -> None:
    four = {
        "failure_understood": True,
        "failure_reason_analysis": "no rights",
        "state_changed": True,
        "current_signal_type": "Evicted",
    }
    refined = {"root_cause_refinement": "the limit"}
    answers = [
        ask(Model(say(verdict(recovery_analysis=given))), "recovery").json()["recovery_analysis"]
        for given in (four | refined, {"previous_attempt_assessment": four} | refined)
    ]
    assert answers[0] == answers[1]
    assert (
        answers[0]
        == {"previous_attempt_assessment": four, "state_changed": True, "current_signal_type": "Evicted"} | refined
    )
    empty = ask(Model(say(verdict())), "recovery", signal_type="OOMKilled").json()["recovery_analysis"]
    assert empty["previous_attempt_assessment"] == {
        "failure_understood": False,
        "failure_reason_analysis": "",
        "state_changed": False,
        "current_signal_type": "OOMKilled",
    }


def test_strategies() -> None:
    good = {"action_type": "a", "confidence": 0.5, "rationale": "r", "estimated_risk": "low", "prerequisites": ["p"]}
    bad = [good | {"estimated_risk": "none"}, good | {"confidence": 2}, "text", {}]
    body = ask(Model(say(verdict(strategies=[*bad, *[good] * 12]))), "recovery").json()
    assert body["strategies"] == [good] * 10
    assert body["primary_recommendation"] == "a"
    body = ask(Model(say(verdict(strategies=bad))), "recovery").json()
    (made,) = body["strategies"]
    assert (made["action_type"], made["confidence"], made["estimated_risk"]) == (WORKFLOW, 0.92, "medium")


def test_alternatives_are_the_catalogs() -> None:
    others = [{"workflow_id": i, "confidence": 0.5, "rationale": "r"} for i in (OOM, "unknown", *[ALTERNATIVE] * 6)]
    body = ask(Model(say(verdict(alternative_workflows=[*others, {"rationale": "no id"}])))).json()
    told = [(a["workflow_id"], a["container_image"]) for a in body["alternative_workflows"]]
    mild = (ALTERNATIVE, "quay.io/kubernaut/alternative-1-v1:v1.0.0")
    assert told == [(OOM, f"quay.io/kubernaut/{WORKFLOW}:v1.0.0"), mild, mild, mild]
    assert json.dumps(body).count("unknown") == 0
