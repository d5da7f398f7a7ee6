"""A worker that pauses and resumes, on both stores."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.engine.working import working
from tests.support.waiting import wait_until

from toril import App, HookEvent, InvalidOptionError, RetryPolicy, Settings, State, acting


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return f"sqlite:///{tmp_path}/toril.db?durability=normal"


@pytest.fixture
async def app(url: str, no_thread_left: None) -> AsyncIterator[App]:
    async with App(url, settings=Settings()) as app:
        yield app


async def test_a_paused_worker_takes_nothing_until_it_is_resumed(app: App) -> None:
    release = asyncio.Event()

    @app.task()
    async def note() -> None:
        await release.wait()

    async with working(app, concurrency=3) as worker:
        first = await note.enqueue()
        await wait_until(lambda: worker.busy == 1)
        worker.pause()
        worker.pause()
        assert worker.paused
        await wait_until(lambda: worker._fetcher is not None and not worker._fetcher.awaits_reply)

        late = await note.enqueue()
        release.set()
        await worker.idle()
        assert await first.state() is State.COMPLETED
        assert await late.state() is State.WAIT

        worker.resume()
        worker.resume()
        assert not worker.paused
        await late.result(timeout_s=60)
        await (await note.enqueue()).result(timeout_s=60)


async def test_a_worker_pauses_and_resumes_many_times_and_loses_nothing(app: App) -> None:
    runs: dict[int, int] = {}

    @app.task(retry=RetryPolicy(max_attempts=2, base_s=0))
    async def note(number: int) -> None:
        runs[number] = runs.get(number, 0) + 1
        if number % 7 == 0 and runs[number] == 1:
            raise OSError

    async with working(app, concurrency=4) as worker:
        for start in range(0, 200, 20):
            jobs = await note.enqueue_many([{"number": start + each} for each in range(20)])
            worker.pause()
            worker.resume()
            worker.pause()
            await worker.idle()
            worker.resume()
            for job in jobs:
                await job.result(timeout_s=60)

    assert runs == {number: 2 if number % 7 == 0 else 1 for number in range(200)}


async def test_a_worker_that_waits_for_jobs_is_paused_and_resumed(app: App) -> None:
    @app.task()
    async def note() -> None: ...

    async with working(app) as worker:
        for _ in range(3):
            await wait_until(lambda: worker._fetcher is not None)
            worker.pause()
            await worker.idle()
            job = await note.enqueue()
            worker.resume()
            await job.result(timeout_s=60)


async def test_the_register_says_that_a_worker_is_paused(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toril.engine.leases.BEAT_S", 0.05)

    @app.task()
    async def note() -> None: ...

    async def seen() -> tuple[bool, bool]:
        (info,) = await app.workers()
        return info.paused, info.quiet

    async with working(app, lease=0.3) as worker:
        worker.pause()
        await wait_until(lambda: _is(seen, (True, False)))
        explained = await (await note.enqueue()).explain()
        assert explained.reasons[0].kind == "workers-paused"
        worker.resume()
        await wait_until(lambda: _is(seen, (False, False)))
        worker.quiet()
        await wait_until(lambda: _is(seen, (False, True)))


async def _is(seen, expected) -> bool:  # type: ignore[no-untyped-def]
    return bool(await seen() == expected)


async def test_a_worker_can_be_paused_before_it_runs(app: App) -> None:
    @app.task()
    async def note() -> None: ...

    job = await note.enqueue()
    worker = app.worker()
    worker.pause()
    async with worker:
        assert worker.paused
        await worker.idle()
        assert await job.state() is State.WAIT
        worker.resume()
        await job.result(timeout_s=60)


async def test_quiet_and_stop_are_final(app: App) -> None:
    @app.task()
    async def note() -> None: ...

    async with working(app) as worker:
        worker.pause()
        worker.quiet()
        assert not worker.paused
        with pytest.raises(InvalidOptionError, match="make another worker"):
            worker.resume()
        worker.pause()
        assert not worker.paused


async def test_a_paused_worker_stops(app: App) -> None:
    began = asyncio.Event()

    @app.task()
    async def note() -> None:
        began.set()
        await asyncio.sleep(3600)

    job = await note.enqueue()
    async with working(app) as worker:
        await began.wait()
        worker.pause()
    assert await job.state() is State.WAIT
    assert await app.workers() == []


@pytest.fixture
def fast_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toril.engine.leases.BEAT_S", 0.05)


async def test_a_worker_is_told_from_elsewhere(
    app: App, url: str, fast_beats: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "toril.worker")
    told: list[HookEvent] = []

    @app.task()
    async def note() -> None: ...

    async with App(url, settings=Settings()) as elsewhere, working(app, lease=0.3) as worker:
        elsewhere.on("operated")(told.append)
        with acting("jo@example.com", "a test"):
            assert await elsewhere.tell_worker(worker.id, "pause")
        await wait_until(lambda: worker.paused)
        await worker.idle()
        job = await note.enqueue()
        assert await job.state() is State.WAIT

        assert await elsewhere.tell_worker(worker.id, "resume")
        await job.result(timeout_s=60)

        worker.pause()  # here; what was told before is not done again
        await wait_until(lambda: _is_paused(elsewhere))
        assert worker.paused

        assert await elsewhere.tell_worker(worker.id, "pause")
        assert await elsewhere.tell_worker(worker.id, "quiet")
        await wait_until(lambda: worker._quiet)
        assert await elsewhere.tell_worker(worker.id, "resume")  # too late, and no error here
        await wait_until(lambda: "quiet() or stop() was called" in caplog.text)
        assert not await elsewhere.tell_worker("nobody", "stop")
        with pytest.raises(InvalidOptionError, match="wish='dance': expected one of pause, resume"):
            await elsewhere.tell_worker(worker.id, "dance")  # type: ignore[arg-type]
    assert [(event.verb, event.actor, event.reason) for event in told][:2] == [
        ("tell_worker", "jo@example.com", "a test"),
        ("tell_worker", "program", None),
    ]
    assert len(told) == 5  # not the one that reached nobody
    assert told[0].arguments == {"worker_id": worker.id, "wish": "pause"}


async def _is_paused(app: App) -> bool:
    return (await app.workers())[0].paused


async def test_a_worker_is_stopped_from_elsewhere(app: App, url: str, fast_beats: None) -> None:
    @app.task()
    async def note() -> None: ...

    worker = app.worker(lease=0.3)
    running = asyncio.create_task(worker.run())
    await worker.ready()
    async with App(url, settings=Settings()) as elsewhere:
        assert await elsewhere.tell_worker(worker.id, "stop")
        await running
        assert not await elsewhere.tell_worker(worker.id, "resume")
        assert await elsewhere.workers() == []


async def test_a_word_of_a_newer_version_is_passed_over(
    app: App, fast_beats: None, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task()
    async def note() -> None: ...

    async with working(app, lease=0.3) as worker:
        assert await app.backend().workers.tell(worker.id, "dance:1")
        await wait_until(lambda: "'dance', which this version does not know" in caplog.text)
        await (await note.enqueue()).result(timeout_s=60)


async def test_claims_by_hand_are_told_nothing(
    app: App, fast_beats: None, caplog: pytest.LogCaptureFixture
) -> None:
    await app.queue("mail").add("send")
    async with app.claims("mail", lease=0.3) as claims:
        assert await app.tell_worker(claims.id, "pause")
        await wait_until(lambda: "claims are made by hand" in caplog.text)
        assert await claims.claim() is not None
