"""What runs beside the requests, and what hostile peers may send to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import httpx
import pytest

from fakes import DataStorage, Model, call_tool, say, serving, settings, verdict
from holmesgpt_api import errors
from holmesgpt_api.catalog import MAX_ANSWER_BYTES, DataStorageCatalog, _object
from holmesgpt_api.config import ConfigError
from holmesgpt_api.investigator.holmes.arguments import read_arguments
from holmesgpt_api.metrics import Metrics
from holmesgpt_api.state import kept_running


def test_failed_task_begins_again() -> None:
    async def run() -> None:
        begun = 0
        again = asyncio.Event()

        async def work() -> None:
            nonlocal begun
            begun += 1
            if begun == 1:
                raise RuntimeError("a bug")
            again.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(kept_running("test", work, pause=0))
        async with asyncio.timeout(10):
            await again.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert begun == 2

    asyncio.run(run())


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), (" 7 ", 7), ("0", 1), ("9" * 30, 300), ("²", None), ("٣", None), ("-1", None), ("", None), (None, None)],
)
def test_retry_after(value: str | None, seconds: int | None) -> None:
    assert errors.parse_retry_after(value) == seconds


NOT_STORABLE = [
    '{"a": NaN}',
    '{"a": Infinity}',
    '{"a": -Infinity}',
    '{"a": 1e999}',
    '{"query": "\\ud800"}',
    '{"query": "\\u0000"}',
    '{"a":' * 33 + "1" + "}" * 33,
    '{"a":' * 5000 + "1" + "}" * 5000,
]


@pytest.mark.parametrize("arguments", [*NOT_STORABLE, "[1]", "{", None, 7])
def test_arguments_that_are_no_json_object(arguments: object) -> None:
    assert read_arguments(arguments) == {}


def test_arguments_as_deep_as_allowed() -> None:
    deepest = '{"a":' * 32 + "1" + "}" * 32
    assert read_arguments(deepest) == json.loads(deepest)


@pytest.mark.parametrize("arguments", NOT_STORABLE)
def test_no_arguments_lose_an_audit_event(arguments: str) -> None:
    async def run() -> None:
        storage = DataStorage()
        async with serving(Model(call_tool(arguments=arguments), say(verdict())), storage) as service:
            assert (await service.incident()).status_code == 200
        calls = [event for event in storage.events if event["event_type"] == "llm_tool_call"]
        assert [event["event_data"]["tool_arguments"] for event in calls] == [{}]

    asyncio.run(run())


def test_failing_flush_counts_what_is_lost() -> None:
    async def run() -> None:
        storage = DataStorage()
        async with contextlib.AsyncExitStack() as stack:
            service = await stack.enter_async_context(serving(Model(say(verdict())), storage))
            service.state.sender.flush = broken  # type: ignore[method-assign]
            service.state.buffer.add({"event_id": "e"})
            with pytest.raises(RuntimeError, match="a bug"):
                await stack.aclose()
        assert (len(service.state.buffer), service.state.buffer.dropped) == (0, 1)

    async def broken() -> None:
        raise RuntimeError("a bug")

    asyncio.run(run())


def test_answer_beyond_the_limit_is_not_kept() -> None:
    async def run() -> None:
        sent = 0

        async def endless() -> object:
            nonlocal sent
            while True:
                sent += 1 << 20
                yield b" " * (1 << 20)

        def answer(_: httpx.Request) -> httpx.Response:
            return httpx.Response(200, content=endless())  # type: ignore[arg-type]

        async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://storage.test") as client:
            response = await DataStorageCatalog(client, 10, Metrics())._once("get", "GET", "/", None)
        assert response is not None
        assert _object(response) == {}
        assert sent <= MAX_ANSWER_BYTES + (2 << 20)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("ftp://user:canary@storage.test", "ftp://***@storage.test"),
        ("ftp://user:can/ary@canary@storage.test", "ftp://***@storage.test"),
        ("user:canary@storage.test", "***@storage.test"),
        ("//user:canary@storage.test", "***@storage.test"),
        ("ftp://storage.test/?key=canary", "ftp://storage.test/?***"),
        ("http://user:canary@[storage.test", "http://***@[storage.test"),
        ("http://user:canary@\u2100.test", "http://***@\u2100.test"),
        ("ftp://storage.test", "ftp://storage.test"),
    ],
)
def test_refused_url_is_told_without_its_secrets(url: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        settings(DATA_STORAGE_URL=url)
    expected = f"data_storage.url: must be an http or https URL (got {told}, from DATA_STORAGE_URL)"
    assert str(refused.value) == expected


def test_broken_file_is_told_without_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text('llm:\n  endpoint: "http://user:canary@model.test" x\n')
    with pytest.raises(ConfigError) as refused:
        settings(CONFIG_FILE=str(file))
    assert "canary" not in str(refused.value)
    assert f"config file {file}: " in str(refused.value) and "line 2, column" in str(refused.value)
