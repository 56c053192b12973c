"""The document says what the specification says and nothing else, and the service behaves as the document says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fakes import INCIDENT, RECOVERY
from holmesgpt_api import openapi
from holmesgpt_api.decode import decode
from holmesgpt_api.errors import ServiceError
from holmesgpt_api.models import IncidentRequest, IncidentResponse, Problem, RecoveryRequest, RecoveryResponse
from specification import ANSWERS, REQUESTS

DOCUMENT = openapi.document()
SCHEMAS: dict[str, dict[str, Any]] = DOCUMENT["components"]["schemas"]
Place = tuple[str | int, ...]


def written(schema: dict[str, Any]) -> str:
    """A schema in the words of specification.py."""
    if "anyOf" in schema:
        first, null = schema["anyOf"]
        assert null == {"type": "null"}
        return f"{written(first | {k: v for k, v in schema.items() if k == 'default'})} ?"
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    words = [str(schema["type"])]
    if schema["type"] == "array":
        words = [f"[{written(schema['items'])}]"]
    if schema["type"] == "object":
        more = schema["additionalProperties"]
        words = ["{any}" if more is True else f"{{{written(more)}}}"]
    for low, high in (("minLength", "maxLength"), ("minimum", "maximum"), ("minItems", "maxItems")):
        if low in schema or high in schema:
            words.append(f"{schema.get(low, '')}..{schema.get(high, '')}")
    if "enum" in schema:
        words.append("|".join(schema["enum"]))
    if "default" in schema:
        words.append(f"={schema['default']}")
    assert schema.keys() <= {"type", "items", "additionalProperties", "enum", "default"} | {
        f"{end}{what}" for end in ("min", "max") for what in ("Length", "imum", "Items")
    }
    return " ".join(words)


@pytest.mark.parametrize("name", [*REQUESTS, *ANSWERS])
def test_every_member(name: str) -> None:
    schema = SCHEMAS[name]
    required = schema.get("required", [])
    got = {f"{n}{'!' if n in required else ''} {written(s)}" for n, s in schema["properties"].items()}
    assert got == set((REQUESTS | ANSWERS)[name].strip().split("\n"))
    assert schema.keys() <= {"type", "properties", "required"}


def test_nothing_else() -> None:
    assert SCHEMAS.keys() == REQUESTS.keys() | ANSWERS.keys()
    assert (DOCUMENT["openapi"], DOCUMENT["info"]["title"]) == ("3.1.0", "HolmesGPT API Service")
    assert DOCUMENT["info"]["version"] == "1.0.0"
    operations = {(p, m): o["operationId"] for p, ms in DOCUMENT["paths"].items() for m, o in ms.items()}
    assert operations == {
        ("/api/v1/incident/analyze", "post"): "incidentAnalyze",
        ("/api/v1/recovery/analyze", "post"): "recoveryAnalyze",
        ("/health", "get"): "health",
        ("/ready", "get"): "ready",
        ("/config", "get"): "config",
    }
    for path in ("/api/v1/incident/analyze", "/api/v1/recovery/analyze"):
        answers = DOCUMENT["paths"][path]["post"]["responses"]
        for status, answer in answers.items():
            kind = "application/json" if status == "200" else "application/problem+json"
            assert list(answer["content"]) == [kind]
            assert ("Retry-After" in answer.get("headers", {})) is (status in ("429", "503"))


def whole(name: str) -> dict[str, Any]:
    """A value of a schema that has every member."""
    made: dict[str, Any] = {}
    for line in REQUESTS[name].strip().split("\n"):
        member, kind, *rest = line.split(" ")
        made[member.rstrip("!")] = value(kind, rest)
    return made


def value(kind: str, rest: list[str]) -> Any:
    if kind in REQUESTS:
        return whole(kind)
    if kind.startswith(("[", "{[")):
        inner = kind.strip("{[]}")
        items = [value(inner, rest)]
        return {"a": items} if kind.startswith("{") else items
    if kind.startswith("{"):
        return {"a": "x"}
    choices = next((word for word in rest if "|" in word), "x")
    return {"boolean": True, "integer": 1, "number": 0.5}.get(kind, choices.split("|")[0].rstrip("]"))


def members() -> list[tuple[type[Any], Place, str, str]]:
    """Every member of both requests, however deep: model, path to it, its schema and line."""
    found: list[tuple[type[Any], Place, str, str]] = []

    def walk(model: type[Any], name: str, path: Place) -> None:
        for line in REQUESTS[name].strip().split("\n"):
            member, kind, *_ = line.split(" ")
            place = (*path, member.rstrip("!"))
            found.append((model, place, name, line))
            inner = kind.strip("[]")
            if inner in REQUESTS:
                walk(model, inner, (*place, 0) if kind != inner else place)

    walk(IncidentRequest, "IncidentRequest", ())
    walk(RecoveryRequest, "RecoveryRequest", ())
    return found


def changed(model: type[Any], path: Place, new: Any) -> bytes:
    body: Any = json.loads(json.dumps(whole(model.__name__)))
    target = body
    for step in path[:-1]:
        target = target[step]
    if new is KeyError:
        del target[path[-1]]
    else:
        target[path[-1]] = new
    return json.dumps(body).encode()


def refused(model: type[Any], body: bytes) -> list[str]:
    try:
        decode(model, body, "application/json")
    except ServiceError as error:
        return list(error.field_errors)
    return []


def dotted(path: Place) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")


def beyond(line: str) -> list[Any]:
    """Values of the right type just outside the bounds, and such just inside."""
    _, kind, *rest = line.split(" ")
    bounds = next((word for word in rest[::-1] if ".." in word), "")
    low, _, high = bounds.rstrip("]}").partition("..")
    if kind == "string":
        return ["x" * (int(high) + 1)] + ([""] if low else [])
    if kind in ("integer", "number"):
        step = 1 if kind == "integer" else 0.1
        return [float(b) + s if kind == "number" else int(b) + s for b, s in ((low, -step), (high, step)) if b]
    return [[value(kind.strip("[]"), rest)] * 1001] if kind.startswith("[") else []


@pytest.mark.parametrize(("model", "path", "name", "line"), members())
def test_every_rule_is_kept(model: type[Any], path: Place, name: str, line: str) -> None:
    """Missing, null, wrong types and values outside the bounds are refused by path exactly where the line says so."""
    where, kind = dotted(path), line.split(" ")[1]
    assert refused(model, changed(model, path, KeyError)) == ([where] if "!" in line else [])
    assert refused(model, changed(model, path, None)) == ([] if line.endswith("?") else [where])
    wrong: dict[str, list[Any]] = {
        "boolean": ["true", 1, {}],
        "integer": ["5", 5.0, True],
        "number": ["0.5", True],
        "string": [5, True, ["x"]],
    }
    for bad in [*wrong.get(kind, ["x", 7]), *beyond(line)]:
        told = refused(model, changed(model, path, bad))
        assert told and told[0].startswith(where), (bad if len(str(bad)) < 50 else "long", told)


def test_bounds_themselves_and_unknown_members_are_taken() -> None:
    assert (
        refused(IncidentRequest, json.dumps(INCIDENT | {"signal_type": "x" * 1024, "new": {"a": [None]}}).encode())
        == []
    )
    assert refused(RecoveryRequest, json.dumps(RECOVERY | {"error_message": "x" * 32768, "new": 1}).encode()) == []
    for model in (IncidentRequest, RecoveryRequest):
        assert refused(model, json.dumps(whole(model.__name__)).encode()) == []
    twice = json.dumps(INCIDENT)[:-1] + ', "priority": "P3"}'
    assert decode(IncidentRequest, twice.encode(), "application/json").priority == "P3"
    named = {"kubernetesContext": {"annotations": "x" * 200_000}}
    assert refused(IncidentRequest, json.dumps(INCIDENT | {"enrichment_results": named}).encode()) == []


def test_defaults_are_what_the_pipeline_sees() -> None:
    incident = decode(
        IncidentRequest,
        json.dumps({k: v for k, v in INCIDENT.items() if k != "enrichment_results"}).encode(),
        "application/json",
    )
    assert (incident.is_storm, incident.occurrence_count, incident.affected_resources, incident.signal_labels) == (
        False,
        0,
        [],
        {},
    )
    recovery = decode(RecoveryRequest, b'{"incident_id":"i","remediation_id":"r"}', "application/json")
    assert (recovery.environment, recovery.priority, recovery.risk_tolerance) == ("unknown", "P2", "medium")
    assert (recovery.business_category, recovery.is_recovery_attempt) == ("standard", False)


def test_examples_pass_the_models() -> None:
    folder = Path(__file__).parents[2] / "internal/holmes/testdata/examples"
    request = decode(IncidentRequest, (folder / "incident_request.json").read_bytes(), "application/json")
    assert request.enrichment_results is not None and request.enrichment_results.owner_chain is not None
    assert [owner.kind for owner in request.enrichment_results.owner_chain] == ["ReplicaSet", "Deployment"]
    for name, model in (
        ("incident_answer", IncidentResponse),
        ("recovery_answer", RecoveryResponse),
        ("problem", Problem),
    ):
        sent = json.loads((folder / f"{name}.json").read_text())
        assert model.model_validate(sent).model_dump(mode="json", exclude_unset=True) == sent
