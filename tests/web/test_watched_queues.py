"""Queues that tell: each event of a job once, whoever works it, and again when it comes again."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.waiting import wait_until

from toril import App, Context, Fail, Job
from toril.core.errors import InvalidOptionError
from toril.web.watched_queues import WatchedQueue, log_to_stdout, watching

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


async def test_what_this_process_does_is_told_without_events(
    app: App, queue: WatchedQueue, heard: Heard
) -> None:
    @app.task(name="cut", queue="films")
    async def cut() -> int:
        return 3

    other = WatchedQueue(app, "songs", "SongQueue", job_name="cut")
    others = Heard(other)
    await app.queue("films").set_events("none")
    async with watching(app, [queue, other]):
        added = await queue.add({})
        await app.worker(queues=["films"]).run(until_idle=True)
        assert await heard.until(1) == [("completed", added.id, 3)]
    assert others.told == []

    await queue.add({})
    await app.worker(queues=["films"]).run(until_idle=True)
    assert len(heard.told) == 1, "nothing is told after the block"


async def test_lines_are_those_of_the_queue(
    app: App, queue: WatchedQueue, heard: Heard, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With how long the last attempt took, here and elsewhere; on standard output as they are."""

    @app.task(name="cut", queue="films")
    async def cut(bad: bool = False) -> None:
        if bad:
            raise Fail("torn")

    log_to_stdout()
    try:
        async with watching(app, [queue]), App(url) as other:
            await follows(other, heard)
            good, bad = await queue.add({}), await queue.add({"bad": True})
            await app.worker(queues=["films"]).run(until_idle=True)
            there = await queue.add({})
            short: dict[str, Any] = {"lease": 0.3, "renews": False, "max_stalled": 9, "sweep": 0.1}
            async with other.claims("films", **short) as claims:
                await claims.claim(wait=20)
                again = await claims.claim(wait=20)
                assert again is not None
                await again.complete()
            await heard.until(4)
    finally:
        for name in ("toril.queues", "toril.fallback"):
            log = logging.getLogger(name)
            log.handlers.clear()
            log.propagate = True
            log.setLevel(logging.NOTSET)
    kind = "Bull" if url.startswith("redis") else "InMemory"
    lines = [line for line in capsys.readouterr().out.splitlines() if "FilmQueue" in line]
    lines = [line for line in lines if f"job {good.id}" in line] + [
        line for line in lines if f"job {bad.id}" in line or f"job {there.id}" in line
    ]
    head = re.escape(f"[FilmQueue:{kind}]")
    assert re.fullmatch(rf"{head} completed job {good.id} in \d+ ms", lines[0])
    assert lines[1] == f"[FilmQueue:{kind}] failed job {bad.id}: torn"
    assert lines[2] == f"[FilmQueue:{kind}] stalled job {there.id}"
    assert re.fullmatch(rf"{head} completed job {there.id} in \d+ ms", lines[3])


async def test_figures_of_a_queue_that_is_not_there_are_zeros(
    app: App, queue: WatchedQueue, url: str
) -> None:
    kind = "bull" if url.startswith("redis") else "in-memory"
    zeros = dict.fromkeys(("waiting", "active", "completed", "failed"), 0)
    assert await queue.get_stats() == {**zeros, "type": kind}

    urgent = await queue.add({}, {"priority": 3})
    await queue.add({})
    assert await queue.get_stats() == {**zeros, "waiting": 2, "type": kind}
    assert (await queue.get_job(urgent.id).info()).priority > 0
