"""The client of Data Storage's workflow catalog."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import httpx

from holmesgpt_api import errors
from holmesgpt_api.metrics import Metrics

TRIES = 3
CACHE_SECONDS = 60.0
CACHE_ENTRIES = 1000
MAX_ANSWER_BYTES = 8 << 20
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class Workflow:
    """A row of the catalog, as far as this service reads it."""

    workflow_id: str
    name: str
    version: str
    title: str
    description: str
    signal_type: str
    container_image: str
    container_digest: str
    status: str
    parameters: tuple[dict[str, Any], ...]


class SearchRefusedError(Exception):
    """Data Storage found the search itself wrong; the text is its list of field errors."""


class Catalog(Protocol):
    """Where workflows come from: Data Storage, or what is built in."""

    async def search(self, body: dict[str, Any]) -> dict[str, Any]:
        """The answer of the search; SearchRefusedError, or ServiceError when the catalog is away."""
        ...

    async def get(self, workflow_id: str, fresh: bool = False) -> Workflow | None:
        """None: not in the catalog. Looked up anew when `fresh`, else at most 60 s old."""
        ...


class DataStorageCatalog:
    def __init__(
        self, client: httpx.AsyncClient, timeout: float, metrics: Metrics, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._client = client
        self._timeout = timeout
        self._metrics = metrics
        self._sleep = sleep
        self._cache: dict[str, tuple[float, Workflow]] = {}

    async def search(self, body: dict[str, Any]) -> dict[str, Any]:
        response = await self._request("search", "POST", "/api/v1/workflows/search", body)
        answer = _object(response)
        if response.status_code == 400:
            raise SearchRefusedError(str(answer.get("field_errors") or answer.get("detail") or "bad request"))
        if response.status_code != 200 or not isinstance(answer.get("workflows"), list):
            raise errors.catalog_unavailable()
        return answer

    async def get(self, workflow_id: str, fresh: bool = False) -> Workflow | None:
        try:
            key = str(UUID(workflow_id))
        except ValueError:
            return None
        cached = self._cache.get(key)
        if cached and not fresh and time.monotonic() - cached[0] < CACHE_SECONDS:
            return cached[1]
        response = await self._request("get", "GET", f"/api/v1/workflows/{key}", None)
        if response.status_code in (400, 404):
            return None
        row = _object(response)
        if response.status_code != 200 or not row.get("workflow_id"):
            raise errors.catalog_unavailable()
        workflow = read_workflow(row)
        if len(self._cache) >= CACHE_ENTRIES:
            self._cache.clear()
        self._cache[key] = (time.monotonic(), workflow)
        return workflow

    async def _request(self, operation: str, method: str, path: str, body: Any) -> httpx.Response:
        """Two quick retries, all inside one time limit."""
        retry_after: int | None = None
        try:
            async with asyncio.timeout(self._timeout):
                for attempt in range(TRIES):
                    if attempt:
                        await self._sleep(0.1 * attempt)
                    response = await self._once(operation, method, path, body)
                    if (
                        response is not None
                        and response.status_code not in (401, 403, 429)
                        and (response.status_code < 500)
                    ):
                        return response
                    if response is not None:
                        retry_after = errors.parse_retry_after(response.headers.get("Retry-After"))
        except TimeoutError:
            self._metrics.catalog_requests.labels(operation, "timeout").inc()
        raise errors.catalog_unavailable(retry_after)

    async def _once(self, operation: str, method: str, path: str, body: Any) -> httpx.Response | None:
        content, started = bytearray(), time.monotonic()
        try:
            async with self._client.stream(method, path, json=body) as response:
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        content.clear()  # as good as no answer
                        break
        except httpx.HTTPError:
            self._metrics.catalog_requests.labels(operation, "none").inc()
            return None
        finally:
            self._metrics.catalog_seconds.labels(operation).observe(time.monotonic() - started)
        self._metrics.catalog_requests.labels(operation, str(response.status_code)).inc()
        wait = {k: v for k, v in response.headers.items() if k.lower() == "retry-after"}
        return httpx.Response(response.status_code, headers=wait, content=bytes(content))


def _object(response: httpx.Response) -> dict[str, Any]:
    try:
        value = response.json()
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {}


def read_workflow(row: dict[str, Any]) -> Workflow:
    def word(key: str) -> str:
        value = row.get(key)
        return value if isinstance(value, str) else ""

    labels = row.get("labels")
    signal_type = labels.get("signal_type") if isinstance(labels, dict) else None
    return Workflow(
        workflow_id=word("workflow_id").lower(),
        name=word("workflow_name"),
        version=word("version"),
        title=word("name"),
        description=word("description"),
        signal_type=signal_type if isinstance(signal_type, str) else "",
        container_image=word("container_image"),
        container_digest=word("container_digest"),
        status=word("status"),
        parameters=read_schema(row.get("parameters")),
    )


def read_schema(parameters: Any) -> tuple[dict[str, Any], ...]:
    """`schema.parameters[]`, or `parameters[]` directly; entries without a name are skipped."""
    if not isinstance(parameters, dict):
        return ()
    schema = parameters.get("schema")
    entries = schema.get("parameters") if isinstance(schema, dict) else parameters.get("parameters")
    if not isinstance(entries, list):
        return ()
    return tuple(e for e in entries if isinstance(e, dict) and isinstance(e.get("name"), str) and e["name"])
