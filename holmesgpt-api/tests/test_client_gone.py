"""A client that leaves: its investigation ends, the slot and the gauge return, and the model is asked no more."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import httpx
import pytest

from fakes import INCIDENT, RECOVERY, DataStorage, Model, say, serving, verdict


class Slow(Model):
    """Its first answer comes when it is let go."""

    def __init__(self, *answers: Any) -> None:
        super().__init__(*answers)
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = super().__call__(request)
        self.begun.set()
        assert self.go.wait(20)
        return answer


@pytest.mark.parametrize(("path", "body"), [("incident", INCIDENT), ("recovery", RECOVERY)])
def test_a_client_that_leaves(path: str, body: dict[str, Any]) -> None:
    async def run() -> None:
        model = Slow(say(verdict(root_cause_analysis=None)), say(verdict()))
        async with serving(model, DataStorage()) as service:
            metrics, gone, sent = service.state.metrics.registry, asyncio.Event(), list[Any]()
            first = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]

            async def receive() -> dict[str, Any]:
                if first:
                    return first.pop()
                await gone.wait()
                return {"type": "http.disconnect"}

            async def send(message: Any) -> None:
                sent.append(message)

            scope = {
                "type": "http",
                "method": "POST",
                "path": f"/api/v1/{path}/analyze",
                "query_string": b"",
                "headers": [(b"content-type", b"application/json")],
            }
            request = asyncio.create_task(service.app(scope, receive, send))
            assert await asyncio.to_thread(model.begun.wait, 20)
            gone.set()
            await asyncio.wait_for(request, 2)
            assert sent == []
            assert metrics.get_sample_value("holmesgpt_api_abandoned_threads") == 1
            assert metrics.get_sample_value("holmesgpt_api_cancelled_total", {"cause": "disconnect"}) == 1
            threads = [t for t in threading.enumerate() if t.name == "investigation"]
            model.go.set()
            for thread in threads:
                await asyncio.to_thread(thread.join, 10)
            await asyncio.sleep(0)
            for gauge in ("workers_busy", "abandoned_threads"):
                assert metrics.get_sample_value(f"holmesgpt_api_{gauge}") == 0
            assert len(model.requests) == 1, "the next attempt was asked for nobody"

    asyncio.run(run())
