"""Secrets of the environment, headers, bodies, tool results and the model's own words: kept inside."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
from collections.abc import Iterator

import pytest

from fakes import INCIDENT, DataStorage, Model, call_tool, row, say, select, serving
from holmesgpt_api import logs
from holmesgpt_api.trail import PREVIEW

PLANTED = "DB_PASSWORD=canary-body postgres://app:canary-user@db/x Authorization: Bearer canary-bearer-0123456789"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The service's own log, at DEBUG."""
    root, stream = logging.getLogger(), io.StringIO()
    kept, level = list(root.handlers), root.level
    logs.setup("DEBUG", stream)
    yield stream
    root.handlers[:] = kept
    root.setLevel(level)


def test_nothing_leaves(log: io.StringIO) -> None:
    storage = DataStorage()
    told = row("told-v1", description=PLANTED)
    storage.rows[told["workflow_id"]] = told
    arguments = json.loads(call_tool()["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"])
    search = call_tool(arguments=arguments | {"api_key": "canary-argument", "query": PLANTED})
    wrong = select(workflow_id=f"no such, {PLANTED}")
    model = Model(search, say(f"{PLANTED}\n" + say(wrong)["choices"][0]["message"]["content"]), say(select()))
    env = {
        "LLM_API_KEY": "canary-key",
        "LLM_ENDPOINT": "http://u:canary-endpoint@model.test/v1?k=canary-query",
        "DATA_STORAGE_URL": "http://u:canary-storage@storage.test",
        "LOG_LEVEL": "DEBUG",
    }

    async def run() -> list[str]:
        async with serving(model, storage, **env) as service:  # type: ignore[arg-type]
            client = service.client
            client.headers["Authorization"] = "Bearer canary-header-0123456789"
            good = await service.incident(error_message=PLANTED, signal_labels={"token": "canary-label"})
            assert good.status_code == 200 and len(good.json()["validation_attempts_history"]) == 2
            bad = await client.post("/api/v1/incident/analyze", json=INCIDENT | {"severity": [PLANTED]})
            assert bad.status_code == 400
            pages = [(await client.get(path)).text for path in ("/config", "/metrics", "/ready")]
            assert 'kind="named"' in pages[1]
            return [bad.text, *pages]

    seen = asyncio.run(run())
    prompts = json.dumps([request["messages"] for request in model.requests])
    assert "[REDACTED]" in prompts and len(model.requests) == 3
    assert {event["event_type"] for event in storage.events} >= {"llm_request", "llm_response", "llm_tool_call"}
    everything = {
        "prompts": prompts,
        "audit": json.dumps(storage.events),
        "log": log.getvalue(),
        "children": json.dumps(dict(os.environ)),
        "answers": json.dumps(seen),
    }
    assert [place for place, text in everything.items() if "canary" in text] == []
    assert '"event": "request"' in everything["log"] and "[REDACTED]" in everything["audit"]


def test_a_credential_across_the_edge_of_a_preview() -> None:
    """It is taken out before the text is cut: what is left of it would fit no rule."""
    storage = DataStorage()
    text = "x" * (PREVIEW - 11) + " sk-canaryabcdefghijklmnopqrstuvwxyz"

    async def run() -> None:
        async with serving(Model(say(text + "\n" + say(select())["choices"][0]["message"]["content"])), storage) as s:
            assert (await s.incident()).status_code == 200

    asyncio.run(run())
    (answer,) = [event for event in storage.events if event["event_type"] == "llm_response"]
    assert answer["event_data"]["analysis_preview"] == "x" * (PREVIEW - 11) + " [REDACTED]"


def test_log_lines_are_scrubbed(log: io.StringIO) -> None:
    logs.event(logging.getLogger("any"), logging.INFO, f"odd {PLANTED}", reason=PLANTED, ids=[PLANTED], count=3)
    line = json.loads(log.getvalue())
    assert "canary" not in log.getvalue() and line["count"] == 3
    assert line["event"].startswith("odd DB_PASSWORD=[REDACTED] postgres://[REDACTED]@db/x ")
