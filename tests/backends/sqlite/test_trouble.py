"""A file that is locked, full or damaged: an error that says so, no hanging, nothing lost."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.backends.sqlite.conftest import Opener
from tests.support.contract import (
    HandWorker,
    Q,
    add,
    add_one,
    check_counts,
    counts,
    job,
    line,
    outcome,
)
from tests.support.mounts import small_disk

from toril.backends.forks import FORKS, _Fork
from toril.backends.sqlite import connection
from toril.core.errors import (
    BackendError,
    StoreBusyError,
    StoreCorruptError,
    StoreForeignError,
    StoreFullError,
)
from toril.engine.states import State


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Have another process hold the file's write lock."""
    program = """
import apsw, sys
connection = apsw.Connection(sys.argv[1])
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        try:
            yield
        finally:
            process.kill()


async def test_locked_store_is_busy_after_a_while_and_goes_on_later(
    opener: Opener, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = opener()
    await add(backend)
    monkeypatch.setattr(connection, "BUSY_S", 0.3)

    with locked(path):
        with pytest.raises(StoreBusyError, match="lock for too long"):
            await add(backend)
        assert await counts(backend) == {State.WAIT: 1}  # reading goes on meanwhile

    await add(backend)
    assert await counts(backend) == {State.WAIT: 2}


async def test_all_who_wait_for_a_locked_store_learn_it_at_the_same_time(
    opener: Opener, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each was tried again on its own: the hundredth waited a hundred times as long."""
    backend = opener()
    await add(backend)
    monkeypatch.setattr(connection, "BUSY_S", 0.3)

    with locked(path):
        begin_s = time.monotonic()
        answers = await asyncio.gather(
            *(backend.jobs.add([job(), job()]) for _ in range(100)), return_exceptions=True
        )
        took_s = time.monotonic() - begin_s

    assert {type(answer) for answer in answers} == {StoreBusyError}
    assert took_s < 100 * 0.3 / 4
    assert await counts(backend) == {State.WAIT: 1}


async def test_add_that_begins_while_a_fork_waits_is_done_after_it(
    opener: Opener, path: Path
) -> None:
    """It gave way to the fork and then said that the file was locked, as if it had waited."""
    backend = opener()
    fork = FORKS._under_way[-1] = _Fork()
    try:
        with locked(path):
            adding = asyncio.create_task(add(backend))
            done, _ = await asyncio.wait([adding], timeout=0.5)
            assert not done
    finally:
        assert FORKS._under_way.pop(-1) is fork

    assert await adding == ["1"]


async def test_store_that_is_locked_for_a_moment_only_makes_one_wait(
    opener: Opener, path: Path
) -> None:
    backend = opener()
    with locked(path):
        adding = asyncio.create_task(add(backend))
        await asyncio.sleep(0)
        assert not adding.done()

    assert await adding == ["1"]


async def test_full_disk_loses_nothing_that_was_acknowledged_and_work_goes_on_later(
    opener: Opener, path: Path
) -> None:
    with small_disk(path.parent, 3_500):
        backend = opener()
        worker = HandWorker(backend)
        filler = path.parent / "filler"
        filler.write_bytes(b"x" * 2_000_000)
        acknowledged: list[str] = []

        async def fill() -> None:
            while True:
                acknowledged.extend(await add(backend, *(job(data='"' + "x" * 5_000 + '"'),) * 3))

        with pytest.raises(StoreFullError, match="no room is left"):
            await fill()
        assert len(acknowledged) > 10

        # What fits less or more: nothing hangs, nothing is half done.
        for _ in range(20):
            try:
                acknowledged += await add(backend, job(data='"' + "y" * 30_000 + '"'))
            except StoreFullError:
                continue
        assert await line(backend, State.WAIT) == acknowledged
        await check_counts(backend)

        filler.unlink()
        acknowledged += await add(backend)
        claimed = await worker.claim(limit=1_000)
        assert [one.id for one in claimed] == acknowledged
        reply = await worker.ask(
            outcomes=[outcome(one, "completed", keep_count=0) for one in claimed]
        )
        assert set(reply.words) == {"ok"}
        assert (await backend.lifecycle.check()).ok
        await backend.lifecycle.close()


async def test_large_job_that_does_not_fit_harms_no_small_one(opener: Opener, path: Path) -> None:
    with small_disk(path.parent, 3_000):
        backend = opener()
        answers = await asyncio.gather(
            *(backend.jobs.add([job(), job()]) for _ in range(10)),
            backend.jobs.add([job(data='"' + "x" * 4_000_000 + '"'), job()]),
            *(backend.jobs.add([job(), job()]) for _ in range(10)),
            return_exceptions=True,
        )

        assert isinstance(answers[10], StoreFullError)
        assert sum(isinstance(answer, list) for answer in answers) == 20
        assert await counts(backend) == {State.WAIT: 40}
        await backend.lifecycle.close()


async def damaged(opener: Opener, path: Path, *, keep_bytes: int) -> None:
    """Make a store with some jobs and overwrite what comes after its first pages."""
    backend = opener()
    for _ in range(5):
        await add(backend, *(job(data='"' + "x" * 2_000 + '"') for _ in range(100)))
    await backend.lifecycle.close()
    size_bytes = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(keep_bytes)
        file.write(os.urandom(size_bytes - keep_bytes))


@pytest.mark.parametrize("keep_pages", [1, 4, 12])
async def test_damaged_store_says_so_and_hangs_nobody(
    opener: Opener, path: Path, keep_pages: int
) -> None:
    await damaged(opener, path, keep_bytes=4096 * keep_pages)
    errors: list[BaseException] = []

    async def attempt() -> None:
        backend = opener()
        worker = HandWorker(backend)
        calls = [
            lambda: worker.claim(limit=100),
            lambda: add_one(backend),
            lambda: line(backend, State.WAIT),
            lambda: backend.jobs.get(Q, "250"),
            lambda: backend.counts.queues(),
            lambda: backend.dispatch.recover(max_stalled=1, heartbeat_s=60, limit=10),
            lambda: backend.bulk.drain(Q, delayed=True, limit=500),
        ]
        for call in calls:
            try:
                await call()  # type: ignore[no-untyped-call]
            except BackendError as error:
                errors.append(error)
        await backend.lifecycle.close()

    try:
        await asyncio.wait_for(attempt(), 60)
    except StoreCorruptError as error:
        errors.append(error)

    assert errors
    assert {type(error) for error in errors} == {StoreCorruptError}
    assert all(str(path) in str(error) for error in errors)


async def test_store_with_a_damaged_head_is_not_taken_for_a_store(
    opener: Opener, path: Path
) -> None:
    await damaged(opener, path, keep_bytes=0)

    with pytest.raises(StoreForeignError):
        opener()


async def test_check_finds_the_damage(opener: Opener, path: Path) -> None:
    await damaged(opener, path, keep_bytes=4096 * 90)
    backend = opener()

    health = await backend.lifecycle.check()

    assert not health.ok
    assert "integrity" in [
        finding.subject for finding in health.findings if finding.grade == "error"
    ]
