"""What an operator may do to one job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.support.contract import (
    REACHED,
    HandWorker,
    Q,
    add,
    add_one,
    bring,
    counts,
    job,
    line,
    record,
    speech,
    state,
    told,
)

from toril.core.errors import JobNotFoundError, WrongStateError
from toril.engine.contract import Backend, NewNode
from toril.engine.flow import ParentRef
from toril.engine.states import ALLOWED, LOOSE, State, Verb
from toril.testing.clock import ManualClock

Act = Callable[[Backend, str], Awaitable[object]]
NAMING: dict[Verb, Act] = {
    "retry": lambda backend, job_id: backend.jobs.retry(Q, job_id, reset_attempts=True),
    "promote": lambda backend, job_id: backend.jobs.promote(Q, job_id),
    "change_delay": lambda backend, job_id: backend.jobs.change_delay(Q, job_id, delay_ms=5),
    "change_priority": lambda backend, job_id: backend.jobs.change_priority(
        Q, job_id, priority=3, lifo=False
    ),
    "update_data": lambda backend, job_id: backend.jobs.update_data(Q, job_id, data="[]"),
    "set_progress": lambda backend, job_id: backend.jobs.set_progress(Q, job_id, progress="7"),
    "cancel": lambda backend, job_id: backend.jobs.cancel(Q, job_id, reason="no"),
}
"""Verbs that raise if the job does not exist."""
VERBS: dict[Verb, Act] = {
    "remove": lambda backend, job_id: backend.jobs.remove(Q, job_id),
    **NAMING,
}


def test_every_verb_is_tested() -> None:
    assert set(VERBS) == set(ALLOWED)


@pytest.mark.parametrize("where", REACHED)
@pytest.mark.parametrize("verb", VERBS)
async def test_verb_is_refused_in_the_wrong_state_and_changes_nothing(
    backend: Backend, worker: HandWorker, verb: Verb, where: State
) -> None:
    job_id = await bring(backend, worker, where)
    before = (await record(backend, job_id), await told(backend))

    if where in ALLOWED[verb]:
        await VERBS[verb](backend, job_id)
        return
    with pytest.raises(WrongStateError, match=f"{job_id!r} of queue {Q!r} is {where}") as caught:
        await VERBS[verb](backend, job_id)

    assert (caught.value.job_id, caught.value.queue) == (job_id, Q)
    assert (await record(backend, job_id), await told(backend)) == before


@pytest.mark.parametrize("queue_exists", [False, True])
@pytest.mark.parametrize("verb", NAMING)
async def test_verb_names_the_job_that_is_not_there(
    backend: Backend, verb: Verb, queue_exists: bool
) -> None:
    if queue_exists:
        await add_one(backend)

    with pytest.raises(JobNotFoundError, match="'gone'") as caught:
        await NAMING[verb](backend, "gone")

    assert (caught.value.job_id, caught.value.queue) == ("gone", Q)


@pytest.mark.parametrize("where", LOOSE)
async def test_removed_job_is_gone_with_its_log(
    backend: Backend, worker: HandWorker, where: State
) -> None:
    job_id = await bring(backend, worker, where)
    await backend.logs.add(Q, job_id, "line", keep=5)

    assert await backend.jobs.remove(Q, job_id) is where

    assert await state(backend, job_id) is None
    assert await counts(backend) == {}
    assert (await told(backend))[-1] == ("removed", {"jobId": job_id, "prev": where.value})
    assert await backend.jobs.remove(Q, job_id) is None


async def test_running_job_is_not_removed(backend: Backend, worker: HandWorker) -> None:
    job_id = await bring(backend, worker, State.ACTIVE)

    with pytest.raises(WrongStateError, match="active"):
        await backend.jobs.remove(Q, job_id)

    assert await counts(backend) == {State.ACTIVE: 1}


async def test_removing_what_is_not_there_is_no_error(backend: Backend) -> None:
    assert await backend.jobs.remove("elsewhere", "1") is None
    assert await backend.counts.queues() == []


@pytest.mark.parametrize("where", [State.COMPLETED, State.FAILED])
async def test_retried_job_begins_anew_and_keeps_its_history(
    backend: Backend, worker: HandWorker, clock: ManualClock, where: State
) -> None:
    """A success was missing from the history once its job ran again."""
    job_id = await bring(backend, worker, where, priority=4)
    clock.advance(1)

    await backend.jobs.retry(Q, job_id, reset_attempts=True)

    found = await record(backend, job_id)
    assert (found.state, found.priority) == (State.PRIORITIZED, 4)
    assert (found.attempts_made, found.attempts_started, found.stalled) == (0, 0, 0)
    assert (found.result, found.failed_reason) == (None, None)
    assert (found.finished_on_ms, found.processed_on_ms) == (None, None)
    assert [attempt.outcome for attempt in found.attempts] == [where.value]
    assert (await told(backend))[-1] == ("waiting", {"jobId": job_id, "prev": where.value})
    await worker.end(await worker.claim_one(), "completed")
    found = await record(backend, job_id)
    assert [attempt.outcome for attempt in found.attempts] == [where.value, "completed"]
    assert found.attempts[0].ended_ms == clock.now_ms() - 1_000


async def test_retried_job_may_keep_its_count_of_attempts(
    backend: Backend, worker: HandWorker
) -> None:
    job_id = await bring(backend, worker, State.FAILED)
    await backend.jobs.retry(Q, job_id, reset_attempts=False)

    claimed = await worker.claim_one()
    assert (claimed.attempts_made, claimed.attempts_started) == (1, 2)


async def test_retried_job_goes_to_the_end_of_the_line(
    backend: Backend, worker: HandWorker
) -> None:
    job_id = await bring(backend, worker, State.FAILED)
    other = await add_one(backend)
    await backend.jobs.retry(Q, job_id, reset_attempts=True)

    assert await line(backend, State.WAIT) == [other, job_id]


async def test_quarantined_job_that_is_retried_runs_again(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    job_id = await add_one(backend)
    await worker.claim()
    clock.advance(31)
    await backend.dispatch.recover(max_stalled=0, heartbeat_s=60, limit=1)
    await worker.end(await worker.claim_one(), "failed", reason="stalled")
    await backend.jobs.retry(Q, job_id, reset_attempts=True)

    claimed = await worker.claim_one()
    assert claimed.deferred_failure is None
    assert (await record(backend, job_id)).stalled == 0


@pytest.mark.parametrize("priority", [0, 3])
async def test_promoted_job_is_ready_at_the_end_of_the_line(
    backend: Backend, priority: int
) -> None:
    where = State.PRIORITIZED if priority else State.WAIT
    job_id = await add_one(backend, delay_ms=60_000, priority=priority)
    other = await add_one(backend, priority=priority)

    await backend.jobs.promote(Q, job_id)

    assert await line(backend, where) == [other, job_id]
    assert (await record(backend, job_id)).delay_ms == 0
    assert (await told(backend))[-1] == ("waiting", {"jobId": job_id, "prev": "delayed"})


async def test_changed_delay_counts_from_now(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    job_id = await add_one(backend, delay_ms=60_000)
    clock.advance(10)
    await backend.jobs.change_delay(Q, job_id, delay_ms=5_000)

    due_ms = clock.now_ms() + 5_000
    found = await record(backend, job_id)
    assert (found.delay_ms, found.run_at_ms) == (5_000, due_ms)
    assert (await told(backend))[-1] == ("delayed", {"jobId": job_id, "delay": str(due_ms)})
    assert (await worker.ask(Q)).next_due_ms == 5_000


@pytest.mark.parametrize(
    ("before", "after", "lifo", "expected"),
    [
        (0, 5, False, [1, 2, 3, 4, 0]),
        (0, 5, True, [1, 2, 0, 3, 4]),
        (0, 1, False, [1, 2, 0, 3, 4]),
        (0, 9, True, [1, 2, 3, 4, 0]),
        (5, 0, False, [0, 1, 2, 4, 3]),
        (5, 0, True, [3, 0, 1, 2, 4]),
        (5, 5, False, [0, 1, 2, 4, 3]),
        (0, 0, False, [1, 2, 0, 3, 4]),
        (0, 0, True, [0, 1, 2, 3, 4]),
    ],
)
async def test_changed_priority_moves_a_job_in_line(
    backend: Backend,
    worker: HandWorker,
    before: int,
    after: int,
    lifo: bool,
    expected: list[int],
) -> None:
    ids = await add(backend, job(), job(), job(), job(priority=5), job(priority=5))
    moved = ids[0] if before == 0 else ids[3]

    events = await told(backend)
    await backend.jobs.change_priority(Q, moved, priority=after, lifo=lifo)

    assert await told(backend) == events
    assert (await record(backend, moved)).priority == after
    assert await state(backend, moved) is (State.PRIORITIZED if after else State.WAIT)
    order = [one.id for one in await worker.claim(limit=9)]
    if after == 0 and before == 5 and not lifo:
        assert order == [*ids[:3], moved, ids[4]]
    else:
        assert order == [ids[number] for number in expected]


async def test_changed_priority_of_a_delayed_job_counts_once_it_is_due(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    plain = await add_one(backend, delay_ms=1_000)
    other = await add_one(backend, delay_ms=1_000, priority=1)
    await backend.jobs.change_priority(Q, plain, priority=2, lifo=False)
    await backend.jobs.change_priority(Q, other, priority=0, lifo=False)
    assert await counts(backend) == {State.DELAYED: 2}
    clock.advance(1)

    assert [one.id for one in await worker.claim(limit=2)] == [other, plain]


async def test_changed_priority_of_a_running_job_counts_once_it_is_back_in_line(
    backend: Backend, worker: HandWorker
) -> None:
    job_id = await bring(backend, worker, State.WAIT)
    claimed = await worker.claim_one()
    await backend.jobs.change_priority(Q, job_id, priority=7, lifo=False)
    assert await state(backend, job_id) is State.ACTIVE
    await worker.end(claimed, "retried")

    assert await counts(backend) == {State.PRIORITIZED: 1}


async def test_updated_payload_is_what_the_next_worker_gets(
    backend: Backend, worker: HandWorker
) -> None:
    job_id = await add_one(backend, data="1")
    await backend.jobs.update_data(Q, job_id, data='{"long":"' + "x" * 100_000 + '"}')

    assert len((await worker.claim_one()).data) == 100_011


@pytest.mark.parametrize("where", [State.WAIT, State.PRIORITIZED, State.DELAYED])
async def test_cancelled_job_in_line_fails_at_once(
    backend: Backend, worker: HandWorker, clock: ManualClock, where: State
) -> None:
    job_id = await bring(backend, worker, where)

    assert await backend.jobs.cancel(Q, job_id, reason="not wanted") is where

    found = await record(backend, job_id)
    assert (found.state, found.failed_reason) == (State.FAILED, "not wanted")
    assert (found.finished_on_ms, found.attempts_made) == (clock.now_ms(), 0)
    assert (found.run_at_ms, found.delay_ms, found.attempts) == (None, 0, [])
    assert await counts(backend) == {State.FAILED: 1}
    assert (await told(backend))[-1] == (
        "failed",
        {"jobId": job_id, "failedReason": "not wanted", "prev": where.value},
    )
    assert await worker.claim() == []
    queue = await backend.counts.queue(Q)
    assert queue is not None
    assert queue.failed_total == 1


@pytest.mark.parametrize("kind", ["retried", "snoozed", "released"])
async def test_cancelled_job_that_comes_back_fails_without_another_run(
    backend: Backend, worker: HandWorker, kind: Any
) -> None:
    """Its worker had not heard of it: the job ran again, or slept for the wait of its retry."""
    job_id = await add_one(backend)
    claimed = await worker.claim_one()
    await backend.jobs.cancel(Q, job_id, reason="not wanted")
    await worker.end(claimed, kind, wait_ms=3_600_000 if kind != "released" else 0)

    again = await worker.claim_one()
    assert (again.id, again.deferred_failure) == (job_id, "not wanted")


async def test_cancelled_job_that_completes_all_the_same_is_completed(
    backend: Backend, worker: HandWorker
) -> None:
    job_id = await bring(backend, worker, State.WAIT)
    claimed = await worker.claim_one()
    await backend.jobs.cancel(Q, job_id, reason="too late")
    await worker.end(claimed, "completed")

    found = await record(backend, job_id)
    assert (found.state, found.cancel_reason) == (State.COMPLETED, None)


async def test_retried_cancelled_job_is_wanted_again(backend: Backend, worker: HandWorker) -> None:
    job_id = await bring(backend, worker, State.WAIT)
    await backend.jobs.cancel(Q, job_id, reason="no")
    await backend.jobs.retry(Q, job_id, reset_attempts=True)
    claimed = await worker.claim_one()

    assert claimed.deferred_failure is None
    assert worker.renew(claimed).cancelled == []


@pytest.mark.parametrize("where", ALLOWED["set_progress"])
async def test_progress_is_set_from_outside(
    backend: Backend, worker: HandWorker, where: State
) -> None:
    if where is State.WAITING_CHILDREN:
        job_id = "P"
        parent, child = job(job_id=job_id), job(job_id="C")
        await backend.flows.add(
            [NewNode(job=parent, waits=True), NewNode(job=child, parent=ParentRef(Q, job_id))]
        )
    else:
        job_id = await bring(backend, worker, where)
    before = await backend.events.latest(Q)

    await backend.jobs.set_progress(Q, job_id, progress='{"done":3}')

    found = await record(backend, job_id)
    assert (found.progress, found.state) == ('{"done":3}', where)
    assert await told(backend, after=before) == [
        ("progress", {"jobId": job_id, "data": '{"done":3}'})
    ]


async def test_progress_from_within_and_from_outside_take_turns(
    backend: Backend, worker: HandWorker
) -> None:
    job_id = await add_one(backend)
    claimed = await worker.claim_one()

    await backend.dispatch.speak([speech(claimed, progress="1")])
    await backend.jobs.set_progress(Q, job_id, progress="2")
    assert (await record(backend, job_id)).progress == "2"
    await backend.dispatch.speak([speech(claimed, progress="3")])
    await worker.end(claimed, "completed", value="1")

    with pytest.raises(WrongStateError, match="is completed; only jobs that have not finished"):
        await backend.jobs.set_progress(Q, job_id, progress="4")
    assert (await record(backend, job_id)).progress == "3"
