"""All metric objects, one registry for each application."""

from __future__ import annotations

from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from holmesgpt_api import VERSION
from holmesgpt_api.errors import PROBLEMS
from holmesgpt_api.models import ReviewReason
from holmesgpt_api.scrub import RULES

PREFIX = "holmesgpt_api_"
MAX_VALUES = 200
ANALYZE = ("/api/v1/incident/analyze", "/api/v1/recovery/analyze")
INVESTIGATION_BUCKETS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120)
LLM_BUCKETS = (0.5, 1, 2, 5, 10, 30, 60)
OVERHEAD_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25)
HTTP_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10)


class Metrics:
    def __init__(self) -> None:
        self._values: dict[str, set[str]] = {}
        self.registry = CollectorRegistry()
        self._service_metrics()
        self._operation_metrics()
        self._audit_metrics()
        self._start_at_zero()

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(PREFIX + name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
        return Histogram(PREFIX + name, text, labels, buckets=buckets, registry=self.registry)

    def _service_metrics(self) -> None:
        route = ("method", "endpoint")
        model = ("provider", "model")
        self.investigations = self._counter("investigations_total", "Investigations ended", (*route, "status"))
        self.investigation_seconds = self._histogram(
            "investigations_duration_seconds", "Time of an investigation", route, INVESTIGATION_BUCKETS
        )
        self.llm_calls = self._counter("llm_calls_total", "Model calls", (*model, "status"))
        self.llm_seconds = self._histogram("llm_call_duration_seconds", "Time of a model call", model, LLM_BUCKETS)
        self.llm_tokens = self._counter("llm_token_usage_total", "Tokens used", (*model, "type"))
        self.http_requests = self._counter("http_requests_total", "Requests answered", (*route, "status"))
        self.http_seconds = self._histogram("http_request_duration_seconds", "Time of a request", route, HTTP_BUCKETS)
        self.active = Gauge(PREFIX + "active_requests", "Requests in flight", route, registry=self.registry)
        self.problems = self._counter("rfc7807_errors_total", "Problems sent", ("status_code", "error_type"))
        self.outcomes = self._counter("outcomes_total", "Outcomes", ("endpoint", "outcome", "reason"))
        self.validations = self._counter("validation_attempts_total", "Attempts checked", ("result",))
        self.tool_calls = self._counter("tool_calls_total", "Tool calls of the model", ("tool", "status"))
        self.catalog_requests = self._counter("catalog_requests_total", "Catalog requests", ("operation", "code"))
        self.catalog_seconds = self._histogram(
            "catalog_request_duration_seconds", "Time of a catalog request", ("operation",), HTTP_BUCKETS
        )
        overhead = "Time without investigator and catalog"
        self.overhead = self._histogram("overhead_seconds", overhead, ("endpoint",), OVERHEAD_BUCKETS)

    def _operation_metrics(self) -> None:
        self.workers_busy = Gauge(PREFIX + "workers_busy", "Slots in use", registry=self.registry)
        self.queue_length = Gauge(PREFIX + "queue_length", "Requests waiting for a slot", registry=self.registry)
        abandoned = "Threads whose request has ended"
        self.abandoned_threads = Gauge(PREFIX + "abandoned_threads", abandoned, registry=self.registry)
        self.rejected = self._counter("rejected_total", "Requests refused for want of a slot", ("reason",))
        self.cancelled = self._counter("cancelled_total", "Investigations given up", ("cause",))
        self.scrubbed = self._counter("scrubbed_total", "Texts that lost a credential", ("kind",))
        self.info = Gauge(PREFIX + "info", "What runs", ("version", "mode", "sdk_version"), registry=self.registry)
        self.auth_failures = self._counter("auth_failures_total", "Callers refused", ("reason", "endpoint"))
        self.auth_success = self._counter("auth_success_total", "Callers let in", ("username", "role"))
        self.config_reloads = self._counter("config_reload_total", "Settings reloaded", ())
        self.config_errors = self._counter("config_reload_errors_total", "Settings not taken", ())
        reloaded = "When settings were last reloaded, seconds since 1970"
        self.config_reloaded_at = Gauge(PREFIX + "config_last_reload_timestamp", reloaded, registry=self.registry)

    def bounded(self, label: str, value: str) -> str:
        """A value of free text as a label: at most 200 different ones, then `other`."""
        known = self._values.setdefault(label, set())
        if value not in known and len(known) >= MAX_VALUES:
            return "other"
        known.add(value)
        return value

    def _audit_metrics(self) -> None:
        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(name, text, ("service", *labels), registry=self.registry)

        service = "holmesgpt-api"
        self.audit_buffered = counter("audit_events_buffered_total", "Audit events taken").labels(service)
        self.audit_written = counter("audit_events_written_total", "Audit events stored").labels(service)
        dropped = counter("audit_events_dropped_total", "Audit events lost", ("reason",))
        self.audit_dropped = {r: dropped.labels(service, r) for r in ("buffer_full", "rejected", "shutdown")}
        self.audit_failed = counter("audit_batches_failed_total", "Batches not taken").labels(service)
        size = Gauge("audit_buffer_size", "Audit events waiting", ("service",), registry=self.registry)
        self.audit_size = size.labels(service)
        capacity = Gauge("audit_buffer_capacity", "Audit events that fit", ("service",), registry=self.registry)
        self.audit_capacity = capacity.labels(service)
        ratio = Gauge(
            "audit_buffer_utilization_ratio", "Part of the buffer in use", ("service",), registry=self.registry
        )
        self.audit_ratio = ratio.labels(service)
        seconds = Histogram(
            "audit_write_duration_seconds",
            "Time of a batch",
            ("service",),
            buckets=HTTP_BUCKETS,
            registry=self.registry,
        )
        self.audit_seconds = seconds.labels(service)

    def _start_at_zero(self) -> None:
        """What can be known beforehand is there on an idle process."""
        for path in ANALYZE:
            self.active.labels("POST", path)
            self.investigation_seconds.labels("POST", path)
            self.http_seconds.labels("POST", path)
            for status in ("200", "400", "401", "403", "413", "429", "500", "503"):
                self.investigations.labels("POST", path, status)
                self.http_requests.labels("POST", path, status)
        for kind in ("incident", "recovery"):
            self.overhead.labels(kind)
            for outcome in ("workflow", "resolved", "no_recovery"):
                self.outcomes.labels(kind, outcome, "")
            for reason in get_args(ReviewReason):
                self.outcomes.labels(kind, "review", reason)
        for slug, (code, _) in PROBLEMS.items():
            self.problems.labels(str(code), slug)
        for counter, values in (
            (self.validations, ("valid", "parse", "workflow", "image", "parameter", "repeats")),
            (self.rejected, ("queue_full", "queue_timeout")),
            (self.cancelled, ("disconnect", "deadline", "shutdown")),
            (self.scrubbed, tuple(rule[0] for rule in RULES)),
        ):
            for value in values:
                counter.labels(value)
        for operation in ("search", "get"):
            self.catalog_requests.labels(operation, "200")
            self.catalog_seconds.labels(operation)
        for status in ("success", "failure"):
            self.tool_calls.labels("search_workflow_catalog", status)
        for reason in ("missing", "rejected", "forbidden", "unavailable"):
            for path in ANALYZE:
                self.auth_failures.labels(reason, path)

    def start_info(self, mode: str, sdk_version: str) -> None:
        self.info.labels(VERSION, mode, sdk_version).set(1)

    def start_model(self, provider: str, model: str) -> None:
        self.llm_seconds.labels(provider, model)
        for status in ("success", "error", "timeout"):
            self.llm_calls.labels(provider, model, status)
        for kind in ("prompt", "completion"):
            self.llm_tokens.labels(provider, model, kind)
