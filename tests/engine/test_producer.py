"""Many jobs in one call: chunk after chunk, two of them under way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from toril import App
from toril.engine.job import NewJob
from toril.engine.producer import CHUNK, Producer
from toril.engine.states import State

MANY = 3 * CHUNK + 7


@pytest.fixture(params=["sqlite", "redis"])
async def app(request: pytest.FixtureRequest) -> AsyncIterator[App]:
    """An app on an empty store."""
    where = "sqlite://:memory:"
    if request.param == "redis":
        where = request.getfixturevalue("redis_url")
    async with App(where) as app:
        yield app


def jobs(many: int = MANY) -> list[NewJob]:
    return [NewJob(queue="paint", name="cars", data=str(number)) for number in range(many)]


async def first_and_last(app: App) -> tuple[int, int]:
    """Return the payloads at the two ends of the line."""
    queue = app.queue("paint")
    ends = [
        (await queue.jobs(State.WAIT, limit=1, newest_first=newest)).jobs[0].data
        for newest in (False, True)
    ]
    return ends[0], ends[1]


async def count(app: App) -> int:
    info = await app.queue("paint").info()
    return 0 if info is None else info.waiting


async def test_chunks_come_in_order(app: App) -> None:
    answers = await Producer(app.backend).add_many(jobs())

    numbers = [int(answer.job_id) for answer in answers]
    assert len(numbers) == MANY
    assert numbers == sorted(numbers)
    assert await count(app) == MANY
    assert await first_and_last(app) == (0, MANY - 1)


@pytest.mark.parametrize("bad", [CHUNK + 1, MANY - 1])
async def test_chunk_that_cannot_be_added_ends_the_call(app: App, bad: int) -> None:
    some = jobs()
    some[bad].data = '"\ud800"'  # no text that a store could hold
    before = asyncio.all_tasks()

    with pytest.raises(UnicodeEncodeError):
        await Producer(app.backend).add_many(some)

    whole = bad // CHUNK * CHUNK
    assert await count(app) in (whole, whole + CHUNK)
    assert asyncio.all_tasks() == before


async def test_call_that_is_cancelled_leaves_nothing_going_on(app: App) -> None:
    before = asyncio.all_tasks()
    call = asyncio.ensure_future(Producer(app.backend).add_many(jobs()))
    while not await count(app):
        await asyncio.sleep(0)
    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    assert asyncio.all_tasks() == before
    assert await count(app) % CHUNK in (0, MANY % CHUNK)
