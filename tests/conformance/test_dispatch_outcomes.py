"""How an attempt ends: fields, history, events, what is kept."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from tests.support.contract import (
    HandWorker,
    Q,
    add,
    add_one,
    counts,
    job,
    line,
    outcome,
    record,
    speech,
    state,
    told,
)

from toril.engine.contract import Backend
from toril.engine.job import MAX_HISTORY, Attempt, OutcomeKind
from toril.engine.states import State
from toril.testing.clock import ManualClock

KINDS: list[OutcomeKind] = list(get_args(OutcomeKind))


async def test_completed_job_keeps_its_result(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    job_id = await add_one(backend)
    claimed = await worker.claim_one()
    clock.advance(2)

    assert await worker.end(claimed, "completed", value='{"ok":true}') == "ok"

    found = await record(backend, job_id)
    assert (found.state, found.result) == (State.COMPLETED, '{"ok":true}')
    assert (found.attempts_made, found.attempts_started) == (1, 1)
    assert found.failed_reason is None
    assert found.finished_on_ms == clock.now_ms()
    assert found.processed_on_ms == clock.now_ms() - 2_000
    assert found.lease_remaining_ms is None
    assert found.attempts == [
        Attempt(
            number=1,
            started_ms=clock.now_ms() - 2_000,
            ended_ms=clock.now_ms(),
            worker_id="worker-1",
            outcome="completed",
        )
    ]


async def test_completion_is_told_and_an_empty_queue_is_drained(
    backend: Backend, worker: HandWorker
) -> None:
    first, second = await add(backend, job(), job())
    before = await backend.events.latest(Q)
    for claimed in await worker.claim(limit=2):
        await worker.end(claimed, "completed", value="7")

    assert (await told(backend, after=before))[2:] == [
        ("completed", {"jobId": first, "returnvalue": "7", "prev": "active"}),
        ("completed", {"jobId": second, "returnvalue": "7", "prev": "active"}),
        ("drained", {}),
    ]


async def test_queue_is_not_drained_while_a_job_is_due_later(
    backend: Backend, worker: HandWorker
) -> None:
    await add(backend, job(), job(delay_ms=1_000))
    await worker.end(await worker.claim_one(), "completed")

    assert "drained" not in [name for name, _ in await told(backend)]


async def test_queue_that_gets_its_next_job_in_the_exchange_is_not_drained(
    backend: Backend, worker: HandWorker
) -> None:
    await add(backend, job(), job())
    claimed = await worker.claim_one()
    await worker.ask(Q, outcomes=[outcome(claimed, "completed")])

    assert "drained" not in [name for name, _ in await told(backend)]


async def test_failed_job_keeps_reason_and_traceback(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    job_id = await add_one(backend)
    claimed = await worker.claim_one()
    clock.advance(1)
    await worker.end(
        claimed, "failed", reason="no paint", traceback="File …", exhausted=True, attempts_made=1
    )

    found = await record(backend, job_id)
    assert (found.state, found.failed_reason) == (State.FAILED, "no paint")
    assert (found.attempts_made, found.finished_on_ms) == (1, clock.now_ms())
    (attempt,) = found.attempts
    assert (attempt.outcome, attempt.error, attempt.traceback) == ("failed", "no paint", "File …")
    assert (await told(backend))[-3:] == [
        ("failed", {"jobId": job_id, "failedReason": "no paint", "prev": "active"}),
        ("retries-exhausted", {"jobId": job_id, "attemptsMade": "1"}),
        ("drained", {}),
    ]


async def test_failure_with_attempts_left_is_not_told_as_exhausted(
    backend: Backend, worker: HandWorker
) -> None:
    await add_one(backend)
    await worker.end(await worker.claim_one(), "failed", reason="useless")

    assert "retries-exhausted" not in [name for name, _ in await told(backend)]


async def test_retried_job_goes_to_the_end_of_the_line(
    backend: Backend, worker: HandWorker
) -> None:
    first, second = await add(backend, job(), job())
    await worker.end(await worker.claim_one(), "retried", reason="try again")

    assert await line(backend, State.WAIT) == [second, first]
    found = await record(backend, first)
    assert (found.failed_reason, found.attempts_made, found.finished_on_ms) == (
        "try again", 1, None,
    )  # fmt: skip
    assert (await told(backend))[-1] == ("waiting", {"jobId": first, "prev": "active"})


async def test_retried_lifo_job_goes_to_the_front(backend: Backend, worker: HandWorker) -> None:
    first, second = await add(backend, job(), job())
    await worker.end(await worker.claim_one(), "retried", lifo=True)

    assert await line(backend, State.WAIT) == [first, second]


async def test_retried_job_keeps_its_priority(backend: Backend, worker: HandWorker) -> None:
    first, second, low = await add(backend, job(priority=3), job(priority=3), job(priority=9))
    await worker.end(await worker.claim_one(), "retried")

    assert await line(backend, State.PRIORITIZED) == [second, first, low]


async def test_retry_after_a_wait_is_delayed(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    job_id = await add_one(backend, priority=2)
    await worker.end(await worker.claim_one(), "retried", wait_ms=4_000)

    due_ms = clock.now_ms() + 4_000
    found = await record(backend, job_id)
    assert (found.state, found.delay_ms, found.run_at_ms) == (State.DELAYED, 4_000, due_ms)
    assert (await told(backend))[-1] == ("delayed", {"jobId": job_id, "delay": str(due_ms)})
    clock.advance(4)
    again = await worker.claim_one()
    assert (again.id, again.attempts_started, again.attempts_made) == (job_id, 2, 1)


async def test_snoozed_job_counts_no_attempt(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    job_id = await add_one(backend)
    await worker.end(await worker.claim_one(), "snoozed", wait_ms=1_000)

    found = await record(backend, job_id)
    assert (found.state, found.attempts_made, found.attempts_started) == (State.DELAYED, 0, 1)
    assert found.failed_reason is None
    clock.advance(1)
    assert (await worker.claim_one()).attempts_started == 2


async def test_job_snoozes_until_a_moment(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    job_id = await add_one(backend)
    until_ms = clock.now_ms() + 3_600_000
    await worker.end(await worker.claim_one(), "snoozed", until_ms=until_ms)

    assert (await record(backend, job_id)).run_at_ms == until_ms
    assert (await worker.ask(Q)).next_due_ms == 3_600_000


async def test_snooze_until_a_past_moment_is_ready_at_once(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    job_id = await add_one(backend)
    await worker.end(await worker.claim_one(), "snoozed", until_ms=clock.now_ms() - 1)

    assert await state(backend, job_id) is State.WAIT


@pytest.mark.parametrize("priority", [0, 4])
async def test_released_job_goes_back_to_the_front_and_counts_no_attempt(
    backend: Backend, worker: HandWorker, priority: int
) -> None:
    ids = await add(backend, *(job(priority=priority) for _ in range(3)))
    claimed = await worker.claim_one()
    await worker.end(claimed, "released")

    where = State.PRIORITIZED if priority else State.WAIT
    assert await line(backend, where) == ids
    found = await record(backend, ids[0])
    assert (found.attempts_made, found.failed_reason) == (0, None)
    assert (await told(backend))[-1] == ("waiting", {"jobId": ids[0], "prev": "active"})


async def test_waits_for_a_worker_with_the_task_are_one_attempt_of_the_history(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    job_id = await add_one(backend)
    await worker.end(await worker.claim_one(), "retried", reason='no "unknownSinceMs":1 of ours')
    since_ms = clock.now_ms()
    for number in range(3):
        claimed = await worker.claim_one()
        reason = f"worker {number} has none"
        await worker.end(
            claimed, "snoozed", wait_ms=1_000, reason=reason, unknown_since_ms=since_ms
        )
        clock.advance(1)

    found = await record(backend, job_id)
    assert (found.state, found.attempts_made) == (State.DELAYED, 1)
    assert (found.failed_reason or "").startswith("no ")
    assert found.unknown_since_ms == since_ms
    assert [(one.number, one.outcome, one.error) for one in found.attempts[1:]] == [
        (4, "snoozed", "worker 2 has none")
    ]

    await worker.end(await worker.claim_one(), "snoozed", wait_ms=1_000)
    clock.advance(1)
    claimed = await worker.claim_one()
    await worker.end(claimed, "snoozed", wait_ms=1_000, unknown_since_ms=clock.now_ms())
    found = await record(backend, job_id)
    assert [one.unknown_since_ms is not None for one in found.attempts] == [
        False, True, False, True,
    ]  # fmt: skip


async def test_first_attempt_of_a_job_may_wait_for_a_worker_with_its_task(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    job_id = await add_one(backend)
    for _ in range(2):
        claimed = await worker.claim_one()
        await worker.end(claimed, "snoozed", wait_ms=1_000, unknown_since_ms=claimed.started_ms)
        clock.advance(1)

    (attempt,) = (await record(backend, job_id)).attempts
    assert attempt.number == 2
    assert (await record(backend, job_id)).failed_reason is None


async def test_history_tells_every_attempt_in_order(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    job_id = await add_one(backend)
    kinds: list[OutcomeKind] = ["released", "snoozed", "retried", "completed"]
    for kind in kinds:
        claimed = await worker.claim_one()
        clock.advance(1)
        await worker.end(claimed, kind, reason="again" if kind == "retried" else None)

    found = await record(backend, job_id)
    assert [attempt.outcome for attempt in found.attempts] == kinds
    assert [attempt.number for attempt in found.attempts] == [1, 2, 3, 4]
    assert [attempt.ended_ms - attempt.started_ms for attempt in found.attempts] == [1_000] * 4
    assert (found.attempts_started, found.attempts_made) == (4, 2)
    assert found.failed_reason is None


async def test_history_keeps_the_newest_attempts(backend: Backend, worker: HandWorker) -> None:
    job_id = await add_one(backend)
    for _ in range(MAX_HISTORY + 5):
        await worker.end(await worker.claim_one(), "retried")
    await worker.end(await worker.claim_one(), "completed")

    numbers = [attempt.number for attempt in (await record(backend, job_id)).attempts]
    assert numbers == list(range(7, MAX_HISTORY + 7))


async def test_follow_ups_are_added_with_the_completion(
    backend: Backend, worker: HandWorker
) -> None:
    await add_one(backend)
    claimed = await worker.claim_one()
    follow_ups = [job(job_id="next"), job("other", delay_ms=5), job(job_id="next")]
    await worker.end(claimed, "completed", follow_ups=follow_ups)

    assert await counts(backend) == {State.COMPLETED: 1, State.WAIT: 1}
    assert await counts(backend, "other") == {State.DELAYED: 1}
    names = [name for name, _ in await told(backend)]
    assert names[-4:] == ["completed", "added", "waiting", "duplicated"]


async def test_queues_of_a_store_are_together(backend: Backend, worker: HandWorker) -> None:
    """Everywhere but in a Cluster, whose own tests have the rest."""
    await worker.claim(limit=1)

    assert backend.dispatch.together([])
    assert backend.dispatch.together([Q])
    assert backend.dispatch.together([Q, "another", "{one}more"])


async def test_follow_ups_of_a_late_completion_are_not_added(
    backend: Backend, worker: HandWorker
) -> None:
    await add_one(backend)
    claimed = await worker.claim_one()
    await worker.end(claimed, "released")
    assert await worker.end(claimed, "completed", follow_ups=[job("other")]) == "lease_lost"

    assert await backend.counts.queue("other") is None


@pytest.mark.parametrize("kind", KINDS)
async def test_wrong_token_changes_nothing(
    backend: Backend, worker: HandWorker, kind: OutcomeKind
) -> None:
    job_id = await add_one(backend)
    claimed = await worker.claim_one()
    before = (await record(backend, job_id), await told(backend))
    forged = outcome(claimed, kind)
    forged.token = "somebody:1"

    assert (await worker.ask(outcomes=[forged])).words == ["lease_lost"]

    assert (await record(backend, job_id), await told(backend)) == before
    assert await worker.end(claimed, "completed") == "ok"


@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", KINDS)
async def test_second_outcome_of_a_claim_is_a_late_one(
    backend: Backend, worker: HandWorker, first: OutcomeKind, second: OutcomeKind
) -> None:
    job_id = await add_one(backend)
    claimed = await worker.claim_one()
    assert await worker.end(claimed, first) == "ok"
    before = await record(backend, job_id)

    assert await worker.end(claimed, second) == "lease_lost"

    assert await record(backend, job_id) == before


async def test_two_outcomes_of_one_claim_in_one_exchange_the_first_counts(
    backend: Backend, worker: HandWorker
) -> None:
    job_id = await add_one(backend)
    claimed = await worker.claim_one()
    reply = await worker.ask(outcomes=[outcome(claimed, "failed"), outcome(claimed, "completed")])

    assert reply.words == ["ok", "lease_lost"]
    assert await state(backend, job_id) is State.FAILED


async def test_one_word_for_each_outcome_in_order(backend: Backend, worker: HandWorker) -> None:
    await add(backend, *(job() for _ in range(4)))
    a, b, c, d = await worker.claim(limit=4)
    await worker.end(b, "completed")

    reply = await worker.ask(
        outcomes=[
            outcome(a, "completed"),
            outcome(b, "completed"),
            outcome(c, "retried"),
            outcome(d, "failed"),
        ]
    )

    assert reply.words == ["ok", "lease_lost", "ok", "ok"]


async def test_outcome_of_a_removed_job_is_a_late_one(backend: Backend, worker: HandWorker) -> None:
    await add_one(backend)
    claimed = await worker.claim_one()
    await worker.end(claimed, "failed")
    await backend.jobs.remove(Q, claimed.id)

    assert await worker.end(claimed, "completed") == "lease_lost"
    assert await counts(backend) == {}


async def test_outcome_after_the_lease_ended_still_counts_if_nobody_took_the_job(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await add_one(backend)
    claimed = await worker.claim_one()
    clock.advance(3_600)

    assert await worker.end(claimed, "completed") == "ok"


@pytest.mark.parametrize("kind", ["completed", "failed"])
async def test_finished_job_is_gone_when_none_are_kept(
    backend: Backend, worker: HandWorker, kind: Any
) -> None:
    job_id = await add_one(backend)
    claimed = await worker.claim_one()
    await backend.logs.add(Q, job_id, "line", keep=5)
    await worker.end(claimed, kind, keep_count=0, value="7", reason="r")

    assert await state(backend, job_id) is None
    assert await counts(backend) == {}
    assert kind in [name for name, _ in await told(backend)]
    queue = await backend.counts.queue(Q)
    assert queue is not None
    assert (queue.completed_total, queue.failed_total) == (
        (1, 0) if kind == "completed" else (0, 1)
    )


@pytest.mark.parametrize("kind", ["completed", "failed"])
async def test_only_the_newest_finished_jobs_are_kept(
    backend: Backend, worker: HandWorker, clock: ManualClock, kind: Any
) -> None:
    ids = await add(backend, *(job() for _ in range(9)))
    for number in range(9):
        await worker.end(await worker.claim_one(), kind, keep_count=3)
        if number % 2:
            clock.advance(0.001)

    where = State(kind)
    assert await line(backend, where) == ids[-3:]
    assert await counts(backend) == {where: 3}
    assert "removed" not in [name for name, _ in await told(backend)]


async def test_keep_count_holds_for_a_whole_batch(backend: Backend, worker: HandWorker) -> None:
    ids = await add(backend, *(job() for _ in range(50)))
    claimed = await worker.claim(limit=50)
    await worker.ask(outcomes=[outcome(one, "completed", keep_count=4) for one in claimed])

    assert await line(backend, State.COMPLETED) == ids[-4:]


async def test_kept_counts_of_completed_and_failed_are_apart(
    backend: Backend, worker: HandWorker
) -> None:
    await add(backend, *(job() for _ in range(6)))
    for number in range(6):
        kind: OutcomeKind = "failed" if number % 2 else "completed"
        await worker.end(await worker.claim_one(), kind, keep_count=1 if kind == "failed" else 2)

    assert await counts(backend) == {State.COMPLETED: 2, State.FAILED: 1}


async def test_a_job_that_is_not_kept_leaves_the_others_alone(
    backend: Backend, worker: HandWorker
) -> None:
    await add(backend, job(), job())
    await worker.end(await worker.claim_one(), "completed")
    await worker.end(await worker.claim_one(), "completed", keep_count=0)

    assert await counts(backend) == {State.COMPLETED: 1}


async def test_finished_jobs_that_are_too_old_go_when_the_next_one_finishes(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    ids = await add(backend, job(), job(), job())
    await worker.end(await worker.claim_one(), "completed", keep_age_ms=10_000)
    clock.advance(9)
    await worker.end(await worker.claim_one(), "completed", keep_age_ms=10_000)
    assert await line(backend, State.COMPLETED) == ids[:2]
    clock.advance(1)
    await worker.end(await worker.claim_one(), "completed", keep_age_ms=10_000)

    assert await line(backend, State.COMPLETED) == ids[1:]


@pytest.mark.parametrize("kind", ["completed", "failed"])
async def test_finished_jobs_that_are_too_old_go_while_the_queue_is_idle(
    backend: Backend, worker: HandWorker, clock: ManualClock, kind: Any
) -> None:
    ids = await add(backend, *(job() for _ in range(5)))
    for _ in range(5):
        await worker.end(await worker.claim_one(), kind, keep_age_ms=60_000)
        clock.advance(10)

    assert await backend.dispatch.trim(limit=10) == 0
    clock.advance(30)
    assert await backend.dispatch.trim(limit=1) == 1
    assert await backend.dispatch.trim(limit=10) == 2
    assert await line(backend, State(kind)) == ids[3:]


async def test_jobs_without_an_age_stay_for_ever(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await add_one(backend)
    await worker.end(await worker.claim_one(), "completed")
    clock.advance(10 * 365 * 86_400)

    assert await backend.dispatch.trim(limit=10) == 0
    assert await counts(backend) == {State.COMPLETED: 1}


async def test_progress_and_lines_of_a_running_task_are_kept_in_order(
    backend: Backend, worker: HandWorker
) -> None:
    job_id = await add_one(backend)
    claimed = await worker.claim_one()
    words = await backend.dispatch.speak(
        [
            speech(claimed, progress="10"),
            speech(claimed, line="one"),
            speech(claimed, progress='{"part":2}', line="two"),
        ]
    )

    assert words == ["ok", "ok", "ok"]
    assert (await record(backend, job_id)).progress == '{"part":2}'
    assert await backend.logs.read(Q, job_id, start=0, limit=10) == (["one", "two"], 2)
    assert (await told(backend))[-2:] == [
        ("progress", {"jobId": job_id, "data": "10"}),
        ("progress", {"jobId": job_id, "data": '{"part":2}'}),
    ]


async def test_progress_survives_the_end(backend: Backend, worker: HandWorker) -> None:
    job_id = await add_one(backend)
    claimed = await worker.claim_one()
    await backend.dispatch.speak([speech(claimed, progress="99", line="nearly")])
    await worker.end(claimed, "completed")

    assert (await record(backend, job_id)).progress == "99"
    assert await backend.logs.read(Q, job_id, start=0, limit=5) == (["nearly"], 1)


async def test_late_words_of_a_task_change_nothing(backend: Backend, worker: HandWorker) -> None:
    job_id = await add_one(backend)
    late = await worker.claim_one()
    await worker.end(late, "released")
    current = await worker.claim_one()
    before = await told(backend)

    words = await backend.dispatch.speak(
        [speech(late, progress="50", line="late"), speech(current, line="current")]
    )

    assert words == ["lease_lost", "ok"]
    assert (await record(backend, job_id)).progress == "0"
    assert await backend.logs.read(Q, job_id, start=0, limit=5) == (["current"], 1)
    assert await told(backend) == before


async def test_running_task_keeps_as_many_lines_as_it_may(
    backend: Backend, worker: HandWorker
) -> None:
    job_id = await add_one(backend)
    claimed = await worker.claim_one()
    await backend.dispatch.speak(
        [speech(claimed, line=str(number), keep_logs=3) for number in range(10)]
    )

    assert await backend.logs.read(Q, job_id, start=0, limit=10) == (["7", "8", "9"], 3)


async def test_no_words_need_no_answer(backend: Backend) -> None:
    assert await backend.dispatch.speak([]) == []


async def test_payload_from_within_is_what_the_next_attempt_gets(
    backend: Backend, worker: HandWorker
) -> None:
    job_id = await add_one(backend, data='{"step":0}')
    claimed = await worker.claim_one()

    said = [
        speech(claimed, data='{"step":1}', progress="1", line="one"),
        speech(claimed, data='{"step":2}'),
    ]
    assert await backend.dispatch.speak(said) == ["ok", "ok"]
    found = await record(backend, job_id)
    assert (found.data, found.progress) == ('{"step":2}', "1")
    assert await worker.end(claimed, "retried", reason="again") == "ok"

    again = await worker.claim_one()
    assert (again.id, again.data) == (job_id, '{"step":2}')


@pytest.mark.parametrize("end", ["completed", "retried", "released"])
async def test_payload_that_comes_too_late_changes_nothing(
    backend: Backend, worker: HandWorker, end: Any
) -> None:
    job_id = await add_one(backend, data='{"step":0}')
    claimed = await worker.claim_one()
    await worker.end(claimed, end)

    assert await backend.dispatch.speak([speech(claimed, data="[]")]) == ["lease_lost"]
    assert (await record(backend, job_id)).data == '{"step":0}'


async def test_payload_of_a_job_that_is_gone_is_too_late(
    backend: Backend, worker: HandWorker
) -> None:
    await add_one(backend)
    claimed = await worker.claim_one()
    await backend.limits.pause(Q)
    await backend.bulk.obliterate(Q, force=True, limit=9)

    assert await backend.dispatch.speak([speech(claimed, data="[]")]) == ["lease_lost"]
    assert await backend.jobs.get(Q, claimed.id) is None


@pytest.mark.parametrize(
    ("keep", "kept"),
    [(0, []), (1, ["trace 4"]), (3, ["trace 2", "trace 3", "trace 4"]), (50, None)],
)
async def test_newest_tracebacks_stay_as_many_as_the_job_says(
    backend: Backend, worker: HandWorker, keep: int, kept: list[str] | None
) -> None:
    other = await add_one(backend, "other")
    job_id = await add_one(backend, opts=f'{{"stackTraceLimit":{keep}}}')
    (beside,) = await worker.claim("other")
    for number in range(5):
        claimed = await worker.claim_one()
        facts: dict[str, Any] = {"reason": "no", "traceback": f"trace {number}"}
        kind: Any = "failed" if number == 4 else "retried"
        await worker.end(claimed, kind, keep_traces=keep, **facts)
    await worker.end(beside, "failed", reason="no", traceback="of the other")

    attempts = (await record(backend, job_id)).attempts
    assert [one.error for one in attempts] == ["no"] * 5
    every = [f"trace {number}" for number in range(5)]
    left = every if kept is None else kept
    assert [one.traceback for one in attempts] == [None] * (5 - len(left)) + left
    found = await record(backend, other, "other")
    assert [one.traceback for one in found.attempts] == ["of the other"]


async def test_limit_of_tracebacks_counts_only_attempts_that_have_one(
    backend: Backend, worker: HandWorker
) -> None:
    job_id = await add_one(backend, opts='{"stackTraceLimit":2}')
    for number in range(6):
        trace = None if number % 2 else f"trace {number}"
        kind: Any = "snoozed" if trace is None else "retried"
        await worker.end(await worker.claim_one(), kind, traceback=trace, keep_traces=2)

    attempts = (await record(backend, job_id)).attempts
    assert [one.traceback for one in attempts] == [None, None, "trace 2", None, "trace 4", None]
