"""Small real stand-ins for the two services around us, as httpx transports."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID, uuid5

import httpx
from fastapi import FastAPI

from holmesgpt_api.config import Settings, load
from holmesgpt_api.kube import Cluster
from holmesgpt_api.main import create_app
from holmesgpt_api.state import State, Transports

NAMESPACE = UUID("f965e0b5-18cb-5d87-82ee-c4d9f1c09119")
# Never used: spares each client the reading of the CA bundle.
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
NO_CLUSTER = Cluster(None, "no cluster in this test", 50_000)
Answer = dict[str, Any] | Callable[[dict[str, Any]], Any]


def workflow_id(name: str) -> str:
    return str(uuid5(NAMESPACE, f"{name}@1.0.0"))


OOM = workflow_id("oomkill-increase-memory-v1")
ALTERNATIVE = workflow_id("alternative-1-v1")


def parameter(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "string", "required": True, **more}


def row(name: str, *parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "workflow_id": workflow_id(name),
        "workflow_name": name,
        "version": "1.0.0",
        "name": f"Title of {name}",
        "description": name,
        "status": "active",
        "container_image": f"quay.io/kubernaut/{name}:v1.0.0",
        "labels": {"signal_type": "OOMKilled"},
        "parameters": {"schema": {"parameters": list(parameters)}},
        **more,
    }


class DataStorage:
    """The catalog and the audit endpoint; `status` other than 0 answers all but audit with it."""

    def __init__(self) -> None:
        rows = [
            row("oomkill-increase-memory-v1", parameter("NAMESPACE"), parameter("MEMORY_LIMIT")),
            row("alternative-1-v1", parameter("NAMESPACE")),
            row("retired-v1", status="disabled"),
        ]
        self.rows = {r["workflow_id"]: r for r in rows}
        self.searches: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.batches: list[httpx.Response] = []  # answers to give before the good ones
        self.status = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if self.status and not path.endswith("/batch"):
            return httpx.Response(self.status, headers={"Retry-After": "7"})
        if path == "/health":
            return httpx.Response(200, json={"status": "healthy"})
        if path == "/api/v1/workflows/search":
            self.searches.append(json.loads(request.content))
            hits = [{"workflow_id": i, "final_score": 0.5} for i in self.rows]
            return httpx.Response(200, json={"workflows": hits, "total_results": len(hits)})
        if path == "/api/v1/audit/events/batch":
            if self.batches:
                return self.batches.pop(0)
            self.events += json.loads(request.content)
            return httpx.Response(201, json={"event_ids": [], "message": ""})
        found = self.rows.get(path.rpartition("/")[2])
        return httpx.Response(200, json=found) if found else httpx.Response(404, json={"status": 404})


def say(verdict: Any) -> dict[str, Any]:
    """A chat completion whose text is prose and one fenced block; a str is sent as it is."""
    text = verdict if isinstance(verdict, str) else f"Prose.\n\n```json\n{json.dumps(verdict, indent=1)}\n```\n"
    return {
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5},
    }


def call_tool(name: str = "search_workflow_catalog", arguments: Any = None) -> dict[str, Any]:
    resource = {"signal_type": "OOMKilled", "kind": "Pod", "namespace": "shop", "name": "cart"}
    given = {"query": "OOMKilled critical", "rca_resource": resource} if arguments is None else arguments
    function = {"name": name, "arguments": given if isinstance(given, str) else json.dumps(given)}
    call = {"id": "call_1", "type": "function", "function": function}
    return {"choices": [{"message": {"role": "assistant", "content": None, "tool_calls": [call]}}]}


class Model:
    """Gives its answers in turn; the last one again and again. A Response is sent as it is."""

    def __init__(self, *answers: dict[str, Any] | httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(json.loads(request.content))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        return httpx.Response(200, json=answer)

    def user(self, turn: int) -> str:
        return str(self.requests[turn]["messages"][1]["content"])


def verdict(**more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "root_cause_analysis": {
            "summary": "Memory limit too low",
            "severity": "critical",
            "signal_type": "OOMKilled",
            "contributing_factors": ["memory_pressure"],
            "affected_resource": {"kind": "Pod", "name": "cart", "namespace": "shop"},
        },
        "selected_workflow": {
            "workflow_id": OOM,
            "confidence": 0.92,
            "rationale": "The limit was hit",
            "parameters": {"NAMESPACE": "shop", "MEMORY_LIMIT": "1Gi"},
        },
        "alternative_workflows": [{"workflow_id": ALTERNATIVE, "confidence": 0.77, "rationale": "mild"}],
        "confidence": 0.92,
    }
    return body | more


def select(**more: Any) -> dict[str, Any]:
    """A verdict that differs in its workflow only."""
    return verdict(selected_workflow=verdict()["selected_workflow"] | more)


INCIDENT: dict[str, Any] = {
    "incident_id": "cart-oom-17",
    "remediation_id": "rr-cart-oom-17",
    "signal_type": "OOMKilled",
    "severity": "critical",
    "signal_source": "kubernaut",
    "resource_namespace": "shop",
    "resource_kind": "Pod",
    "resource_name": "cart",
    "error_message": "",
    "environment": "staging",
    "priority": "P1",
    "risk_tolerance": "medium",
    "business_category": "standard",
    "cluster_name": "default",
    "enrichment_results": {
        "detectedLabels": {"hpaEnabled": True, "failedDetections": []},
        "customLabels": {"team": ["name=cart"]},
        "ownerChain": [{"kind": "Deployment", "name": "cart", "namespace": "shop"}],
    },
}
PREVIOUS: dict[str, Any] = {
    "workflow_execution_ref": "workflow-exec-001",
    "original_rca": {"summary": "limit", "signal_type": "OOMKilled", "severity": "critical"},
    "selected_workflow": {
        "workflow_id": "oomkill-increase-memory-v1",
        "version": "1.0.0",
        "container_image": "quay.io/kubernaut/workflow-oomkill:v1.0.0",
        "rationale": "r",
        "parameters": {"NAMESPACE": "shop", "MEMORY_LIMIT": "1Gi"},
    },
    "failure": {
        "failed_step_index": 2,
        "failed_step_name": "apply-memory-patch",
        "reason": "Forbidden",
        "message": "no rights",
        "failed_at": "2026-01-01T00:00:00Z",
        "execution_time": "45s",
    },
}
RECOVERY: dict[str, Any] = {
    "incident_id": "cart-oom-17-r2",
    "remediation_id": "rr-cart-oom-17",
    "is_recovery_attempt": True,
    "recovery_attempt_number": 2,
    "previous_execution": PREVIOUS,
    "resource_namespace": "shop",
    "resource_kind": "Pod",
    "resource_name": "cart",
}


def settings(**env: str) -> Settings:
    base = {
        "LLM_MODEL": "mock",
        "LLM_ENDPOINT": "http://model.test",
        "LLM_MAX_RETRIES": "0",
        "DATA_STORAGE_URL": "http://storage.test",
        "CONFIG_FILE": os.devnull,  # whatever the host has
    }
    return load(None, base | env)


class Service:
    """The application with its fakes; `post` and `get` are real requests through the whole stack."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        self.app = app
        self.client = client
        self.state: State = app.state.holmes

    async def incident(self, **more: Any) -> httpx.Response:
        return await self.client.post("/api/v1/incident/analyze", json=INCIDENT | more)

    async def recovery(self, **more: Any) -> httpx.Response:
        return await self.client.post("/api/v1/recovery/analyze", json=RECOVERY | more)


@contextlib.asynccontextmanager
async def serving(
    model: Model, storage: DataStorage, cluster: Cluster | None = None, **env: str
) -> AsyncIterator[Service]:
    transports = Transports(httpx.MockTransport(model), httpx.MockTransport(storage), cluster=cluster or NO_CLUSTER)
    app = create_app(settings(**env), transports)
    async with app.router.lifespan_context(app):
        await app.state.holmes.started.wait()
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://holmes.test", verify=TLS) as client:
            yield Service(app, client)
