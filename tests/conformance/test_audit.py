"""The audit log: in order, capped, by pages."""

from __future__ import annotations

import asyncio

from toril.engine.contract import AuditLine, Backend
from toril.testing.clock import ManualClock


async def texts(backend: Backend) -> list[str]:
    return [line.text for line in await backend.audit.page(before=None, limit=1_000)]


async def test_entries_are_read_newest_first_with_their_times(
    backend: Backend, clock: ManualClock
) -> None:
    assert await texts(backend) == []
    begin_ms = clock.now_ms()
    for text in ('{"a":1}', '{"b":"ü\\u0000"}'):
        await backend.audit.append(text, keep=10)
        clock.advance(1)

    lines = await backend.audit.page(before=None, limit=10)

    assert [(line.text, line.at_ms - begin_ms) for line in lines] == [
        ('{"b":"ü\\u0000"}', 1_000),
        ('{"a":1}', 0),
    ]
    assert lines[0].position > lines[1].position


async def test_pages_join_without_a_gap_while_others_write(backend: Backend) -> None:
    for number in range(25):
        await backend.audit.append(str(number), keep=100)

    found: list[AuditLine] = []
    before = None
    while page := await backend.audit.page(before=before, limit=7):
        assert len(page) <= 7
        found += page
        before = page[-1].position
        await backend.audit.append("more", keep=100)

    assert [line.text for line in found] == [str(number) for number in reversed(range(25))]


async def test_log_keeps_so_many_and_the_newest(backend: Backend) -> None:
    for number in range(12):
        await backend.audit.append(str(number), keep=5)
    assert await texts(backend) == ["11", "10", "9", "8", "7"]

    await backend.audit.append("12", keep=2)
    assert await texts(backend) == ["12", "11"]
    await backend.audit.append("13", keep=4)
    assert await texts(backend) == ["13", "12", "11"]


async def test_position_comes_once(backend: Backend) -> None:
    """A reader that pages by positions may not meet an old one anew."""
    await backend.audit.append("first", keep=1)
    (first,) = await backend.audit.page(before=None, limit=1)

    await backend.audit.append("second", keep=1)

    (second,) = await backend.audit.page(before=None, limit=1)
    assert second.position > first.position
    assert await backend.audit.page(before=first.position, limit=1) == []


async def test_entries_that_are_written_at_once_are_all_there(backend: Backend) -> None:
    await asyncio.gather(*(backend.audit.append(str(number), keep=100) for number in range(50)))

    assert sorted(map(int, await texts(backend))) == list(range(50))
