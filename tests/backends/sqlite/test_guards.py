"""The file is opened, copied or removed by somebody else: nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import fcntl
import json
import mmap
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from tests.backends.sqlite.conftest import Opener
from tests.support.contract import add, line
from tests.support.waiting import wait_until

from toril.backends.sqlite import file_watch, guards
from toril.core.errors import StoreLostError
from toril.engine.states import State

OTHER = """
import sqlite3, sys  # of which older versions are less careful than apsw's at their close
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM jobs").fetchall()
connection.close()
"""

needs_guards = pytest.mark.skipif(guards._SET is None, reason="this system has no OFD locks")


def look_on(path: Path) -> None:
    """Have another process open the file and close it, as the last one if nobody else is on it."""
    subprocess.run([sys.executable, "-c", OTHER, str(path)], check=True, timeout=60)


def by_sqlite3(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("SELECT count(*) FROM jobs").fetchall()
    connection.close()


def by_open(path: Path) -> None:
    path.read_bytes()


def by_a_copy(path: Path) -> None:
    shutil.copytree(path.parent, path.parent.with_name("copy"))


def by_another_store(path: Path) -> None:
    connection = apsw.Connection(str(path), apsw.SQLITE_OPEN_READWRITE)
    connection.execute("SELECT count(*) FROM jobs").fetchall()
    connection.close()
    path.read_bytes()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with a folder of its own."""
    folder = tmp_path / "store"
    folder.mkdir()
    return folder / "toril.db"


@needs_guards
@pytest.mark.parametrize("use", [by_sqlite3, by_open, by_a_copy, by_another_store])
async def test_file_that_is_used_by_others_in_the_process_loses_nothing(
    opener: Opener, path: Path, use: Callable[[Path], None]
) -> None:
    """To close the file dropped our locks; the next one to close it removed the log under us."""
    backend = opener()
    ids = await add(backend)

    use(path)
    look_on(path)
    ids += await add(backend)
    look_on(path)
    ids += await add(backend)

    newcomer = opener()
    assert await line(newcomer, State.WAIT) == await line(backend, State.WAIT) == ids
    assert (await newcomer.lifecycle.check()).ok


@pytest.mark.parametrize(("step_ns", "age_s", "looks"), [(1, 0.5, 0), (0, 0.5, 3), (0, 3.0, 0)])
async def test_files_are_looked_at_one_by_one_only_in_a_folder_that_has_just_changed(
    opener: Opener,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step_ns: int,
    age_s: float,
    looks: int,
) -> None:
    """Each look at the log made the next commit a fifth dearer, for two seconds after a change.

    A time in whole steps may be of a file system that keeps them so: there it takes longer until a
    later change must show.
    """
    opener()
    known = file_watch.FileWatch(str(path))
    known.note_log()
    at_ns = round((time.time() - age_s) * 1e9) // file_watch.STEP_NS * file_watch.STEP_NS + step_ns
    os.utime(path.parent, ns=(at_ns, at_ns))
    known.check()
    looked_at: list[str] = []
    found = file_watch._found

    def noted(one: str) -> file_watch.Identity | None:
        looked_at.append(one)
        return found(one)

    monkeypatch.setattr(file_watch, "_found", noted)

    known.check()

    assert len(looked_at) == looks


@needs_guards
@pytest.mark.parametrize("there", [True, False])
async def test_file_behind_a_link_is_guarded_where_it_lies(
    opener: Opener, path: Path, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite puts the log beside what the link leads to, where the link's folder tells nothing."""
    monkeypatch.setattr(file_watch, "SETTLED_S", 0.0)
    if there:
        await opener().lifecycle.close()
    link = path.parent.with_name("link.db")
    link.symlink_to(path)
    backend = opener(link)
    ids = await add(backend)

    by_open(path)
    look_on(link)
    ids += await add(backend)
    findings = {one.subject: one.grade for one in (await backend.lifecycle.check()).findings}
    assert findings["locks"] == findings["rights"] == "ok"
    assert await line(opener(path), State.WAIT) == ids

    path.with_name("toril.db-wal").rename(path.with_name("elsewhere"))
    with pytest.raises(StoreLostError, match=r"toril\.db-wal: was deleted"):
        await add(backend)
    path.with_name("elsewhere").rename(path.with_name("toril.db-wal"))

    other = path.with_name("other.db")
    other.touch()
    link.unlink()
    link.symlink_to(other)
    with pytest.raises(StoreLostError, match="was deleted, moved or replaced"):
        await add(backend)


@needs_guards
async def test_stores_that_come_and_go_leave_the_others_their_locks_and_no_open_files(
    opener: Opener, path: Path
) -> None:
    backend = opener()
    ids = await add(backend)
    await opener().lifecycle.close()
    before = len(os.listdir("/proc/self/fd"))

    for _ in range(20):
        other = opener()
        ids += await add(other)
        await other.lifecycle.close()
        look_on(path)

    assert await line(backend, State.WAIT) == ids
    assert len(os.listdir("/proc/self/fd")) <= before + 2


async def test_without_such_locks_the_loss_of_the_log_is_told_and_nothing_is_acknowledged(
    opener: Opener, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adds were acknowledged into a log that was no longer there."""
    monkeypatch.setattr(guards, "_SET", None)
    backend = opener()
    ids = await add(backend)

    by_open(path)
    look_on(path)
    with pytest.raises(StoreLostError, match=r"toril\.db-wal: was deleted or replaced"):
        await add(backend)
    with pytest.raises(StoreLostError, match="toril doctor"):
        await backend.counts.queues()
    await backend.lifecycle.close()

    newcomer = opener()
    assert await line(newcomer, State.WAIT) == ids
    assert (await newcomer.lifecycle.check()).ok


async def test_without_such_locks_a_log_that_goes_during_a_commit_is_told(
    opener: Opener, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit went into a log that was removed after the store had looked."""
    monkeypatch.setattr(guards, "_SET", None)
    backend = opener()
    await add(backend)
    writer = backend.counts._writer  # type: ignore[attr-defined]

    def remove() -> bool:
        path.with_name("toril.db-wal").unlink()
        return False

    with writer._turn as turn:
        turn.connection().set_commit_hook(remove)

    with pytest.raises(StoreLostError):
        await add(backend)


@needs_guards
async def test_log_that_is_deleted_by_hand_is_told_to_all_and_by_the_doctor(
    opener: Opener, path: Path
) -> None:
    backend = opener()
    await add(backend)

    path.with_name("toril.db-wal").unlink()
    path.with_name("toril.db-shm").unlink()
    with pytest.raises(StoreLostError):
        await add(backend)
    command = [sys.executable, "-m", "toril", "doctor", "--json", "--url", str(path)]
    doctor = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert doctor.returncode == 1, doctor.stderr
    findings = json.loads(doctor.stdout)["findings"]
    (finding,) = [one for one in findings if one["subject"] == "files"]
    assert finding["grade"] == "error"
    assert f"process {os.getpid()} uses {path}-shm and {path}-wal, which was" in finding["text"]


@needs_guards
async def test_log_that_was_deleted_by_hand_is_moved_into_the_file_at_the_end(
    opener: Opener, path: Path
) -> None:
    backend = opener()
    ids = await add(backend)
    for end in ("-wal", "-shm"):
        path.with_name(f"toril.db{end}").unlink()
    await backend.lifecycle.close()

    assert await line(opener(), State.WAIT) == ids


@needs_guards
async def test_log_that_was_deleted_is_not_written_over_what_came_after_it(
    opener: Opener, path: Path
) -> None:
    """At its close a process moved a log into the file that others had gone on without."""
    backend = opener()
    await add(backend)
    await opener().lifecycle.close()

    for end in ("-wal", "-shm"):
        path.with_name(f"toril.db{end}").unlink()
    program = """
import asyncio, sys
from toril.backends import open_backend
from toril.engine.job import NewJob

async def main():
    backend = open_backend(sys.argv[1])
    await backend.jobs.add([NewJob(queue="paint", name="n", data="1")] * 50)
    await backend.lifecycle.close()

asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, timeout=60)
    with pytest.raises(StoreLostError):
        await add(backend)
    await backend.lifecycle.close()

    newcomer = opener()
    assert len(await line(newcomer, State.WAIT)) == 50
    assert (await newcomer.lifecycle.check()).ok


async def test_folder_that_does_not_change_is_looked_at_instead_of_its_files(
    opener: Opener, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = opener()
    await add(backend)
    monkeypatch.setattr(file_watch, "SETTLED_S", 0.0)
    found: list[str] = []
    find = file_watch._found

    def note(name: str) -> file_watch.Identity | None:
        found.append(name)
        return find(name)

    monkeypatch.setattr(file_watch, "_found", note)

    await add(backend)
    many = len(found)
    assert many >= 3

    await add(backend)
    assert len(found) == many

    path.with_name("anything").touch()
    await add(backend)
    assert len(found) > many


async def test_file_that_goes_right_after_a_look_is_missed_by_nobody(
    opener: Opener, path: Path
) -> None:
    """The time of a folder that has just changed does not tell one change from the next."""
    backend = opener()
    for _ in range(3):
        await add(backend)

    path.with_name("toril.db-wal").rename(path.with_name("elsewhere"))

    with pytest.raises(StoreLostError):
        await add(backend)
    path.with_name("elsewhere").rename(path.with_name("toril.db-wal"))
    await add(backend)


@needs_guards
async def test_two_never_write_at_once_even_without_the_lock_of_sqlite(
    opener: Opener, path: Path
) -> None:
    """A transaction whose lock was dropped went on beside that of another process."""
    backend = opener()
    await add(backend)
    program = """
import apsw, sys
from toril.backends.sqlite import guards
guard = guards.Guard(sys.argv[1])
guard.lock()
assert guard.hold(lambda tries: False)
print("writes", flush=True)
sys.stdin.readline()
guard.let()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "writes\n"
        adding = asyncio.create_task(add(backend))
        writer = backend.counts._writer  # type: ignore[attr-defined]
        await wait_until(lambda: writer._patience.give_up_s > 0, what="the writer to wait")
        assert not adding.done()
        process.stdin.write("\n")
        process.stdin.flush()
        await adding


class Index:
    """The index of a log, whose head can be made to look as in the midst of a commit.

    It is there twice, 48 bytes each, and whoever finds them to differ rebuilds the index
    (sqlite.org/walformat.html, section 2.1).
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(f"{path}-shm", os.O_RDWR)
        self._bytes = mmap.mmap(self._file, 96)

    def tear(self) -> None:
        self._bytes[48 + 8] ^= 0xFF

    @property
    def is_torn(self) -> bool:
        return self._bytes[:48] != self._bytes[48:96]

    def close(self) -> None:
        self._bytes.close()
        os.close(self._file)


@needs_guards
async def test_index_is_rebuilt_by_nobody_during_a_transaction(opener: Opener, path: Path) -> None:
    """`sqlite3` of the same process wrote the log's end of before over that of a commit.

    What was committed in between was acknowledged, and written over by the next: seen once in some
    ninety rounds of three busy processes.
    """
    backend = opener()
    ids = await add(backend)
    index, seen = Index(path), list[bool]()
    reading = threading.Thread(target=by_sqlite3, args=[path])
    writer = backend.counts._writer  # type: ignore[attr-defined]

    def commit() -> bool:
        index.tear()
        reading.start()
        time.sleep(0.3)  # the other one tries all the time
        seen.extend([index.is_torn, reading.is_alive()])
        index.tear()  # which mends it
        return False

    with writer._turn as turn:
        turn.connection().set_commit_hook(commit)
    ids += await add(backend)
    with writer._turn as turn:
        turn.connection().set_commit_hook(None)
    await asyncio.to_thread(reading.join)
    index.close()

    assert seen == [True, True]
    ids += await add(backend)
    assert await line(opener(), State.WAIT) == ids
    assert (await backend.lifecycle.check()).ok


@needs_guards
async def test_index_that_a_killed_process_left_torn_is_rebuilt(opener: Opener, path: Path) -> None:
    backend = opener()
    ids = await add(backend)
    index = Index(path)

    index.tear()
    ids += await add(backend)

    assert not index.is_torn
    index.close()
    assert await line(opener(), State.WAIT) == ids
    assert (await backend.lifecycle.check()).ok


@needs_guards
async def test_transaction_waits_until_the_index_is_rebuilt(opener: Opener, path: Path) -> None:
    backend = opener()
    ids = await add(backend)
    index = os.open(f"{path}-shm", os.O_RDWR)
    rebuild = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, guards.INDEX_REBUILD, 1, 0)
    fcntl.fcntl(index, fcntl.F_OFD_SETLK, rebuild)

    adding = asyncio.create_task(add(backend))
    writer = backend.counts._writer  # type: ignore[attr-defined]
    await wait_until(lambda: writer._patience.give_up_s > 0, what="the writer to wait")
    assert not adding.done()
    os.close(index)

    ids += await adding
    assert await line(backend, State.WAIT) == ids
