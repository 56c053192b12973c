"""What runs beside the requests, and what hostile peers may send to it."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from fakes import settings
from holmesgpt_api import errors
from holmesgpt_api.catalog import MAX_ANSWER_BYTES, Catalog, _object
from holmesgpt_api.config import ConfigError
from holmesgpt_api.investigator.openai import read_call
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


@pytest.mark.parametrize("arguments", ['{"a": NaN}', '{"a": Infinity}', '{"a": -Infinity}', "[1]", "{", None, 7])
def test_arguments_that_are_no_json_object(arguments: object) -> None:
    assert read_call({"id": "1", "function": {"name": "f", "arguments": arguments}}) == ("1", "f", {})


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
            response = await Catalog(client, 10, Metrics())._once("get", "GET", "/", None)
        assert response is not None
        assert _object(response) == {}
        assert sent <= MAX_ANSWER_BYTES + (2 << 20)

    asyncio.run(run())


def test_refused_url_is_told_without_its_password() -> None:
    with pytest.raises(ConfigError) as refused:
        settings(DATA_STORAGE_URL="ftp://user:canary@storage.test")
    assert "canary" not in str(refused.value)
    assert "data_storage.url" in str(refused.value)
