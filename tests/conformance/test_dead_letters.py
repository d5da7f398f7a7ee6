"""Rules of dead-letter queues, letters beside failures, and jobs that come back from letters."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from tests.support.contract import HandWorker, Q, add_one, record, state
from tests.support.flows import PARENTS, Tree, finish, plant
from tests.support.flows import fail as fail_child

from toril.engine.contract import Backend, DeadLetterRule, Redrive
from toril.engine.job import Attempt, Claimed, JobRecord
from toril.engine.letters import as_failed, job_again, letter_job, marked, read_letter
from toril.engine.states import State
from toril.testing.clock import ManualClock

DEAD = "graveyard"
AT = datetime(2030, 1, 1, tzinfo=UTC)


async def fail(backend: Backend, worker: HandWorker, claimed: Claimed, **fields: Any) -> JobRecord:
    """Fail a claimed job with a letter, as a worker does, and return the letter."""
    before = await record(backend, claimed.id, claimed.queue)
    last = Attempt(
        number=claimed.attempts_started,
        started_ms=claimed.started_ms,
        ended_ms=backend.clock.now_ms(),
        worker_id=worker.id,
        outcome="failed",
        error="broken",
        traceback="Traceback of the last attempt",
    )
    letter = letter_job(as_failed(before, last, attempts_made=claimed.attempts_made + 1), DEAD)
    await worker.end(
        claimed, "failed", reason="broken", traceback=last.traceback, follow_ups=[letter], **fields
    )
    assert letter.job_id is not None
    return await record(backend, letter.job_id, DEAD)


def redrive(letter: JobRecord, *, data: str | None = None) -> Redrive:
    """Return what brings the job of a letter back."""
    read = read_letter(letter.data)
    assert read is not None
    job = job_again(read, 0)
    if data is not None:
        job = msgspec.structs.replace(job, record=msgspec.structs.replace(job.record, data=data))
    return Redrive(DEAD, letter.id, letter.data, marked(read, AT), job, data)


async def test_a_queue_has_no_rule_until_it_is_given_one(backend: Backend) -> None:
    assert await backend.dead_letters.rule(Q) is None
    await add_one(backend)
    assert await backend.dead_letters.rule(Q) is None

    await backend.dead_letters.set_rule(Q, DeadLetterRule(DEAD))
    assert await backend.dead_letters.rule(Q) == DeadLetterRule(DEAD)
    await backend.dead_letters.set_rule(Q, DeadLetterRule("other", 5000))
    assert await backend.dead_letters.rule(Q) == DeadLetterRule("other", 5000)
    await backend.dead_letters.set_rule(Q, None)
    assert await backend.dead_letters.rule(Q) is None


async def test_a_rule_makes_its_queue(backend: Backend) -> None:
    await backend.dead_letters.set_rule(Q, DeadLetterRule(DEAD))

    assert await backend.dead_letters.rule(Q) == DeadLetterRule(DEAD)
    assert await backend.counts.queue(Q) is not None


async def test_a_queue_that_goes_takes_its_rule_along(backend: Backend) -> None:
    await backend.dead_letters.set_rule(Q, DeadLetterRule(DEAD))
    await backend.limits.pause(Q)
    while await backend.bulk.obliterate(Q, force=False, limit=100):
        pass

    await add_one(backend)
    assert await backend.dead_letters.rule(Q) is None


async def test_a_failure_and_its_letter_are_stored_together(
    backend: Backend, worker: HandWorker
) -> None:
    job_id = await add_one(backend, data='{"to":"ann"}', opts='{"attempts":3}', priority=4)
    claimed = await worker.claim_one()

    letter = await fail(backend, worker, claimed)

    assert await state(backend, job_id) is State.FAILED
    assert letter.state is State.WAIT
    read = read_letter(letter.data)
    assert read is not None
    assert (read.original_queue, read.original_job_id, read.job_name) == (Q, job_id, "cars")
    assert bytes(read.data) == b'{"to":"ann"}'
    assert bytes(read.opts) == b'{"attempts":3}'
    assert (read.failed_reason, read.attempts_made, read.priority) == ("broken", 1, 4)
    assert read.stacktrace == ["Traceback of the last attempt"]
    assert [attempt.outcome for attempt in read.history] == ["failed"]


async def test_an_outcome_that_comes_too_late_leaves_no_letter(
    backend: Backend, worker: HandWorker
) -> None:
    await add_one(backend)
    claimed = await worker.claim_one()
    await worker.end(claimed, "released")

    with pytest.raises(AssertionError):
        await fail(backend, worker, claimed)

    found = await backend.counts.queue(DEAD)
    assert found is None or sum(found.counts.values()) == 0


async def test_a_failure_that_is_not_kept_leaves_its_letter(
    backend: Backend, worker: HandWorker
) -> None:
    job_id = await add_one(backend)

    letter = await fail(backend, worker, await worker.claim_one(), keep_count=0)

    assert await backend.jobs.get(Q, job_id) is None
    assert letter.state is State.WAIT


async def test_a_failed_job_comes_back_with_its_history(
    backend: Backend, worker: HandWorker
) -> None:
    job_id = await add_one(backend, data='{"to":"ann"}')
    await worker.end(await worker.claim_one(), "retried", reason="first")
    letter = await fail(backend, worker, await worker.claim_one())

    answer = await backend.dead_letters.redrive(redrive(letter))

    assert answer == ("back", State.FAILED)
    back = await record(backend, job_id)
    assert (back.state, back.attempts_made, back.data) == (State.WAIT, 0, '{"to":"ann"}')
    assert [attempt.outcome for attempt in back.attempts] == ["retried", "failed"]
    mark = read_letter((await record(backend, letter.id, DEAD)).data)
    assert mark is not None
    assert mark.redriven_at == "2030-01-01T00:00:00.000Z"
    assert (await worker.claim_one()).id == job_id


async def test_a_job_that_is_gone_comes_back_under_its_id(
    backend: Backend, worker: HandWorker
) -> None:
    job_id = await add_one(backend, data='{"to":"ann"}', opts='{"attempts":3}', priority=4)
    letter = await fail(backend, worker, await worker.claim_one(), keep_count=0)

    answer = await backend.dead_letters.redrive(redrive(letter))

    assert answer == ("back", None)
    back = await record(backend, job_id)
    assert (back.state, back.priority, back.opts) == (State.PRIORITIZED, 4, '{"attempts":3}')
    (attempt,) = back.attempts
    assert (attempt.outcome, attempt.error) == ("failed", "broken")
    assert attempt.traceback == "Traceback of the last attempt"
    claimed = await worker.claim_one()
    assert (claimed.id, claimed.data, claimed.attempts_made) == (job_id, '{"to":"ann"}', 0)


@pytest.mark.parametrize("keep_count", [None, 0])
async def test_a_job_may_come_back_with_other_data(
    backend: Backend, worker: HandWorker, keep_count: int | None
) -> None:
    job_id = await add_one(backend, data='{"to":"nobody"}')
    letter = await fail(backend, worker, await worker.claim_one(), keep_count=keep_count)

    await backend.dead_letters.redrive(redrive(letter, data='{"to":"ann"}'))

    assert (await record(backend, job_id)).data == '{"to":"ann"}'


async def test_a_letter_brings_its_job_back_once(backend: Backend, worker: HandWorker) -> None:
    """Two people redrive the same letter at the same time; the job has completed in between."""
    await add_one(backend)
    letter = await fail(backend, worker, await worker.claim_one())
    wanted = redrive(letter)

    assert await backend.dead_letters.redrive(wanted) == ("back", State.FAILED)
    await worker.end(await worker.claim_one(), "completed", value="1", keep_count=0)

    assert await backend.dead_letters.redrive(wanted) == ("changed", None)
    assert await worker.claim() == []


async def test_a_job_that_is_back_already_is_left_alone(
    backend: Backend, worker: HandWorker
) -> None:
    job_id = await add_one(backend)
    letter = await fail(backend, worker, await worker.claim_one())
    await backend.jobs.retry(Q, job_id, reset_attempts=True)
    await worker.claim_one()

    assert await backend.dead_letters.redrive(redrive(letter)) == ("was_back", State.ACTIVE)
    assert await state(backend, job_id) is State.ACTIVE


async def test_a_letter_that_is_gone_brings_nothing_back(
    backend: Backend, worker: HandWorker
) -> None:
    job_id = await add_one(backend)
    letter = await fail(backend, worker, await worker.claim_one())
    await backend.jobs.remove(DEAD, letter.id)

    assert await backend.dead_letters.redrive(redrive(letter)) == ("missing", None)
    assert await state(backend, job_id) is State.FAILED


async def test_each_failure_of_a_job_has_a_letter_of_its_own(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await add_one(backend)
    first = await fail(backend, worker, await worker.claim_one())
    await backend.dead_letters.redrive(redrive(first))
    clock.advance(5)

    second = await fail(backend, worker, await worker.claim_one())

    assert second.id != first.id
    assert second.state is State.WAIT


async def test_parent_that_ends_before_its_children_has_no_letter_until_somebody_looks(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await backend.dead_letters.set_rule(PARENTS, DeadLetterRule(DEAD))
    for number in range(3):  # the store fails it, so its worker has sent no letter
        kid = Tree(f"C{number}", on_failure="continue")
        await plant(backend, Tree(f"P{number}", PARENTS, [kid, Tree(f"D{number}", "others")]))
        await fail_child(worker, f"C{number}")
        clock.advance(5)
        await finish(worker, f"P{number}", PARENTS)
    clock.advance(5)

    first, until = await backend.dead_letters.unlettered(PARENTS, limit=2)
    assert (first, await state(backend, "P0", PARENTS)) == (["P0", "P1"], State.FAILED)
    await backend.dead_letters.looked(PARENTS, until)
    assert (await backend.dead_letters.unlettered(PARENTS, limit=2))[0] == ["P2"]
    await backend.moving.remove(PARENTS, State.FAILED, ["P2"])
    gone, until = await backend.dead_letters.unlettered(PARENTS, limit=2)
    assert gone == []
    if until:
        await backend.dead_letters.looked(PARENTS, until)
    assert await backend.dead_letters.unlettered(PARENTS, limit=2) == ([], "")


async def test_failures_with_a_letter_are_not_looked_for(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await backend.dead_letters.set_rule(Q, DeadLetterRule(DEAD))
    await add_one(backend)
    await fail(backend, worker, await worker.claim_one())
    clock.advance(5)

    ids, _ = await backend.dead_letters.unlettered(Q, limit=10)

    assert ids == []
