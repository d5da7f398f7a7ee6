"""Operations on many jobs: who drives them, what a step changes, what can be put back."""

from __future__ import annotations

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
    outcome,
    record,
    state,
    told,
)
from tests.support.flows import Tree, nodes

from toril.engine.contract import Backend
from toril.engine.contract.operations import Act, Step
from toril.engine.deduplication import DeduplicationRule
from toril.engine.states import LOOSE, State
from toril.testing.clock import ManualClock

OP = "op-1"
KEEP_MS = 600_000


async def act(
    backend: Backend, verb: Any, where: State, ids: list[str], *, after: int = 0, **fields: Any
) -> Step | None:
    """Make one step."""
    place = fields.pop("place", "there")
    return await backend.operations.step(
        OP,
        fields.pop("queue", Q),
        after=after,
        place=place,
        looked_at=len(ids),
        act=Act(verb=verb, state=where, ids=ids, **fields),
    )


async def plant(backend: Backend) -> tuple[str, str]:
    """Add a parent and its child to the queue; return their ids."""
    await backend.flows.add(nodes(Tree("P", Q, [Tree("C", Q)])))
    return "P", "C"


async def test_an_operation_is_stored_listed_and_ended(
    backend: Backend, clock: ManualClock
) -> None:
    store = backend.operations
    await store.add(OP, "what to do")
    clock.advance(1)
    await store.add("op-2", "more")

    found = await store.get(OP)
    assert found is not None
    assert (found.body, found.state, found.driven) == ("what to do", "running", False)
    assert [one.id for one in await store.newest(limit=10)] == ["op-2", OP]
    assert [one.id for one in await store.newest(limit=1)] == ["op-2"]
    assert await store.get("nothing") is None
    assert not await store.end(OP, "me", "done", "")

    taken = await store.take(OP, "me", lease_ms=1000)
    assert taken is not None
    assert taken.driven
    assert await store.end(OP, "me", "done", "all of it")
    ended = await store.get(OP)
    assert ended is not None
    assert (ended.state, ended.note, ended.driven) == ("done", "all of it", False)
    assert ended.ended_ms == clock.now_ms()
    assert await store.take(OP, "me", lease_ms=1000) is None
    assert not await store.want_cancelled(OP)


async def test_one_process_drives_until_its_lease_ends(
    backend: Backend, clock: ManualClock
) -> None:
    store = backend.operations
    await store.add(OP, "")

    assert await store.take(OP, "me", lease_ms=1000) is not None
    assert await store.take(OP, "you", lease_ms=1000) is None
    assert await store.take(OP, "me", lease_ms=1000) is not None
    clock.advance(1)
    assert await store.take(OP, "you", lease_ms=1000) is not None
    assert await store.take(OP, "me", lease_ms=1000) is None
    assert not await store.end(OP, "me", "done", "")
    assert await store.take("nothing", "me", lease_ms=1000) is None


async def test_whoever_drives_learns_that_it_is_to_end(backend: Backend) -> None:
    store = backend.operations
    await store.add(OP, "")
    assert await store.want_cancelled(OP)

    taken = await store.take(OP, "me", lease_ms=1000)

    assert taken is not None
    assert taken.wanted == "cancel"
    assert await store.end(OP, "me", "cancelled", "")
    await store.mark_undone(OP, "3 jobs")
    undone = await store.get(OP)
    assert undone is not None
    assert (undone.state, undone.note) == ("undone", "3 jobs")


async def test_steps_count_up_and_a_late_one_changes_nothing(
    backend: Backend, worker: HandWorker
) -> None:
    ids = [await bring(backend, worker, State.FAILED) for _ in range(4)]
    assert await backend.operations.steps(OP, [Q, "other"]) == [Step(), Step()]

    first = await act(backend, "retry", State.FAILED, ids[:2], place="a")
    late = await act(backend, "retry", State.FAILED, ids[2:], place="b")
    noted = await backend.operations.step(OP, Q, after=1, place="c", looked_at=7, act=None)

    assert first == Step(version=1, place="a", done=2, looked_at=2)
    assert late is None
    assert noted == Step(version=2, place="c", done=2, looked_at=9)
    assert await backend.operations.steps(OP, [Q, "other"]) == [noted, Step()]
    assert [await state(backend, job_id) for job_id in ids] == [
        State.WAIT, State.WAIT, State.FAILED, State.FAILED
    ]  # fmt: skip


@pytest.mark.parametrize("where", [State.FAILED, State.COMPLETED])
async def test_retry_is_for_jobs_that_ended_by_then(
    backend: Backend, worker: HandWorker, clock: ManualClock, where: State
) -> None:
    old = [await bring(backend, worker, where, data='{"n":1}') for _ in range(2)]
    until_ms = clock.now_ms()
    clock.advance(0.001)
    new = await bring(backend, worker, where)
    before = await backend.events.latest(Q)

    step = await act(
        backend, "retry", where, [*old, new, "nothing", old[0]], ended_until_ms=until_ms
    )

    assert step is not None
    assert (step.done, step.refused) == (2, 3)
    assert await line(backend, State.WAIT) == old
    assert [name for name, _ in await told(backend, after=before)] == ["waiting"] * 2
    assert (await record(backend, old[0])).attempts_made == 0
    assert {one.id for one in await worker.claim(limit=5)} == set(old)


async def test_promote_makes_delayed_jobs_ready(backend: Backend, worker: HandWorker) -> None:
    plain = await bring(backend, worker, State.DELAYED)
    ranked = await bring(backend, worker, State.DELAYED, priority=5)
    ready = await add_one(backend)

    step = await act(backend, "promote", State.DELAYED, [plain, ranked, ready])

    assert step is not None
    assert (step.done, step.refused) == (2, 1)
    assert await line(backend, State.WAIT) == [ready, plain]
    assert await line(backend, State.PRIORITIZED) == [ranked]


@pytest.mark.parametrize(
    "where", [state for state in REACHED if state not in (State.COMPLETED, State.FAILED)]
)
async def test_cancel_fails_jobs_or_tells_their_worker(
    backend: Backend, worker: HandWorker, where: State
) -> None:
    ids = [await bring(backend, worker, where) for _ in range(2)]
    claimed = [] if where is not State.ACTIVE else ids

    step = await act(backend, "cancel", where, [*ids, "nothing"], reason="too late")

    assert step is not None
    assert (step.done, step.refused) == (2, 1)
    for job_id in ids:
        found = await record(backend, job_id)
        if claimed:
            assert (found.state, found.cancel_reason) == (State.ACTIVE, "too late")
        else:
            assert (found.state, found.failed_reason) == (State.FAILED, "too late")


@pytest.mark.parametrize("where", LOOSE)
async def test_removed_jobs_are_put_back_whole(
    backend: Backend, worker: HandWorker, where: State, clock: ManualClock
) -> None:
    ids = [
        await bring(backend, worker, where, data=f'{{"n":{n}}}', opts='{"attempts":3}')
        for n in range(3)
    ]
    for job_id in ids:
        await backend.logs.add(Q, job_id, "a line", keep=10)
    stays = await bring(backend, worker, where)
    whole = [await record(backend, job_id) for job_id in ids]
    figures = await counts(backend)
    totals = await totals_of(backend)
    before = await backend.events.latest(Q)

    step = await act(backend, "remove", where, [*ids, "nothing"], keep_ms=KEEP_MS)

    assert step is not None
    assert (step.done, step.refused) == (3, 1)
    assert [await backend.jobs.get(Q, job_id) for job_id in ids] == [None] * 3
    assert [name for name, _ in await told(backend, after=before)] == ["removed"] * 3
    assert (await backend.logs.add(Q, stays, "x", keep=1)) == 1

    first = await backend.operations.restore(OP, Q, limit=2)
    rest = await backend.operations.restore(OP, Q, limit=2)

    assert (first.restored, first.more) == (2, True)
    assert (rest.restored, rest.taken, rest.more) == (1, 0, False)
    assert await counts(backend) == figures
    assert await totals_of(backend) == totals
    for was in whole:
        now = await record(backend, was.id)
        if where is State.DELAYED:
            assert now.due_ms == was.due_ms
            now.run_at_ms = was.run_at_ms
        assert now == was
        assert await backend.logs.read(Q, was.id, start=0, limit=5) == (["a line"], 1)
    assert (await backend.operations.restore(OP, Q, limit=2)).restored == 0


async def totals_of(backend: Backend) -> tuple[int, int]:
    """Return how many jobs of the queue have completed and failed in all."""
    found = await backend.counts.queue(Q)
    assert found is not None
    return found.completed_total, found.failed_total


async def test_what_was_put_back_can_run(backend: Backend, worker: HandWorker) -> None:
    ids = await add(backend, job(), job(priority=3))
    for number, (where, job_id) in enumerate(((State.WAIT, ids[0]), (State.PRIORITIZED, ids[1]))):
        await act(backend, "remove", where, [job_id], after=number, keep_ms=KEEP_MS)

    await backend.operations.restore(OP, Q, limit=10)

    assert [one.id for one in await worker.claim(limit=5)] == ids


async def test_an_id_that_is_taken_stays_with_the_other_job(backend: Backend) -> None:
    job_id = await add_one(backend, job_id="own", data="1")
    await act(backend, "remove", State.WAIT, [job_id], keep_ms=KEEP_MS)
    await add_one(backend, job_id="own", data="2")

    restored = await backend.operations.restore(OP, Q, limit=10)

    assert (restored.restored, restored.taken) == (0, 1)
    assert (await record(backend, "own")).data == "2"


async def test_removed_jobs_are_kept_for_their_time_only(
    backend: Backend, clock: ManualClock
) -> None:
    ids = await add(backend, job(), job())
    await act(backend, "remove", State.WAIT, ids[:1], keep_ms=1000)
    await act(backend, "remove", State.WAIT, ids[1:], after=1)

    clock.advance(1.001)

    assert (await backend.operations.restore(OP, Q, limit=10)).restored == 0


async def test_a_removed_job_lets_go_of_its_id_and_holds_it_again(backend: Backend) -> None:
    rule = DeduplicationRule(id="one")
    first = await add_one(backend, deduplication=rule, opts='{"de":{"id":"one"}}')
    await act(backend, "remove", State.WAIT, [first], keep_ms=KEEP_MS)
    assert await backend.deduplication.holder(Q, "one") is None

    await backend.operations.restore(OP, Q, limit=10)

    assert await backend.deduplication.holder(Q, "one") == first


async def test_running_jobs_and_parents_are_not_removed(
    backend: Backend, worker: HandWorker
) -> None:
    running = await bring(backend, worker, State.ACTIVE)
    parent, child = await plant(backend)

    for number, (where, job_id) in enumerate(
        ((State.WAIT, running), (State.FAILED, parent), (State.DELAYED, child))
    ):
        step = await act(backend, "remove", where, [job_id], after=number)
        assert step is not None
        assert (step.done, step.refused) == (0, number + 1)


async def test_a_parent_does_not_wait_for_a_removed_child(backend: Backend) -> None:
    parent, child = await plant(backend)

    step = await act(backend, "remove", State.WAIT, [child], keep_ms=KEEP_MS)

    assert step is not None
    assert step.done == 1
    assert await state(backend, parent) is State.WAIT
    assert (await backend.operations.restore(OP, Q, limit=10)).restored == 1


@pytest.mark.parametrize("where", LOOSE)
async def test_jobs_move_to_another_queue_as_they_are(
    backend: Backend, worker: HandWorker, where: State
) -> None:
    ids = [await bring(backend, worker, where, data=f'{{"n":{n}}}') for n in range(2)]
    await backend.logs.add(Q, ids[0], "a line", keep=10)
    was = await record(backend, ids[0])
    before = await backend.events.latest(Q)

    step = await act(backend, "move", where, [*ids, "nothing"], target="other")

    assert step is not None
    assert (step.done, step.refused) == (2, 1)
    assert [name for name, _ in await told(backend, after=before)] == ["removed"] * 2
    now = await backend.jobs.get("other", ids[0])
    assert now is not None
    now.queue = was.queue
    if where is State.DELAYED:
        assert now.due_ms == was.due_ms
        now.run_at_ms = was.run_at_ms
    if where in (State.FAILED, State.COMPLETED):
        assert now.finished_on_ms == was.finished_on_ms
    assert now == was
    assert await backend.logs.read("other", ids[0], start=0, limit=5) == (["a line"], 1)
    assert where not in await counts(backend)
    fresh = await add_one(backend, queue="other")
    assert fresh not in ids


async def test_a_moved_job_gets_another_id_if_its_own_is_taken(
    backend: Backend, worker: HandWorker
) -> None:
    await add_one(backend, queue="other", job_id="own", data="1")
    await add_one(backend, job_id="own", data="2")

    step = await act(backend, "move", State.WAIT, ["own"], target="other")

    assert step is not None
    assert step.done == 1
    claimed = await worker.claim("other", limit=5)
    assert [one.data for one in claimed] == ["1", "2"]
    assert claimed[0].id == "own" != claimed[1].id


async def test_jobs_of_flows_do_not_move(backend: Backend) -> None:
    parent, child = await plant(backend)

    step = await act(backend, "move", State.WAIT, [child], target="other")

    assert step is not None
    assert (step.done, step.refused) == (0, 1)
    assert await state(backend, parent) is State.WAITING_CHILDREN


async def test_a_job_that_a_worker_took_meanwhile_is_refused(
    backend: Backend, worker: HandWorker
) -> None:
    ids = await add(backend, job(), job())
    claimed = await worker.claim_one()

    step = await act(backend, "remove", State.WAIT, ids)

    assert step is not None
    assert (step.done, step.refused) == (1, 1)
    assert await worker.end(claimed, "completed") == "ok"


async def test_a_step_in_a_queue_that_is_not_there_refuses_all(backend: Backend) -> None:
    step = await act(backend, "remove", State.WAIT, ["1"], queue="nowhere")

    assert step == Step(version=1, place="there", refused=1, looked_at=1)


async def test_retried_jobs_fail_and_are_retried_no_second_time(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    """A step that is made again after a kill finds them failed once more, but later."""
    job_id = await bring(backend, worker, State.FAILED)
    until_ms = clock.now_ms()
    await act(backend, "retry", State.FAILED, [job_id], ended_until_ms=until_ms)
    clock.advance(1)
    (claimed,) = await worker.claim()
    await worker.ask(outcomes=[outcome(claimed, "failed", reason="again")])

    step = await act(backend, "retry", State.FAILED, [job_id], after=1, ended_until_ms=until_ms)

    assert step is not None
    assert (step.done, step.refused) == (1, 1)
