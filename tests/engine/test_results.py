"""Waiting for a result: whoever waits is told, once, however the job ended."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import threading
from collections import Counter
from pathlib import Path

import pytest
from tests.engine.working import ONCE, file_app, memory_app, working
from tests.support.contract import HandWorker, add_one
from tests.support.waiting import wait_until

from toril import (
    JobFailedError,
    JobNotFoundError,
    KeepPolicy,
    ResultTimeoutError,
    State,
    StoreUnreachableError,
)
from toril.engine import results, stream, waited_in_vain
from toril.engine.contract import Backend
from toril.engine.contract.counts import QueueRecord
from toril.engine.events import EventRecord, EventsTold
from toril.engine.job import JobRecord
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


async def test_whoever_waits_in_vain_hears_who_works_and_where(tmp_path: Path) -> None:
    app, other = file_app(tmp_path), file_app(tmp_path)

    @app.task(queue="mail")
    async def send() -> None:
        await asyncio.sleep(3600)

    @other.task(queue="reports")
    async def report() -> None: ...

    job = await send.enqueue()
    where = re.escape(f"in {app.backend().url}")
    nobody = f"within 0 s: no live worker serves it {where}; start one for this store with `toril"
    with pytest.raises(ResultTimeoutError, match=f"^job '1' of queue 'mail' .+ {nobody}"):
        await job.result(timeout_s=0)
    async with working(other):
        with pytest.raises(ResultTimeoutError, match=r"\(live workers serve 'reports'\)"):
            await job.result(timeout_s=0)
    async with working(app):
        with pytest.raises(ResultTimeoutError, match=f"1 live worker serves it {where}; `await"):
            await job.result(timeout_s=0)
    await asyncio.gather(app.close(), other.close())


async def test_waiting_in_vain_ends_although_the_store_does_not_answer(
    toril_app: MemoryApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent() -> list[object]:
        await asyncio.Event().wait()
        return []

    async def gone() -> list[object]:
        raise StoreUnreachableError("gone", sent=False)

    monkeypatch.setattr(waited_in_vain, "ASKED_S", 0.01)
    job = await toril_app.queue("mail").add("send")
    for answer in (silent, gone):
        monkeypatch.setattr(toril_app.backend().workers, "list", answer)
        with pytest.raises(ResultTimeoutError, match="does not say whether a worker serves it"):
            await job.result(timeout_s=0)


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
    with pytest.raises(JobNotFoundError):
        await odd.info()


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
        await asyncio.wait_for(waiting, 60)


@pytest.fixture
def looks(toril_app: MemoryApp, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a job of each queue was looked at."""
    found: Counter[str] = Counter()
    kind = type(toril_app.backend().jobs)
    get = kind.get

    async def counted(self: object, queue: str, job_id: str) -> JobRecord | None:
        found[queue] += 1
        return await get(self, queue, job_id)  # type: ignore[arg-type]

    monkeypatch.setattr(kind, "get", counted)
    return found


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait long before looking at a job of a silent queue."""
    monkeypatch.setattr(results, "FIRST_LOOK_S", 0.001)
    monkeypatch.setattr(results, "SELDOM_LOOK_S", 0.004)


@pytest.mark.usefixtures("quick_looks")
async def test_results_of_a_silent_queue_are_found_by_looking(
    toril_app: MemoryApp, looks: Counter[str]
) -> None:
    @toril_app.task(queue="quiet", retry=ONCE)
    async def half(n: int) -> int:
        if n % 2:
            raise ValueError("odd")
        return n // 2

    await toril_app.queue("quiet").set_events("none")
    even, odd = await half.enqueue(8), await half.enqueue(7)
    removed = await toril_app.queue("quiet").add("half", {"n": 2})
    waiting = [asyncio.create_task(job.result(30)) for job in (even, even, odd, removed)]
    await wait_until(lambda: looks["quiet"] > 20)
    await removed.remove()
    await toril_app.run_until_idle()

    assert await asyncio.gather(*waiting[:2]) == [4, 4]
    with pytest.raises(JobFailedError, match="odd"):
        await waiting[2]
    with pytest.raises(JobNotFoundError):
        await waiting[3]
    assert [
        event async for event in toril_app.queue("quiet").events(after=0, until_idle=True)
    ] == []


@pytest.mark.usefixtures("quick_looks")
@pytest.mark.parametrize("told", ["all", "outcomes"])
async def test_nobody_looks_where_outcomes_are_told(
    toril_app: MemoryApp, looks: Counter[str], told: EventsTold
) -> None:
    @toril_app.task(queue="loud")
    async def double(n: int) -> int:
        return 2 * n

    await toril_app.queue("loud").set_events(told)
    await toril_app.queue("quiet").set_events("none")
    loud, quiet = await double.enqueue(4), await toril_app.queue("quiet").add("double")
    waiting = [asyncio.create_task(job.result(30)) for job in (loud, quiet)]
    await wait_until(lambda: looks["quiet"] > 50)
    await toril_app.run_until_idle()

    assert await waiting[0] == 8
    assert looks["loud"] == 1
    waiting[1].cancel()


@pytest.mark.usefixtures("quick_looks")
async def test_a_queue_that_falls_silent_under_those_who_wait_is_looked_at_from_then_on(
    toril_app: MemoryApp, looks: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "LOOK_AGAIN_S", 0.01)
    kind = type(toril_app.backend().counts)
    ask, asked = kind.queue, []

    async def counted(self: object, name: str) -> QueueRecord | None:
        asked.append(name)
        return await ask(self, name)  # type: ignore[arg-type]

    monkeypatch.setattr(kind, "queue", counted)
    queue = toril_app.queue("mail")
    job = await queue.add("send")
    waiting = asyncio.create_task(job.result(30))
    await wait_until(lambda: looks["mail"] > 3)
    assert len(asked) >= looks["mail"] - 1  # while it tells: before each look but the first

    await queue.set_events("none")
    asked.clear()
    looks.clear()
    await wait_until(lambda: looks["mail"] > 20)
    assert len(asked) <= 2
    await job.remove()
    with pytest.raises(JobNotFoundError):
        await waiting


async def test_a_silent_job_is_looked_at_when_the_time_is_up(
    toril_app: MemoryApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "FIRST_LOOK_S", 600.0)

    @toril_app.task(queue="quiet")
    async def double(n: int) -> int:
        return 2 * n

    await toril_app.queue("quiet").set_events("none")
    job = await double.enqueue(4)
    waiting = asyncio.create_task(job.result(1))
    await wait_until(lambda: toril_app._producer.results()._readers)
    await toril_app.run_until_idle()

    assert await waiting == 8


@pytest.mark.usefixtures("quick_looks")
async def test_a_silent_result_that_is_not_kept_is_lost(toril_app: MemoryApp) -> None:
    @toril_app.task(queue="quiet", keep_completed=KeepPolicy(count=0))
    async def double(n: int) -> int:
        return 2 * n

    await toril_app.queue("quiet").set_events("none")
    waiting = asyncio.create_task((await double.enqueue(4)).result(30))
    await wait_until(lambda: toril_app._producer.results()._readers)
    await toril_app.run_until_idle()

    with pytest.raises(JobNotFoundError):
        await waiting


class FarApart:
    """The events of a store that leaves gaps between positions; reading can be held up."""

    def __init__(self, backend: Backend) -> None:
        self._events = backend.events
        self._dropped = 0
        """Up to here, as the store counts, which is in steps of 1."""
        self.gate = asyncio.Event()
        self.held = asyncio.Event()

    async def latest(self, queue: str) -> int:
        return 1_000 * await self._events.latest(queue)

    async def newest(self, queue: str, *, limit: int) -> list[EventRecord]:
        return _apart(await self._events.newest(queue, limit=limit))

    async def read(self, queue: str, *, after: int, limit: int, wait_s: float) -> list[EventRecord]:
        self.held.set()
        await self.gate.wait()
        after = max(after // 1_000, self._dropped)
        found = await self._events.read(queue, after=after, limit=limit, wait_s=wait_s)
        return _apart(found)

    async def choose(self, queue: str, told: EventsTold) -> None:
        await self._events.choose(queue, told)

    async def drop(self, queue: str, *, keep: int) -> None:
        """Hide all but the newest `keep` events, as if the others had been dropped."""
        self._dropped = await self._events.latest(queue) - keep


def _apart(events: list[EventRecord]) -> list[EventRecord]:
    return [
        EventRecord(1_000 * event.position, event.at_ms, event.name, event.fields)
        for event in events
    ]


@pytest.mark.parametrize("kept", [1, 2, 4])
async def test_who_reads_too_late_looks_once_whatever_the_positions_are(
    toril_app: MemoryApp, looks: Counter[str], kept: int
) -> None:
    """What was told of the job is dropped, or is not, before it is read."""
    backend = toril_app.backend()
    apart = FarApart(backend)
    waiters = results.Results(dataclasses.replace(backend, events=apart))
    worker = HandWorker(backend)
    ended, other = await add_one(backend), await add_one(backend)
    claimed = await worker.claim_one()
    waiting = [
        asyncio.create_task(waiters.wait("paint", job_id, timeout_s=None))
        for job_id in (ended, other)
    ]
    await wait_until(lambda: looks["paint"] == 2)
    await apart.held.wait()
    await worker.end(claimed, "completed", value="7")
    await add_one(backend)
    await apart.drop("paint", keep=kept)
    apart.gate.set()

    assert await asyncio.wait_for(waiting[0], 60) == "7"
    assert not waiting[1].done()
    assert looks["paint"] == (2 if kept == 4 else 4)
    waiting[1].cancel()
    await waiters.close()
