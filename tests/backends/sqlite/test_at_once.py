"""The event loop writes by itself where nobody is made to wait by it, and else the thread does."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import apsw
import pytest
from tests.backends.sqlite.conftest import Opener
from tests.support.contract import HandWorker, Q, add, check_counts, counts, job, outcome
from tests.support.waiting import wait_until

from toril.backends.sqlite import dispatch, jobs, writer
from toril.backends.sqlite.change_check import ChangeCheck
from toril.backends.sqlite.store import open_sqlite
from toril.backends.sqlite.urls import FileOptions
from toril.core.clock import SystemClock
from toril.core.errors import BackendClosedError
from toril.engine.contract import Backend
from toril.engine.states import State


class Witness(SystemClock):
    """A clock that every transaction asks once, and that notes on which thread."""

    def __init__(self) -> None:
        super().__init__()
        self.loop_thread = threading.current_thread()
        self.seen: list[str] = []

    def now_ms(self) -> int:
        here = threading.current_thread()
        self.seen.append("loop" if here is self.loop_thread else here.name)
        return super().now_ms()

    def told(self) -> list[str]:
        """Return which threads have written since the last call."""
        seen, self.seen = self.seen, []
        return seen


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Witness:
    """The witness, on a machine that is neither slow nor busy."""
    monkeypatch.setattr(writer, "MOST_PAUSE_S", 1_000.0)
    monkeypatch.setattr(jobs, "QUICK_TURN_S", 1_000.0)
    return Witness()


@pytest.fixture
async def backend(opener: Opener, clock: Witness) -> Backend:
    """A store in a file, full durability, whose first commit has told how quick the disk is."""
    backend = opener(durability="full", clock=clock)
    clock.told()  # whoever opens the file notes its calendar
    await add(backend)
    assert clock.told() == ["toril-sqlite"]
    return backend


async def test_loop_adds_a_lone_job_by_itself(backend: Backend, clock: Witness) -> None:
    for _ in range(5):
        await add(backend)

    assert clock.told() == ["loop"] * 5


async def test_other_tasks_get_their_turn_between_lone_jobs(backend: Backend) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    for _ in range(20):
        await add(backend)
    task.cancel()

    assert turns >= 20


async def test_jobs_of_one_turn_go_to_the_thread_together(backend: Backend, clock: Witness) -> None:
    await asyncio.gather(*(add(backend) for _ in range(20)))

    assert clock.told() == ["toril-sqlite"]


async def test_busy_loop_writes_nothing_by_itself(
    backend: Backend, clock: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "QUICK_TURN_S", 0.0)
    await add(backend)

    assert clock.told() == ["toril-sqlite"]


async def test_loop_does_not_wait_for_a_slow_disk(
    backend: Backend, clock: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MOST_PAUSE_S", 0.0)
    worker = HandWorker(backend)
    await add(backend)
    (held,) = await worker.claim()
    await worker.ask(outcomes=[outcome(held, "completed")])

    # A claim needs no wait for the disk.
    assert clock.told() == ["toril-sqlite", "loop", "toril-sqlite"]


async def test_loop_does_not_wait_for_another_process(
    backend: Backend, clock: Witness, path: Path
) -> None:
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    adding = asyncio.create_task(add(backend))
    begin_s = asyncio.get_running_loop().time()
    for _ in range(20):  # the turns in which a loop would try
        await asyncio.sleep(0)
    passed_s = asyncio.get_running_loop().time() - begin_s
    assert not adding.done()
    other.execute("ROLLBACK")
    other.close()

    assert await adding == ["2"]
    assert passed_s < 5  # the thread has up to ten seconds of patience
    assert clock.told() == ["toril-sqlite"]
    await add(backend)
    assert clock.told() == ["loop"]
    await check_counts(backend)


async def test_exchange_of_a_worker_whose_jobs_run_goes_to_the_thread(
    backend: Backend, clock: Witness
) -> None:
    await add(backend, job(), job())
    worker, idle = HandWorker(backend), HandWorker(backend, id="worker-2")
    clock.told()
    first, second = await worker.claim(limit=2)
    assert clock.told() == ["loop"]
    await worker.ask(outcomes=[outcome(first, "completed")])
    assert clock.told() == ["toril-sqlite"]
    await idle.claim()
    assert clock.told() == ["loop"]
    await worker.ask(outcomes=[outcome(second, "completed")])
    assert clock.told() == ["loop"]


async def test_loop_claims_a_few_jobs_and_no_long_backlog(backend: Backend, clock: Witness) -> None:
    await add(backend, *(job() for _ in range(3 * dispatch.AT_ONCE)))
    clock.told()
    worker = HandWorker(backend)
    claimed = await worker.claim(limit=2 * dispatch.AT_ONCE)

    assert len(claimed) == 2 * dispatch.AT_ONCE
    assert clock.told() == ["loop", "toril-sqlite"]  # it began, saw how many, and left them
    await worker.ask(outcomes=[outcome(one, "completed") for one in claimed])
    assert clock.told() == ["toril-sqlite"]
    await check_counts(backend)


async def test_nothing_overtakes_what_the_thread_was_given_before(
    backend: Backend, clock: Witness
) -> None:
    (held,) = await HandWorker(backend).claim()
    clock.told()
    ends = asyncio.create_task(backend.jobs.add([job(), job()]))
    await asyncio.sleep(0)
    reply = await HandWorker(backend).ask(outcomes=[outcome(held, "completed")])

    assert ends.done()
    assert reply.words == ["ok"]
    assert "loop" not in clock.told()


async def test_job_that_cannot_be_stored_is_refused_and_harms_nothing(backend: Backend) -> None:
    for _ in range(3):
        with pytest.raises(UnicodeEncodeError):
            await add(backend, job(data="\ud800"))
        await add(backend)

    assert await counts(backend) == {State.WAIT: 4}
    await check_counts(backend)


async def test_closed_store_says_so(opener: Opener, clock: Witness) -> None:
    backend = opener(clock=clock)
    await add(backend)
    await backend.lifecycle.close()

    with pytest.raises(BackendClosedError):
        await add(backend)


async def test_two_loops_write_by_themselves_and_nothing_is_lost(
    backend: Backend, clock: Witness
) -> None:
    def elsewhere() -> None:
        async def produce() -> None:
            for _ in range(100):
                await add(backend)

        asyncio.run(produce())

    other = asyncio.create_task(asyncio.to_thread(elsewhere))
    for _ in range(100):
        await add(backend)
    await other

    assert await counts(backend) == {State.WAIT: 201}
    await check_counts(backend)


async def test_only_what_others_write_wakes_by_a_look(
    opener: Opener, clock: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    look = ChangeCheck.__call__

    def counted(self: ChangeCheck) -> int:
        nonlocal looks
        looks += 1
        return look(self)

    async def some_looks(sleeping: asyncio.Task[None]) -> None:
        """Looks are made only while somebody sleeps."""
        enough = looks + 20
        await wait_until(lambda: looks >= enough or sleeping.done())

    monkeypatch.setattr(ChangeCheck, "__call__", counted)
    mine, theirs = opener(clock=clock), opener()
    await add(mine)
    assert await HandWorker(mine).claim(limit=5)
    seen = (await HandWorker(mine).ask(Q)).seen
    sleeping = asyncio.create_task(mine.dispatch.wait([Q], seen, timeout_s=10))
    await some_looks(sleeping)
    if sleeping.done():  # the first look counts as a change
        seen = (await HandWorker(mine).ask(Q)).seen
        sleeping = asyncio.create_task(mine.dispatch.wait([Q], seen, timeout_s=10))
        await some_looks(sleeping)
    await mine.counts.raise_totals(Q, completed=5, failed=0)  # written, and nothing to claim
    await some_looks(sleeping)
    assert not sleeping.done()

    await add(theirs)
    await asyncio.wait_for(sleeping, 5)


def test_interrupted_loop_leaves_no_transaction_behind(
    clock: Witness, path: Path, no_thread_left: None
) -> None:
    backend = open_sqlite(
        str(path), options=FileOptions(durability="normal"), clock=clock, create=True
    )
    clock.told()

    def interrupt() -> int:
        raise KeyboardInterrupt

    async def go_on() -> None:
        assert await add(backend) == ["2"]
        assert await counts(backend) == {State.WAIT: 2}
        await backend.lifecycle.close()

    asyncio.run(_add(backend))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "steady_ms", interrupt)
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(_add(backend))
    assert clock.told() == ["loop", "loop"]
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")  # the lock is free
    other.execute("ROLLBACK")
    other.close()
    asyncio.run(go_on())


async def _add(backend: Backend) -> None:
    await add(backend)
