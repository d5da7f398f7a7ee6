"""Schedules: kept, moved on by whoever takes the job of a slot, and fenced by that slot."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.support.contract import HandWorker, Q, add, counts, job, line, record, state, told

from toril.core.errors import WrongStateError
from toril.engine.contract import Backend
from toril.engine.contract.schedules import MissedSlots, Moved
from toril.engine.job import NewJob
from toril.engine.schedules.record import Beside, Declared, ScheduleRecord, iteration, job_id_of
from toril.engine.schedules.slots import Timing
from toril.engine.states import State
from toril.testing.clock import ManualClock

MINUTE_MS = 60_000
replace = msgspec.structs.replace


def schedule(clock: ManualClock, schedule_id: str = "tick", **fields: Any) -> ScheduleRecord:
    """Return a schedule whose newest slot is a minute from now."""
    fields.setdefault("timing", Timing(every_ms=MINUTE_MS, offset_ms=0))
    fields.setdefault("data", '{"n":1}')
    fields.setdefault("next_ms", clock.now_ms() + MINUTE_MS)
    return ScheduleRecord(queue=Q, id=schedule_id, name="cars", **fields)


def job_of(made: ScheduleRecord, clock: ManualClock, *, follows: bool = False) -> NewJob:
    return iteration(made, made.next_ms, made.count, clock.now_ms(), follows=follows)


async def put(backend: Backend, made: ScheduleRecord, clock: ManualClock) -> Moved:
    return await backend.schedules.put(made, job_of(made, clock), seen_ms=None)


async def read(backend: Backend, schedule_id: str = "tick") -> ScheduleRecord | None:
    return (await backend.schedules.read(Q, [schedule_id])).schedules[0]


def following(made: ScheduleRecord, by_ms: int = MINUTE_MS) -> ScheduleRecord:
    return replace(
        made, next_ms=made.next_ms + by_ms, made=made.made + 1, count=made.count + 1, job_state=None
    )


async def advance(backend: Backend, made: ScheduleRecord, clock: ManualClock, **more: Any) -> Moved:
    """Move a schedule on by its minute."""
    after = following(made)
    job = job_of(after, clock, follows=True)
    return await backend.schedules.advance(after, job, slot_ms=made.next_ms, **more)


async def test_schedule_is_stored_whole_and_its_job_waits_for_its_slot(
    backend: Backend, clock: ManualClock
) -> None:
    made = schedule(
        clock,
        timing=Timing(
            pattern="0 6 * * *", timezone="Europe/Berlin", offset_ms=0, start_ms=5, end_ms=2**50
        ),
        opts='{"priority":4,"attempts":2}',
        limit=9,
        beside=Beside(missed="all", jitter_ms=50),
        declared=Declared("shop", "f", 5, ("e",)),
    )

    word = await put(backend, made, clock)

    assert word == "ok"
    reading = await backend.schedules.read(Q, ["none", "tick"])
    assert reading.now_ms == clock.now_ms()
    assert reading.schedules[0] is None
    found = reading.schedules[1]
    assert found is not None
    assert msgspec.json.decode(found.opts) == {"priority": 4, "attempts": 2}
    assert replace(found, opts=made.opts) == replace(made, job_state=State.DELAYED)
    waiting = await record(backend, made.job_id)
    assert (waiting.state, waiting.priority, waiting.data) == (State.DELAYED, 4, '{"n":1}')
    assert waiting.run_at_ms == job_of(made, clock).run_at_ms
    assert [name for name, _ in await told(backend)] == ["added", "delayed"]


async def test_schedules_are_listed_by_queue_in_the_order_of_their_slots(
    backend: Backend, clock: ManualClock
) -> None:
    await put(backend, schedule(clock, "late", next_ms=clock.now_ms() + 900), clock)
    await put(backend, schedule(clock, "soon", next_ms=clock.now_ms() + 100), clock)

    assert await backend.schedules.queues() == [Q]
    assert await backend.schedules.ids(Q) == ["soon", "late"]
    assert await backend.schedules.ids("another") == []
    assert (await backend.schedules.read("another", ["soon"])).schedules == [None]


async def test_job_of_a_slot_runs_like_any_other(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    made = schedule(clock)
    await put(backend, made, clock)

    assert await worker.claim() == []
    clock.advance(60)
    claimed = await worker.claim_one()

    assert claimed.id == job_id_of("tick", made.next_ms)
    assert await advance(backend, made, clock) == "ok"
    assert await worker.end(claimed, "completed") == "ok"
    after = await read(backend)
    assert after is not None
    assert (after.next_ms, after.made, after.count) == (made.next_ms + MINUTE_MS, 2, 2)
    assert await line(backend, State.DELAYED) == [after.job_id]


async def test_of_many_who_move_a_slot_on_one_succeeds(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    made = schedule(clock)
    await put(backend, made, clock)
    clock.advance(60)
    await worker.claim_one()

    words = await asyncio.gather(*(advance(backend, made, clock) for _ in range(10)))

    assert sorted(words) == ["ok", *["passed"] * 9]
    assert len(await line(backend, State.DELAYED)) == 1


async def test_slot_whose_job_is_there_already_is_taken(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    made = schedule(clock)
    await put(backend, made, clock)
    clock.advance(60)
    await worker.claim_one()
    other = schedule(clock, "other", next_ms=1)
    clashing = replace(job_of(other, clock), job_id=following(made).job_id)
    await add(backend, clashing)

    assert await advance(backend, made, clock) == "taken"
    unchanged = await read(backend)
    assert unchanged is not None
    assert unchanged.next_ms == made.next_ms


async def test_ended_schedule_keeps_its_last_slot(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    made = schedule(clock, limit=1)
    await put(backend, made, clock)
    clock.advance(60)
    claimed = await worker.claim_one()

    assert await backend.schedules.advance(made, None, slot_ms=made.next_ms) == "ok"
    await worker.end(claimed, "completed")

    assert await backend.schedules.overdue(Q, grace_ms=0, limit=10) == []
    assert await read(backend) == replace(made, job_state=State.COMPLETED)


async def test_replacing_a_schedule_replaces_the_job_that_waits(
    backend: Backend, clock: ManualClock
) -> None:
    made = schedule(clock)
    await put(backend, made, clock)
    changed = replace(made, name="vans", data=None, opts='{"priority":3}', next_ms=made.next_ms + 5)

    assert await put(backend, changed, clock) == "passed"
    word = await backend.schedules.put(changed, job_of(changed, clock), seen_ms=made.next_ms)

    assert word == "ok"
    assert await line(backend, State.DELAYED) == [changed.job_id]
    assert (await record(backend, changed.job_id)).data == "{}"
    found = await read(backend)
    assert found is not None
    assert (found.name, found.data) == ("vans", None)
    assert [name for name, _ in await told(backend)] == ["added", "delayed"] * 2


async def test_replacing_a_schedule_at_the_same_slot(backend: Backend, clock: ManualClock) -> None:
    made = schedule(clock, next_ms=clock.now_ms())
    await put(backend, made, clock)
    changed = replace(made, opts='{"priority":3}')

    word = await backend.schedules.put(changed, job_of(changed, clock), seen_ms=made.next_ms)

    assert word == "ok"
    assert await state(backend, made.job_id) is State.PRIORITIZED
    assert await counts(backend) == {State.PRIORITIZED: 1}


async def test_job_that_runs_is_not_replaced(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    made = schedule(clock, next_ms=clock.now_ms())
    await put(backend, made, clock)
    await worker.claim_one()

    same = await backend.schedules.put(made, job_of(made, clock), seen_ms=made.next_ms)
    later = following(made)
    moved = await backend.schedules.put(later, job_of(later, clock), seen_ms=made.next_ms)

    assert (same, moved) == ("taken", "ok")
    assert await counts(backend) == {State.ACTIVE: 1, State.DELAYED: 1}


async def test_schedule_that_pauses_has_no_job(backend: Backend, clock: ManualClock) -> None:
    made = schedule(clock)
    await put(backend, made, clock)
    paused = replace(made, beside=Beside(paused=True))

    assert await backend.schedules.put(paused, None, seen_ms=made.next_ms) == "ok"

    found = await read(backend)
    assert found == paused
    assert found is not None
    assert found.paused
    assert await line(backend, State.DELAYED) == []
    assert (await told(backend))[-1] == ("removed", {"jobId": made.job_id, "prev": "delayed"})
    clock.advance(3600)
    assert await backend.schedules.overdue(Q, grace_ms=0, limit=10) == []


@pytest.mark.parametrize("due", [False, True])
async def test_removing_a_schedule_takes_its_delayed_job(
    backend: Backend, clock: ManualClock, due: bool
) -> None:
    made = schedule(clock, next_ms=clock.now_ms() + (0 if due else 5))
    await put(backend, made, clock)

    assert await backend.schedules.remove(Q, "tick")
    assert not await backend.schedules.remove(Q, "tick")

    assert await read(backend) is None
    assert await backend.schedules.queues() == []
    assert await line(backend, State.WAIT) == ([made.job_id] if due else [])
    assert await line(backend, State.DELAYED) == []


async def test_slot_that_is_not_run_loses_its_job(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    made = schedule(clock)
    await put(backend, made, clock)
    clock.advance(3600)
    claimed = await worker.claim_one()
    missed = MissedSlots(made.job_id, {"schedule": "tick", "count": "60", "dropped": "60"})

    word = await advance(backend, made, clock, drop=worker.hold(claimed), missed=missed)

    assert word == "ok"
    assert await state(backend, claimed.id) is None
    assert await worker.end(claimed, "completed") == "lease_lost"
    events = await told(backend)
    assert ("removed", {"jobId": made.job_id, "prev": "active"}) in events
    assert ("missed", {"jobId": made.job_id, **missed.fields}) in events


async def test_job_that_somebody_else_holds_is_not_dropped(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    made = schedule(clock)
    await put(backend, made, clock)
    clock.advance(60)
    claimed = await worker.claim_one()
    hold = msgspec.structs.replace(worker.hold(claimed), token="another:1")

    await advance(backend, made, clock, drop=hold)

    assert await state(backend, claimed.id) is State.ACTIVE


async def test_broken_chain_is_found(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    made = schedule(clock)
    await put(backend, made, clock)
    overdue = backend.schedules.overdue

    clock.advance(60)
    assert await overdue(Q, grace_ms=0, limit=10) == []
    claimed = await worker.claim_one()
    assert await overdue(Q, grace_ms=0, limit=10) == []
    await worker.end(claimed, "completed")  # and its worker died before it moved it on
    clock.advance(5)

    assert await overdue(Q, grace_ms=10_000, limit=10) == []
    assert await overdue(Q, grace_ms=5_000, limit=10) == ["tick"]
    assert await overdue("another", grace_ms=0, limit=10) == []
    await advance(backend, made, clock)
    assert await overdue(Q, grace_ms=0, limit=10) == []


async def test_schedule_past_its_end_is_not_overdue(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    timing = Timing(every_ms=MINUTE_MS, offset_ms=0, end_ms=clock.now_ms() + MINUTE_MS + 1)
    await put(backend, schedule(clock, timing=timing), clock)
    clock.advance(60)
    await worker.end(await worker.claim_one(), "completed", keep_count=0)
    assert await backend.schedules.overdue(Q, grace_ms=0, limit=10) == ["tick"]

    clock.advance(60)

    assert await backend.schedules.overdue(Q, grace_ms=0, limit=10) == []


async def test_which_code_declares_a_schedule_is_written_apart(
    backend: Backend, clock: ManualClock
) -> None:
    made = schedule(clock, beside=Beside(missed="skip", jitter_ms=5))
    await put(backend, made, clock)
    declared = Declared("shop", "x", 7)

    assert await backend.schedules.declare(Q, "tick", declared)
    assert not await backend.schedules.declare(Q, "none", declared)

    assert await read(backend) == replace(made, declared=declared, job_state=State.DELAYED)
    assert await read(backend, "none") is None


async def test_next_job_is_its_schedules_to_remove(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    made = schedule(clock, next_ms=clock.now_ms())
    await put(backend, made, clock)
    later = schedule(clock, "later")
    await put(backend, later, clock)
    plain = await add(backend, job(), job(delay_ms=5))

    with pytest.raises(WrongStateError, match="remove the schedule"):
        await backend.jobs.remove(Q, made.job_id)
    assert await backend.bulk.drain(Q, delayed=True, limit=1) == 1
    assert await backend.bulk.drain(Q, delayed=True, limit=10) == 1
    for where in (State.WAIT, State.DELAYED):
        assert await backend.bulk.clean(Q, where, older_than_ms=0, limit=10) == []
    assert await backend.moving.remove(Q, State.WAIT, [made.job_id]) == [False]
    assert await state(backend, made.job_id) is State.WAIT
    assert await state(backend, plain[0]) is None

    # One that was moved on is a job like any other.
    claimed = await worker.claim_one()
    await advance(backend, made, clock)
    await worker.end(claimed, "completed")
    assert await backend.jobs.remove(Q, made.job_id) is State.COMPLETED


async def test_job_of_a_schedule_is_not_given_up_for_its_lost_workers(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    """As BullMQ has it: what kills its workers each time comes again each time all the same."""
    made = schedule(clock, next_ms=clock.now_ms())
    await put(backend, made, clock)
    plain = await add(backend, job())
    fates = []
    for _ in range(3):
        for claimed in await worker.claim(limit=2):
            worker.renew(claimed)
        clock.advance(worker.lease_ms / 1000 + 1)
        # Redis finds a lost lease at the second look.
        for _ in range(2):
            recovery = await backend.dispatch.recover(max_stalled=1, heartbeat_s=60.0, limit=10)
            fates += recovery.quarantined

    assert (Q, plain[0]) in fates
    assert (Q, made.job_id) not in fates


async def test_obliterated_queue_has_no_schedules(backend: Backend, clock: ManualClock) -> None:
    paused = schedule(clock, beside=Beside(missed="skip"), declared=Declared("shop", "x", 7))
    await put(backend, paused, clock)
    await backend.limits.pause(Q)

    while await backend.bulk.obliterate(Q, force=False, limit=10):
        pass

    assert await backend.schedules.ids(Q) == []
    await put(backend, schedule(clock), clock)
    found = await read(backend)
    assert found is not None
    assert (found.beside, found.declared) == (Beside(), None)
