"""The event log of a queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from tests.support.contract import HandWorker, Q, add, add_one, job, told
from tests.support.waiting import wait_until

from toril.engine.contract import Backend
from toril.engine.events import EventName, EventRecord
from toril.testing.clock import ManualClock

LONG_S = 30.0
SOON_S = 5.0


async def test_queue_without_events_is_at_nought(backend: Backend) -> None:
    assert await backend.events.latest(Q) == 0
    assert await backend.events.read(Q, after=0, limit=10, wait_s=0) == []


async def test_events_are_numbered_from_one_per_queue(backend: Backend, clock: ManualClock) -> None:
    (a, _) = await add(backend, job("a"), job("b"))

    events = await backend.events.read("a", after=0, limit=10, wait_s=0)

    assert events == [
        EventRecord(1, clock.now_ms(), "added", {"jobId": a, "name": "cars"}),
        EventRecord(2, clock.now_ms(), "waiting", {"jobId": a}),
    ]
    assert events[0].job_id == a
    assert await backend.events.latest("a") == await backend.events.latest("b") == 2


async def test_events_are_read_from_any_position(backend: Backend) -> None:
    for _ in range(5):
        await add(backend, job(), job())

    for after in range(21):
        for limit in (1, 3, 100):
            events = await backend.events.read(Q, after=after, limit=limit, wait_s=0)
            expected = list(range(after + 1, min(after + limit, 20) + 1))
            assert [event.position for event in events] == expected


async def test_reader_that_waits_is_woken_by_the_next_event(backend: Backend) -> None:
    await add_one(backend)
    latest = await backend.events.latest(Q)
    reading = asyncio.create_task(backend.events.read(Q, after=latest, limit=10, wait_s=LONG_S))
    await asyncio.sleep(0)
    assert not reading.done()
    await add_one(backend, "other")
    job_id = await add_one(backend)

    events = await asyncio.wait_for(reading, SOON_S)

    assert [event.job_id for event in events] == [job_id, job_id]


async def test_reader_is_woken_by_a_queue_that_began_meanwhile(backend: Backend) -> None:
    reading = asyncio.create_task(backend.events.read(Q, after=0, limit=1, wait_s=LONG_S))
    await asyncio.sleep(0)
    await add_one(backend)

    assert len(await asyncio.wait_for(reading, SOON_S)) == 1


async def test_reader_gives_up_after_a_while(backend: Backend) -> None:
    assert await backend.events.read(Q, after=0, limit=1, wait_s=0.02) == []


async def test_many_readers_each_see_every_event(backend: Backend, worker: HandWorker) -> None:
    async def follow() -> list[int]:
        seen: list[int] = []
        while len(seen) < 60:
            after = seen[-1] if seen else 0
            events = await backend.events.read(Q, after=after, limit=7, wait_s=LONG_S)
            seen += [event.position for event in events]
        return seen

    readers = [asyncio.create_task(follow()) for _ in range(5)]
    for _ in range(20):
        await add_one(backend)
        await worker.claim()

    for seen in await asyncio.wait_for(asyncio.gather(*readers), LONG_S):
        assert seen == list(range(1, 61))


async def test_published_events_join_the_log(backend: Backend, clock: ManualClock) -> None:
    await add_one(backend)
    published = [
        EventRecord(0, 0, EventName.PROGRESS, {"jobId": "1", "data": "5"}),
        EventRecord(0, 0, EventName.CLEANED, {"count": "7"}),
    ]
    await backend.events.publish(Q, published)

    events = await backend.events.read(Q, after=2, limit=10, wait_s=0)
    assert [(event.position, event.name, event.fields) for event in events] == [
        (3, "progress", {"jobId": "1", "data": "5"}),
        (4, "cleaned", {"count": "7"}),
    ]


async def test_unknown_event_names_are_not_published(backend: Backend) -> None:
    with pytest.raises(ValueError, match="nonsense"):
        await backend.events.publish(
            Q,
            [EventRecord(0, 0, EventName.PAUSED, {}), EventRecord(0, 0, "nonsense", {})],
        )

    assert await backend.events.latest(Q) == 0


async def test_trimmed_log_keeps_the_newest_events_and_their_numbers(backend: Backend) -> None:
    for _ in range(50):
        await add_one(backend)
    await backend.events.trim(Q, keep=10)

    kept = await backend.events.read(Q, after=0, limit=1_000, wait_s=0)
    assert [event.position for event in kept] == list(range(91, 101))
    await add_one(backend)
    assert await backend.events.latest(Q) == 102


async def test_trimming_an_unknown_queue_is_no_error(backend: Backend) -> None:
    await backend.events.trim("elsewhere", keep=0)


async def test_past_the_cap_a_slow_reader_gets_the_oldest_that_are_kept(backend: Backend) -> None:
    for _ in range(26):
        await add(backend, *(job() for _ in range(250)))

    assert await backend.events.latest(Q) == 13_000
    first = await backend.events.read(Q, after=0, limit=1, wait_s=0)
    assert 1 < first[0].position <= 3_001
    kept = await told(backend)
    assert 10_000 <= len(kept) <= 11_500
    assert len(kept) == 13_000 - first[0].position + 1


async def test_reader_from_before_an_obliteration_sees_the_queues_new_life(
    backend: Backend,
) -> None:
    """Its position was beyond all new events, so it waited for ever."""
    await add(backend, *(job() for _ in range(20)))
    after = await backend.events.latest(Q)
    await backend.limits.pause(Q)
    while await backend.jobs.obliterate(Q, force=False, limit=100):
        pass
    await add_one(backend)

    events = await backend.events.read(Q, after=after, limit=10, wait_s=0)

    assert [event.name for event in events] == ["added", "waiting"]


@pytest.mark.needs("shared_processes")
async def test_reader_is_woken_by_another_process(
    backend: Backend, open_another: Callable[[], Backend]
) -> None:
    other = open_another()
    reading = asyncio.create_task(backend.events.read(Q, after=0, limit=10, wait_s=LONG_S))
    await asyncio.sleep(0)
    await other.jobs.add([job()])

    assert len(await asyncio.wait_for(reading, SOON_S)) == 2
    await wait_until(lambda: other.events.latest(Q))


@pytest.mark.parametrize("value", ['"\\u0000"', '"🐂"', '"' + "x" * 100_000 + '"'])
async def test_odd_values_are_told_to_the_letter(
    backend: Backend, worker: HandWorker, value: str
) -> None:
    await add_one(backend)
    await worker.end(await worker.claim_one(), "completed", value=value)

    assert [
        fields["returnvalue"] for name, fields in await told(backend) if name == "completed"
    ] == [value]
