"""The event log of a queue, in order, and what of it is told. Positions only have to grow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from tests.support.contract import (
    HandWorker,
    Q,
    add,
    add_one,
    job,
    outcome,
    record,
    speech,
    told,
)
from tests.support.waiting import wait_until

from toril.engine.contract import Backend
from toril.engine.contract.schedules import MissedSlots
from toril.engine.deduplication import DeduplicationRule
from toril.engine.events import EventName, EventRecord, EventsTold
from toril.engine.schedules.record import ScheduleRecord
from toril.engine.schedules.slots import Timing
from toril.engine.states import State
from toril.testing.clock import ManualClock

LONG_S = 30.0
SOON_S = 5.0
ORDINARY = ("added", "waiting", "delayed", "waiting-children", "active", "drained")


async def obliterate(backend: Backend) -> None:
    """Remove the queue with all that it has."""
    await backend.limits.pause(Q)
    while await backend.bulk.obliterate(Q, force=False, limit=100):
        pass


async def log(backend: Backend, queue: str = Q) -> list[EventRecord]:
    """Return all events of a queue in one read; their positions have to grow from above 0."""
    events = await backend.events.read(queue, after=0, limit=100_000, wait_s=0)
    while more := await backend.events.read(
        queue, after=events[-1].position if events else 0, limit=100_000, wait_s=0
    ):
        events += more
    positions = [0, *(event.position for event in events)]
    assert positions == sorted(set(positions))
    return events


async def test_queue_without_events_is_at_nought(backend: Backend) -> None:
    assert await backend.events.latest(Q) == 0
    assert await backend.events.read(Q, after=0, limit=10, wait_s=0) == []


async def test_events_are_told_in_order_at_growing_positions(
    backend: Backend, clock: ManualClock
) -> None:
    before_ms = clock.now_ms()
    (first, _) = await add(backend, job("a"), job("b"))
    clock.advance(1.5)
    await backend.limits.pause("a")
    second = await add_one(backend, "a", delay_ms=1_000)

    events = await log(backend, "a")

    assert [(event.at_ms - before_ms, event.name, event.fields) for event in events] == [
        (0, "added", {"jobId": first, "name": "cars"}),
        (0, "waiting", {"jobId": first}),
        (1_500, "paused", {}),
        (1_500, "added", {"jobId": second, "name": "cars"}),
        (1_500, "delayed", {"jobId": second, "delay": str(before_ms + 2_500)}),
    ]
    assert [event.job_id for event in events] == [first, first, None, second, second]
    assert await backend.events.latest("a") == events[-1].position
    assert [event.name for event in await log(backend, "b")] == ["added", "waiting"]


async def test_events_are_read_on_from_any_position(backend: Backend, clock: ManualClock) -> None:
    for _ in range(5):
        await add(backend, job(), job())
        clock.advance(0.5)
    events = await log(backend)
    assert len(events) == 20

    for seen, after in enumerate([0, *(event.position for event in events)]):
        for limit in (1, 3, 100):
            found = await backend.events.read(Q, after=after, limit=limit, wait_s=0)
            assert found == events[seen : seen + limit]


async def overflow(backend: Backend) -> list[str]:
    """Write more events than are kept, 13,000; return the ids of the jobs, two events each."""
    return [
        job_id for _ in range(26) for job_id in await add(backend, *(job() for _ in range(250)))
    ]


async def test_event_is_read_again_from_the_position_below_its_own(backend: Backend) -> None:
    """Who has read it learns so that nothing was dropped since."""
    await add(backend, *(job() for _ in range(5)))
    await add_one(backend)
    events = await log(backend)

    for event in events:
        again = await backend.events.read(Q, after=event.position - 1, limit=1, wait_s=0)
        assert again == [event]

    await overflow(backend)
    dropped = events[0].position
    (oldest,) = await backend.events.read(Q, after=dropped - 1, limit=1, wait_s=0)
    assert oldest.position > dropped


async def test_newest_events_are_had_at_once_the_oldest_of_them_first(
    backend: Backend, clock: ManualClock
) -> None:
    assert await backend.events.newest(Q, limit=3) == []
    for many in (1, 50, 2):
        await add(backend, *(job() for _ in range(many)))
        clock.advance(0.5)
    events = await log(backend)
    assert len(events) == 106

    for limit in (1, 3, 4, 5, 77, 106, 1_000):
        assert await backend.events.newest(Q, limit=limit) == events[-limit:]


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
    async def follow() -> list[EventRecord]:
        seen: list[EventRecord] = []
        while len(seen) < 60:
            after = seen[-1].position if seen else 0
            seen += await backend.events.read(Q, after=after, limit=7, wait_s=LONG_S)
        return seen

    readers = [asyncio.create_task(follow()) for _ in range(5)]
    for _ in range(20):
        await add_one(backend)
        await worker.claim()

    found = await asyncio.wait_for(asyncio.gather(*readers), LONG_S)
    events = await log(backend)
    assert [event.name for event in events] == ["added", "waiting", "active"] * 20
    assert found == [events] * 5


async def test_past_the_cap_a_slow_reader_gets_the_oldest_that_are_kept(backend: Backend) -> None:
    ids = await overflow(backend)
    happened = [(name, job_id) for job_id in ids for name in ("added", "waiting")]
    assert len(happened) == 13_000

    kept = await log(backend)
    first = await backend.events.read(Q, after=0, limit=1, wait_s=0)

    assert first == kept[:1]
    assert 10_000 <= len(kept) <= 11_500
    assert [(event.name, event.job_id) for event in kept] == happened[-len(kept) :]
    assert await backend.events.latest(Q) == kept[-1].position


async def test_reader_from_before_an_obliteration_sees_the_queues_new_life(
    backend: Backend, clock: ManualClock
) -> None:
    """Its position was beyond all new events, so it waited for ever."""
    await add(backend, *(job() for _ in range(20)))
    after = await backend.events.latest(Q)
    await obliterate(backend)
    clock.advance(0.001)  # a life of its own begins at a moment of its own
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


async def live(
    backend: Backend, worker: HandWorker, clock: ManualClock, queue: str
) -> list[tuple[str, int | None]]:
    """Let everything happen in a queue; return its events with the number of their job."""
    jobs = backend.jobs
    ids = await add(backend, job(queue), job(queue, job_id="own"), job(queue, delay_ms=3_600_000))
    await add_one(backend, queue, job_id="own")
    twice = job(queue, delay_ms=3_600_000, deduplication=DeduplicationRule("twice"))
    ids += await add(backend, twice, twice)
    plain, own = await worker.claim(queue, limit=2)
    await backend.dispatch.speak([speech(plain, progress="5")])
    await worker.end(plain, "completed", value="7")
    await worker.end(own, "retried", reason="no", wait_ms=1_000)
    await jobs.promote(queue, "own")
    await worker.end(await worker.claim_one(queue), "failed", reason="no", exhausted=True)
    await jobs.retry(queue, "own", reset_attempts=True)
    await worker.claim_one(queue)
    clock.advance(31)
    await backend.dispatch.recover(max_stalled=1, heartbeat_s=60, limit=10)
    await jobs.remove(queue, "own")
    await backend.limits.pause(queue)
    await backend.limits.resume(queue)
    await backend.bulk.clean(queue, State.DELAYED, older_than_ms=0, limit=10)
    ids.append(await add_one(backend, queue))
    await worker.end(await worker.claim_one(queue), "completed")
    # A schedule that has ended, and of whose slot nobody took the job in time.
    hourly = ScheduleRecord(
        queue=queue, id="s", name="cars", data=None, next_ms=1, timing=Timing(every_ms=3_600_000)
    )
    assert await backend.schedules.put(hourly, None, seen_ms=None) == "ok"
    missed = MissedSlots("own", {"schedule": "s", "count": "1"})
    assert await backend.schedules.advance(hourly, None, slot_ms=1, missed=missed) == "ok"
    return [
        (event.name, None if event.job_id is None else ids.index(event.job_id))
        for event in await log(backend, queue)
    ]


async def test_queue_tells_everything_or_outcomes_or_nothing(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await backend.events.choose("outcomes", "outcomes")
    await backend.events.choose("nothing", "none")

    everything = await live(backend, worker, clock, "everything")

    assert {name for name, _ in everything} == set(EventName) - {EventName.WAITING_CHILDREN}
    assert await live(backend, worker, clock, "outcomes") == [
        each for each in everything if each[0] not in ORDINARY
    ]
    assert await live(backend, worker, clock, "nothing") == []
    assert await backend.events.latest("nothing") == 0


async def test_what_a_queue_tells_is_shown_and_set_by_anybody(backend: Backend) -> None:
    await add_one(backend)
    choices: list[EventsTold] = ["outcomes", "none", "all"]
    shown = [await backend.counts.queue(Q)]
    for choice in choices:
        await backend.events.choose(Q, choice)
        shown += await backend.counts.queues()

    assert [queue and queue.events for queue in shown] == ["all", *choices]


async def test_a_queue_can_be_silenced_before_its_first_job(backend: Backend) -> None:
    await backend.events.choose(Q, "none")

    assert [(queue.name, queue.events) for queue in await backend.counts.queues()] == [(Q, "none")]
    await add_one(backend)
    assert await told(backend) == []


async def test_choosing_is_not_told_and_holds_from_then_on(
    backend: Backend, clock: ManualClock
) -> None:
    first = await add_one(backend)
    before = await log(backend)
    clock.advance(1)

    await backend.events.choose(Q, "none")
    await add_one(backend)
    assert await log(backend) == before
    assert await backend.events.latest(Q) == before[-1].position

    await backend.events.choose(Q, "all")
    clock.advance(1)
    third = await add_one(backend)
    assert [event.job_id for event in await log(backend)] == [first, first, third, third]
    after = before[-1].position
    assert await told(backend, after=after) == [
        ("added", {"jobId": third, "name": "cars"}),
        ("waiting", {"jobId": third}),
    ]


async def test_silence_of_one_queue_is_not_that_of_another(
    backend: Backend, worker: HandWorker
) -> None:
    await backend.events.choose("b", "none")
    await add(backend, job("a"), job("b"), job("a"), job("b"))
    claimed = await worker.claim("a", "b", limit=2)
    await worker.ask(outcomes=[outcome(one, "completed") for one in claimed])

    names = [name for name, _ in await told(backend, "a")]
    assert [names.count(name) for name in ("added", "active", "completed")] == [2, 2, 2]
    assert await told(backend, "b") == []


async def test_jobs_of_a_silent_queue_are_kept_and_counted_as_ever(
    backend: Backend, worker: HandWorker
) -> None:
    await backend.events.choose(Q, "none")
    job_id = await add_one(backend)
    await worker.end(await worker.claim_one(), "completed", value="7")

    found = await record(backend, job_id)
    assert (found.state, found.result) == (State.COMPLETED, "7")
    queue = await backend.counts.queue(Q)
    assert queue is not None
    assert queue.completed_total == 1


async def test_reader_of_a_silenced_queue_is_woken_by_what_is_told_at_last(
    backend: Backend, worker: HandWorker
) -> None:
    await backend.events.choose(Q, "outcomes")
    reading = asyncio.create_task(backend.events.read(Q, after=0, limit=10, wait_s=LONG_S))
    job_id = await add_one(backend)
    claimed = await worker.claim_one()
    assert not reading.done()
    await worker.end(claimed, "completed")

    events = await asyncio.wait_for(reading, SOON_S)

    assert [(event.name, event.job_id) for event in events] == [("completed", job_id)]


async def test_queue_that_begins_anew_tells_everything(
    backend: Backend, clock: ManualClock
) -> None:
    await backend.events.choose(Q, "none")
    await add_one(backend)
    await obliterate(backend)
    clock.advance(1)
    await add_one(backend)

    assert [name for name, _ in await told(backend)] == ["added", "waiting"]


@pytest.mark.needs("shared_processes")
async def test_what_is_told_is_chosen_for_every_process(
    backend: Backend, open_another: Callable[[], Backend]
) -> None:
    other = open_another()
    await add_one(other)
    await backend.events.choose(Q, "none")
    await add_one(other)

    assert len(await told(other)) == 2
