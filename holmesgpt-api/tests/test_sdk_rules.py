"""The adapter's rules: what the SDK finds at its import, what passes the gate, what comes back, what is given up."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import Bench, tool
from conftest import MODULES
from fakes import NO_CLUSTER, TLS, call_tool, say, settings
from holmesgpt_api import errors, logs
from holmesgpt_api.config import Settings
from holmesgpt_api.investigator.holmes import adapter, failures, quiet
from holmesgpt_api.investigator.holmes.adapter import HolmesInvestigator, Network
from holmesgpt_api.investigator.holmes.prepare import FIXED, prepare
from holmesgpt_api.investigator.protocol import Task, result_limit
from holmesgpt_api.metrics import Metrics
from stubs import listening, respond

SRC = Path(__file__).parents[1] / "src"
# Nothing but the loopback may be reached, no program started, and what the import leaves behind is told.
COLD_IMPORT = """
import os, socket, subprocess, sys, tempfile, time
calls = []
def refuse(*a, **k):
    calls.append(str(a[1:3])); raise OSError("no network here")
socket.getaddrinfo = refuse; socket.socket.connect = refuse; subprocess.Popen.__init__ = refuse
home = tempfile.mkdtemp()
from holmesgpt_api.investigator.holmes import sdk, prepare
assert not [m for m in sys.modules if m.split(".")[0] in ("holmes", "litellm", "openai")], "imported too early"
prepare.prepare(os.environ, home)
started = time.process_time()
modules = sdk.import_modules()
spent = time.process_time() - started
assert not [c for c in calls if 'uname' not in c], calls  # platform asks for the processor, and does without
assert not os.listdir(home), os.listdir(home)
assert spent < 60, spent
with open("/proc/self/status") as status:  # getrusage would tell the peak of the parent that it was forked from
    peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
print("imported", round(spent, 1), int(peak) // 1024)
"""


def test_the_environment_is_prepared() -> None:
    foreign = "ROBUSTA_AI STORE_URL SENTRY_DSN OPENAI_API_KEY AZURE_API_BASE AWS_PROFILE ANTHROPIC_API_KEY LITELLM_X"
    more = "LLM_API_KEY HOLMES_X TOOL_Y EXTRA_HEADERS TEMPERATURE THINKING REASONING_EFFORT MODEL"
    last = "MODEL_LIST_FILE_LOCATION OVERRIDE_MAX_OUTPUT_TOKEN"
    kept = {"PATH": "/bin", "KUBECONFIG": "/k", "MODELS": "x", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    environment = kept | dict.fromkeys(f"{foreign} {more} {last}".split(), "x")
    prepare(environment, "/tmp/home")  # noqa: S108 - a name, not a file
    assert environment == kept | FIXED | {"HOME": "/tmp/home", "HOLMES_CONFIGPATH_DIR": "/tmp/home"}  # noqa: S108


def test_a_cold_import_reaches_nothing_and_leaves_nothing() -> None:
    environment = {"PYTHONPATH": str(SRC), "PATH": "/nowhere", "KIND": "secrets"}
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COLD_IMPORT],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.startswith("imported ") and run.stdout.count("\n") == 1, "something else was printed"
    assert int(run.stdout.split()[2]) < 400, run.stdout


def test_nothing_of_the_sdk_is_imported_with_the_application() -> None:
    code = (
        "import sys, holmesgpt_api.main\n"
        "found = {m.split('.')[0] for m in sys.modules} & {'holmes', 'litellm', 'openai', 'boto3'}\n"
        "assert not found, found"
    )
    run = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(SRC)}, capture_output=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    ("provider", "model", "routed"),
    [
        ("openai", "gpt-4o", "openai/gpt-4o"),
        ("openai", "meta-llama/Llama-3-70b", "openai/meta-llama/Llama-3-70b"),
        ("openai", "anthropic/claude-sonnet", "anthropic/claude-sonnet"),
        ("azure", "deployment", "azure/deployment"),
        ("openai", "openai", "openai/openai"),
    ],
)
def test_model_names(provider: str, model: str, routed: str) -> None:
    assert MODULES.gate.route(provider, model) == routed


@pytest.mark.parametrize(
    ("endpoint", "base"),
    [
        ("http://m:8080", "http://m:8080/v1"),
        ("http://m/", "http://m/v1"),
        ("http://m/openai/v1/", "http://m/openai/v1"),
    ],
)
def test_endpoints_without_a_path(endpoint: str, base: str) -> None:
    assert MODULES.endpoint.base_url(endpoint) == base


@pytest.mark.parametrize(
    ("status", "headers", "slug", "wait"),
    [
        (401, {}, "unauthorized", None),
        (403, {}, "forbidden", None),
        (429, {"retry-after": "7"}, "too-many-requests", 7),
        (429, {}, "too-many-requests", None),
        (500, {"retry-after": "999"}, "service-unavailable", 300),
        (408, {}, "service-unavailable", None),
        (307, {}, "service-unavailable", None),
        (400, {}, "internal-error", None),
        (404, {}, "internal-error", None),
    ],
)
def test_errors_by_status(status: int, headers: dict[str, str], slug: str, wait: int | None) -> None:
    error = Exception("the endpoint's own words")
    error.__dict__.update(status_code=status, litellm_response_headers=headers)
    mapped = failures.from_exception(error)
    assert (mapped.slug, mapped.retry_after, mapped.source) == (slug, wait, "llm")
    assert "own words" not in mapped.detail


def test_an_exception_without_a_status_is_a_bug() -> None:
    with pytest.raises(KeyError):
        failures.from_exception(KeyError("x"))


def test_two_turns_one_search_one_answer() -> None:
    bench = Bench(call_tool(), say("the answer"))
    record = bench.run(tool())
    assert "the answer" in record.text and record.tokens == 15 and record.llm_calls == 2
    assert [call.name for call in record.tool_calls] == ["search_workflow_catalog"]
    assert record.tool_calls[0].result.text.startswith('{"workflows":[]')
    assert [t["function"]["name"] for t in bench.endpoint.requests[0]["tools"]] == ["search_workflow_catalog"]
    assert bench.endpoint.requests[0]["messages"][0] == {"role": "system", "content": "SYSTEM"}
    assert bench.endpoint.headers[0]["Authorization"] == "Bearer none"


def test_temperature_null_is_not_sent_and_the_key_is() -> None:
    bench = Bench(say("x"), LLM_API_KEY="a-key")
    values = settings(LLM_ENDPOINT="http://x", LLM_API_KEY="a-key")
    without = Settings({**values.values, "llm.temperature": None}, values.sources, values.api_key)

    async def run() -> None:
        with listening(bench.endpoint) as url:
            made = Settings({**without.values, "llm.endpoint": url}, without.sources, without.api_key)
            investigator = HolmesInvestigator(made, bench.metrics, NO_CLUSTER, Network(lambda: TLS))
            await investigator.start()
            async with investigator.slot():
                deadline = asyncio.get_running_loop().time() + 20
                await investigator.investigate(Task("S", "U", (), 3, deadline), bench.record)
            await investigator.aclose()

    asyncio.run(run())
    assert "temperature" not in bench.endpoint.requests[0] and "tools" not in bench.endpoint.requests[0]
    assert bench.endpoint.headers[0]["Authorization"] == "Bearer a-key"


def test_one_failure_is_one_request_and_retries_wait_longer() -> None:
    bench = Bench(respond(500, {}))
    with pytest.raises(errors.ServiceError) as caught:
        bench.run()
    assert (caught.value.status, len(bench.endpoint.requests), bench.record.llm_calls) == (503, 1, 1)
    patient = Bench(respond(500, {}), None, say("at last"), LLM_MAX_RETRIES="2")
    assert "at last" in patient.run().text
    at = patient.endpoint.at
    assert len(at) == 3 and 0.9 <= at[1] - at[0] <= 1.6 and 1.8 <= at[2] - at[1] <= 2.8


def test_retry_after_of_the_endpoint() -> None:
    soon = Bench(respond(429, {}, Retry_After="1"), say("ok"), LLM_MAX_RETRIES="1")
    assert "ok" in soon.run().text and len(soon.endpoint.requests) == 2
    late = Bench(respond(429, {}, Retry_After="11"), say("ok"), LLM_MAX_RETRIES="3")
    with pytest.raises(errors.ServiceError) as caught:
        late.run()
    assert (caught.value.status, caught.value.retry_after, len(late.endpoint.requests)) == (429, 11, 1)


@pytest.mark.parametrize(
    "answer",
    [
        (200, {"Content-Type": "application/json"}, b"{nope"),
        (200, {"Content-Type": "application/json"}, b"[" * 100_000),
        respond(200, {"choices": []}),
        respond(200, {"choices": [{"message": None}]}),
        respond(200, []),
        respond(200, {"error": "x"}),
        None,
        (307, {"Location": "http://127.0.0.1:9/elsewhere"}, b""),
        (200, {"Content-Type": "application/json"}, b" " * (4 << 20) + b"{}"),
    ],
)
def test_answers_that_are_no_completion(answer: Any) -> None:
    bench = Bench(answer)
    with pytest.raises(errors.ServiceError) as caught:
        bench.run()
    assert (caught.value.status, caught.value.source, len(bench.endpoint.requests)) == (503, "llm", 1)


def test_a_surprise_tool_keeps_the_service_not_ready() -> None:
    class Surprising(MODULES.executor):  # type: ignore[misc,name-defined]
        def __init__(self, toolsets: Any) -> None:
            super().__init__(toolsets)
            self.tools_by_name["bash"] = object()

    made = SimpleNamespace(**{**MODULES.__dict__, "executor": Surprising})
    with pytest.raises(RuntimeError, match="bash"):
        adapter.executor_of(made, (tool(),), (), None)  # type: ignore[arg-type]


def test_a_failed_import_is_told_and_does_not_end_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise ImportError("no module named holmes")

    monkeypatch.setattr("holmesgpt_api.investigator.holmes.sdk.import_modules", broken)

    async def run() -> HolmesInvestigator:
        investigator = HolmesInvestigator(settings(), Metrics(), NO_CLUSTER, Network(lambda: TLS))
        assert investigator.sdk.status == "importing"
        with pytest.raises(errors.ServiceError) as caught:
            investigator.sdk.require()
        assert (caught.value.status, caught.value.retry_after) == (503, 2)
        await investigator.start()
        return investigator

    investigator = asyncio.run(run())
    assert (investigator.sdk.status, investigator.sdk.cause) == ("failed", "ImportError: no module named holmes")


def test_the_libraries_log_places_and_no_texts() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JSONFormatter())
    handler.addFilter(quiet.Quiet())
    for path, level in (
        ("/x/holmes/core/a.py", logging.INFO),
        ("/x/litellm/b.py", logging.ERROR),
        ("/x/ours/c.py", logging.INFO),
    ):
        record = logging.LogRecord("root", level, path, 7, "the prompt %s", ("hidden",), None)
        handler.handle(record)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line.get("file"), line.get("line")) for line in lines] == [
        ("message of a library", "b.py", 7),
        ("the prompt hidden", None, None),
    ]


@pytest.mark.parametrize(("window", "limit"), [(None, 50_000), (1_000_000, 50_000), (32_768, 9830)])
def test_result_limit(window: int | None, limit: int) -> None:
    assert result_limit(window) == limit
