"""Which files are opened, which are refused, and that the refused ones stay as they are."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import apsw
import msgspec
import pytest
from tests.backends.sqlite.conftest import Opener
from tests.support.contract import add, job
from tests.support.mounts import read_only

import toril.backends.sqlite as room
from toril.backends import open_backend
from toril.backends.sqlite.connection import APPLICATION_ID
from toril.core.errors import InvalidOptionError, StoreForeignError, StoreReadOnlyError
from toril.engine.contract import SessionRecord

MIGRATIONS = sorted((Path(room.__file__).parent / "migrations").glob("*.sql"))


async def test_new_file_is_made_and_marked_as_ours(opener: Opener, path: Path) -> None:
    opener()

    connection = apsw.Connection(str(path))
    assert connection.pragma("application_id") == APPLICATION_ID
    assert connection.pragma("user_version") == len(MIGRATIONS)
    assert connection.pragma("journal_mode") == "wal"
    connection.close()


async def test_closed_store_leaves_one_file(opener: Opener, path: Path) -> None:
    """A connection that only looked was never closed: the log stayed beside the file."""
    backend = opener()
    await add(backend)
    await backend.dispatch.wait(["q"], 0, timeout_s=0.01)
    await backend.events.read("q", after=0, limit=1, wait_s=0.01)
    await backend.counts.queues()
    await backend.lifecycle.close()

    assert os.listdir(path.parent) == [path.name]
    open_files = [
        os.readlink(f"/proc/self/fd/{number}")
        for number in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{number}")
    ]
    assert not [name for name in open_files if name.startswith(str(path))]


@pytest.mark.parametrize("shape", ["{}", "sqlite:///{}", "sqlite:///{}/../toril.db"])
async def test_urls_and_paths_name_the_same_file(
    opener: Opener, path: Path, shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    (path.parent / "x").mkdir()
    place = "x/../toril.db" if shape == "{}" else shape.format(path if ".." not in shape else "x")
    opener(place)

    assert path.exists()


async def test_empty_file_becomes_a_store(opener: Opener, path: Path) -> None:
    path.touch()

    assert await add(opener()) == ["1"]


async def test_store_of_the_first_schema_is_brought_to_this_one(opener: Opener, path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(MIGRATIONS[0].read_text("utf-8"))
    connection.pragma("user_version", 1)
    connection.pragma("application_id", APPLICATION_ID)
    connection.execute("INSERT INTO queues (name, paused, event_last) VALUES ('paint', 1, 7)")
    connection.close()

    backend = opener()

    (queue,) = await backend.counts.queues()
    assert (queue.name, queue.paused, queue.events) == ("paint", True, "all")
    await add(backend)
    assert await backend.events.latest("paint") == 9
    connection = apsw.Connection(str(path))
    assert connection.pragma("user_version") == len(MIGRATIONS)
    connection.close()


async def test_session_of_an_earlier_schema_goes_on(opener: Opener, path: Path) -> None:
    connection = apsw.Connection(str(path))
    for script in MIGRATIONS[:15]:
        connection.execute(script.read_text("utf-8"))
    connection.pragma("user_version", 15)
    connection.pragma("application_id", APPLICATION_ID)
    ends_ms = 99_999_999_999_999
    connection.execute(
        "INSERT INTO access_sessions VALUES ('digest', 'user', 'jo', 'stamp', ?)", (ends_ms,)
    )
    connection.close()

    access = opener().access

    old = SessionRecord("digest", "user", "jo", "stamp", ends_ms)
    assert await access.find_session("digest") == old
    assert await access.sessions([("user", "jo")]) == [old]
    seen = msgspec.structs.replace(old, seen_ms=5, place="192.0.2.1", agent="Fox/1")
    assert await access.see_session(seen)
    assert await access.find_session("digest") == seen


async def test_newer_store_is_refused_and_stays_as_it_is(opener: Opener, path: Path) -> None:
    await opener().lifecycle.close()
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 99)
    connection.close()
    before = path.read_bytes()

    with pytest.raises(StoreForeignError, match="written by a newer Toril") as caught:
        opener()

    assert str(path) in str(caught.value)
    assert "Upgrade" in str(caught.value)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


async def test_newer_store_keeps_even_another_journal_mode(opener: Opener, path: Path) -> None:
    """The journal mode was changed before the version was looked at."""
    await opener().lifecycle.close()
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "delete")
    connection.pragma("user_version", len(MIGRATIONS) + 1)
    connection.close()
    before = path.read_bytes()

    with pytest.raises(StoreForeignError, match="newer"):
        opener()

    assert path.read_bytes() == before


@pytest.mark.parametrize("application_id", [0, 0x12345678])
async def test_database_of_another_program_is_refused_and_stays_as_it_is(
    opener: Opener, path: Path, application_id: int
) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE jobs (id)")
    connection.pragma("application_id", application_id)
    connection.close()
    before = path.read_bytes()

    with pytest.raises(StoreForeignError, match="belongs to another program"):
        opener()

    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("text", ["Dear diary,\n" * 100, "x"])
async def test_file_that_is_no_database_is_refused_and_stays_as_it_is(
    opener: Opener, path: Path, text: str
) -> None:
    path.write_text(text)

    with pytest.raises(StoreForeignError, match="not an SQLite file"):
        opener()

    assert path.read_text() == text
    assert os.listdir(path.parent) == [path.name]


async def test_folder_is_refused(opener: Opener, path: Path) -> None:
    with pytest.raises(StoreForeignError, match="this is a folder"):
        opener(path.parent)


async def test_missing_folder_is_named(opener: Opener, path: Path) -> None:
    with pytest.raises(StoreReadOnlyError, match=r"the folder '.*nowhere' does not exist"):
        opener(path.parent / "nowhere" / "toril.db")


async def test_missing_file_is_not_made_by_those_who_only_look(opener: Opener, path: Path) -> None:
    with pytest.raises(StoreReadOnlyError, match="there is no such file"):
        opener(create=False)

    assert os.listdir(path.parent) == []


async def test_file_that_is_there_is_opened_by_those_who_only_look(
    opener: Opener, path: Path
) -> None:
    await add(opener())

    backend = opener(create=False)
    assert [queue.name for queue in await backend.counts.queues()] == ["paint"]


@pytest.mark.parametrize("url", ["", "reddis://localhost", "sqlite:///", "postgres://x/y"])
def test_url_that_makes_no_sense_is_refused(url: str) -> None:
    with pytest.raises(InvalidOptionError, match=r"url[:=]"):
        open_backend(url)


def test_durability_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="durability='maybe'"):
        open_backend("sqlite://:memory:", durability="maybe")  # type: ignore[arg-type]


async def test_new_store_on_a_read_only_disk_is_refused(opener: Opener, path: Path) -> None:
    with (
        read_only(path.parent),
        pytest.raises(StoreReadOnlyError, match="is on a read-only file system") as caught,
    ):
        opener()

    assert str(path) in str(caught.value)
    assert "exist" not in str(caught.value)  # its folder does: it said to make it


async def test_store_on_a_read_only_disk_is_refused(opener: Opener, path: Path) -> None:
    backend = opener()
    await add(backend)
    await backend.lifecycle.close()
    before = path.read_bytes()

    with (
        read_only(path.parent),
        pytest.raises(StoreReadOnlyError, match="is on a read-only file system") as caught,
    ):
        opener()

    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


async def test_disk_that_becomes_read_only_is_told(opener: Opener, path: Path) -> None:
    backend = opener()
    await add(backend)
    await backend.lifecycle.close()

    with read_only(path.parent):
        with pytest.raises(StoreReadOnlyError, match="read-only file system: mount it for writing"):
            opener(create=False)
        path_of_none = path.with_name("none.db")
        with pytest.raises(StoreReadOnlyError, match="there is no such file"):
            opener(path_of_none, create=False)


async def test_processes_that_open_a_new_store_at_once_all_get_it(path: Path) -> None:
    program = """
import asyncio, sys
from toril.backends import open_backend
from toril.engine.job import NewJob

async def main():
    sys.stdin.readline()
    backend = open_backend(sys.argv[1])
    print(len(await backend.jobs.add([NewJob(queue="q", name="n", data="1")])), flush=True)
    await backend.lifecycle.close()

print("ready", flush=True)
asyncio.run(main())
"""
    many = 6
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(many)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        results = await asyncio.gather(
            *(asyncio.to_thread(process.communicate, "go\n", 30) for process in processes)
        )
    finally:
        for process in processes:
            process.kill()
            process.wait()

    assert results == [("1\n", "")] * many
    backend = open_backend(str(path))
    queue = await backend.counts.queue("q")
    await backend.lifecycle.close()
    assert queue is not None
    assert sum(queue.counts.values()) == many


async def test_stores_opened_at_once_by_threads_all_get_it(opener: Opener) -> None:
    backends = await asyncio.gather(*(asyncio.to_thread(opener) for _ in range(8)))

    for backend in backends:
        await add(backend, job(), job())
    queue = await backends[0].counts.queue("paint")
    assert queue is not None
    assert sum(queue.counts.values()) == 16


@pytest.mark.parametrize("shape", ["sqlite:///{}", "{}"])
@pytest.mark.parametrize(
    ("words", "full"), [("durability=normal", False), ("durability=full", True)]
)
async def test_url_says_the_durability(
    opener: Opener, path: Path, shape: str, words: str, full: bool
) -> None:
    """A file of that name was made, `toril.db?durability=normal`."""
    backend = opener(shape.format(path) + f"?{words}")
    await add(backend)

    assert os.listdir(path.parent)[0].startswith(path.name)
    assert path.exists()
    assert not [name for name in os.listdir(path.parent) if "?" in name]
    assert backend.counts._writer._full is full  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?durabilty=normal", r"unknown option 'durabilty': did you mean 'durability'\?"),
        ("?mode=rwc", "unknown option 'mode': known are durability, share"),
        ("?durability=maybe", "durability='maybe': expected 'full' or 'normal'"),
        ("?share=all", "share='all': expected 'owner' or 'group'"),
        ("?durability=", "durability='': expected 'full' or 'normal'"),
        ("?durability=full&durability=normal", "'durability' once"),
        ("?", r"options such as 'durability=normal' after the '\?'"),
        ("?durability", "durability='': expected"),
    ],
)
@pytest.mark.parametrize("shape", ["sqlite:///{}", "{}"])
def test_option_of_a_url_that_makes_no_sense_is_refused(
    path: Path, shape: str, query: str, words: str
) -> None:
    with pytest.raises(InvalidOptionError, match=words) as caught:
        open_backend(shape.format(path) + query)

    assert str(caught.value).startswith("url=")
    assert os.listdir(path.parent) == []


def test_argument_that_contradicts_the_url_is_refused(path: Path) -> None:
    with pytest.raises(
        InvalidOptionError, match="durability='full': expected 'normal', as the URL"
    ):
        open_backend(f"sqlite:///{path}?durability=normal", durability="full")

    assert os.listdir(path.parent) == []


def test_store_in_memory_takes_no_options_of_a_file() -> None:
    with pytest.raises(InvalidOptionError, match="no options for a store in memory"):
        open_backend("sqlite://:memory:?share=group")


def mode(path: Path) -> int:
    """Return the rights of a file."""
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize(("options", "rights"), [("", 0o600), ("?share=group", 0o660)])
@pytest.mark.parametrize("umask", [0o022, 0o077, 0])
async def test_new_file_and_what_lies_beside_it_are_for_those_who_were_named(
    opener: Opener, path: Path, options: str, rights: int, umask: int
) -> None:
    """Everybody on the machine could read all payloads."""
    before = os.umask(umask)
    try:
        await add(opener(f"sqlite:///{path}{options}"))
    finally:
        os.umask(before)

    assert {name: mode(path.with_name(name)) for name in os.listdir(path.parent)} == {
        "toril.db": rights,
        "toril.db-wal": rights,
        "toril.db-shm": rights,
    }


async def test_file_that_is_there_keeps_its_rights_and_doctor_tells(
    opener: Opener, path: Path
) -> None:
    await opener().lifecycle.close()
    path.chmod(0o644)
    path.parent.chmod(0o755)

    backend = opener()
    await add(backend)

    assert mode(path) == mode(path.with_name("toril.db-wal")) == 0o644
    (finding,) = [
        one for one in (await backend.lifecycle.check()).findings if one.subject == "rights"
    ]
    assert finding.grade == "warning"
    assert f"chmod o= {path}*" in finding.text
