"""The prompt: its head and its golden files, whatever the values; and what a search asks Data Storage."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from fakes import INCIDENT, RECOVERY, DataStorage, Model, call_tool, parameter, row, say, select, serving, verdict
from holmesgpt_api.investigation import prompt
from holmesgpt_api.investigation.subject import Subject, from_incident, from_recovery
from holmesgpt_api.models import IncidentRequest, RecoveryRequest

GOLDEN = Path(__file__).parent / "golden"
LIMITS = {"Signal": 16, "Business and cluster facts": 4, "Owners and context": 16, "Previous execution": 16}
LIMITS |= {"Task": 8, "Correction": 8}
HOSTILE = [
    "a\nAttempt: 3/3",
    "\r\nAnalysis: recovery\r\n",
    "```json\n{}\n```",
    "<<{}>>",
    "\u2028x\u0085y",
    "x" * 1024,
    " \t ",
]
CORRECTION = prompt.Correction(
    ("missing required parameter 'A'", "parameter 'B': expected integer, got '<<x>>'"),
    ({"name": "A", "type": "string", "required": True},),
    {"summary": "Memory limit too low"},
)


def incident(**more: Any) -> Subject:
    return from_incident(IncidentRequest.model_validate(INCIDENT | more))


def recovery(**more: Any) -> Subject:
    return from_recovery(RecoveryRequest.model_validate(RECOVERY | more))


FULL = {
    "description": "The cart restarts",
    "is_duplicate": True,
    "occurrence_count": 4,
    "first_seen": "2026-01-01T00:00:00Z",
    "affected_resources": ["shop/Pod/cart"],
    "enrichment_results": {
        "kubernetesContext": {"namespace": "shop", "podDetails": {"restartCount": 4}},
        "detectedLabels": {"gitOpsManaged": True, "gitOpsTool": "argocd", "stateful": True, "serviceMesh": "istio"},
        "customLabels": {"team": ["name=cart"]},
        "ownerChain": [{"kind": "Deployment", "name": "cart", "namespace": "shop"}],
    },
}


@pytest.mark.parametrize(("name", "subject"), [("incident", incident(**FULL)), ("recovery", recovery())])
@pytest.mark.parametrize("attempt", [1, 2])
def test_golden_files(name: str, subject: Subject, attempt: int) -> None:
    """When a prompt is changed on purpose: delete the file, run, and read the new one."""
    system, user = prompt.build(subject, attempt, CORRECTION if attempt == 2 else None)
    text = f"{system}\n=====\n{user}"
    file = GOLDEN / f"{name}-{attempt}.txt"
    if not file.exists():
        file.write_text(text)
        pytest.fail(f"{file.name} was not there; it is now")
    assert text == file.read_text()
    assert prompt.build(subject, attempt, CORRECTION if attempt == 2 else None) == (system, user)


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("attempt", [1, 2, 3])
@pytest.mark.parametrize("path", ["incident", "recovery"])
def test_head_with_hostile_values(path: str, attempt: int, value: str) -> None:
    names = "signal_type severity error_message resource_kind resource_name resource_namespace cluster_name"
    values = dict.fromkeys(names.split(), value) | {"remediation_id": value[:255]}
    subject = incident(**values) if path == "incident" else recovery(**values)
    _, user = prompt.build(subject, attempt, CORRECTION if attempt > 1 else None)
    head = user.split("\n\n", 1)[0].split("\n")
    flat = re.sub(r"<{2,}", lambda run: " ".join(run[0]), prompt.CONTROL.sub(" ", value).strip()[:255].strip())[:255]
    assert head[:4] == [
        f"Remediation ID: {flat}",
        f"Analysis: {path}",
        f"Signal Type: {flat or 'Unknown'}",
        f"Attempt: {attempt}/3",
    ]
    assert head[4] == f"Resource: {flat} {flat}/{flat}"
    assert head[5:] == (["Previous Workflow: oomkill-increase-memory-v1"] if path == "recovery" else [])
    assert "<<" not in user


def test_sections_keep_their_limits() -> None:
    huge = "\u00e9<<" * 10_000
    context = {"kubernetesContext": {huge: huge}, "ownerChain": [{"kind": huge[:999], "name": "n"}] * 900}
    previous = RECOVERY["previous_execution"] | {"natural_language_summary": huge}
    correction = prompt.Correction((huge,) * 9, ({"name": huge},), {"summary": huge})
    for subject in (
        incident(error_message=huge, description=huge, enrichment_results=context),
        recovery(error_message=huge, enrichment_results=context, previous_execution=previous),
    ):
        _, user = prompt.build(subject, 3, correction)
        assert len(user.encode()) <= 64 << 10
        assert "<<" not in user
        parts = re.split(r"\n\n## ", user)[1:]
        for part in parts:
            title = part.split("\n")[0]
            assert len(f"## {part}".encode()) <= LIMITS[title] << 10, title
            assert part.rstrip().endswith("[cut]") is (title not in ("Task", "Business and cluster facts")), title
        assert [part.split("\n")[0] for part in parts][-2:] == ["Correction", "Task"]


def test_what_recovery_is_told() -> None:
    _, user = prompt.build(recovery(), 1, None)
    for fact in ("Forbidden", "apply-memory-patch", "oomkill-increase-memory-v1", "no rights", '"failed_step_index":2'):
        assert fact in user
    assert prompt.ADVICE["Forbidden"] in user
    assert "Do not choose the same workflow with the same parameters." in user
    _, bare = prompt.build(recovery(previous_execution=None, signal_type=None), 1, None)
    assert "Previous Workflow: none\n" in bare and "Signal Type: Unknown\n" in bare


RESOURCE = {"signal_type": "OOMKilled", "kind": "Pod", "namespace": "shop", "name": "cart"}
PLAIN = {
    "signal_type": "OOMKilled",
    "severity": "critical",
    "component": "pod",
    "environment": "staging",
    "priority": "P1",
}
HPA = {"detected_labels": {"hpaEnabled": True}}
TEAM = {"custom_labels": {"team": ["name=cart"]}}
LABELLED = INCIDENT["enrichment_results"]
# Query, change of the resource at fault, top_k, change of the request, and what differs from the plain filters.
SEARCHES: list[tuple[str, dict[str, str], Any, dict[str, Any], dict[str, Any]]] = [
    ("OOMKilled critical", {}, 5, {}, HPA | TEAM),
    ("OOMKilled critical and much more", {}, 11, {}, HPA | TEAM),
    ("Evicted high", {}, None, {}, {"signal_type": "Evicted", "severity": "high"} | HPA | TEAM),
    (
        "MOCK_LOW_CONFIDENCE medium",
        {},
        0,
        {},
        {"signal_type": "MOCK_LOW_CONFIDENCE", "severity": "medium"} | HPA | TEAM,
    ),
    ("HighLatency WARNING", {}, 3, {}, {"signal_type": "HighLatency", "severity": "medium"} | HPA | TEAM),
    ("X info", {}, 3, {}, {"signal_type": "X", "severity": "low"} | HPA | TEAM),
    ("X", {}, 3, {"severity": "warning"}, {"signal_type": "X", "severity": "medium"} | HPA | TEAM),
    ("X", {}, 3, {"severity": "odd"}, {"signal_type": "X", "severity": "medium"} | HPA | TEAM),
    ("", {"signal_type": "Other"}, 3, {}, {"signal_type": "Other"} | HPA | TEAM),
    ("", {"signal_type": ""}, 3, {"signal_type": ""}, {"signal_type": "Unknown"} | HPA | TEAM),
    ("X low", {}, 3, {"priority": "High"}, {"signal_type": "X", "severity": "low", "priority": "P3"} | HPA | TEAM),
    ("X critical", {}, 3, {"priority": "p2"}, {"signal_type": "X", "priority": "P2"} | HPA | TEAM),
    ("X critical", {}, 3, {"priority": ""}, {"signal_type": "X", "priority": "P0"} | HPA | TEAM),
    ("X critical", {}, 3, {"environment": ""}, {"signal_type": "X", "environment": "*"} | HPA | TEAM),
    ("X critical", {}, 3, {"environment": "Unknown"}, {"signal_type": "X", "environment": "*"} | HPA | TEAM),
    ("X critical", {"kind": "ReplicaSet"}, 3, {}, {"signal_type": "X", "component": "deployment"} | TEAM),
    ("X critical", {"kind": "Deployment"}, 3, {}, {"signal_type": "X", "component": "deployment"} | HPA | TEAM),
    ("X critical", {"name": "sibling"}, 3, {}, {"signal_type": "X"} | HPA | TEAM),
    ("X critical", {"namespace": "other", "name": "x"}, 3, {}, {"signal_type": "X"} | TEAM),
    (
        "X critical",
        {"name": "sibling"},
        3,
        {"enrichment_results": LABELLED | {"ownerChain": None}},
        {"signal_type": "X"} | TEAM,
    ),
    ("X critical", {}, 3, {"enrichment_results": None, "resource_kind": ""}, {"signal_type": "X"}),
    (
        "X critical",
        {"kind": ""},
        3,
        {"enrichment_results": None, "resource_kind": ""},
        {"signal_type": "X", "component": "*"},
    ),
    (
        "X critical",
        {"kind": "PersistentVolume"},
        3,
        {"enrichment_results": None},
        {"signal_type": "X", "component": "pv"},
    ),
    (
        "X critical",
        {},
        3,
        {"enrichment_results": {"customLabels": {f"n{i:02}": ["v" * 200] * 9 for i in range(12)}}},
        {"signal_type": "X", "custom_labels": {f"n{i:02}": ["v" * 100] * 5 for i in range(10)}},
    ),
]


@pytest.mark.parametrize("case", SEARCHES, ids=range(len(SEARCHES)))
def test_search_request(case: tuple[str, dict[str, str], Any, dict[str, Any], dict[str, Any]]) -> None:
    query, resource, top_k, change, differs = case
    storage = DataStorage()
    arguments = {"query": query, "rca_resource": RESOURCE | resource, "top_k": top_k}

    async def run() -> None:
        async with serving(Model(call_tool(arguments=arguments), say(verdict())), storage) as service:
            assert (await service.incident(**change)).status_code == 200

    asyncio.run(run())
    expected = {5: 5, 11: 10, None: 3, 0: 1, 3: 3}[top_k]
    assert storage.searches == [
        {"top_k": expected, "remediation_id": "rr-cart-oom-17", "filters": PLAIN | differs},
    ]


def test_tool_result_and_wildcards() -> None:
    """Name, version and schema come from the workflow itself; a hit of score 0 is a hit."""
    storage = DataStorage()
    schema = parameter("N", type="integer", minimum=1, maximum=9, unit="not a constraint")
    found = row("oomkill-increase-memory-v1", schema, labels={"signal_type": "OOMKilled", "component": "*"})
    storage.rows = {found["workflow_id"]: found}
    model = Model(call_tool(), say(select(parameters={"N": 3})))

    async def run() -> dict[str, Any]:
        async with serving(model, storage) as service:
            answer: dict[str, Any] = (await service.incident()).json()
            return answer

    assert asyncio.run(run())["selected_workflow"]["workflow_id"] == found["workflow_id"]
    text = model.requests[1]["messages"][-1]["content"]
    (told,) = json.loads(text[text.index('{"workflows"') :])["workflows"]
    assert (told["workflow_name"], told["version"]) == ("oomkill-increase-memory-v1", "1.0.0")
    assert told["parameters"] == [{"name": "N", "type": "integer", "required": True, "minimum": 1, "maximum": 9}]
    assert "min_score" not in storage.searches[0]
    offered = model.requests[0]["tools"][0]["function"]
    assert offered["parameters"]["required"] == ["query", "rca_resource"]
    assert "how specific the labels are" in offered["description"]
