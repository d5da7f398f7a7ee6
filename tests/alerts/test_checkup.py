"""Queues whose jobs fail or pile up are findings of `toril doctor`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.waiting import wait_until

from toril import App, RetryPolicy


@asynccontextmanager
async def working(app: App) -> AsyncIterator[None]:
    """A worker of the app beside a test."""
    worker = app.worker(queues=["mail", "news"])
    running = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await running


async def told(app: App) -> dict[str, str]:
    """Return what the doctor says of failures and backlogs."""
    return {
        one.subject: one.text
        for one in (await app.check()).findings
        if one.subject.startswith(("failures of", "backlog of")) and one.grade == "warning"
    }


async def test_queue_whose_jobs_fail_is_told_with_the_share(url: str) -> None:
    async with App(url) as app:

        @app.task(name="send", queue="mail", retry=RetryPolicy(max_attempts=1))
        async def send(number: int) -> None:
            if number < 5:
                raise ValueError("no")

        async def ended(count: int) -> bool:
            info = await app.queue("mail").info()
            return info is not None and info.completed + info.failed == count

        async with working(app):
            for number in range(5, 24):
                await send.enqueue(number)
            await wait_until(lambda: ended(19), what="the jobs to end")
            few = await told(app)
            for number in range(5):
                await send.enqueue(number)
            await wait_until(lambda: ended(24), what="the jobs to end")
            many = await told(app)

    assert few == {}
    assert list(many) == ["failures of mail"]
    text = many["failures of mail"]
    assert text.startswith(
        "5 of 24 attempts of queue mail failed within 1 h 0 min (21%), more than 10%"
    )
    assert "toril jobs list mail --state failed" in text


async def test_served_queue_that_piles_up_is_told_with_what_to_do(url: str) -> None:
    async with App(url) as app:
        go_on = asyncio.Event()

        @app.task(name="send", queue="mail")
        async def send() -> None:
            await go_on.wait()

        await app.queue("mail").pause()
        for name in ("mail", "idle"):
            await app.queue(name).add_many([("send", {})] * 1200)
        unserved = await told(app)
        async with working(app):

            async def is_served() -> bool:
                return bool(await app.workers())

            await wait_until(is_served, what="the worker to be known")
            paused = await told(app)
            await app.queue("mail").resume()
            resumed = await told(app)
            go_on.set()

    assert unserved == {}  # another finding says that nobody serves them
    assert list(paused) == list(resumed) == ["backlog of mail"]
    assert "jobs wait in queue mail" in paused["backlog of mail"]
    assert "toril resume mail" in paused["backlog of mail"]
    assert "start more workers" in resumed["backlog of mail"]


async def test_busy_queue_without_failures_is_no_finding(url: str) -> None:
    async with App(url) as app:

        @app.task(name="send", queue="mail")
        async def send() -> None: ...

        async with working(app):
            for _ in range(30):
                await send.enqueue()

            async def are_done() -> bool:
                info = await app.queue("mail").info()
                return info is not None and info.completed == 30

            await wait_until(are_done, what="the jobs to end")
            assert await told(app) == {}
