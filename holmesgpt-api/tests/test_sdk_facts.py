"""What HolmesGPT 0.45.0 was seen to do and the adapter rests on. An upgrade that moves one of these is told here."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import json
import threading
import time
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from conftest import MODULES
from conversation import CALLING, GATE, SEARCH, TOOLS, Conversation, completion, model_at, probe, result
from stubs import Endpoint, listening, respond


def test_versions_and_licences() -> None:
    metadata = importlib.metadata.metadata("holmesgpt")
    assert metadata["Version"] == "0.45.0"
    assert SpecifierSet(metadata["Requires-Python"]) == SpecifierSet(">=3.10,<3.14")
    pins = {r.name: r.specifier for r in map(Requirement, importlib.metadata.requires("holmesgpt") or [])}
    installed = {
        name: importlib.metadata.version(name) for name in ("litellm", "fastapi", "uvicorn", "httpx", "openai")
    }
    assert installed["litellm"].startswith("1.89.")
    assert installed["fastapi"].startswith("0.136.")
    assert installed["uvicorn"].startswith("0.40.")
    assert installed["httpx"].startswith("0.28.")
    assert installed["openai"].startswith("2.")
    assert all(version in pins[name] for name, version in installed.items() if name in pins)
    assert importlib.metadata.metadata("litellm")["License-Expression"] == "MIT"  # the SDK's own metadata names none


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("holmes.core.tool_calling_llm", "ToolCallingLLM LLMResult LLMInterruptedError"),
        ("holmes.core.llm", "LLM DefaultLLM ContextWindowUsage"),
        (
            "holmes.core.tools",
            "Tool Toolset ToolParameter StructuredToolResult StructuredToolResultStatus ToolInvokeContext "
            "ToolsetStatusEnum",
        ),
        ("holmes.core.tools_utils.tool_executor", "ToolExecutor"),
        ("holmes.plugins.toolsets", "load_builtin_toolsets"),
        ("holmes.core.truncation.input_context_window_limiter", "CompactionInsufficientError"),
    ],
)
def test_names_that_we_import(module: str, names: str) -> None:
    found = importlib.import_module(module)
    assert [name for name in names.split() if not hasattr(found, name)] == []


def test_signatures() -> None:
    loop = CALLING.ToolCallingLLM
    assert {"tool_executor", "max_steps", "llm", "tool_results_dir"} <= inspect.signature(
        loop.__init__
    ).parameters.keys()
    assert {"messages", "cancel_event"} <= inspect.signature(loop.call).parameters.keys()
    assert not hasattr(loop, "investigate_issues") and not hasattr(loop, "prompt_call")
    members = CALLING.LLMResult.model_fields.keys()
    assert {"result", "messages", "tool_calls", "num_llm_calls", "total_tokens"} <= members


def test_arguments_that_only_our_completion_can_give() -> None:
    llm = importlib.import_module("holmes.core.llm").DefaultLLM
    endpoint = Endpoint(lambda: (threading.Event().wait(0.6), respond(200, completion("late")))[1])
    with listening(endpoint) as url:
        refused = llm("openai/m", "k", url + "/v1", args={"timeout": 0.1})
        with pytest.raises(TypeError, match="timeout"):
            refused.completion([{"role": "user", "content": "x"}])
        ignored = llm("openai/m", "k", url + "/v1", args={"request_timeout": 0.1})
        assert ignored.completion([{"role": "user", "content": "x"}]).choices[0].message.content == "late"


@pytest.mark.parametrize("status", [500, 429])
def test_one_failure_is_one_request(status: int) -> None:
    started = time.monotonic()
    failed = Conversation(respond(status, {}))
    assert failed.error is not None and len(failed.endpoint.requests) == 1
    assert time.monotonic() - started < 2


def test_the_request_is_ours_alone() -> None:
    talk = Conversation(completion(None, (SEARCH, "{}")), completion("done"))
    first = talk.endpoint.requests[0]
    assert sorted(first) == ["max_tokens", "messages", "model", "temperature", "tool_choice", "tools"]
    assert first["messages"] == [{"role": "system", "content": "SYSTEM"}, {"role": "user", "content": "USER"}]
    assert (first["model"], first["max_tokens"], first["tool_choice"]) == ("some-model", 512, "auto")
    assert "cache_control" not in talk.endpoint.raw[0].decode()
    assert talk.text == "done" and talk.result.num_llm_calls == 2
    assert all(m["content"] is not None for m in talk.endpoint.requests[1]["messages"])
    assert not {"token_count", "provider_specific_fields"} & set().union(*talk.endpoint.requests[1]["messages"])


def test_schemas_are_not_strict() -> None:
    array = TOOLS.ToolParameter(type="array", required=False)
    talk = Conversation(completion("done"), tool=probe(labels=array))
    function = talk.endpoint.requests[0]["tools"][0]["function"]
    assert "strict" not in function
    assert function["parameters"]["properties"]["labels"] == {"type": "array", "items": {"type": "object"}} or (
        function["parameters"]["properties"]["labels"]["items"].get("type") == "object"
    )


def test_extra_members_are_refused_and_status_decides() -> None:
    with pytest.raises(ValueError, match="surprise"):
        TOOLS.Toolset(name="t", description="t", tools=[], surprise=1)
    enabled = TOOLS.Toolset(name="t", description="t", enabled=True, tools=[probe()])
    assert MODULES.executor([enabled]).tools_by_name == {}
    enabled.status = TOOLS.ToolsetStatusEnum.ENABLED
    assert list(MODULES.executor([enabled]).tools_by_name) == [SEARCH]


def test_a_tool_that_raises_is_told_to_the_model() -> None:
    def fail(_: Any) -> Any:
        raise ValueError("broken tool")

    talk = Conversation(completion(None, (SEARCH, "{}")), completion("done"), tool=probe(fail))
    assert talk.text == "done" and "broken tool" in talk.told[0]


def test_arguments_arrive_unchecked() -> None:
    array = TOOLS.ToolParameter(type="array", items=TOOLS.ToolParameter(), required=False)
    talk = Conversation(
        completion(None, (SEARCH, '{"labels": null, "other": 1}')),
        completion("done"),
        tool=probe(labels=array, q=TOOLS.ToolParameter()),
    )
    assert talk.tool.seen == [{"labels": [None], "other": 1}]


def test_what_stands_before_a_result() -> None:
    calls = completion(None, (SEARCH, '{"a":1}'))
    plain = Conversation(calls, completion("done"))
    assert plain.told == ['tool_call_metadata={"tool_name": "search", "tool_call_id": "c1"}{"a":1}']
    failed = Conversation(calls, completion("done"), tool=probe(lambda _: result(error="no")))
    assert failed.told == ['tool_call_metadata={"tool_name": "search", "tool_call_id": "c1"}no:\n\n']
    shown = Conversation(calls, completion("done"), tool=probe(lambda p: result("x", params=p)))
    assert shown.told[0].startswith('Params used for the tool call: {"a": 1}. The tool call output follows')


def test_a_repeated_call_is_refused_only_with_params() -> None:
    calls = [completion(None, (SEARCH, '{"a":1}')), completion(None, (SEARCH, '{"a":1}')), completion("done")]
    assert len(Conversation(*calls).tool.seen) == 2
    with_params = Conversation(*calls, tool=probe(lambda p: result("x", params=p)))
    assert len(with_params.tool.seen) == 1


def test_a_large_result_becomes_an_error() -> None:
    calls = completion(None, (SEARCH, "{}")), completion("done")
    large = " word" * 25_100
    assert large not in Conversation(*calls, tool=probe(lambda _: result(large))).told[0]
    fits = " word" * 24_000
    assert fits in Conversation(*calls, tool=probe(lambda _: result(fits))).told[0]
    small_window = Conversation(*calls, tool=probe(lambda _: result(" word" * 2_000)), window=10_000)
    assert " word" * 2_000 not in small_window.told[0]


def test_a_prompt_that_does_not_fit_is_no_request() -> None:
    talk = Conversation(completion("done"), window=516)
    assert isinstance(talk.error, MODULES.does_not_fit) and talk.endpoint.requests == []
    assert Conversation(completion("ok"), window=32_768).text == "ok"


def test_double_angle_brackets_are_rewritten_in_user_messages() -> None:
    tag = '<< {"type": "issue", "id": "7"} >>'
    talk = Conversation(completion("ok"), user=f"a {tag} b")
    sent = talk.endpoint.requests[0]["messages"][1]["content"]
    assert tag not in sent and sent.startswith("a ")
    kept = Conversation(completion("ok"), user="a << b >> c")
    assert kept.endpoint.requests[0]["messages"][1]["content"] == "a << b >> c"


def test_tools_run_in_at_most_sixteen_threads() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def work(_: Any) -> Any:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        enough.wait(0.3)
        with lock:
            running -= 1
        return result("x")

    enough = threading.Event()
    talk = Conversation(completion(None, *[(SEARCH, "{}")] * 40), completion("done"), tool=probe(work))
    assert (talk.text, most, len(talk.told)) == ("done", 16, 40)


def test_the_step_limit_is_a_plain_exception_and_the_last_step_offers_no_tools() -> None:
    talk = Conversation(completion(None, (SEARCH, "{}")), steps=3)
    assert type(talk.error) is Exception and talk.gate.out_of_steps
    assert ["tools" in request for request in talk.endpoint.requests] == [True, True, False]
    assert len(talk.tool.seen) == 3  # called all the same, and run
    assert [m["role"] for m in talk.gate.messages].count("tool") == 2  # those that `completion` saw last


def test_cancellation_is_seen_before_the_model_is_asked() -> None:
    cancel = threading.Event()
    cancel.set()
    with listening(Endpoint(completion("x"))) as url:
        made = model_at(url)
        gate = GATE.Gate(made, 3, time.monotonic() + 9, cancel)
        with pytest.raises(MODULES.interrupted):
            gate.completion([{"role": "user", "content": "x"}])
        made.client.close()


def test_a_conversation_costs_little() -> None:
    answers = completion(None, (SEARCH, "{}")), completion("done")
    Conversation(*answers)
    started = time.process_time()
    for _ in range(5):
        assert Conversation(*answers).text == "done"
    assert (time.process_time() - started) / 5 < 0.6  # seen: 0.06 s; ten times that is another SDK


def test_arguments_of_the_model_are_json_text() -> None:
    talk = Conversation(completion(None, (SEARCH, json.dumps({"q": "x"}))), completion("done"))
    assert talk.gate.calls == [("c1", SEARCH, {"q": "x"})]
