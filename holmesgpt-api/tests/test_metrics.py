"""Every metric family is there on an idle process, and no caller can add a label value."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fakes import DataStorage, Model, call_tool, say, serving, verdict
from holmesgpt_api import VERSION

ROUTE = "method endpoint"
FAMILIES = {
    "investigations": ("counter", f"{ROUTE} status"),
    "investigations_duration_seconds": ("histogram", ROUTE),
    "llm_calls": ("counter", "provider model status"),
    "llm_call_duration_seconds": ("histogram", "provider model"),
    "llm_token_usage": ("counter", "provider model type"),
    "auth_failures": ("counter", "reason endpoint"),
    "auth_success": ("counter", ""),
    "config_reload": ("counter", ""),
    "config_reload_errors": ("counter", ""),
    "config_last_reload_timestamp": ("gauge", ""),
    "http_requests": ("counter", f"{ROUTE} status"),
    "http_request_duration_seconds": ("histogram", ROUTE),
    "active_requests": ("gauge", ROUTE),
    "rfc7807_errors": ("counter", "status_code error_type"),
    "outcomes": ("counter", "endpoint outcome reason"),
    "validation_attempts": ("counter", "result"),
    "overhead_seconds": ("histogram", "endpoint"),
    "tool_calls": ("counter", "tool status"),
    "catalog_requests": ("counter", "operation code"),
    "catalog_request_duration_seconds": ("histogram", "operation"),
    "workers_busy": ("gauge", ""),
    "queue_length": ("gauge", ""),
    "abandoned_threads": ("gauge", ""),
    "rejected": ("counter", "reason"),
    "cancelled": ("counter", "cause"),
    "scrubbed": ("counter", "kind"),
    "info": ("gauge", "version mode sdk_version"),
}
AUDIT = {
    "audit_events_buffered": ("counter", "service"),
    "audit_events_written": ("counter", "service"),
    "audit_events_dropped": ("counter", "service reason"),
    "audit_batches_failed": ("counter", "service"),
    "audit_buffer_size": ("gauge", "service"),
    "audit_buffer_capacity": ("gauge", "service"),
    "audit_buffer_utilization_ratio": ("gauge", "service"),
    "audit_write_duration_seconds": ("histogram", "service"),
}
EXPECTED = {f"holmesgpt_api_{name}": rest for name, rest in FAMILIES.items()} | AUDIT
BUCKETS = {
    "holmesgpt_api_investigations_duration_seconds": ".1 .5 1 2 5 10 30 60 120",
    "holmesgpt_api_llm_call_duration_seconds": ".5 1 2 5 10 30 60",
    "holmesgpt_api_http_request_duration_seconds": ".01 .05 .1 .5 1 2 5 10",
    "holmesgpt_api_overhead_seconds": ".001 .0025 .005 .01 .025 .05 .1 .25",
}


def test_idle_process() -> None:
    async def run() -> str:
        async with serving(Model(say(verdict())), DataStorage()) as service:
            return (await service.client.get("/metrics")).text

    found = {family.name: family for family in text_string_to_metric_families(asyncio.run(run()))}
    for name, (kind, labels) in EXPECTED.items():
        family = found[name]
        assert family.type == kind, name
        names = {label for s in family.samples if not s.name.endswith("_created") for label in s.labels} - {"le"}
        assert names == set(labels.split()), name
    for name, edges in BUCKETS.items():
        told = {s.labels["le"] for s in found[name].samples if "le" in s.labels}
        assert {float(edge) for edge in told} == {*map(float, edges.split()), float("inf")}, name


def told(text: str, name: str, label: str) -> dict[str, float]:
    """The samples of a family by one of their labels."""
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = families[f"holmesgpt_api_{name}"].samples
    return {s.labels[label]: s.value for s in samples if not s.name.endswith("_created")}


@pytest.mark.parametrize(("mode", "version"), [("holmes", "0.45.0"), ("scripted", "none")])
def test_sets_that_are_fixed_start_at_zero(mode: str, version: str) -> None:
    async def run() -> str:
        scripted = str(mode == "scripted")
        async with serving(Model(say(verdict())), DataStorage(), MOCK_LLM_MODE=scripted) as service:
            return (await service.client.get("/metrics")).text

    text = asyncio.run(run())
    assert told(text, "rejected", "reason") == {"queue_full": 0, "queue_timeout": 0}
    assert told(text, "cancelled", "cause") == {"disconnect": 0, "deadline": 0, "shutdown": 0}
    assert set(told(text, "scrubbed", "kind").values()) == {0}
    info = f'holmesgpt_api_info{{mode="{mode}",sdk_version="{version}",version="{VERSION}"}} 1.0'
    assert info in text.splitlines()


@pytest.mark.parametrize("path", ["/x", "/api/v1/incident/analyze/x", "/%2e%2e/health", "/health?a=1"])
def test_no_caller_adds_a_label_value(path: str) -> None:
    async def run() -> tuple[str, str]:
        model = Model(call_tool("made_up_tool"), say(verdict()))
        async with serving(model, DataStorage()) as service:
            client = service.client
            for method in ("GET", "POST", "BREW", "PATCH"):
                await client.request(method, "/nowhere")
                await client.request(method, "/health")
            await service.incident(signal_type="first")
            before = (await client.get("/metrics")).text
            for method in ("GET", "POST", "BREW2", "PATCH"):
                await client.request(method, path, headers={"X-Request-ID": path, "Authorization": "Bearer x"})
            model.answers.insert(0, call_tool("other_made_up_tool"))
            await service.incident(signal_type="second", severity="odd", environment="e", remediation_id="other")
            return before, (await client.get("/metrics")).text

    def labels(text: str) -> set[str]:
        return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}

    before, after = asyncio.run(run())
    added = {line for line in labels(after) - labels(before) if 'endpoint="/metrics"' not in line}
    assert added == set()
