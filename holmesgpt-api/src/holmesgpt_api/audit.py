"""Audit: a bounded buffer, and one task that sends it to Data Storage."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections import deque
from typing import Any

import httpx

from holmesgpt_api import errors, logs
from holmesgpt_api.config import Settings
from holmesgpt_api.metrics import Metrics
from holmesgpt_api.scrub import scrub

logger = logging.getLogger(__name__)
MAX_BATCH_BYTES = 1 << 20
SEND_SECONDS = 5.0
LONGEST_PAUSE = 30.0
LATE_SECONDS = 30.0
DEGRADED_SECONDS = 600.0


class Buffer:
    """Bounded in events and bytes; adding never waits."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._max_events = settings.count("audit.buffer_events")
        self._max_bytes = settings.count("audit.buffer_bytes")
        self._metrics = metrics
        self._off = settings["data_storage.url"] is None  # nobody to send to: nothing is kept, and nothing lost
        self._waiting: deque[tuple[bytes, str, float]] = deque()  # event, its id, when it was added
        self._bytes = 0
        self._last_drop: float | None = None
        self._last_log = -10.0
        self.dropped = 0
        self.arrived = asyncio.Event()
        metrics.audit_capacity.set(self._max_events)

    def __len__(self) -> int:
        return len(self._waiting)

    def scrub(self, value: Any) -> Any:
        """Without credentials, before it is cut; what is thrown away anyhow costs nothing."""
        return value if self._off else scrub(value, lambda kind: self._metrics.scrubbed.labels(kind).inc())

    def _show(self) -> None:
        self._metrics.audit_size.set(len(self._waiting))
        by_count, by_bytes = len(self._waiting) / self._max_events, self._bytes / self._max_bytes
        self._metrics.audit_ratio.set(max(by_count, by_bytes))

    def add(self, event: dict[str, Any]) -> None:
        if self._off:
            return
        raw = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        if len(self._waiting) >= self._max_events or self._bytes + len(raw) > self._max_bytes:
            self.count_drops("buffer_full", [event["event_id"]])
            return
        self._waiting.append((raw, event["event_id"], time.monotonic()))
        self._bytes += len(raw)
        self._metrics.audit_buffered.inc()
        self._show()
        self.arrived.set()

    def head(self, limit: int) -> list[bytes]:
        """The oldest events, at most so many and 1 MiB; they stay until `remove`."""
        batch: list[bytes] = []
        size = 0
        for raw, _, _ in list(self._waiting)[:limit]:
            if batch and size + len(raw) > MAX_BATCH_BYTES:
                break
            batch.append(raw)
            size += len(raw)
        return batch

    def stored(self, count: int) -> None:
        """The oldest so many are safe."""
        self._take(set(range(count)))
        self._metrics.audit_written.inc(count)

    def reject(self, places: set[int]) -> None:
        """Data Storage will never take these, counted from the oldest."""
        self.count_drops("rejected", self._take(places))

    def _take(self, places: set[int]) -> list[str]:
        head = [self._waiting.popleft() for _ in range(max(places) + 1)]
        self._waiting.extendleft(reversed([entry for i, entry in enumerate(head) if i not in places]))
        gone = [head[place] for place in sorted(places)]
        self._bytes -= sum(len(raw) for raw, _, _ in gone)
        self._show()
        return [identity for _, identity, _ in gone]

    def count_drops(self, reason: str, ids: list[str]) -> None:
        self._metrics.audit_dropped[reason].inc(len(ids))
        self.dropped += len(ids)
        self._last_drop = time.monotonic()
        if reason != "buffer_full" or self._last_drop - self._last_log >= 10:
            self._last_log = self._last_drop
            logs.event(logger, logging.ERROR, "audit events dropped", reason=reason, count=len(ids), ids=ids[:50])

    def status(self) -> dict[str, Any]:
        now = time.monotonic()
        late = bool(self._waiting) and now - self._waiting[0][2] > LATE_SECONDS
        if late or (self._last_drop is not None and now - self._last_drop < DEGRADED_SECONDS):
            return {"status": "degraded", "buffered": len(self._waiting), "dropped": self.dropped}
        return {"status": "up"}

    def abandon(self) -> None:
        """At the end of the process: what is left is lost, and said."""
        if self._waiting:
            ids = [identity for _, identity, _ in self._waiting]
            self._waiting.clear()
            self._bytes = 0
            self._show()
            self.count_drops("shutdown", ids)


class Sender:
    """One task; it keeps what Data Storage did not take, without limit of time."""

    def __init__(self, buffer: Buffer, client: httpx.AsyncClient, settings: Settings, metrics: Metrics) -> None:
        self._buffer = buffer
        self._client = client
        self._metrics = metrics
        self._limit = settings.count("audit.batch_events")
        self._interval = settings.seconds("audit.flush_interval_seconds")
        self._last_failure = ("", 0.0)
        self._size = self._limit  # halved while Data Storage refuses a batch without saying which event

    async def run(self) -> None:
        pause = 1.0
        while True:
            await self._buffer.arrived.wait()
            if len(self._buffer) < self._limit:
                await asyncio.sleep(self._interval)
            wait = await self.send_once()
            if wait is None:
                pause = 1.0
                if not len(self._buffer):
                    self._buffer.arrived.clear()
                continue
            await asyncio.sleep(max(wait, pause) * random.uniform(0.9, 1.1))  # noqa: S311 - jitter, no secret
            pause = min(pause * 2, LONGEST_PAUSE)

    async def flush(self) -> None:
        """Until the buffer is empty; the caller sets the limit of time."""
        while len(self._buffer):
            wait = await self.send_once()
            if wait is not None:
                await asyncio.sleep(min(max(wait, 0.2), 1.0))

    async def send_once(self) -> float | None:
        """Send one batch. None: it was taken or sorted out; a number: try again after so many seconds."""
        batch = self._buffer.head(self._size)
        if not batch:
            return None
        started = time.monotonic()
        try:
            async with asyncio.timeout(SEND_SECONDS):
                response = await self._client.post(
                    "/api/v1/audit/events/batch",
                    content=b"[" + b",".join(batch) + b"]",
                    headers={"Content-Type": "application/json"},
                )
        except (httpx.HTTPError, TimeoutError) as error:
            self._failed(type(error).__name__)
            return 0.0
        finally:
            self._metrics.audit_seconds.observe(time.monotonic() - started)
        if response.status_code in (201, 202):
            self._buffer.stored(len(batch))
            self._size = self._limit
            return None
        if response.status_code in (400, 413):
            self._sort_out(len(batch), response)
            return None
        self._failed(str(response.status_code))
        return float(errors.parse_retry_after(response.headers.get("Retry-After")) or 0)

    def _sort_out(self, count: int, response: httpx.Response) -> None:
        """Drop the events that are named; without names, halve down to the single one that is at fault."""
        self._metrics.audit_failed.inc()
        try:
            body = response.json()
        except (ValueError, RecursionError):
            body = {}
        named = body.get("invalid_indexes") if isinstance(body, dict) else None
        bad = {i for i in named if isinstance(i, int) and 0 <= i < count} if isinstance(named, list) else set()
        if bad or count == 1:
            self._buffer.reject(bad or {0})
            self._size = self._limit
        else:
            self._size = max(1, count // 2)

    def _failed(self, why: str) -> None:
        """Said once a minute, and at once for a new reason."""
        self._metrics.audit_failed.inc()
        now = time.monotonic()
        if why != self._last_failure[0] or now - self._last_failure[1] >= 60:
            self._last_failure = (why, now)
            logs.event(logger, logging.WARNING, "audit batch not taken", reason=why, waiting=len(self._buffer))
