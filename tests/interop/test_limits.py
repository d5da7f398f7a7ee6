"""What holds a queue back holds both back, whoever said so: rates, holds, global concurrency."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from tests.interop.watching import PATIENCE_S, until, until_completed, until_in
from tests.support.contract import HandWorker, Q, add, job
from tests.support.node import Node
from tests.support.redis_clock import REDIS_START_MS

from toril import App, RateLimit, State
from toril.backends import open_backend
from toril.testing.clock import ManualClock

pytestmark = pytest.mark.timeout(600)  # the first one installs

WINDOW_MS = 500
LONG_MS = 600_000
"""A window that does not end within a test."""


class Painter:
    """A task of two queues. In `paint` it waits for `go_on`, if that is to be."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.started: list[str] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

        @app.task(queue="paint", name="cars")
        async def cars(n: int) -> int:
            self.started.append("cars")
            await self.go_on.wait()
            return n

        @app.task(queue="other", name="look")
        async def look() -> None: ...

    async def look_around(self) -> None:
        """Return once the worker has asked both queues for more, whatever it got of `paint`."""
        job = await self.app.queue("other").add("look")
        await job.result(timeout_s=PATIENCE_S)


@pytest.fixture
async def painter(app: App) -> AsyncIterator[Painter]:
    """A painter; the test starts its worker."""
    painter = Painter(app)
    yield painter
    painter.go_on.set()


async def starts_ms(app: App, ids: list[str]) -> list[int]:
    """Return when each job was started, in order."""
    infos = [await app.queue("paint").job(job_id).info() for job_id in ids]
    return sorted(
        round(info.processed_at.timestamp() * 1000) for info in infos if info.processed_at
    )


async def test_nodes_global_rate_limit_holds_toril_back(
    app: App, node: Node, painter: Painter
) -> None:
    await node.set_global_rate_limit("paint", 2, WINDOW_MS)
    ids = await node.add_bulk("paint", [("cars", {"n": n}, {}) for n in range(5)])

    async with app.worker(queues=["paint"], concurrency=10):
        await until_completed(app, "paint", 5)

    started = await starts_ms(app, ids)
    assert started[2] - started[0] >= WINDOW_MS
    assert started[4] - started[2] >= WINDOW_MS


async def test_window_in_its_last_millisecond_lets_none_pass_uncounted(redis_url: str) -> None:
    """What started then was added to the old window, which ended with it: twice as many started."""
    clock = ManualClock(now_ms=REDIS_START_MS)
    backend = open_backend(redis_url, clock=clock)
    try:
        await add(backend, *(job() for _ in range(9)))
        await backend.limits.set_rate(Q, 2, 1_000)
        worker = HandWorker(backend)
        assert len(await worker.claim(limit=9)) == 2
        clock.advance(1)  # the server has not let it expire yet

        assert len(await worker.claim(limit=9)) == 2
        assert await worker.claim(limit=9) == []
    finally:
        await backend.lifecycle.close()


async def test_torils_rate_limit_holds_node_back(app: App, node: Node) -> None:
    await app.queue("paint").set_rate(RateLimit(limit=2, window_s=WINDOW_MS / 1000))
    ids = [job.id for job in await app.queue("paint").add_many([("cars", None)] * 5)]

    await node.worker("paint", {}, concurrency=10)
    await until_completed(app, "paint", 5)

    assert await node.call("paint", "getGlobalRateLimit") == {"max": 2, "duration": WINDOW_MS}
    started = await starts_ms(app, ids)
    # Node says when it asked, which is a little before the store has counted it.
    assert started[4] - started[0] >= 2 * WINDOW_MS * 0.75


async def test_nodes_rate_limit_call_holds_toril_back(
    app: App, node: Node, painter: Painter
) -> None:
    """It stops everybody for a while, whether they have a limit or not."""
    begun_ms = round(time.time() * 1000)
    await node.call("paint", "rateLimit", 700)
    job_id = await node.add("paint", "cars", {"n": 1})

    async with app.worker(queues=["paint"]):
        info = await until_in(app, job_id, State.COMPLETED)

    assert info.processed_at is not None
    assert info.processed_at.timestamp() * 1000 >= begun_ms + 700


async def test_torils_hold_holds_a_limited_node_back(app: App, node: Node) -> None:
    """A Node worker that has no limit at all does not look: the queue has one here."""
    queue = app.queue("paint")
    await queue.set_rate(RateLimit(limit=1_000))
    await queue.hold(600)
    job = await queue.add("cars")

    assert await node.take("paint", "before") is None
    assert await node.call("paint", "getRateLimitTtl") > 500_000
    await queue.hold(0)

    assert (await node.take("paint", "after"))["id"] == job.id


async def test_starts_of_node_count_in_the_window_of_toril(
    app: App, node: Node, painter: Painter
) -> None:
    limit = {"max": 2, "duration": LONG_MS}
    await node.add_bulk("paint", [("cars", {"n": n}, {}) for n in range(3)])
    for token in ("a", "b"):
        job = await node.take("paint", token, limiter=limit)
        await node.complete(job["id"], token)
    assert await node.take("paint", "c", limiter=limit) is None

    rate = RateLimit(limit=2, window_s=LONG_MS / 1000)
    async with app.worker(queues=["paint", "other"], rate=rate):
        await painter.look_around()
        assert painter.started == []
        await app.queue("paint").hold(0)
        await painter.look_around()
        assert painter.started == [], "there was no hold, and the window goes on"
        await app.queue("paint").set_rate(RateLimit(limit=3, window_s=LONG_MS / 1000))
        await until_completed(app, "paint", 3)

    assert painter.started == ["cars"]


async def test_starts_of_toril_count_in_the_window_of_node(
    app: App, node: Node, painter: Painter
) -> None:
    rate = RateLimit(limit=2, window_s=LONG_MS / 1000)
    await node.add_bulk("paint", [("cars", {"n": n}, {}) for n in range(3)])
    async with app.worker(queues=["paint", "other"], rate=rate):
        await until_completed(app, "paint", 2)
        await painter.look_around()
    assert len(painter.started) == 2

    limit = {"max": 2, "duration": LONG_MS}
    assert await node.take("paint", "before", limiter=limit) is None
    await node.call("paint", "removeRateLimitKey")

    assert await node.take("paint", "after", limiter=limit) is not None


async def test_node_and_toril_share_a_rate_while_both_work(
    app: App, node: Node, painter: Painter
) -> None:
    ids = await node.add_bulk("paint", [("cars", {"n": n}, {}) for n in range(12)])
    limit = {"max": 4, "duration": WINDOW_MS}

    await node.worker("paint", {}, concurrency=10, limiter=limit)
    rate = RateLimit(limit=4, window_s=WINDOW_MS / 1000)
    async with app.worker(queues=["paint"], rate=rate):
        await until_completed(app, "paint", 12)

    started = await starts_ms(app, ids)
    assert started[11] - started[0] >= 2 * WINDOW_MS * 0.75


async def test_nodes_global_concurrency_holds_toril_back(
    app: App, node: Node, painter: Painter
) -> None:
    await node.set_global_concurrency("paint", 2)
    painter.go_on.clear()
    await node.add_bulk("paint", [("cars", {"n": n}, {}) for n in range(5)])

    async with app.worker(queues=["paint", "other"], concurrency=10):
        await until(lambda: len(painter.started) == 2, "two to run")
        await painter.look_around()
        assert await node.counts("paint", "active", "waiting") == {"active": 2, "waiting": 3}
        assert await node.take("paint", "token") is None
        painter.go_on.set()
        await until_completed(app, "paint", 5)

    assert await node.call("paint", "getGlobalConcurrency") == 2


async def test_torils_global_concurrency_holds_node_back(
    app: App, node: Node, painter: Painter
) -> None:
    queue = app.queue("paint")
    await queue.set_concurrency(2)
    await queue.add_many([("cars", {"n": n}) for n in range(5)])
    worker = await node.worker("paint", {"waits": True}, concurrency=10)
    await worker.wait_for("active", many=2)

    assert await node.take("paint", "token") is None
    async with app.worker(queues=["paint", "other"], concurrency=10):
        await painter.look_around()
        assert painter.started == []
        assert len(worker.named("active")) == 2

        await queue.set_concurrency(None)
        await until(
            lambda: len(painter.started) + len(worker.named("active")) == 5,
            "the rest to be taken by either",
        )
        await node.release()
        await until_completed(app, "paint", 5)
