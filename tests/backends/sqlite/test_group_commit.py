"""What arrives together shares a transaction, and nobody suffers for another's fault."""

from __future__ import annotations

import asyncio
import threading

import apsw
import pytest
from tests.backends.sqlite.conftest import Opener
from tests.support.contract import HandWorker, Q, add, check_counts, counts, job, outcome, told

from toril.backends.sqlite.store import open_sqlite
from toril.backends.sqlite.urls import FileOptions
from toril.core.errors import WrongStateError
from toril.engine.contract import Backend
from toril.engine.states import State


class GatedClock:
    """A clock that stops the writer at its next transaction, until the gate is opened."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()

    def now_ms(self) -> int:
        self.gate.wait(10)
        return 1_750_000_000_000

    def steady_ms(self) -> int:
        return 1_000_000


@pytest.fixture
def gated(opener: Opener) -> tuple[Backend, GatedClock]:
    """A store whose writer can be held."""
    clock = GatedClock()
    return opener(clock=clock), clock


async def test_works_that_arrive_together_share_one_commit(
    gated: tuple[Backend, GatedClock],
) -> None:
    backend, clock = gated
    await add(backend)
    before = await backend.events.latest(Q)
    clock.gate.clear()
    calls = [asyncio.create_task(backend.jobs.add([job(), job()])) for _ in range(20)]
    await asyncio.sleep(0.01)
    clock.gate.set()
    await asyncio.gather(*calls)

    # Each commit is one row of events at most: read row by row, they tell how many there were.
    rows = 0
    position = before
    while events := await backend.events.read(Q, after=position, limit=1_000, wait_s=0):
        position = events[-1].position
        rows += 1
    assert position - before == 80
    assert rows <= 2


async def test_a_transition_that_fails_harms_no_other_of_its_group(
    gated: tuple[Backend, GatedClock],
) -> None:
    backend, clock = gated
    worker = HandWorker(backend)
    await add(backend, *(job() for _ in range(10)))
    claimed = await worker.claim(limit=10)
    clock.gate.clear()
    ends = [
        asyncio.create_task(worker.ask(outcomes=[outcome(one, "completed")])) for one in claimed
    ]
    spoiled = asyncio.create_task(backend.jobs.add([job(job_id="good"), job(data="\ud800")]))
    refused = asyncio.create_task(backend.bulk.obliterate(Q, force=True, limit=1))
    more = [asyncio.create_task(backend.jobs.add([job(), job()])) for _ in range(10)]
    claims = [asyncio.create_task(worker.claim(limit=1)) for _ in range(5)]
    await asyncio.sleep(0.01)
    clock.gate.set()

    replies = await asyncio.gather(*ends)
    with pytest.raises(UnicodeEncodeError):
        await spoiled
    with pytest.raises(WrongStateError):
        await refused
    answers = await asyncio.gather(*more)
    taken = [one.id for some in await asyncio.gather(*claims) for one in some]

    assert [reply.words for reply in replies] == [["ok"]] * 10
    ids = [answer.job_id for some in answers for answer in some]
    assert len(ids) == len(set(ids)) == 20
    assert taken == ids[:5]
    assert await backend.jobs.get(Q, "good") is None
    assert await counts(backend) == {State.COMPLETED: 10, State.ACTIVE: 5, State.WAIT: 15}
    await check_counts(backend)
    names = [name for name, _ in await told(backend)]
    assert (names.count("completed"), names.count("added")) == (10, 30)


async def test_a_caller_that_gave_up_does_not_stop_the_others(
    gated: tuple[Backend, GatedClock],
) -> None:
    backend, clock = gated
    await add(backend)
    clock.gate.clear()
    first = asyncio.create_task(backend.jobs.add([job(), job()]))
    second = asyncio.create_task(backend.jobs.add([job(), job()]))
    await asyncio.sleep(0.01)
    first.cancel()
    clock.gate.set()

    assert len(await second) == 2
    assert await counts(backend) == {State.WAIT: 5}


def test_a_loop_that_was_closed_meanwhile_does_not_stop_the_others(
    no_thread_left: None,
) -> None:
    clock = GatedClock()
    backend = open_sqlite(
        ":memory:", options=FileOptions(durability="normal"), clock=clock, create=True
    )

    async def give_up() -> None:
        clock.gate.clear()
        calls = [asyncio.create_task(backend.jobs.add([job(), job()])) for _ in range(5)]
        await asyncio.sleep(0.01)
        for call in calls:
            call.cancel()

    async def go_on() -> None:
        clock.gate.set()
        await add(backend)
        assert await counts(backend) == {State.WAIT: 11}
        await backend.lifecycle.close()

    asyncio.run(give_up())
    asyncio.run(go_on())


async def test_two_stores_in_memory_never_meet(opener: Opener) -> None:
    first, second = opener("sqlite://:memory:"), opener("sqlite://:memory:")
    await add(first)

    assert await second.counts.queues() == []
    assert apsw.sqlite3_sourceid()
