"""Looking through the jobs of a state: what is found, what it may cost, while jobs move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.support.contract import HandWorker, Q, add, bring, job

from toril.core.errors import InvalidOptionError
from toril.engine.contract import Backend
from toril.engine.contract.search import Scan, Scanned
from toril.engine.states import State
from toril.testing.clock import ManualClock

PLENTY = 10**9


async def look(backend: Backend, state: State = State.WAIT, **fields: Any) -> Scanned:
    """Look once."""
    fields = {"queue": Q, "limit": 100, "max_bytes": PLENTY, **fields}
    return await backend.search.scan(Scan(state=state, **fields))


async def look_through(backend: Backend, state: State = State.WAIT, **fields: Any) -> list[str]:
    """Look until there is nothing more; return the ids in order."""
    found: list[str] = []
    after: str | None = None
    while True:
        scanned = await look(backend, state, after=after, **fields)
        found += scanned.ids
        after = scanned.next
        if after is None:
            return found


@pytest.mark.parametrize("state", [state for state in State if state is not State.WAITING_CHILDREN])
@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_each_job_of_a_state_is_looked_at_once(
    backend: Backend, worker: HandWorker, state: State, limit: int
) -> None:
    ids = [await bring(backend, worker, state) for _ in range(5)]
    await add(backend, job("another"))

    forwards = await look_through(backend, state, limit=limit)
    backwards = await look_through(backend, state, limit=limit, newest_first=True)

    assert sorted(forwards) == sorted(ids)
    assert backwards == forwards[::-1]


async def test_a_look_returns_whole_jobs_with_their_places(backend: Backend) -> None:
    ids = await add(backend, *(job(data=f'{{"n":{n}}}') for n in range(4)))

    scanned = await look(backend, data='"n":2')
    only_ids = await look(backend, whole=False)

    # The needle has quotes, which a caller leaves out; the store compares what it is given.
    assert [one.id for one in scanned.jobs] == [ids[2]] == scanned.ids
    assert (scanned.places, scanned.looked_at, scanned.next) == ([3], 4, None)
    assert scanned.jobs[0].data == '{"n":2}'
    assert (only_ids.ids, only_ids.jobs, only_ids.places) == (ids, [], [1, 2, 3, 4])


@pytest.mark.parametrize(
    ("needles", "found"),
    [
        ({"name": "receipt"}, [0]),
        ({"data": "x@example.com"}, [0, 1, 3]),
        ({"data": "no such"}, [3]),
        ({"name": "receipt", "data": "no such"}, []),
        ({"text": "receipt"}, [0, 2, 3]),
        ({"text": "own-id"}, [1, 3]),
        ({}, [0, 1, 2, 3]),
    ],
)
async def test_needles_sort_out_jobs_in_any_case_and_let_escapes_through(
    backend: Backend, needles: dict[str, Any], found: Sequence[int]
) -> None:
    ids = await add(
        backend,
        job(name="Receipt", data='{"to":"x@Example.com"}'),
        job(data='{"to":"X@example.com"}', job_id="OWN-ID"),
        job(data='{"kind":"RECEIPT"}'),
        job(data='{"kind":"\\u0072est"}'),
    )

    assert await look_through(backend, **needles) == [ids[index] for index in found]


async def test_needle_is_looked_for_in_the_reason(backend: Backend, worker: HandWorker) -> None:
    failed = await bring(backend, worker, State.FAILED)
    await bring(backend, worker, State.COMPLETED)

    assert await look_through(backend, State.FAILED, error="brok") == [failed]
    assert await look_through(backend, State.FAILED, text="brok") == [failed]
    assert await look_through(backend, State.FAILED, error="whole") == []
    assert await look_through(backend, State.COMPLETED, error="brok") == []


async def test_a_look_ends_when_its_bytes_are_used_up(backend: Backend) -> None:
    large = '"' + "x" * 998 + '"'
    ids = await add(backend, *(job(data=large) for _ in range(5)))

    scanned = await look(backend, max_bytes=2500)
    one = await look(backend, max_bytes=1)

    assert (scanned.ids, scanned.looked_at) == (ids[:3], 3)
    assert one.looked_at == 1
    assert await look_through(backend, max_bytes=1) == ids


async def test_large_payloads_are_passed_over_where_asked(backend: Backend) -> None:
    small, large = await add(backend, job(data='"x"'), job(data='"' + "x" * 5000 + '"'))

    scanned = await look(backend, data="x", max_payload_bytes=5000)

    assert (scanned.ids, scanned.looked_at, scanned.passed_over) == ([small], 2, 1)
    assert await look_through(backend, data="x") == [small, large]


async def test_finished_jobs_are_looked_at_by_the_time_of_their_end(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    ids, ends = [], []
    for _ in range(5):
        ids.append(await bring(backend, worker, State.FAILED))
        ends.append(clock.now_ms())
        clock.advance(1)

    for newest_first in (False, True):
        bounds = {"since_ms": ends[1], "until_ms": ends[3], "newest_first": newest_first}
        found = await look_through(backend, State.FAILED, limit=2, **bounds)
        first = await look(backend, State.FAILED, limit=1, **bounds)

        assert found == (ids[3:0:-1] if newest_first else ids[1:4])
        assert first.looked_at == 1
    assert await look_through(backend, State.FAILED, since_ms=ends[4] + 1) == []
    assert await look_through(backend, State.FAILED, until_ms=ends[0] - 1) == []


@pytest.mark.parametrize("newest_first", [False, True])
async def test_no_job_that_stays_is_missed_while_others_come_and_go(
    backend: Backend, worker: HandWorker, newest_first: bool
) -> None:
    """Workers take from one end, producers add at the other, between any two looks."""
    first = set(await add(backend, *(job() for _ in range(60))))
    found: list[str] = []
    taken: set[str] = set()
    after: str | None = None
    while True:
        scanned = await look(backend, limit=7, after=after, newest_first=newest_first)
        found += scanned.ids
        after = scanned.next
        if after is None:
            break
        taken |= {one.id for one in await worker.claim(limit=3)}
        await add(backend, job(), job())

    assert first - taken <= set(found)
    if not newest_first:
        assert len(found) == len(set(found))


@pytest.mark.parametrize("state", [State.WAIT, State.FAILED])
async def test_no_job_is_missed_when_all_that_were_seen_are_gone(
    backend: Backend, worker: HandWorker, state: State
) -> None:
    ids = [await bring(backend, worker, state) for _ in range(9)]
    scanned = await look(backend, state, limit=4)
    for job_id in scanned.ids:
        await backend.jobs.remove(Q, job_id)

    rest = await look(backend, state, after=scanned.next)

    assert [*scanned.ids, *rest.ids] == ids


async def test_a_place_is_found_again_far_from_where_it_was(backend: Backend) -> None:
    ids = await add(backend, *(job() for _ in range(20)))
    scanned = await look(backend, limit=5, newest_first=True)
    for _ in range(8):
        await add(backend, *(job() for _ in range(1000)))

    rest: list[str] = []
    after = scanned.next
    while after is not None:
        again = await look(backend, after=after, newest_first=True)
        assert not again.again
        rest += again.ids
        after = again.next

    assert [*scanned.ids, *rest] == ids[::-1]


async def test_a_queue_that_is_not_there_has_no_jobs(backend: Backend) -> None:
    assert await look(backend, queue="nowhere") == Scanned([], [], [], 0, 0, None)


@pytest.mark.parametrize("after", ["nonsense", "wait", "failed~1.2", "wait~x~y~z", "wait~1~0~{"])
async def test_a_wrong_cursor_is_refused(backend: Backend, after: str) -> None:
    with pytest.raises(InvalidOptionError):
        await look(backend, after=after)
