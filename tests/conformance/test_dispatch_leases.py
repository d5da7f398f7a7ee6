"""Leases: renewing, losing, taking back."""

from __future__ import annotations

from typing import Literal

import pytest
from tests.support.contract import (
    HandWorker,
    Q,
    add,
    add_one,
    card,
    counts,
    job,
    line,
    record,
    speech,
    state,
    told,
)

from toril.engine.contract import Backend
from toril.engine.contract.dispatch import Recovery, Renewal
from toril.engine.states import State
from toril.testing.clock import ManualClock

STALLED = "job stalled more than allowable limit"
A_LEASE = pytest.approx(30_000, abs=1)
"""What is left of one: its last bit says whether it was renewed."""


async def sweep(backend: Backend, *, max_stalled: int = 1, limit: int = 100) -> Recovery:
    """Take back what nobody holds any more; workers are dead after a minute of silence."""
    return await backend.dispatch.recover(max_stalled=max_stalled, heartbeat_s=60, limit=limit)


async def register(backend: Backend, worker_id: str) -> None:
    """Announce a worker."""
    await backend.workers.register(card(worker_id))


async def test_renewing_lengthens_the_lease_from_now(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    job_id = await add_one(backend)
    claimed = await worker.claim_one()
    clock.advance(29)

    assert worker.renew(claimed) == Renewal([], [])

    assert (await record(backend, job_id)).lease_remaining_ms == A_LEASE
    clock.advance(29)
    assert await sweep(backend) == Recovery([], [])


async def test_each_hold_is_renewed_by_its_own_lease(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    short, long = await add(backend, job(), job())
    first, second = await worker.claim(limit=2)
    clock.advance(5)
    holds = [worker.hold(first), HandWorker(backend, lease_ms=600_000).hold(second)]
    backend.dispatch.renew("worker-1", holds)

    assert (await record(backend, short)).lease_remaining_ms == A_LEASE
    assert (await record(backend, long)).lease_remaining_ms == pytest.approx(600_000, abs=1)


async def test_renewing_reports_what_belongs_to_somebody_else(
    backend: Backend, worker: HandWorker
) -> None:
    await add(backend, job(), job(), job())
    mine, finished, taken = await worker.claim(limit=3)
    await worker.end(finished, "completed")
    await worker.end(taken, "released")
    await HandWorker(backend, "worker-2").claim_one()

    renewal = worker.renew(mine, finished, taken)

    assert renewal.lost == [worker.hold(finished), worker.hold(taken)]
    assert renewal.cancelled == []


async def test_renewing_nothing_is_fine(backend: Backend, worker: HandWorker) -> None:
    assert worker.renew() == Renewal([], [])


async def test_live_lease_is_left_alone(backend: Backend, worker: HandWorker) -> None:
    await add_one(backend)
    await worker.claim()

    assert await sweep(backend) == Recovery([], [])
    assert await counts(backend) == {State.ACTIVE: 1}


async def test_ended_lease_returns_the_job_to_its_queue(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    job_id = await add_one(backend)
    claimed = await worker.claim_one()
    clock.advance(29.999)
    assert (await sweep(backend)).recovered == []
    clock.advance(0.001)

    assert await sweep(backend) == Recovery([(Q, job_id)], [])

    found = await record(backend, job_id)
    assert (found.state, found.stalled, found.deferred_failure) == (State.WAIT, 1, None)
    assert (found.attempts_made, found.attempts_started) == (0, 1)
    (attempt,) = found.attempts
    assert (attempt.number, attempt.outcome, attempt.worker_id) == (1, "stalled", "worker-1")
    assert (attempt.started_ms, attempt.ended_ms) == (claimed.started_ms, clock.now_ms())
    assert (await told(backend))[-2:] == [
        ("waiting", {"jobId": job_id, "prev": "active"}),
        ("stalled", {"jobId": job_id}),
    ]


async def test_recovered_jobs_go_to_the_front_longest_running_first(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    ids = await add(backend, *(job() for _ in range(5)))
    for _ in range(3):
        await worker.claim()
        clock.advance(1)
    clock.advance(30)
    await sweep(backend)

    assert await line(backend, State.WAIT) == ids


async def test_recovered_job_keeps_its_priority_and_is_the_first_of_it(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    urgent, first, second = await add(backend, job(priority=1), job(priority=5), job(priority=5))
    await worker.claim(limit=2)
    clock.advance(31)
    plain = await add_one(backend)
    await sweep(backend)

    assert await line(backend, State.WAIT) == [plain]
    assert await line(backend, State.PRIORITIZED) == [urgent, first, second]


async def test_late_outcome_after_recovery_changes_nothing(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    job_id = await add_one(backend)
    late = await worker.claim_one()
    clock.advance(31)
    await sweep(backend)
    before = (await record(backend, job_id), await told(backend))

    assert await worker.end(late, "completed", value="1") == "lease_lost"
    assert await backend.dispatch.speak([speech(late, progress="1", line="x")]) == ["lease_lost"]
    assert worker.renew(late).lost == [worker.hold(late)]
    assert (await record(backend, job_id), await told(backend)) == before

    current = await HandWorker(backend, "worker-2").claim_one()
    assert await worker.end(late, "failed") == "lease_lost"
    assert await worker.end(current, "completed") == "ok"


async def test_recovery_takes_at_most_so_many_at_once(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await add(backend, *(job() for _ in range(5)))
    await worker.claim(limit=5)
    clock.advance(31)

    found = [len((await sweep(backend, limit=2)).recovered) for _ in range(4)]

    assert found == [2, 2, 1, 0]
    assert await counts(backend) == {State.WAIT: 5}


async def test_recovery_covers_all_queues(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    (a, b) = await add(backend, job("a"), job("b"))
    await worker.claim("a", "b")
    clock.advance(31)

    assert sorted((await sweep(backend)).recovered) == [("a", a), ("b", b)]


async def test_jobs_of_a_silent_worker_are_taken_back_before_their_lease_ends(
    backend: Backend, clock: ManualClock
) -> None:
    worker = HandWorker(backend, lease_ms=3_600_000)
    await register(backend, worker.id)
    job_id = await add_one(backend)
    await worker.claim()
    clock.advance(59)
    backend.workers.beat(worker.id, running=1, concurrency=1, claiming="open", resident_bytes=1)
    clock.advance(59)
    assert (await sweep(backend)).recovered == []

    clock.advance(2)

    assert (await sweep(backend)).recovered == [(Q, job_id)]


async def test_jobs_of_a_worker_declared_dead_are_taken_back_at_once(backend: Backend) -> None:
    worker, other = HandWorker(backend, "dead"), HandWorker(backend, "alive")
    await register(backend, worker.id)
    await register(backend, other.id)
    job_id = await add_one(backend)
    await worker.claim()
    await add_one(backend)
    await other.claim()

    await backend.workers.declare_dead(worker.id)

    assert (await sweep(backend)).recovered == [(Q, job_id)]
    assert [found.id for found in await backend.workers.list()] == ["alive"]


async def test_worker_that_never_registered_has_its_lease_only(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await add_one(backend)
    await worker.claim()
    await backend.workers.declare_dead(worker.id)

    assert (await sweep(backend)).recovered == []
    clock.advance(30)
    assert len((await sweep(backend)).recovered) == 1


async def lose(backend: Backend, worker_id: str, *, begun: bool, max_stalled: int = 1) -> Recovery:
    """Have a job claimed by a worker that dies, before or after it has begun."""
    worker = HandWorker(backend, worker_id)
    await register(backend, worker.id)
    claimed = await worker.claim_one()
    if begun:
        worker.renew(claimed)
    await backend.workers.declare_dead(worker.id)
    return await sweep(backend, max_stalled=max_stalled)


async def test_a_loss_counts_if_the_job_was_begun(backend: Backend) -> None:
    """A job of which no line ever ran failed for good after two lost workers."""
    job_id = await add_one(backend)

    for number in range(4):
        recovery = await lose(backend, f"unlucky-{number}", begun=False)
        assert (recovery.recovered, recovery.quarantined) == ([(Q, job_id)], [])
    found = await record(backend, job_id)
    assert (found.stalled, found.deferred_failure, found.attempts_started) == (0, None, 4)
    assert found.attempts[-1].error == "its worker ended before it had begun"
    assert (await lose(backend, "first", begun=True)).quarantined == []
    assert (await record(backend, job_id)).stalled == 1
    assert (await lose(backend, "second", begun=True)).quarantined == [(Q, job_id)]
    found = await record(backend, job_id)
    assert (found.stalled, found.deferred_failure) == (2, STALLED)
    assert found.attempts[-1].error == "its worker stopped renewing the lease"


@pytest.mark.parametrize("ending", ["retried", "snoozed"])
async def test_losses_do_not_add_up_over_attempts(
    backend: Backend, ending: Literal["retried", "snoozed"]
) -> None:
    """One loss in each of two attempts failed a job that survives one."""
    job_id = await add_one(backend)
    worker = HandWorker(backend)

    for number in range(3):
        assert (await lose(backend, f"dead-{number}", begun=True)).quarantined == []
        assert (await record(backend, job_id)).stalled == 1
        assert await worker.end(await worker.claim_one(), ending, reason="not now") == "ok"
        assert (await record(backend, job_id)).stalled == 0


async def test_a_job_that_was_given_back_keeps_its_losses(backend: Backend) -> None:
    job_id = await add_one(backend)
    worker = HandWorker(backend)
    await lose(backend, "dead", begun=True)
    await worker.end(await worker.claim_one(), "released")

    assert (await record(backend, job_id)).stalled == 1


async def test_a_sweep_says_when_a_worker_may_turn_out_to_be_dead(
    backend: Backend, clock: ManualClock
) -> None:
    assert (await sweep(backend)).look_again_ms is None
    await register(backend, "older")
    clock.advance(20)
    await register(backend, "younger")
    clock.advance(10)

    assert (await sweep(backend)).look_again_ms == 30_000


async def test_job_that_keeps_killing_its_worker_is_quarantined(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    job_id = await add_one(backend)
    for survived in range(2):
        claimed = await worker.claim_one()
        assert claimed.deferred_failure is None
        assert (await record(backend, job_id)).stalled == survived
        clock.advance(31)
        assert (await sweep(backend, max_stalled=2)).quarantined == []
    await worker.claim()
    clock.advance(31)

    assert await sweep(backend, max_stalled=2) == Recovery([(Q, job_id)], [(Q, job_id)])

    claimed = await worker.claim_one()
    assert claimed.deferred_failure == STALLED
    assert (await record(backend, job_id)).stalled == 3
    await worker.end(claimed, "failed", reason=claimed.deferred_failure)
    found = await record(backend, job_id)
    assert (found.state, found.failed_reason, found.deferred_failure) == (
        State.FAILED, STALLED, None,
    )  # fmt: skip
    assert [attempt.number for attempt in found.attempts] == [1, 2, 3, 4]


async def test_quarantined_job_that_completes_all_the_same_is_done_with_it(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    """The reason to fail stayed on the completed job."""
    job_id = await add_one(backend)
    await worker.claim()
    clock.advance(31)
    await sweep(backend, max_stalled=0)
    await worker.end(await worker.claim_one(), "completed")

    assert (await record(backend, job_id)).deferred_failure is None


async def test_max_stalled_of_none_quarantines_at_the_first(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await add_one(backend)
    await worker.claim()
    clock.advance(31)

    assert len((await sweep(backend, max_stalled=0)).quarantined) == 1


@pytest.mark.needs("stopwatch")
@pytest.mark.parametrize("jump_s", [-3_600, 3_600, -20 * 365 * 86_400, 365 * 86_400])
async def test_calendar_that_jumps_changes_nothing_about_leases(
    backend: Backend, worker: HandWorker, clock: ManualClock, jump_s: float
) -> None:
    await register(backend, worker.id)
    job_id = await add_one(backend)
    claimed = await worker.claim_one()
    clock.advance(10)
    clock.jump_calendar(jump_s)

    assert (await sweep(backend)).recovered == []
    assert (await record(backend, job_id)).lease_remaining_ms == 20_000
    worker.renew(claimed)
    clock.advance(29)
    assert (await sweep(backend)).recovered == []
    clock.advance(1)
    assert (await sweep(backend)).recovered == [(Q, job_id)]
    assert [found.beat_age_ms for found in await backend.workers.list()] == [40_000]


@pytest.mark.needs("stopwatch")
@pytest.mark.parametrize("uptime_s", [0, 5, 900])
async def test_restart_of_the_host_frees_what_was_held(
    backend: Backend, worker: HandWorker, clock: ManualClock, uptime_s: float
) -> None:
    await register(backend, worker.id)
    job_id = await add_one(backend)
    await worker.claim()
    clock.restart_host(uptime_s=uptime_s)

    assert (await sweep(backend)).recovered == [(Q, job_id)]
    assert await backend.workers.list() == []


async def test_cancelled_job_whose_worker_died_fails_without_another_run(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    """It ran again, since nobody was left to be told."""
    job_id = await add_one(backend)
    await worker.claim()
    await backend.jobs.cancel(Q, job_id, reason="not wanted")
    clock.advance(31)

    assert (await sweep(backend)).quarantined == [(Q, job_id)]
    assert (await worker.claim_one()).deferred_failure == "not wanted"


async def test_holder_of_a_cancelled_job_is_told_at_its_next_beat(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await add(backend, job(), job())
    wanted, unwanted = await worker.claim(limit=2)
    assert await backend.jobs.cancel(Q, unwanted.id, reason="not wanted") is State.ACTIVE
    clock.advance(10)

    renewal = worker.renew(wanted, unwanted)

    assert renewal == Renewal([], [(worker.hold(unwanted), "not wanted")])
    found = await record(backend, unwanted.id)
    assert (found.state, found.cancel_reason) == (State.ACTIVE, "not wanted")
    assert found.lease_remaining_ms == A_LEASE
    await worker.end(unwanted, "failed", reason="not wanted")
    assert (await record(backend, unwanted.id)).cancel_reason is None
    assert await state(backend, unwanted.id) is State.FAILED
