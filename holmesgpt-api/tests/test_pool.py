"""Slots: a bound, a queue in order, refusals with a wait, and threads that keep their slot until they return."""

from __future__ import annotations

import asyncio
import threading

import pytest

from fakes import settings
from holmesgpt_api.config import Settings
from holmesgpt_api.errors import ServiceError
from holmesgpt_api.metrics import Metrics
from holmesgpt_api.pool import Pool


def pool(metrics: Metrics, **limits: float) -> Pool:
    made = settings()
    values = {f"limits.{key}": value for key, value in limits.items()}
    return Pool(Settings({**made.values, **values}, made.sources), metrics)


def gauge(metrics: Metrics, name: str) -> float | None:
    return metrics.registry.get_sample_value(f"holmesgpt_api_{name}")


def test_first_come_first_served_and_the_queue_is_bounded() -> None:
    async def run() -> None:
        metrics = Metrics()
        bound, order, leave = pool(metrics, max_concurrent=1, queue=2), list[int](), asyncio.Event()

        async def request(number: int) -> None:
            async with bound.slot():
                order.append(number)
                await leave.wait()

        tasks = [asyncio.create_task(request(n)) for n in range(3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (order, gauge(metrics, "workers_busy"), gauge(metrics, "queue_length")) == ([0], 1, 2)
        with pytest.raises(ServiceError) as caught:
            await request(9)
        assert caught.value.status == 429 and 2 <= (caught.value.retry_after or 0) <= 30
        leave.set()
        await asyncio.gather(*tasks)
        assert order == [0, 1, 2]
        assert (gauge(metrics, "workers_busy"), gauge(metrics, "queue_length")) == (0, 0)

    asyncio.run(run())


def test_patience_ends() -> None:
    async def run() -> None:
        metrics = Metrics()
        bound, leave = pool(metrics, max_concurrent=1, queue_timeout_seconds=0.05), asyncio.Event()

        async def hold() -> None:
            async with bound.slot():
                await leave.wait()

        holder = asyncio.create_task(hold())
        await asyncio.sleep(0)
        with pytest.raises(ServiceError) as caught:
            async with bound.slot():
                raise AssertionError("no slot was free")
        assert caught.value.slug == "too-many-requests"
        counted = metrics.registry.get_sample_value("holmesgpt_api_rejected_total", {"reason": "queue_timeout"})
        assert counted == 1
        leave.set()
        await holder

    asyncio.run(run())


def test_an_abandoned_thread_keeps_its_slot_until_it_returns() -> None:
    async def run() -> None:
        metrics, blocked, begun = Metrics(), threading.Event(), threading.Event()
        bound = pool(metrics, max_concurrent=1, queue=1)

        def work() -> None:
            begun.set()
            blocked.wait(10)

        async def request() -> None:
            async with bound.slot():
                await bound.run(work)

        task = asyncio.create_task(request())
        await asyncio.to_thread(begun.wait, 5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (gauge(metrics, "workers_busy"), gauge(metrics, "abandoned_threads")) == (1, 1)
        waiting = asyncio.create_task(request())
        await asyncio.sleep(0)
        assert gauge(metrics, "queue_length") == 1
        blocked.set()
        await asyncio.wait_for(waiting, 5)
        assert (gauge(metrics, "workers_busy"), gauge(metrics, "abandoned_threads")) == (0, 0)
        for thread in threading.enumerate():
            if thread.name == "investigation":
                thread.join(5)
                assert not thread.is_alive()

    asyncio.run(run())


def test_what_a_thread_raises_is_raised() -> None:
    def fail() -> None:
        raise KeyError("x")

    async def run() -> None:
        bound = pool(Metrics())
        async with bound.slot():
            assert await bound.run(lambda: 7) == 7
            with pytest.raises(KeyError):
                await bound.run(fail)

    asyncio.run(run())
