"""A bounded number of investigations: a slot for each, a queue before it, threads that hold it until they return."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from typing import TypeVar

from holmesgpt_api.config import Settings
from holmesgpt_api.errors import ServiceError
from holmesgpt_api.metrics import Metrics

T = TypeVar("T")


class Slot:
    """Given back when its request has ended and none of its threads runs any more."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.holders = 1  # the request; and each thread that runs for it

    def release(self) -> None:
        self.holders -= 1
        if self.holders == 0:
            self._pool.give_back()


_slot: contextvars.ContextVar[Slot] = contextvars.ContextVar("slot")


class Pool:
    """Lives on one event loop; only the work itself runs in threads."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._workers = settings.count("limits.max_concurrent")
        self._queue = settings.count("limits.queue")
        self._patience = settings.seconds("limits.queue_timeout_seconds")
        self._free = asyncio.Semaphore(self._workers)
        self._waiting = 0
        self._mean = 2.0  # seconds of a request, a moving mean
        self._metrics = metrics

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """First come, first served; ServiceError 429 when the queue is full or the wait is too long."""
        await self._enter()
        slot, started = Slot(self), time.monotonic()
        self._metrics.workers_busy.inc()
        token = _slot.set(slot)
        try:
            yield
        finally:
            _slot.reset(token)
            self._mean += 0.2 * (time.monotonic() - started - self._mean)
            slot.release()

    async def _enter(self) -> None:
        if self._free.locked() and self._waiting >= self._queue:
            raise self._full("queue_full")
        self._waiting += 1
        self._metrics.queue_length.set(self._waiting)
        try:
            async with asyncio.timeout(self._patience):
                await self._free.acquire()
        except TimeoutError:
            raise self._full("queue_timeout") from None
        finally:
            self._waiting -= 1
            self._metrics.queue_length.set(self._waiting)

    def _full(self, reason: str) -> ServiceError:
        self._metrics.rejected.labels(reason).inc()
        wait = round(max(1, self._waiting) * self._mean / self._workers)
        return ServiceError("too-many-requests", "too many investigations at once", "service", min(30, max(2, wait)))

    def give_back(self) -> None:
        self._metrics.workers_busy.dec()
        self._free.release()

    async def run(self, work: Callable[[], T]) -> T:
        """In a thread, for the request that holds a slot here. Cancelled, it leaves the thread behind with the slot.

        A daemon, so that one in a blocking call does not hold the process at its end.
        """
        loop, slot = asyncio.get_running_loop(), _slot.get()
        slot.holders += 1
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        abandoned = False

        def ended(_: Future[T]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits for the slot
                loop.call_soon_threadsafe(_returned)

        def _returned() -> None:
            slot.release()
            if abandoned:
                self._metrics.abandoned_threads.dec()

        future.add_done_callback(ended)
        given = (future, contextvars.copy_context(), work)
        threading.Thread(target=_fill, args=given, name="investigation", daemon=True).start()
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if not future.done():
                abandoned = True
                self._metrics.abandoned_threads.inc()
            raise


def _fill(future: Future[T], context: contextvars.Context, work: Callable[[], T]) -> None:
    try:
        future.set_result(context.run(work))
    except BaseException as error:
        future.set_exception(error)
