"""Settings, retries, the audit buffer and its sender, log lines, and the export of the lock."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes import TLS, DataStorage, settings
from holmesgpt_api import config, logs
from holmesgpt_api.audit import Buffer, Sender
from holmesgpt_api.metrics import Metrics

ROOT = Path(__file__).parents[1]


def test_settings_order_and_every_mistake(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("llm: {model: a, endpoint: 'http://f/v1', temperature: 1}\nservice_name: x\napi_port: 9\n")
    loaded = config.load(str(file), {"LLM_MODEL": "b"})
    assert (loaded["llm.model"], loaded["llm.endpoint"], loaded["llm.temperature"]) == ("b", "http://f/v1", 1.0)
    assert (loaded["server.port"], loaded["llm.max_steps"], loaded.ignored) == (9, 20, ("service_name",))
    assert (loaded.sources["llm.model"], loaded.sources["llm.endpoint"]) == ("env", "file")
    file.write_text("llm: {temperature: 3, modle: x}\nodd: 1\n")
    env = {
        "LLM_MAX_RETRIES": "9",
        "DATA_STORAGE_URL": "http://a",
        "DATASTORAGE_URL": "http://b",
        "MOCK_LLM_MODE": "false",
    }
    with pytest.raises(config.ConfigError) as caught:
        config.load(str(file), env)
    text = str(caught.value)
    assert f"llm.temperature: must be between 0 and 2 (got 3, from {file})" in text
    assert "llm.max_retries: must be a whole number between 0 and 5 (got 9, from LLM_MAX_RETRIES)" in text
    for part in ("llm.modle: is not a known", "odd: is not", "differ", "LLM_MODEL", "LLM_ENDPOINT"):
        assert part in text
    with pytest.raises(config.ConfigError, match="absent"):
        config.load(str(tmp_path / "absent"), {})


def test_api_key_comes_from_the_file(tmp_path: Path) -> None:
    file, secret = tmp_path / "c.yaml", tmp_path / "s.yaml"
    file.write_text(f"llm: {{model: a, endpoint: 'http://f', secrets_file: {secret}}}\n")
    secret.write_text("api_key: from-file\n")
    assert config.load(str(file), {"LLM_API_KEY": "from-env"}).api_key == "from-file"
    secret.write_text("other: 1\n")
    with pytest.raises(config.ConfigError, match="no api_key"):
        config.load(str(file), {})


def buffer(**changes: Any) -> Buffer:
    made = settings()
    return Buffer(config.Settings({**made.values, **changes}, made.sources), Metrics())


def fill(target: Buffer, count: int) -> None:
    for i in range(count):
        target.add({"event_id": f"e{i}"})


def test_buffer_is_bounded() -> None:
    full = buffer(**{"audit.buffer_events": 3})
    fill(full, 5)
    assert (len(full), full.dropped, full.status()["status"]) == (3, 2, "degraded")
    small = buffer(**{"audit.buffer_bytes": 40})
    fill(small, 5)
    assert len(small) == 2


def drain(storage: DataStorage, target: Buffer) -> int:
    async def run() -> int:
        rounds = 0
        async with httpx.AsyncClient(transport=httpx.MockTransport(storage), base_url="http://s", verify=TLS) as client:
            sender = Sender(target, client, settings(), Metrics())
            while len(target) and rounds < 50:
                await sender.send_once()
                rounds += 1
        return rounds

    return asyncio.run(run())


def test_sender_drops_only_what_is_named() -> None:
    storage, target = DataStorage(), buffer()
    fill(target, 50)
    storage.batches = [httpx.Response(400, json={"invalid_indexes": [7, 20]}), httpx.Response(503), httpx.Response(401)]
    assert drain(storage, target) == 4
    assert len(storage.events) == 48
    assert {"e7", "e20"}.isdisjoint(e["event_id"] for e in storage.events)
    assert target.dropped == 2


def test_sender_halves_what_is_refused_without_a_name() -> None:
    storage, target = DataStorage(), buffer()
    fill(target, 4)
    too_deep = httpx.Response(400, content=b"[" * 100_000)
    storage.batches = [httpx.Response(413), too_deep, httpx.Response(413)]
    drain(storage, target)
    assert [e["event_id"] for e in storage.events] == ["e1", "e2", "e3"]
    assert target.dropped == 1


def test_log_lines_are_json_without_exception_texts() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JSONFormatter())
    logger = logging.Logger("test")
    logger.addHandler(handler)
    try:
        raise ValueError("hidden text")
    except ValueError:
        logger.exception("it failed")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["error_class"]) == ("it failed", "ValueError")
    assert "hidden" not in stream.getvalue()


def test_requirements_are_the_lock() -> None:
    """Same packages, versions and hashes: what the image installs is what was locked."""
    lock = (ROOT / "uv.lock").read_text()
    pins = dict(re.findall(r"^([a-z0-9-]+)==([^ ]+) (?:; .*)?\\$", (ROOT / "requirements.txt").read_text(), re.M))
    assert {"fastapi", "httpx", "pydantic", "uvicorn", "uvloop"} <= pins.keys()
    locked = {}
    for block in lock.split("[[package]]")[1:]:
        name = re.search(r'^name = "(.*)"', block, re.M)
        version = re.search(r'^version = "(.*)"', block, re.M)
        if name and version:
            locked[name[1]] = (version[1], set(re.findall(r"sha256:[0-9a-f]{64}", block)))
    hashes: dict[str, set[str]] = {}
    for block in re.split(r"\n(?=[a-z])", (ROOT / "requirements.txt").read_text()):
        hashes[block.split("==")[0]] = set(re.findall(r"sha256:[0-9a-f]{64}", block))
    for name, version in pins.items():
        assert locked[name] == (version, hashes[name])
    assert set(re.findall(r"https://[^/\"]+", lock)) == {"https://pypi.org", "https://files.pythonhosted.org"}
