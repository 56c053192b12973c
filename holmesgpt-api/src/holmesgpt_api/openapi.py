"""The contract: built from the models and one table of operations, printed with sorted keys and quoted strings.

Written by hand rather than by the framework: nullable in one form only, no `default: null`, no automatic 422.
"""

from __future__ import annotations

from typing import Any

import yaml
from pydantic.json_schema import models_json_schema

from holmesgpt_api.errors import PROBLEMS
from holmesgpt_api.models import IncidentRequest, IncidentResponse, Problem, RecoveryRequest, RecoveryResponse

REF = "#/components/schemas/"
PROBLEM_STATUS = (400, 401, 403, 413, 429, 500, 503)
WITH_RETRY = (429, 503)
FREE: dict[str, Any] = {"type": "object", "additionalProperties": True}


def document() -> dict[str, Any]:
    used = (IncidentRequest, IncidentResponse, RecoveryRequest, RecoveryResponse, Problem)
    _, schemas = models_json_schema([(model, "validation") for model in used], ref_template=REF + "{model}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "HolmesGPT API Service",
            "version": "1.0.0",
            "description": "Turns one incident into a root cause and a reviewed remediation workflow.",
        },
        "paths": {
            "/api/v1/incident/analyze": _analyze("incidentAnalyze", "Incident"),
            "/api/v1/recovery/analyze": _analyze("recoveryAnalyze", "Recovery"),
            "/health": _probe("health", "Alive; touches nothing", ()),
            "/ready": _probe("ready", "Whether requests should come here", (503,)),
            "/config": _probe("config", "The settings in force, without secrets", ()),
        },
        "components": {"schemas": {name: _tidy(schema) for name, schema in schemas["$defs"].items()}},
    }


def _analyze(operation: str, name: str) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": _json("The analysis", {"$ref": f"{REF}{name}Response"})}
    titles = dict(PROBLEMS.values())
    for status in PROBLEM_STATUS:
        answer: dict[str, Any] = {
            "description": titles[status],
            "content": {"application/problem+json": {"schema": {"$ref": REF + "Problem"}}},
        }
        if status in WITH_RETRY:
            answer["headers"] = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
        responses[str(status)] = answer
    body = {"required": True, "content": {"application/json": {"schema": {"$ref": f"{REF}{name}Request"}}}}
    return {"post": {"operationId": operation, "requestBody": body, "responses": responses}}


def _probe(operation: str, text: str, others: tuple[int, ...]) -> dict[str, Any]:
    responses = {str(status): _json(text, FREE) for status in (200, *others)}
    return {"get": {"operationId": operation, "responses": responses}}


def _json(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _tidy(node: Any) -> Any:
    """Without titles and doc strings, which change with the code, and without defaults that ogen cannot take."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidy: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            tidy[key] = {name: _tidy(schema) for name, schema in value.items()}
        elif key in ("title", "description") or (key == "default" and _unfit(value, node)):
            continue
        else:
            tidy[key] = _tidy(value)
    return tidy


def _unfit(default: Any, node: dict[str, Any]) -> bool:
    """Of a nullable list ogen makes a default that its own client then refuses to send."""
    return default in (None, {}) or (default == [] and "anyOf" in node)


class _Quoted(yaml.SafeDumper):
    """Every string quoted: YAML 1.1 would read a bare y or null as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _quote(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')


_Quoted.add_representer(str, _quote)


def render() -> str:
    text: str = yaml.dump(document(), Dumper=_Quoted, sort_keys=True, width=4096, allow_unicode=True)
    return "# Printed by `python3 -m holmesgpt_api openapi`; do not edit.\n" + text
