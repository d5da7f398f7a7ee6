"""The event log in rows: numbered from one, and no dearer for being read in small pieces."""

from __future__ import annotations

from pathlib import Path

import apsw
from tests.backends.sqlite.conftest import Opener
from tests.support.contract import Q, add, add_one, job

from toril.engine.contract import Backend


async def positions(backend: Backend, queue: str = Q, after: int = 0) -> list[int]:
    """Return where the events of a queue stand."""
    events = await backend.events.read(queue, after=after, limit=1_000, wait_s=0)
    return [event.position for event in events]


async def test_events_are_numbered_from_one_per_queue(opener: Opener) -> None:
    backend = opener()
    await add(backend, job("a"), job("b"))
    await add(backend, job("a"), job("a"))

    assert await positions(backend, "a") == [1, 2, 3, 4, 5, 6]
    assert await positions(backend, "b") == [1, 2]
    assert await positions(backend, "a", after=4) == [5, 6]
    assert await backend.events.latest("a") == 6


async def test_numbers_go_on_after_silence(opener: Opener) -> None:
    backend = opener()
    for _ in range(50):
        await add_one(backend)
    await backend.events.choose(Q, "none")
    await add_one(backend)
    await backend.events.choose(Q, "all")
    await add_one(backend)
    assert await positions(backend, after=100) == [101, 102]


async def test_past_the_cap_whole_rows_go(opener: Opener) -> None:
    backend = opener(durability="normal")
    for _ in range(26):
        await add(backend, *(job() for _ in range(250)))

    assert await backend.events.latest(Q) == 13_000
    (oldest,) = await backend.events.read(Q, after=0, limit=1, wait_s=0)
    assert oldest.position % 500 == 1
    assert 1 < oldest.position <= 3_001
    await add_one(backend)
    assert await positions(backend, after=13_000) == [13_001, 13_002]


async def test_one_event_is_read_as_one_row(opener: Opener) -> None:
    rows: list[object] = []

    def hook(connection: apsw.Connection) -> None:
        def trace(cursor: apsw.Cursor, row: tuple[object, ...]) -> tuple[object, ...]:
            if "events.body" in cursor.expanded_sql:
                rows.append(row)
            return row

        connection.row_trace = trace

    apsw.connection_hooks.append(hook)
    try:
        backend = opener(durability="normal")
        for _ in range(40):
            await add_one(backend)
        await backend.events.read(Q, after=0, limit=1, wait_s=0)
        await backend.events.newest(Q, limit=1)
    finally:
        apsw.connection_hooks.remove(hook)

    assert len(rows) == 2


async def test_silent_queue_writes_no_row_of_events(opener: Opener, path: Path) -> None:
    backend = opener()
    await backend.events.choose(Q, "none")
    await add(backend, *(job() for _ in range(100)))

    connection = apsw.Connection(str(path))
    assert connection.execute("SELECT count(*) FROM events").get == 0
    connection.close()
