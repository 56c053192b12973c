"""Bearer tokens by TokenReview: who is let in, what is open, and an API server that is away."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes import INCIDENT, NO_CLUSTER, TLS, DataStorage, Model, say, verdict
from holmesgpt_api import auth, config, main
from holmesgpt_api.state import Transports

PATH = "/api/v1/incident/analyze"
RIGHT, WRONG = "system:serviceaccount:kubernaut-system:aianalysis", "system:serviceaccount:shop:default"


class APIServer:
    """Knows two tokens; whoever asks must be the service's own account."""

    def __init__(self) -> None:
        self.reviews: list[dict[str, Any]] = []
        self.failure: httpx.Response | Exception | None = None
        self.audiences: list[str] | None = ["holmesgpt-api"]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/apis/authentication.k8s.io/v1/tokenreviews"
        assert request.headers["Authorization"] == "Bearer own"
        self.reviews.append(json.loads(request.content)["spec"])
        if isinstance(self.failure, Exception):
            raise self.failure
        if self.failure is not None:
            return self.failure
        user = {"canary-right": RIGHT, "canary-wrong": WRONG}.get(self.reviews[-1]["token"])
        status: dict[str, Any] = {"authenticated": user is not None, "user": {"username": user or ""}}
        if self.audiences is not None:
            status["audiences"] = self.audiences
        return httpx.Response(201, json={"status": status})


@contextlib.asynccontextmanager
async def guarded(
    server: APIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: str = "kubernaut-system/aianalysis"
) -> AsyncIterator[httpx.AsyncClient]:
    own, file = tmp_path / "token", tmp_path / "config.yaml"
    own.write_text("own\n")
    monkeypatch.setattr(auth, "OWN_TOKEN", own)
    file.write_text(f"auth: {{mode: token_review, allowed: [{allowed}]}}\n")
    env = {"LLM_MODEL": "m", "LLM_ENDPOINT": "http://model.test", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    model, storage, reviewer = (httpx.MockTransport(each) for each in (Model(say(verdict())), DataStorage(), server))
    app = main.create_app(config.load(str(file), env), Transports(model, storage, reviewer, NO_CLUSTER))
    await app.state.holmes.investigator.start()
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://h.test", verify=TLS) as client:
        yield client
    await app.state.holmes.investigator.aclose()


async def ask(client: httpx.AsyncClient, authorization: str | None) -> httpx.Response:
    headers = {} if authorization is None else {"Authorization": authorization}
    return await client.post(PATH, json=INCIDENT, headers=headers)


def test_who_is_let_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    server = APIServer()

    async def run() -> None:
        async with guarded(server, tmp_path, monkeypatch) as client:
            for nothing in (None, "", "Bearer", "Bearer ", "Basic dXNlcjpwdw=="):
                refused = await ask(client, nothing)
                assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert server.reviews == []
            unknown, wrong, right = [await ask(client, f"Bearer canary-{t}") for t in ("unknown", "wrong", "right")]
            assert (unknown.status_code, wrong.status_code, right.status_code) == (401, 403, 200)
            for answer, slug in ((unknown, "unauthorized"), (wrong, "forbidden")):
                body = answer.json()
                assert (body["type"].rpartition("/")[2], body["source"]) == (slug, "auth")
                assert "canary" not in answer.text
            assert server.reviews[0] == {"token": "canary-unknown", "audiences": ["holmesgpt-api"]}
            assert (await client.get("/config")).status_code == 401
            for probe in ("/health", "/ready", "/metrics", "/openapi.json"):
                assert (await client.get(probe)).status_code == 200
            assert (await client.get("/health")).json()["features"]["authentication"] is True
            metrics = (await client.get("/metrics")).text
            assert 'auth_failures_total{endpoint="/api/v1/incident/analyze",reason="missing"} 5.0' in metrics
            assert f'auth_success_total{{role="caller",username="{RIGHT}"}} 1.0' in metrics
            assert "canary" not in metrics + capsys.readouterr().out

    asyncio.run(run())


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("canary"),
        httpx.ReadTimeout("canary"),
        httpx.Response(403),
        httpx.Response(200, text="<"),
        httpx.Response(201, json=[]),
    ],
)
def test_api_server_away(failure: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 for a token that is not cached; one that is stays good for a minute."""
    server = APIServer()

    async def run() -> None:
        async with guarded(server, tmp_path, monkeypatch) as client:
            assert (await ask(client, "Bearer canary-right")).status_code == 200
            server.failure = failure
            assert (await ask(client, "Bearer canary-right")).status_code == 200
            away = await ask(client, "Bearer canary-wrong")
            assert (away.status_code, away.json()["source"]) == (503, "auth")
            assert "canary" not in away.text
            moved = time.monotonic() + auth.GOOD_SECONDS + 1
            monkeypatch.setattr(time, "monotonic", lambda: moved)
            assert (await ask(client, "Bearer canary-right")).status_code == 503

    asyncio.run(run())


@pytest.mark.parametrize(("audiences", "status"), [(["holmesgpt-api"], 200), (["other"], 401), ([], 401), (None, 401)])
def test_audiences(audiences: list[str] | None, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = APIServer()
    server.audiences = audiences

    async def run() -> None:
        async with guarded(server, tmp_path, monkeypatch, allowed="") as client:
            assert (await ask(client, "Bearer canary-wrong")).status_code == status

    asyncio.run(run())


def test_refusals_are_forgotten_soon_and_the_cache_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = APIServer()
    monkeypatch.setattr(auth, "CACHE_ENTRIES", 2)

    async def run() -> None:
        async with guarded(server, tmp_path, monkeypatch) as client:
            now = time.monotonic()
            for token, later in (("a", 0), ("a", 4), ("a", 6), ("b", 6), ("c", 6), ("c", 6), ("a", 6)):
                monkeypatch.setattr(time, "monotonic", lambda at=now + later: at)
                assert (await ask(client, f"Bearer {token}")).status_code == 401
        assert [review["token"] for review in server.reviews] == ["a", "a", "b", "c", "a"]

    asyncio.run(run())
