"""The log is moved into the file beside the writer, stays bounded, and ends with the store."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import apsw
import pytest
from tests.backends.sqlite.conftest import Opener
from tests.support.contract import HandWorker, add, check_counts, counts, job, outcome
from tests.support.waiting import wait_until

from toril.backends.sqlite import checkpoints
from toril.backends.sqlite.connection import connect_reader
from toril.engine.states import State


def log_bytes(path: Path) -> int:
    """Return the size of the log beside a store."""
    return path.with_name(path.name + "-wal").stat().st_size


def times_begun_anew(path: Path) -> int:
    """Return how often the log was begun anew, as its header says (sqlite.org/fileformat2.html)."""
    with path.with_name(path.name + "-wal").open("rb") as log:
        return int.from_bytes(log.read(16)[12:])


async def test_log_is_moved_into_the_file_once_it_is_long(opener: Opener, path: Path) -> None:
    backend = opener(durability="normal")
    for _ in range(12):
        await add(backend, *(job(data='"' + "x" * 10_000 + '"') for _ in range(100)))

    await wait_until(lambda: path.stat().st_size > 4_000_000, what="the log to be moved")


async def test_log_stays_bounded_under_a_writer_that_never_rests(
    opener: Opener, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "START_PAGES", 100)
    monkeypatch.setattr(checkpoints, "MOST_PAGES", 500)
    backend = opener(durability="normal")
    worker = HandWorker(backend)

    size_bytes, rounds_of_it = 0, 0
    for _ in range(3_000):
        await add(backend, *(job(data='"' + "x" * 10_000 + '"') for _ in range(10)))
        claimed = await worker.claim(limit=10)
        await worker.ask(outcomes=[outcome(one, "completed", keep_count=0) for one in claimed])
        rounds_of_it = rounds_of_it + 1 if log_bytes(path) == size_bytes else 0
        size_bytes = log_bytes(path)
        if rounds_of_it == 50:  # 1,250 pages and more went into a log that did not grow
            return
    raise AssertionError(f"the log grew to {size_bytes} bytes and was never begun anew")


async def test_store_closes_while_its_log_is_being_moved(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread could forget that it was told to end, and the close waited for it for ever."""
    monkeypatch.setattr(checkpoints, "START_PAGES", 1)
    for many in range(1, 31):
        backend = opener(durability="normal")
        adding = asyncio.gather(*(add(backend) for _ in range(many)))
        await adding
        await asyncio.wait_for(backend.lifecycle.close(), 60)


async def test_two_stores_on_one_file_move_the_log_without_hurting_each_other(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "START_PAGES", 10)
    backends = [opener(durability="normal") for _ in range(3)]
    for _ in range(60):
        await asyncio.gather(*(add(backend, job(), job()) for backend in backends))

    assert await counts(backends[0]) == {State.WAIT: 360}
    await check_counts(backends[1])
    assert (await backends[2].lifecycle.check()).ok


async def test_log_is_begun_anew_under_commits_that_never_pause(
    opener: Opener, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was committed meanwhile was left in the log, so that each commit began another try."""
    tries = 0

    def count(*_: object) -> bool:
        nonlocal tries
        tries += 1
        return True

    def connect(place: str) -> apsw.Connection:
        connection = connect_reader(place)
        connection.exec_trace = count
        return connection

    monkeypatch.setattr(checkpoints, "connect_reader", connect)
    monkeypatch.setattr(checkpoints, "START_PAGES", 200)
    backend = opener(durability="normal")
    for _ in range(5_000):
        await add(backend)
        if times_begun_anew(path) >= 5:
            break

    # Two statements a try. It was 70 tries and more for each time that the log was begun anew.
    assert 10 <= tries <= 50


async def test_somebody_who_reads_for_long_keeps_no_writer_waiting(
    opener: Opener, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever begins the log anew holds the file's lock while it waits for readers of the log."""
    monkeypatch.setattr(checkpoints, "START_PAGES", 20)
    monkeypatch.setattr(checkpoints, "MOST_PAGES", 60)
    backends = [opener(durability="normal") for _ in range(2)]
    await add(backends[0])
    reader = connect_reader(str(path))
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM jobs").fetchall() == [(1,)]

    longest_s = 0.0
    for number in range(300):
        begun_s = time.monotonic()
        await add(backends[number % 2], job(data='"' + "x" * 10_000 + '"'))
        longest_s = max(longest_s, time.monotonic() - begun_s)
    assert log_bytes(path) > 300 * 10_000, "the reader kept the log"
    reader.close()

    # As others wait for a lock for ten seconds; a busy machine may add some of its own.
    assert longest_s < 5
    begun = times_begun_anew(path)

    async def begun_anew() -> bool:
        await add(backends[0])
        return times_begun_anew(path) > begun

    await wait_until(begun_anew, what="the log to be begun anew")
