"""Jobs of outboxes: each exactly once, whatever became of the first one."""

from __future__ import annotations

from typing import Any

from tests.support.contract import HandWorker, Q, add, counts, job, line, record, told

from toril.engine.contract import Backend
from toril.engine.contract.relaying import MARK_DAYS, MarkedJob
from toril.engine.deduplication import DeduplicationRule
from toril.engine.job import Added, NewJob
from toril.engine.states import State
from toril.testing.clock import ManualClock


def marked(mark: str, **fields: Any) -> MarkedJob:
    """Return a job of an outbox whose id is made from its mark."""
    return MarkedJob(mark, job(**{"job_id": f"outbox-{mark}", **fields}))


async def relay(backend: Backend, *jobs: MarkedJob, forget: tuple[str, ...] = ()) -> list[Added]:
    """Add such jobs."""
    return await backend.relaying.add(Q, list(jobs), forget=forget)


async def run_and_drop(backend: Backend, worker: HandWorker) -> None:
    """Run the next job, of which nothing is kept."""
    claimed = await worker.claim_one()
    assert await worker.end(claimed, "completed", keep_count=0) == "ok"
    assert await backend.jobs.get(Q, claimed.id) is None


async def test_jobs_of_an_outbox_are_added_in_order_with_all_that_they_say(
    backend: Backend,
) -> None:
    answers = await relay(
        backend,
        marked("a", data='{"n":1}'),
        marked("b", name="vans", delay_ms=5000),
        marked("c", priority=3),
        marked("d", timestamp_ms=1234),
    )

    assert answers == [Added(f"outbox-{mark}") for mark in "abcd"]
    assert await line(backend, State.WAIT) == ["outbox-a", "outbox-d"]
    assert await line(backend, State.DELAYED) == ["outbox-b"]
    assert await line(backend, State.PRIORITIZED) == ["outbox-c"]
    assert (await record(backend, "outbox-a")).data == '{"n":1}'
    assert (await record(backend, "outbox-b")).name == "vans"
    assert (await record(backend, "outbox-d")).timestamp_ms == 1234


async def test_job_that_has_run_and_is_gone_is_not_added_again(
    backend: Backend, worker: HandWorker
) -> None:
    await relay(backend, marked("a"))
    await run_and_drop(backend, worker)

    answers = await relay(backend, marked("a"), marked("b"))

    assert answers == [Added("outbox-a", duplicate=True), Added("outbox-b")]
    assert await line(backend, State.WAIT) == ["outbox-b"]


async def test_job_that_an_operator_has_removed_does_not_come_back(backend: Backend) -> None:
    await relay(backend, marked("a"))
    await backend.jobs.remove(Q, "outbox-a")

    await relay(backend, marked("a"))

    assert await line(backend, State.WAIT) == []


async def test_job_whose_deduplication_id_is_free_again_is_not_added_again(
    backend: Backend, worker: HandWorker
) -> None:
    """The mark counts, not the id: the first job has let go of that."""
    rule = DeduplicationRule(id="report")
    same = marked("a", deduplication=rule, opts='{"de":{"id":"report"}}')
    await relay(backend, same)
    await run_and_drop(backend, worker)

    await relay(backend, same)

    assert await line(backend, State.WAIT) == []


async def test_job_that_gave_way_to_another_one_is_not_added_once_that_has_ended(
    backend: Backend, worker: HandWorker
) -> None:
    rule = DeduplicationRule(id="report")
    first = marked("a", deduplication=rule, opts='{"de":{"id":"report"}}')
    second = marked("b", deduplication=rule, opts='{"de":{"id":"report"}}')
    assert await relay(backend, first, second) == [
        Added("outbox-a"),
        Added("outbox-a", duplicate=True),
    ]
    await run_and_drop(backend, worker)

    await relay(backend, second)

    assert await line(backend, State.WAIT) == []


async def test_id_of_the_callers_own_that_is_taken_is_a_duplicate(backend: Backend) -> None:
    await add(backend, NewJob(queue=Q, name="cars", data="{}", job_id="invoice-7"))

    answers = await relay(backend, marked("a", job_id="invoice-7"))

    assert answers == [Added("invoice-7", duplicate=True)]
    assert await line(backend, State.WAIT) == ["invoice-7"]


async def test_second_call_of_the_same_says_nothing_of_it(backend: Backend) -> None:
    await relay(backend, marked("a"))
    before = await told(backend)

    await relay(backend, marked("a"))

    assert await told(backend) == before


async def test_mark_that_is_forgotten_no_longer_counts(
    backend: Backend, worker: HandWorker
) -> None:
    await relay(backend, marked("a"), marked("b"))
    await run_and_drop(backend, worker)
    await run_and_drop(backend, worker)

    await relay(backend, forget=("a", "never-was"))
    answers = await relay(backend, marked("a"), marked("b"))

    assert answers == [Added("outbox-a"), Added("outbox-b", duplicate=True)]


async def test_mark_of_the_same_call_is_kept(backend: Backend, worker: HandWorker) -> None:
    await relay(backend, marked("a"), forget=("a",))
    await run_and_drop(backend, worker)

    assert await relay(backend, marked("a")) == [Added("outbox-a", duplicate=True)]


async def test_mark_that_nobody_drops_is_dropped_after_its_time(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await relay(backend, marked("a"))
    await run_and_drop(backend, worker)
    clock.advance(MARK_DAYS * 86_400 - 1)
    assert await relay(backend, marked("a")) == [Added("outbox-a", duplicate=True)]

    clock.advance(2)

    assert await relay(backend, marked("a")) == [Added("outbox-a")]


async def test_marks_go_with_their_queue(backend: Backend) -> None:
    await relay(backend, marked("a"))
    await backend.limits.pause(Q)
    while await backend.bulk.obliterate(Q, force=True, limit=100):
        pass

    assert await relay(backend, marked("a")) == [Added("outbox-a")]
    assert (await counts(backend))[State.WAIT] == 1


async def test_same_mark_on_another_queue_is_another_job(backend: Backend) -> None:
    await relay(backend, marked("a"))

    answers = await backend.relaying.add("other", [marked("a", queue="other")], forget=())

    assert answers == [Added("outbox-a")]
