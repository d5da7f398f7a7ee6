"""Hooks that are taken off again, and those about the worker itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.engine.working import file_app, memory_app, working
from tests.support.waiting import wait_until

from toril import App, HookEvent, InvalidOptionError
from toril.testing import MemoryApp


@pytest.fixture
async def app(no_thread_left: None) -> AsyncIterator[App]:
    async with memory_app() as app:
        yield app


async def test_a_hook_that_was_taken_off_is_called_no_more(toril_app: MemoryApp) -> None:
    seen: list[str | None] = []

    @toril_app.task()
    async def note() -> None: ...

    @toril_app.on("completed")
    def told(event: HookEvent) -> None:
        seen.append(event.job_id)

    first = await note.enqueue()
    await toril_app.run_until_idle()

    assert toril_app.off("completed", told)
    await note.enqueue()
    await toril_app.run_until_idle()

    assert seen == [first.id]
    assert not toril_app.off("completed", told)
    assert "completed" not in toril_app._hooks.wanted


async def test_a_hook_takes_itself_off_and_the_others_are_called_all_the_same(
    toril_app: MemoryApp,
) -> None:
    seen: list[str] = []

    @toril_app.task()
    async def note() -> None: ...

    @toril_app.on("completed")
    def once(event: HookEvent) -> None:
        seen.append("once")
        toril_app.off("completed", once)

    @toril_app.on("completed")
    def always(event: HookEvent) -> None:
        seen.append("always")

    for _ in range(2):
        await note.enqueue()
        await toril_app.run_until_idle()

    assert seen == ["once", "always", "always"]


def test_taking_off_a_hook_of_no_event_names_the_nearest() -> None:
    app = memory_app()
    with pytest.raises(InvalidOptionError, match=r"'complete'.*'completed'"):
        app.off("complete", print)  # type: ignore[arg-type]


async def test_drained_is_told_once_all_that_could_be_taken_has_run(app: App) -> None:
    told: list[HookEvent] = []
    done = 0

    @app.task()
    async def note() -> None:
        nonlocal done
        done += 1

    @app.on("drained")
    def drained(event: HookEvent) -> None:
        assert done in (3, 4), "told while there was work"
        told.append(event)

    await note.enqueue_many([{}] * 3)
    await note.with_options(delay=60).enqueue()
    async with working(app, concurrency=1) as worker:
        await wait_until(lambda: len(told) == 1)
        await note.enqueue()
        await wait_until(lambda: len(told) == 2)
        worker.wake()
    assert [event.worker_id for event in told] == [worker.id, worker.id]


async def test_drained_is_not_told_of_a_worker_that_found_nothing(app: App) -> None:
    told: list[HookEvent] = []
    app.on("drained")(told.append)

    @app.task()
    async def note() -> None: ...

    await app.worker().run(until_idle=True)
    assert told == []


async def test_renewed_tells_how_many_leases_were_renewed(app: App) -> None:
    told: list[HookEvent] = []
    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    @app.on("renewed")
    def renewed(event: HookEvent) -> None:
        assert asyncio.get_running_loop() is loop
        told.append(event)

    @app.task()
    async def wait() -> None:
        await release.wait()

    await wait.enqueue_many([{}] * 2)
    async with working(app, lease=0.3) as worker:
        await wait_until(lambda: any(event.count == 2 for event in told))
        release.set()
    assert {event.worker_id for event in told} == {worker.id}
    assert {event.count for event in told} <= {1, 2}


async def test_closed_is_told_when_the_worker_has_ended_and_waited_for(app: App) -> None:
    told: list[HookEvent] = []

    @app.task()
    async def note() -> None: ...

    @app.on("closed")
    async def closed(event: HookEvent) -> None:
        await asyncio.sleep(0.01)
        assert await app.workers() == []
        told.append(event)

    worker = app.worker()
    await worker.run(until_idle=True)

    (event,) = told
    assert (event.worker_id, event.error, event.reason) == (worker.id, None, None)


async def test_closed_names_the_error_that_ended_the_worker(
    tmp_path: Path, no_thread_left: None
) -> None:
    told: list[HookEvent] = []
    async with file_app(tmp_path) as app:
        app.on("closed")(told.append)

        @app.task()
        async def note() -> None: ...

        worker = app.worker()
        running = asyncio.create_task(worker.run())
        await worker.ready()
        await app.backend().lifecycle.close()
        error = (await asyncio.gather(running, return_exceptions=True))[0]

    (event,) = told
    assert event.error is error
    assert isinstance(error, Exception)
    assert str(error) in str(event.reason)
