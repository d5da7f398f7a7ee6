"""Queues that tell: each event of a job once, whoever works it, and again when it comes again."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.waiting import wait_until

from toril import App, Context, Fail, Job
from toril.core.errors import InvalidOptionError
from toril.web.watched_queues import WatchedQueue, watching

pytestmark = pytest.mark.timeout(300)


class Heard:
    """What handlers of one queue were told, in order."""

    def __init__(self, queue: WatchedQueue) -> None:
        self.told: list[tuple[str, str, Any]] = []
        for event in ("completed", "failed", "progress"):
            queue.on(event)(self._with_value(event))
        queue.on("stalled")(self._stalled)

    def _with_value(self, event: str) -> Any:
        def hear(job: Job[Any], value: Any) -> None:
            self.told.append((event, job.id, value))

        return hear

    async def _stalled(self, job: Job[Any]) -> None:
        self.told.append(("stalled", job.id, None))

    async def until(self, many: int) -> list[tuple[str, str, Any]]:
        """Return what was told, once it is so much."""
        await wait_until(lambda: len(self.told) >= many, deadline_s=120, what=f"{many} events")
        return self.told


@pytest.fixture
def queue(app: App) -> WatchedQueue:
    return WatchedQueue(app, "films", "FilmQueue", job_name="cut")


@pytest.fixture
def heard(queue: WatchedQueue) -> Heard:
    return Heard(queue)


@pytest.fixture
async def watched(app: App, queue: WatchedQueue, heard: Heard) -> AsyncIterator[WatchedQueue]:
    """A queue whose events are followed. The first job shows that they are."""
    async with watching(app, [queue]):
        yield queue


async def follows(other: App, heard: Heard) -> None:
    """Return once what another process does is told."""
    last = ""

    async def hello() -> None:
        nonlocal last
        async with other.claims("films") as claims:
            last = (await other.queue("films").add("hello")).id
            job = await claims.claim(wait=20)
            assert job is not None
            await job.complete()

    async def is_heard() -> bool:
        await hello()
        return bool(heard.told)

    await wait_until(is_heard, deadline_s=60, what="events to be followed")
    await wait_until(lambda: heard.told[-1][1] == last, deadline_s=60, what="all of them")
    heard.told.clear()


async def test_stalled_job_is_told_with_its_handle(
    watched: WatchedQueue, heard: Heard, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker elsewhere dies in the middle of a job, and another one takes it."""
    caplog.set_level(logging.INFO, logger="toril.queues")
    async with App(url) as other:
        await follows(other, heard)
        added = await watched.add({"id": 1})
        async with other.claims(
            "films", lease=0.3, renews=False, max_stalled=9, sweep=0.1
        ) as claims:
            first = await claims.claim(wait=20)
            again = await claims.claim(wait=20)
            assert first is not None
            assert again is not None
            assert again.id == added.id
            await again.complete(7)
        told = await heard.until(2)

    assert told == [("stalled", added.id, None), ("completed", added.id, 7)]
    assert f"stalled job {added.id}" in caplog.text


async def test_job_that_fails_again_is_told_again(
    watched: WatchedQueue, heard: Heard, url: str
) -> None:
    """Elsewhere, here, and elsewhere: each end once, though of its own this process hears twice."""
    app = watched.app

    @app.task(name="cut", queue="films")
    async def cut(ctx: Context) -> None:
        ctx.progress(50)
        raise Fail("here")

    async with App(url) as other:
        await follows(other, heard)

        async def fail_elsewhere() -> None:
            async with other.claims("films") as claims:
                job = await claims.claim(wait=20)
                assert job is not None
                await job.fail(Fail("there"))

        added = await watched.add({})
        await fail_elsewhere()
        await heard.until(1)
        await added.retry()
        await app.worker(queues=["films"]).run(until_idle=True)
        await heard.until(3)
        await added.retry()
        await fail_elsewhere()
        await heard.until(4)
        last = await watched.add({})
        await fail_elsewhere()
        told = await heard.until(5)

    kinds = [(event, job_id) for event, job_id, _ in told]
    assert kinds == [
        ("failed", added.id), ("progress", added.id), ("failed", added.id), ("failed", added.id),
        ("failed", last.id),
    ]  # fmt: skip
    assert "there" in told[0][2]
    assert told[1][2] == 50
    assert "here" in told[2][2]


async def test_handler_that_fails_stops_nobody(
    app: App, queue: WatchedQueue, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task(name="cut", queue="films")
    async def cut() -> str:
        return "done"

    @queue.on("completed")
    def bad(job: Job[Any], result: Any) -> None:
        raise RuntimeError("mine")

    later = Heard(queue)
    async with watching(app, [queue]):
        added = await queue.add({})
        await app.worker(queues=["films"]).run(until_idle=True)
        assert await later.until(1) == [("completed", added.id, "done")]
    assert "a handler of completed failed" in caplog.text
    assert await heard.until(1) == later.told


async def test_unknown_event_is_named(queue: WatchedQueue) -> None:
    with pytest.raises(InvalidOptionError, match="complete"):
        queue.on("complete")  # type: ignore[arg-type]
