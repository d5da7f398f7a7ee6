"""Waiting for a result: whoever waits is told, once, however the job ended."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from tests.engine.working import ONCE, file_app, memory_app, working
from tests.support.waiting import wait_until

from toril import (
    JobFailedError,
    JobNotFoundError,
    KeepPolicy,
    ResultTimeoutError,
    State,
)
from toril.engine import results, stream
from toril.testing import MemoryApp

pytestmark = pytest.mark.usefixtures("no_thread_left")


async def test_many_wait_for_the_same_job_and_for_many(toril_app: MemoryApp) -> None:
    @toril_app.task()
    async def double(n: int) -> int:
        return 2 * n

    jobs = await double.enqueue_many({"n": n} for n in range(50))
    waiting = [asyncio.create_task(job.result(30)) for job in jobs for _ in range(3)]
    await toril_app.run_until_idle()

    assert await asyncio.gather(*waiting) == [2 * n for n in range(50) for _ in range(3)]


async def test_a_result_can_be_had_long_after(toril_app: MemoryApp) -> None:
    @toril_app.task()
    async def double(n: int) -> int:
        return 2 * n

    job = await double.enqueue(4)
    await toril_app.run_until_idle()

    assert [await job.result(), await job.result(0)] == [8, 8]
    assert await toril_app.queue("default").job(job.id).result() == 8


async def test_a_failure_is_raised_for_all_who_wait(toril_app: MemoryApp) -> None:
    @toril_app.task(retry=ONCE)
    async def fail() -> None:
        raise OSError("no answer")

    job = await fail.enqueue()
    waiting = [asyncio.create_task(job.result(30)) for _ in range(2)]
    await toril_app.run_until_idle()

    for one in waiting:
        with pytest.raises(JobFailedError, match="OSError: no answer") as caught:
            await one
        assert (caught.value.job_id, caught.value.queue) == (job.id, "default")


async def test_whoever_waits_long_enough_is_told(toril_app: MemoryApp) -> None:
    job = await toril_app.queue("mail").add("send")
    for timeout_s in (0, 0.01, -1):
        with pytest.raises(ResultTimeoutError, match="has not finished within"):
            await job.result(timeout_s)


async def test_a_job_that_never_was_is_told_at_once(toril_app: MemoryApp) -> None:
    with pytest.raises(JobNotFoundError, match="queue 'mail' has no job '17'"):
        await toril_app.queue("mail").job("17").result()


async def test_a_job_removed_under_those_who_wait_is_told(toril_app: MemoryApp) -> None:
    job = await toril_app.queue("mail").add("send")
    waiting = asyncio.create_task(job.result(30))
    await wait_until(lambda: toril_app._producer.results()._readers)
    await job.remove()

    with pytest.raises(JobNotFoundError):
        await waiting


async def test_a_job_cleaned_away_under_those_who_wait_is_told(toril_app: MemoryApp) -> None:
    queue = toril_app.queue("mail")
    job = await queue.add("send")
    waiting = asyncio.create_task(job.result(30))
    await wait_until(lambda: toril_app._producer.results()._readers)
    await queue.clean(State.WAIT)

    with pytest.raises(JobNotFoundError):
        await waiting


async def test_a_job_drained_under_those_who_wait_is_told_at_the_next_look(
    toril_app: MemoryApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "LOOK_AGAIN_S", 0.01)
    queue = toril_app.queue("mail")
    job = await queue.add("send")
    waiting = asyncio.create_task(job.result(30))
    await wait_until(lambda: toril_app._producer.results()._readers)
    await queue.drain()

    with pytest.raises(JobNotFoundError):
        await waiting


async def test_a_result_that_is_not_kept_reaches_those_who_wait_and_those_who_ask_soon(
    toril_app: MemoryApp,
) -> None:
    @toril_app.task(keep_completed=KeepPolicy(count=0), keep_failed=KeepPolicy(count=0), retry=ONCE)
    async def half(n: int) -> int:
        if n % 2:
            raise ValueError("odd")
        return n // 2

    even, odd = await half.enqueue(8), await half.enqueue(7)
    waiting = asyncio.create_task(even.result(30))
    await wait_until(lambda: toril_app._producer.results()._readers)
    await toril_app.run_until_idle()

    assert await waiting == 4
    with pytest.raises(JobNotFoundError):
        await even.info()
    assert await even.result() == 4  # the events still tell
    with pytest.raises(JobFailedError, match="odd"):
        await odd.result()


async def test_a_queue_that_was_removed_and_begins_anew_is_followed(
    toril_app: MemoryApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "LOOK_S", 0.01)

    @toril_app.task(queue="mail")
    async def send(n: int) -> int:
        return n

    queue = toril_app.queue("mail")
    await send.enqueue_many({"n": n} for n in range(20))
    await toril_app.run_until_idle()
    with pytest.raises(ResultTimeoutError):
        await (await send.enqueue(1)).result(0)  # from here on the events are read
    await queue.pause()
    await queue.obliterate(force=True)
    job = await send.enqueue(5)
    waiting = asyncio.create_task(job.result(30))
    await toril_app.run_until_idle()

    assert await waiting == 5


async def test_nobody_reads_for_nobody(
    toril_app: MemoryApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "NOBODY_S", -1.0)

    @toril_app.task()
    async def note() -> None: ...

    job = await note.enqueue()
    waiting = asyncio.create_task(job.result(30))
    await wait_until(lambda: toril_app._producer.results()._readers)
    await toril_app.run_until_idle()
    await waiting
    await note.enqueue()
    (reader,) = toril_app._producer.results()._readers.values()
    await wait_until(reader.done)

    again = await note.enqueue()
    waiting = asyncio.create_task(again.result(30))
    await toril_app.run_until_idle()
    await waiting


async def test_two_loops_wait_on_one_app(tmp_path: Path) -> None:
    async with file_app(tmp_path) as app:

        @app.task()
        async def double(n: int) -> int:
            return 2 * n

        job = await double.enqueue(2)
        found: list[int] = []

        def elsewhere() -> None:
            found.append(asyncio.run(job.result(30)))

        def in_plain_code() -> None:
            found.append(job.result_sync(30))

        threads = [threading.Thread(target=target) for target in (elsewhere, in_plain_code)]
        for thread in threads:
            thread.start()
        async with working(app):
            found.append(await job.result(30))
            for thread in threads:
                await asyncio.to_thread(thread.join)
        assert found == [4, 4, 4]


async def test_those_who_wait_when_the_app_is_closed_are_not_left_alone() -> None:
    app = memory_app()
    job = await app.queue("mail").add("send")
    waiting = asyncio.create_task(job.result())
    await wait_until(lambda: app._producer.results()._readers)
    await app.close()

    with pytest.raises(Exception, match="closed"):
        await asyncio.wait_for(waiting, 20)
