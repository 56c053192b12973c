"""Who may ask: bearer tokens, checked by the API server's TokenReview."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import httpx

from holmesgpt_api import logs
from holmesgpt_api.errors import ServiceError
from holmesgpt_api.metrics import Metrics

logger = logging.getLogger(__name__)
OPEN = frozenset({"/health", "/ready", "/metrics", "/openapi.json"})
REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
OWN_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
GOOD_SECONDS, BAD_SECONDS, CACHE_ENTRIES = 60.0, 5.0, 1000
LIMIT_SECONDS = 5.0
ACCOUNT = "system:serviceaccount:"


class Reviewer:
    """Answers are cached under a hash of the token, the good ones longer than the bad ones."""

    def __init__(self, client: httpx.AsyncClient, audiences: list[str], allowed: list[str], metrics: Metrics) -> None:
        self._client = client
        self._audiences = audiences
        self._allowed = {ACCOUNT + name.replace("/", ":") for name in allowed}
        self._metrics = metrics
        self._cache: OrderedDict[bytes, tuple[float, str | None]] = OrderedDict()  # until when, the user

    async def check(self, path: str, authorization: str) -> None:
        """Return for a caller that may ask; ServiceError for any other."""
        if path in OPEN:
            return
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise self._refused("missing", path, "a bearer token is required")
        user = await self._user(token.strip(), path)
        if user is None:
            raise self._refused("rejected", path, "the token was not accepted")
        if self._allowed and user not in self._allowed:
            self._metrics.auth_failures.labels("forbidden", path).inc()
            raise ServiceError("forbidden", "this account may not use the service", "auth")
        self._metrics.auth_success.labels(self._metrics.bounded("username", user), "caller").inc()

    def _refused(self, reason: str, path: str, text: str) -> ServiceError:
        self._metrics.auth_failures.labels(reason, path).inc()
        return ServiceError("unauthorized", text, "auth", headers={"WWW-Authenticate": "Bearer"})

    async def _user(self, token: str, path: str) -> str | None:
        key, now = hashlib.sha256(token.encode()).digest(), time.monotonic()
        known = self._cache.get(key)
        if known and now < known[0]:
            return known[1]
        user = await self._review(token, path)
        self._cache[key] = (now + (BAD_SECONDS if user is None else GOOD_SECONDS), user)
        self._cache.move_to_end(key)
        if len(self._cache) > CACHE_ENTRIES:
            self._cache.popitem(last=False)
        return user

    async def _review(self, token: str, path: str) -> str | None:
        spec = {"token": token, "audiences": self._audiences}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        status: Any = None
        cause = "unreadable answer"
        try:
            answer = await self._client.post(REVIEWS, json=body, headers=own_token(), timeout=LIMIT_SECONDS)
            if answer.status_code in (200, 201):
                status = answer.json().get("status")
            else:
                cause = str(answer.status_code)
        except (httpx.HTTPError, OSError, ValueError, AttributeError) as error:
            cause = type(error).__name__
        if not isinstance(status, dict):
            self._metrics.auth_failures.labels("unavailable", path).inc()
            logs.event(logger, logging.ERROR, "token review failed", reason=cause)
            raise ServiceError("service-unavailable", "tokens cannot be checked now", "auth")
        user = status.get("user")
        name = user.get("username") if isinstance(user, dict) else None
        # A review without audiences comes from a server that does not know them: nobody said the token is for us.
        audiences = status.get("audiences")
        meant = isinstance(audiences, list) and bool(set(self._audiences) & {str(a) for a in audiences})
        return name if status.get("authenticated") is True and meant and isinstance(name, str) else None


def own_token() -> dict[str, str]:
    """Read for each review: the kubelet replaces the file."""
    return {"Authorization": f"Bearer {OWN_TOKEN.read_text(encoding='utf-8').strip()}"}
