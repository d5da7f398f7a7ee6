"""De-duplication ids: who holds one, who gives way, what happens at the end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.contract import (
    HandWorker,
    Q,
    add_all,
    add_one,
    counts,
    job,
    line,
    outcome,
    record,
    state,
    told,
)

from toril.engine.contract import Backend
from toril.engine.deduplication import DeduplicationRule, HeldId
from toril.engine.job import Added, NewJob, WholeJob
from toril.engine.states import State
from toril.testing.clock import ManualClock

ID = "report: 42"


def same(**fields: Any) -> NewJob:
    """Return a new job that another one may hold up. Words of the rule go to the rule."""
    words = DeduplicationRule.__struct_fields__
    said = {name: fields.pop(name) for name in list(fields) if name in words}
    rule = DeduplicationRule(**{"id": ID, **said})
    wire = {"de": {"id": rule.id}}
    for name in ("priority", "lifo"):
        if name in fields:
            wire[name] = fields[name]
    if "delay_ms" in fields:
        wire["delay"] = fields["delay_ms"]
    return job(opts=json.dumps(wire), deduplication=rule, **fields)


async def add_same(backend: Backend, **fields: Any) -> Added:
    """Add such a job and return the answer."""
    return (await add_all(backend, [same(**fields)]))[0]


async def holder(backend: Backend, deduplication_id: str = ID, queue: str = Q) -> str | None:
    """Return who holds the id."""
    return await backend.deduplication.holder(queue, deduplication_id)


async def run(worker: HandWorker, kind: Any = "completed", **fields: Any) -> str:
    """Run the next job and return its id."""
    claimed = await worker.claim_one()
    assert await worker.end(claimed, kind, **fields) == "ok"
    return claimed.id


async def test_first_job_holds_the_id(backend: Backend) -> None:
    answer = await add_same(backend)

    assert not answer.duplicate
    assert await holder(backend) == answer.job_id
    assert (await record(backend, answer.job_id)).deduplication_id == ID


async def test_nobody_holds_an_id_that_was_never_heard_of(backend: Backend) -> None:
    assert await holder(backend) is None
    await add_one(backend)
    assert await holder(backend) is None
    assert await backend.deduplication.release(Q, ID) is False
    assert await backend.deduplication.release("nowhere", ID) is False


async def test_second_job_is_not_added_and_told(backend: Backend) -> None:
    first = (await add_same(backend)).job_id
    answer = await add_same(backend, data='{"second":true}')

    assert answer == Added(first, duplicate=True)
    assert await counts(backend) == {State.WAIT: 1}
    assert (await record(backend, first)).data == "{}"
    name, fields = (await told(backend))[-1]
    thrown_away = fields.pop("deduplicatedJobId")
    assert (name, fields) == ("deduplicated", {"jobId": first, "deduplicationId": ID})
    assert int(thrown_away) > int(first)


async def test_thrown_away_id_of_the_callers_own_may_be_used_later(backend: Backend) -> None:
    first = (await add_same(backend)).job_id
    answers = await add_all(backend, [same(job_id="mine"), job(job_id="mine")])

    assert answers == [Added(first, duplicate=True), Added("mine")]


async def test_taken_job_id_comes_before_the_deduplication_id(backend: Backend) -> None:
    await add_one(backend, job_id="mine")
    answer = await add_same(backend, job_id="mine")

    assert answer == Added("mine", duplicate=True)
    assert await holder(backend) is None
    assert (await told(backend))[-1] == ("duplicated", {"jobId": "mine"})


async def test_other_ids_and_other_queues_are_others(backend: Backend) -> None:
    answers = await add_all(
        backend, [same(), same(id="report 43"), same(queue="print"), same(id=ID)]
    )

    assert [answer.duplicate for answer in answers] == [False, False, False, True]
    assert await holder(backend, queue="print") == answers[2].job_id


async def test_jobs_of_one_call_hold_each_other_up(backend: Backend) -> None:
    answers = await add_all(backend, [same(), same(), job(), same()])

    first = answers[0].job_id
    assert answers[1] == answers[3] == Added(first, duplicate=True)
    assert await line(backend, State.WAIT) == [first, answers[2].job_id]


@pytest.mark.parametrize("kind", ["completed", "failed"])
async def test_holder_that_finishes_lets_go(
    backend: Backend, worker: HandWorker, kind: Any
) -> None:
    await add_same(backend)
    await run(worker, kind, reason="no" if kind == "failed" else None)

    assert await holder(backend) is None
    assert not (await add_same(backend)).duplicate


async def test_holder_that_is_not_kept_lets_go(backend: Backend, worker: HandWorker) -> None:
    await add_same(backend)
    await run(worker, keep_count=0)

    assert await holder(backend) is None
    assert not (await add_same(backend)).duplicate


async def test_holder_holds_while_it_runs_and_is_retried(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    first = (await add_same(backend)).job_id
    claimed = await worker.claim_one()
    assert (await add_same(backend)).job_id == first
    await worker.end(claimed, "retried", reason="again", wait_ms=1_000)

    assert (await add_same(backend)).job_id == first
    clock.advance(1)
    await run(worker)
    assert await holder(backend) is None


async def test_holder_that_is_cancelled_lets_go(backend: Backend) -> None:
    first = (await add_same(backend)).job_id
    await backend.jobs.cancel(Q, first, reason="no")

    assert await holder(backend) is None


@pytest.mark.parametrize("ttl_ms", [None, 60_000])
async def test_holder_that_is_removed_lets_go_whatever_its_time(
    backend: Backend, ttl_ms: int | None
) -> None:
    first = (await add_same(backend, ttl_ms=ttl_ms)).job_id
    await backend.jobs.remove(Q, first)

    assert await holder(backend) is None
    assert not (await add_same(backend)).duplicate


@pytest.mark.parametrize("verb", ["drain", "clean", "remove_many", "obliterate"])
async def test_holder_that_is_removed_with_others_lets_go(backend: Backend, verb: str) -> None:
    first = (await add_same(backend, ttl_ms=60_000)).job_id
    match verb:
        case "drain":
            await backend.bulk.drain(Q, delayed=True, limit=10)
        case "clean":
            await backend.bulk.clean(Q, State.WAIT, older_than_ms=0, limit=10)
        case "remove_many":
            await backend.moving.remove(Q, State.WAIT, [first])
        case "obliterate":
            await backend.limits.pause(Q)
            while await backend.bulk.obliterate(Q, force=False, limit=10):
                pass

    assert await holder(backend) is None
    assert not (await add_same(backend)).duplicate


async def test_time_outlasts_the_job(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    first = (await add_same(backend, ttl_ms=60_000)).job_id
    await run(worker, keep_count=0)
    clock.advance(59.9)

    assert await add_same(backend, ttl_ms=60_000) == Added(first, duplicate=True)
    clock.advance(0.2)
    assert await holder(backend) is None
    assert not (await add_same(backend, ttl_ms=60_000)).duplicate


async def test_time_ends_while_the_job_waits(backend: Backend, clock: ManualClock) -> None:
    await add_same(backend, ttl_ms=1_000)
    clock.advance(1.5)
    second = await add_same(backend, ttl_ms=1_000)

    assert not second.duplicate
    assert await holder(backend) == second.job_id


async def test_holder_of_old_does_not_let_go_of_the_new_holders_id(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    first = (await add_same(backend, ttl_ms=1_000)).job_id
    clock.advance(1.5)
    second = (await add_same(backend)).job_id

    assert await run(worker) == first
    assert await holder(backend) == second


async def test_time_is_not_lengthened_by_others(backend: Backend, clock: ManualClock) -> None:
    await add_same(backend, ttl_ms=1_000)
    clock.advance(0.8)
    await add_same(backend, ttl_ms=1_000)
    clock.advance(0.4)

    assert await holder(backend) is None


async def test_time_is_lengthened_by_those_that_extend_it(
    backend: Backend, clock: ManualClock
) -> None:
    first = (await add_same(backend, ttl_ms=1_000, extend=True)).job_id
    clock.advance(0.8)
    await add_same(backend, ttl_ms=1_000, extend=True)
    clock.advance(0.8)

    assert await holder(backend) == first
    clock.advance(0.4)
    assert await holder(backend) is None


async def test_time_of_a_job_that_is_gone_is_not_lengthened_for_ever(
    backend: Backend, worker: HandWorker
) -> None:
    first = await add_same(backend, ttl_ms=5000)
    await run(worker, keep_count=0)

    second = await add_same(backend, extend=True)

    assert second == Added(first.job_id, duplicate=True)
    assert await holder(backend) is None
    assert not (await add_same(backend)).duplicate


async def test_delayed_holder_is_replaced(backend: Backend, clock: ManualClock) -> None:
    first = (await add_same(backend, delay_ms=5_000)).job_id
    before = (await backend.events.read(Q, after=0, limit=100, wait_s=0))[-1].position
    clock.advance(1)
    second = await add_same(backend, delay_ms=5_000, replace=True, data='{"second":true}')

    assert not second.duplicate
    assert await state(backend, first) is None
    assert await holder(backend) == second.job_id
    found = await record(backend, second.job_id)
    assert (found.data, found.run_at_ms) == ('{"second":true}', clock.now_ms() + 5_000)
    assert await told(backend, after=before) == [
        ("removed", {"jobId": first, "prev": "delayed"}),
        (
            "deduplicated",
            {"jobId": second.job_id, "deduplicationId": ID, "deduplicatedJobId": first},
        ),
        ("added", {"jobId": second.job_id, "name": "cars"}),
        ("delayed", {"jobId": second.job_id, "delay": str(found.run_at_ms)}),
    ]


async def test_job_replaces_one_of_the_same_call(backend: Backend) -> None:
    debounced = {"delay_ms": 5_000, "replace": True}
    answers = await add_all(
        backend, [same(job_id="a", **debounced), same(**debounced), job(job_id="a")]
    )

    assert [answer.duplicate for answer in answers] == [False, False, False]
    assert await line(backend, State.DELAYED) == [answers[1].job_id]
    assert await line(backend, State.WAIT) == ["a"]


@pytest.mark.parametrize(("extend", "left_s"), [(False, 0.2), (True, 1.0)])
async def test_time_goes_on_for_the_one_that_replaces_unless_it_extends_it(
    backend: Backend, clock: ManualClock, extend: bool, left_s: float
) -> None:
    rule = {"ttl_ms": 1_000, "replace": True, "extend": extend, "delay_ms": 60_000}
    await add_same(backend, **rule)
    clock.advance(0.8)
    second = (await add_same(backend, **rule)).job_id

    clock.advance(left_s - 0.1)
    assert await holder(backend) == second
    clock.advance(0.2)
    assert await holder(backend) is None


async def test_holder_that_waits_or_runs_is_not_replaced_and_nothing_is_told(
    backend: Backend, worker: HandWorker
) -> None:
    first = (await add_same(backend)).job_id
    many = len(await told(backend))
    assert await add_same(backend, replace=True) == Added(first, duplicate=True)
    assert len(await told(backend)) == many

    await worker.claim_one()
    assert await add_same(backend, replace=True) == Added(first, duplicate=True)


async def test_delayed_holder_becomes_due_anew(backend: Backend, clock: ManualClock) -> None:
    first = (await add_same(backend, delay_ms=5_000)).job_id
    clock.advance(1)
    answer = await add_same(backend, delay_ms=9_000, reschedule=True)

    assert answer == Added(first, duplicate=True)
    found = await record(backend, first)
    assert (found.run_at_ms, found.delay_ms) == (clock.now_ms() + 9_000, 9_000)
    assert [name for name, _ in (await told(backend))[-2:]] == ["deduplicated", "delayed"]


async def test_holder_becomes_due_at_a_moment(backend: Backend, clock: ManualClock) -> None:
    first = (await add_same(backend, delay_ms=5_000)).job_id
    at_ms = clock.now_ms() + 70_000
    await add_same(backend, run_at_ms=at_ms, reschedule=True)

    assert (await record(backend, first)).run_at_ms == at_ms


async def test_holder_that_is_rescheduled_to_now_runs_now(
    backend: Backend, worker: HandWorker
) -> None:
    first = (await add_same(backend, delay_ms=5_000)).job_id
    await add_same(backend, reschedule=True)

    assert (await worker.claim_one()).id == first


async def test_holder_in_line_is_not_rescheduled(backend: Backend) -> None:
    first = (await add_same(backend)).job_id
    assert (await add_same(backend, delay_ms=9_000, reschedule=True)).duplicate

    assert await state(backend, first) is State.WAIT


async def test_last_of_those_that_came_meanwhile_is_added_at_the_end(
    backend: Backend, worker: HandWorker
) -> None:
    first = (await add_same(backend, keep_last_if_active=True)).job_id
    claimed = await worker.claim_one()
    for data in ("1", "2"):
        answer = await add_same(backend, keep_last_if_active=True, data=data, priority=int(data))
        assert answer == Added(first, duplicate=True)
    assert await counts(backend) == {State.ACTIVE: 1}
    promised = (await told(backend))[-1][1]["deduplicatedJobId"]

    await worker.end(claimed, "completed")

    found = await record(backend, promised)
    assert (found.state, found.data, found.priority) == (State.PRIORITIZED, "2", 2)
    assert found.deduplication_id == ID
    assert await holder(backend) == promised
    assert await counts(backend) == {State.PRIORITIZED: 1, State.COMPLETED: 1}
    assert await run(worker) == promised
    assert await holder(backend) is None


async def test_job_aside_has_its_own_id_and_delay(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await add_same(backend, keep_last_if_active=True)
    claimed = await worker.claim_one()
    await add_same(backend, keep_last_if_active=True, job_id="mine", delay_ms=5_000)
    clock.advance(1)
    await worker.end(claimed, "failed", reason="no")

    found = await record(backend, "mine")
    assert (found.state, found.run_at_ms) == (State.DELAYED, clock.now_ms() + 5_000)


async def test_job_aside_keeps_its_moment(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await add_same(backend, keep_last_if_active=True)
    claimed = await worker.claim_one()
    at_ms = clock.now_ms() + 70_000
    await add_same(backend, keep_last_if_active=True, job_id="mine", run_at_ms=at_ms)
    await worker.end(claimed, "completed")

    assert (await record(backend, "mine")).run_at_ms == at_ms


async def test_job_aside_whose_id_was_taken_meanwhile_is_not_added(
    backend: Backend, worker: HandWorker
) -> None:
    await add_same(backend, keep_last_if_active=True)
    claimed = await worker.claim_one()
    await add_same(backend, keep_last_if_active=True, job_id="mine", data='"aside"')
    await add_one(backend, job_id="mine", data='"other"')
    await worker.end(claimed, "completed")

    assert (await record(backend, "mine")).data == '"other"'
    assert ("duplicated", {"jobId": "mine"}) in await told(backend)
    assert await holder(backend) is None


async def test_holder_with_one_aside_holds_to_its_end_whatever_its_time(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    first = (await add_same(backend, ttl_ms=1_000)).job_id
    claimed = await worker.claim_one()
    await add_same(backend, ttl_ms=1_000, keep_last_if_active=True, job_id="last")
    clock.advance(2)

    assert await holder(backend) == first
    await worker.end(claimed, "completed")
    assert await state(backend, "last") is State.WAIT


async def test_nothing_is_put_aside_while_the_holder_only_waits(
    backend: Backend, worker: HandWorker
) -> None:
    await add_same(backend, keep_last_if_active=True)
    await add_same(backend, keep_last_if_active=True, job_id="late")
    await run(worker)

    assert await state(backend, "late") is None
    assert await holder(backend) is None


async def test_job_aside_goes_with_the_holder_that_is_removed(
    backend: Backend, worker: HandWorker
) -> None:
    first = (await add_same(backend, keep_last_if_active=True)).job_id
    claimed = await worker.claim_one()
    await add_same(backend, keep_last_if_active=True, job_id="late")
    await worker.end(claimed, "released")
    await backend.jobs.remove(Q, first)
    await add_same(backend, job_id="new")
    assert await run(worker) == "new"

    assert await state(backend, "late") is None


async def test_job_aside_goes_with_the_holder_that_is_replaced(
    backend: Backend, worker: HandWorker
) -> None:
    """On Redis it was added after the newer job that had taken the holder's place."""
    await add_same(backend, keep_last_if_active=True)
    claimed = await worker.claim_one()
    await add_same(backend, keep_last_if_active=True, job_id="late")
    await worker.end(claimed, "snoozed", wait_ms=60_000)
    second = (await add_same(backend, replace=True)).job_id
    assert await run(worker) == second

    assert await state(backend, "late") is None
    assert await holder(backend) is None


async def test_job_aside_is_added_though_the_holder_was_given_a_time(
    backend: Backend, worker: HandWorker
) -> None:
    """A file kept the job aside until the time was over, and forgot it then."""
    first = (await add_same(backend, keep_last_if_active=True)).job_id
    claimed = await worker.claim_one()
    await add_same(backend, keep_last_if_active=True, job_id="last")
    await worker.end(claimed, "released")
    await add_same(backend, ttl_ms=60_000, extend=True)
    assert await run(worker) == first

    assert await state(backend, "last") is State.WAIT
    assert await holder(backend) == "last"


async def test_job_aside_outlasts_the_release_of_its_id(
    backend: Backend, worker: HandWorker
) -> None:
    """A file forgot the job together with the id."""
    await add_same(backend, keep_last_if_active=True)
    claimed = await worker.claim_one()
    await add_same(backend, keep_last_if_active=True, job_id="last")
    assert await backend.deduplication.release(Q, ID) is True
    assert await holder(backend) is None
    assert await backend.deduplication.release(Q, ID) is False
    await add_same(backend, id="another", ttl_ms=1)  # clears away what is over
    await worker.end(claimed, "completed")

    assert await state(backend, "last") is State.WAIT
    assert await holder(backend) == "last"


async def test_job_aside_is_gone_once_another_has_taken_the_released_id(
    backend: Backend, worker: HandWorker
) -> None:
    await add_same(backend, keep_last_if_active=True)
    first = await worker.claim_one()
    await add_same(backend, keep_last_if_active=True, job_id="late")
    await backend.deduplication.release(Q, ID)
    second = (await add_same(backend)).job_id
    await worker.end(first, "completed")

    assert await state(backend, "late") is None
    assert await holder(backend) == second


async def test_former_holder_does_not_add_what_was_put_aside_for_the_new_one(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    """On Redis it did, while the new holder still ran."""
    await add_same(backend, ttl_ms=1_000)
    first = await worker.claim_one()
    clock.advance(2)
    second = (await add_same(backend, keep_last_if_active=True)).job_id
    claimed = await worker.claim_one()
    await add_same(backend, keep_last_if_active=True, job_id="last")
    await worker.end(first, "completed")

    assert await holder(backend) == second
    assert await state(backend, "last") is None
    await worker.end(claimed, "completed")
    assert await state(backend, "last") is State.WAIT


@pytest.mark.parametrize("how", ["finished", "removed"])
async def test_former_holder_leaves_alone_what_was_put_aside_before_a_release(
    backend: Backend, worker: HandWorker, clock: ManualClock, how: str
) -> None:
    """On Redis the key of a released id does not tell who held it last."""
    first = (await add_same(backend, ttl_ms=1_000)).job_id
    former = await worker.claim_one()
    clock.advance(2)
    await add_same(backend, keep_last_if_active=True)
    claimed = await worker.claim_one()
    await add_same(backend, keep_last_if_active=True, job_id="last")
    await backend.deduplication.release(Q, ID)

    if how == "finished":
        await worker.end(former, "completed")
    else:
        await worker.end(former, "released")
        await backend.jobs.remove(Q, first)

    assert await state(backend, "last") is None
    await worker.end(claimed, "completed")
    assert await state(backend, "last") is State.WAIT


async def test_id_is_released_by_hand(backend: Backend, worker: HandWorker) -> None:
    await add_same(backend, ttl_ms=60_000)

    assert await backend.deduplication.release(Q, ID) is True
    assert await backend.deduplication.release(Q, ID) is False
    second = (await add_same(backend)).job_id
    await run(worker)
    assert await holder(backend) == second


async def test_follow_ups_are_deduplicated(backend: Backend, worker: HandWorker) -> None:
    await add_one(backend)
    claimed = await worker.claim_one()
    ended = outcome(claimed, "completed", follow_ups=[same(), same(), same(queue="print")])
    assert (await worker.ask(outcomes=[ended])).words == ["ok"]

    assert await counts(backend) == {State.COMPLETED: 1, State.WAIT: 1}
    assert await counts(backend, "print") == {State.WAIT: 1}


@pytest.mark.parametrize("holder_first", [False, True])
@pytest.mark.parametrize("ttl_ms", [None, 60_000])
async def test_follow_up_of_one_that_ends_with_the_holder_finds_it_as_its_turn_is(
    backend: Backend, worker: HandWorker, clock: ManualClock, holder_first: bool, ttl_ms: int | None
) -> None:
    first = (await add_same(backend, ttl_ms=ttl_ms)).job_id
    await add_one(backend)
    claimed = {one.id: one for one in await worker.claim(limit=2)}
    holding = outcome(claimed.pop(first), "completed")
    (other,) = claimed.values()
    once_more = [same(keep_last_if_active=True, ttl_ms=ttl_ms)]
    ended = [holding, outcome(other, "completed", follow_ups=once_more)]

    words = (await worker.ask(outcomes=ended if holder_first else ended[::-1])).words

    assert words == ["ok", "ok"]
    stays_held = holder_first and ttl_ms is not None
    assert (await counts(backend)).get(State.WAIT, 0) == (not stays_held)
    if stays_held:
        assert await holder(backend) == first
        clock.advance(61)
        assert await holder(backend) is None


async def test_many_ids_that_end_together_are_all_let_go(
    backend: Backend, worker: HandWorker
) -> None:
    await add_all(backend, [same(id=f"id {number}") for number in range(30)])
    claimed = await worker.claim(limit=30)
    await worker.ask(outcomes=[outcome(one, "completed") for one in claimed])

    for number in range(30):
        assert await holder(backend, f"id {number}") is None


async def test_held_ids_of_jobs_are_told(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    first = (await add_same(backend, keep_last_if_active=True)).job_id
    claimed = await worker.claim_one()
    await add_same(backend, keep_last_if_active=True, job_id="late", data="1")
    await worker.end(claimed, "released")
    timed = (await add_same(backend, id="timed", ttl_ms=5_000)).job_id
    plain = await add_one(backend)
    clock.advance(1)

    held = await backend.moving.held_ids(Q, [first, timed, plain, "nobody"])

    assert held[0] is not None
    assert held[0].aside is not None
    assert (held[0].id, held[0].left_ms) == (ID, None)
    assert (held[0].aside.job_id, held[0].aside.data) == ("late", "1")
    assert held[1:] == [HeldId("timed", 4_000), None, None]
    assert await backend.moving.held_ids("nowhere", ["1"]) == [None]


async def test_adopted_jobs_hold_their_ids(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    first = (await add_same(backend, keep_last_if_active=True)).job_id
    claimed = await worker.claim_one()
    await add_same(backend, keep_last_if_active=True, job_id="late")
    await worker.end(claimed, "released")
    timed = (await add_same(backend, id="timed", ttl_ms=5_000)).job_id
    ids = [first, timed]
    held = await backend.moving.held_ids(Q, ids)
    whole = [
        WholeJob(await record(backend, job_id), [], one)
        for job_id, one in zip(ids, held, strict=True)
    ]
    clock.advance(1)

    assert await backend.moving.adopt("print", whole) == [True, True]

    assert await holder(backend, queue="print") == first
    assert await backend.moving.held_ids("print", [timed]) == [HeldId("timed", 5_000)]
    moved = await worker.claim_one("print")
    await worker.end(moved, "completed")
    assert await holder(backend, queue="print") == "late"
    assert await state(backend, "late", "print") is State.WAIT


async def test_adopted_job_takes_no_id_from_one_that_is_there(backend: Backend) -> None:
    await add_same(backend)
    there = (await add_same(backend, queue="print", job_id="there")).job_id
    (moved,) = await line(backend, State.WAIT)
    held = await backend.moving.held_ids(Q, [moved])

    await backend.moving.adopt("print", [WholeJob(await record(backend, moved), [], held[0])])

    assert await holder(backend, queue="print") == there
