"""The scripted mode: every row of its table, faults, ids, and that nothing of it needs a network."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from fakes import INCIDENT, RECOVERY, TLS, DataStorage, settings
from holmesgpt_api import config
from holmesgpt_api.investigator.scripted import mock
from holmesgpt_api.investigator.scripted.catalog import BuiltInCatalog, workflow_id
from holmesgpt_api.main import create_app
from holmesgpt_api.state import State, Transports

ROOT = Path(__file__).parents[2]
SEED = yaml.safe_load((ROOT / "config/e2e/seed/workflows.yaml").read_text())
# Signal type, workflow, severity, confidence, confidence in recovery; the ids of both are those of the specification.
PLAIN = [
    ("OOMKilled", "oomkill-increase-memory-v1", "critical", 0.92, "a075949c-3e59-5585-aecb-59fa16dad7e7", 0.87),
    ("CrashLoopBackOff", "crashloop-config-fix-v1", "high", 0.88, "5fa4960c-ca8d-5dfd-a87e-d4ae406e0eaf", 0.83),
    ("NodeNotReady", "node-drain-reboot-v1", "critical", 0.90, "294b2f95-d08f-53b0-9eda-550b6a44695e", 0.85),
    ("ImagePullBackOff", "image-fix-v1", "high", 0.85, "79069631-fb91-59cf-b3de-03724569dbb7", 0.80),
    ("Evicted", "eviction-recovery-v1", "high", 0.87, "7143eb6f-27a7-5225-b05d-49e0163f4eeb", 0.82),
    ("FailedScheduling", "scheduling-fix-v1", "medium", 0.82, "fbfd1f76-89c8-5dcd-8245-4453623c985c", 0.77),
    ("Unknown", "generic-restart-v1", "medium", 0.75, "a6cf210b-9fb1-578f-9b4e-94f70c547447", 0.70),
]
RECOVERY_IDS = {
    "OOMKilled": "582fa0af-04de-5ab1-a496-51805595f626",
    "CrashLoopBackOff": "14b994cc-2ca8-5f67-86af-1ac94d865e9e",
    "NodeNotReady": "e8d03b16-1562-5af9-a58e-30ed215757f8",
    "ImagePullBackOff": "ea0becba-c184-567e-987c-2b805760ab62",
    "Evicted": "4b19a1e0-9d71-56c2-a38e-88be06b1ebf5",
    "FailedScheduling": "0315f618-c018-5223-8665-393e974c04e8",
    "Unknown": "6d40c0e2-749c-5919-8b8c-15c252cc03d4",
}
ALTERNATIVE = "cd60cde5-4f46-5165-b745-03c49c1fccdf"
LOW, SECOND = "96fc29a8-bf41-5963-8e03-55ca13043a6c", "cf009093-a20d-5c67-b385-2b984f7b87a8"
OOM, CRASH = PLAIN[0][4], PLAIN[1][4]
# Signal type: workflow, confidence, reason, valid attempts in order.
SPECIAL: list[tuple[str, str | None, float, str | None, list[bool]]] = [
    ("MOCK_NO_WORKFLOW_FOUND", None, 0.0, "no_matching_workflows", [True]),
    ("MOCK_LOW_CONFIDENCE", LOW, 0.45, "low_confidence", [True]),
    ("MOCK_MAX_RETRIES_EXHAUSTED", None, 0.0, "llm_parsing_error", [False] * 3),
    ("MOCK_HALLUCINATED_WORKFLOW", CRASH, 0.88, None, [False, True]),
    ("MOCK_PROBLEM_RESOLVED", None, 0.95, None, [True]),
    ("MOCK_OUTSIDE_CHAIN", OOM, 0.92, None, [True]),
    ("MOCK_FAULT_SLOW", CRASH, 0.88, None, [True]),
    ("MOCK_FAULT_TIMEOUT", CRASH, 0.88, None, [True]),
    ("MOCK_FAULT_MALFORMED", CRASH, 0.88, None, [False, True]),
]
Ask = Callable[[str, dict[str, Any]], httpx.Response]


class Seeded(DataStorage):
    """Data Storage with the test cluster's seed; it finds as the real one does, by the exact labels."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = {i: row for row in SEED if (i := workflow_id(row["workflow_name"], row["version"]))}
        for identity, row in self.rows.items():
            row["workflow_id"] = identity

    def __call__(self, request: httpx.Request) -> httpx.Response:
        response = super().__call__(request)
        if request.url.path.endswith("/search") and response.status_code == 200:
            wanted = self.searches[-1]["filters"]
            exact = ("signal_type", "severity")
            found = [i for i, row in self.rows.items() if all(row["labels"][k] == wanted[k] for k in exact)]
            hits = [{"workflow_id": i, "final_score": 0.0} for i in found[: self.searches[-1]["top_k"]]]
            return httpx.Response(200, json={"workflows": hits, "total_results": len(found)})
        return response


def ask_all(bodies: list[tuple[str, dict[str, Any]]], storage: Seeded | None = None) -> list[httpx.Response]:
    """Each request in turn at one scripted service; delays of fault rows are skipped."""
    waits: list[float] = []

    async def skip(seconds: float) -> None:
        waits.append(seconds)

    async def run() -> list[httpx.Response]:
        # Not asked by any row: a scripted service opens no connection to a model.
        url = {"DATA_STORAGE_URL": "http://storage.test" if storage else ""}
        made = settings(MOCK_LLM_MODE="true", LLM_MODEL="", LLM_ENDPOINT="", **url)
        app = create_app(made, Transports(None, httpx.MockTransport(storage) if storage else None))
        state: State = app.state.holmes
        state.analysis._loop._investigator = mock.ScriptedInvestigator(skip)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://h.test", verify=TLS) as client:
                return [await client.post(f"/api/v1/{path}/analyze", json=body) for path, body in bodies]

    return asyncio.run(run())


def incident(signal_type: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return "incident", INCIDENT | {"signal_type": signal_type} | more


def recovery(signal_type: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return "recovery", RECOVERY | {"signal_type": signal_type} | more


@pytest.fixture(params=["built in", "data storage"])
def storage(request: pytest.FixtureRequest) -> Seeded | None:
    return Seeded() if request.param == "data storage" else None


def test_plain_rows(storage: Seeded | None) -> None:
    names = [row[0] for row in PLAIN]
    answers = ask_all([incident(n) for n in names] + [recovery(n) for n in names] + [incident("oomkilled")], storage)
    for (signal, name, severity, confidence, identity, _), response in zip(PLAIN, answers, strict=False):
        body = response.json()
        assert (response.status_code, response.headers["X-Investigator"]) == (200, "scripted")
        chosen, cause = body["selected_workflow"], body["root_cause_analysis"]
        assert (chosen["workflow_id"], chosen["confidence"], chosen["version"]) == (identity, confidence, "1.0.0")
        assert chosen["title"] == name
        assert (cause["severity"], cause["signal_type"]) == (severity, signal)
        others = [(a["workflow_id"], a["confidence"]) for a in body["alternative_workflows"]]
        assert others == [(ALTERNATIVE, round(confidence - 0.15, 2))]
        assert (body["warnings"], body["human_review_reason"], body["target_in_owner_chain"]) == ([], None, True)
    for (signal, _, _, _, _, confidence), response in zip(PLAIN, answers[7:14], strict=True):
        body = response.json()
        chosen = body["selected_workflow"]
        assert (chosen["workflow_id"], body["analysis_confidence"]) == (RECOVERY_IDS[signal], confidence)
        previous = {"RECOVERY_MODE": "true", "NAMESPACE": "shop", "PREVIOUS_WORKFLOW": "oomkill-increase-memory-v1"}
        assert chosen["parameters"] == previous
        assert (body["can_recover"], body["warnings"], body["alternative_workflows"]) == (True, [], [])
        (strategy,) = body["strategies"]
        assert (strategy["action_type"], strategy["estimated_risk"]) == (f"recovery_{signal.lower()}_v1", "medium")
        assert (body["metadata"]["mock_mode"], body["metadata"]["tool_calls"]) == (True, 1)
    assert answers[14].json()["selected_workflow"]["workflow_id"] == OOM
    if storage:
        assert len(storage.searches) == 15
        assert {e["event_type"] for e in storage.events} >= {"llm_tool_call", "workflow_validation_attempt"}


def test_special_rows(storage: Seeded | None) -> None:
    answers = ask_all([incident(row[0], remediation_id=row[0]) for row in SPECIAL], storage)
    for (signal, identity, confidence, reason, valid), response in zip(SPECIAL, answers, strict=True):
        body = response.json()
        chosen = body["selected_workflow"]
        told = (chosen and chosen["workflow_id"], body["confidence"], body["human_review_reason"])
        assert (signal, *told) == (signal, identity, confidence, reason)
        assert [entry["is_valid"] for entry in body["validation_attempts_history"]] == valid, signal
        assert body["needs_human_review"] is (reason is not None)
    errors = [entry["errors"][0] for entry in answers[2].json()["validation_attempts_history"]]
    assert "quay.io/kubernaut/wrong:v0" in errors[0]
    assert errors[1:] == ["missing required parameter 'MEMORY_LIMIT'", "JSON block is not closed"]
    others = [(a["workflow_id"], a["confidence"]) for a in answers[1].json()["alternative_workflows"]]
    assert others == [(ALTERNATIVE, 0.42), (SECOND, 0.40)]
    assert answers[5].json()["warnings"] == ["Target Deployment elsewhere/other is not in the owner chain"]
    assert answers[5].json()["target_in_owner_chain"] is False


def test_no_chain_and_not_reproducible(storage: Seeded | None) -> None:
    without, gone = ask_all(
        [incident("MOCK_OUTSIDE_CHAIN", enrichment_results=None), recovery("MOCK_NOT_REPRODUCIBLE")], storage
    )
    assert "target_in_owner_chain" not in without.json() and without.json()["warnings"] == []
    body = gone.json()
    assert (body["can_recover"], body["needs_human_review"], body["analysis_confidence"]) == (False, False, 0.95)
    assert body["recovery_analysis"]["state_changed"] is True


FAULTS = {
    "MOCK_FAULT_HTTP_401": [401, 401, 401],
    "MOCK_FAULT_HTTP_429": [429, 429, 200],
    "MOCK_FAULT_HTTP_500": [503, 200, 200],
    "MOCK_FAULT_HTTP_500_ALWAYS": [503, 503, 503],
}


@pytest.mark.parametrize("signal", FAULTS)
def test_faults_count_for_each_remediation(signal: str, storage: Seeded | None) -> None:
    """Twenty remediations, interleaved: none meets the faults of another."""
    ids = [f"rr-{i}" for i in range(20)]
    answers = ask_all([incident(signal, remediation_id=i) for _ in range(3) for i in ids], storage)
    for place in range(20):
        assert [a.status_code for a in answers[place::20]] == FAULTS[signal]
    if signal.endswith("429"):
        assert answers[0].headers["Retry-After"] == "1"


def test_delays_and_forgotten_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def run() -> None:
        investigator = mock.ScriptedInvestigator(sleep)
        strikes = [("a", {"delay_seconds": 15, "times": 1})] * 2 + [("a", {"delay_seconds": 5})] * 2
        for remediation, fault in strikes:
            prompt = mock.Prompt(remediation, "incident", "x", 1, {}, "none")
            await investigator._strike(prompt, fault)
        assert waits == [15, 5, 5]
        monkeypatch.setattr(mock, "MAX_COUNTERS", 2)
        for remediation in "bcd":
            await investigator._strike(mock.Prompt(remediation, "incident", "x", 1, {}, "none"), {"delay_seconds": 1})
        assert list(investigator._struck) == ["c", "d"]

    asyncio.run(run())


def test_ids_and_copies() -> None:
    """The files are the test cluster's, and the ids of all 18 workflows are by the rule of Data Storage."""
    package = ROOT / "holmesgpt-api/src/holmesgpt_api/investigator/scripted"
    for name, place in (("scenarios.yaml", "mockllm"), ("workflows.yaml", "seed")):
        assert (package / name).read_bytes() == (ROOT / "config/e2e" / place / name).read_bytes()
    ids = {name: workflow_id(name, "1.0.0") for name in (row["workflow_name"] for row in SEED)}
    assert len(ids) == 18 == len(BuiltInCatalog()._rows)
    assert {ids[row[1]] for row in PLAIN} == {row[4] for row in PLAIN}
    assert {s: ids[f"{row[1]}-recovery"] for s, row in ((row[0], row) for row in PLAIN)} == RECOVERY_IDS
    assert (ids["alternative-1-v1"], ids["alternative-2-v1"]) == (ALTERNATIVE, SECOND)


@pytest.mark.parametrize(
    ("env", "mode"),
    [
        ({}, "scripted"),
        ({"LLM_MODEL": "m", "LLM_ENDPOINT": "http://m"}, "holmes"),
        ({"LLM_MODEL": "m", "MOCK_LLM_MODE": "true"}, "scripted"),
        ({"MOCK_LLM_MODE": "true", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "scripted"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, None),
        ({"MOCK_LLM_MODE": "false"}, None),
        ({"MOCK_LLM_MODE": "perhaps"}, None),
    ],
)
def test_mode(env: dict[str, str], mode: str | None) -> None:
    given = env | {"CONFIG_FILE": "/dev/null"}
    if mode is None:
        with pytest.raises(config.ConfigError, match="LLM_MO"):
            config.load(None, given)
        return
    loaded = config.load(None, given)
    assert loaded["mode"] == mode
    assert loaded["data_storage.url"] == ("http://datastorage:8080" if mode == "holmes" else None)
    assert bool(loaded.notes) is (env == {})


def test_the_sdk_is_not_imported() -> None:
    code = (
        "import sys; from holmesgpt_api import config, main; main.create_app(config.load(None, {}));"
        "print([m for m in sys.modules if m.split('.')[0] in ('holmes', 'litellm', 'openai')])"
    )
    source = {"PYTHONPATH": str(ROOT / "holmesgpt-api/src"), "PYTHONDONTWRITEBYTECODE": "1"}
    told = subprocess.check_output([sys.executable, "-c", code], env=source, text=True, timeout=60)
    assert told.strip() == "[]"
