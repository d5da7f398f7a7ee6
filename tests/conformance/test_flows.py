"""Flows: trees are added whole, parents wait, and every end of a child reaches its parent."""

from __future__ import annotations

import pytest
from tests.support.contract import (
    HandWorker,
    add_one,
    counts,
    job,
    line,
    outcome,
    record,
    state,
    told,
)
from tests.support.flows import (
    KIDS,
    PARENTS,
    Tree,
    children,
    fail,
    fates,
    finish,
    nodes,
    parent,
    plant,
    take,
)

from toril.core.errors import InvalidOptionError, JobNotFoundError, WrongStateError
from toril.engine.contract import Backend, NewNode
from toril.engine.flow import OnFailure, ParentRef
from toril.engine.states import State
from toril.testing.clock import ManualClock

DEEP = Tree("G", PARENTS, [Tree("M", PARENTS, [Tree("L1"), Tree("L2")]), Tree("N")])


async def test_tree_is_added_with_its_parents_waiting(backend: Backend) -> None:
    added = await plant(backend, DEEP)

    assert [answer.job_id for answer in added] == ["G", "M", "L1", "L2", "N"]
    assert not any(answer.duplicate for answer in added)
    assert await counts(backend, PARENTS) == {State.WAITING_CHILDREN: 2}
    assert await line(backend, State.WAITING_CHILDREN, PARENTS) == ["G", "M"]
    assert await line(backend, State.WAIT, KIDS) == ["L1", "L2", "N"]
    assert await fates(backend, "G") == {"M": "pending", "N": "pending"}
    assert await fates(backend, "M") == {"L1": "pending", "L2": "pending"}
    assert (await record(backend, "L1", KIDS)).parent == ParentRef(PARENTS, "M")
    assert (await record(backend, "G", PARENTS)).parent is None


async def test_tree_is_told_as_added_and_waiting_children(backend: Backend) -> None:
    await plant(backend, parent(Tree("C1"), Tree("C2", fields={"delay_ms": 5})))

    assert await told(backend, PARENTS) == [
        ("added", {"jobId": "P", "name": "cars"}),
        ("waiting-children", {"jobId": "P"}),
    ]
    assert [name for name, _ in await told(backend, KIDS)] == [
        "added",
        "waiting",
        "added",
        "delayed",
    ]


async def test_parent_goes_on_with_the_last_child(backend: Backend, worker: HandWorker) -> None:
    await plant(backend, parent(Tree("C1"), Tree("C2")))

    await finish(worker, "C1", value='{"r":1}')
    assert await state(backend, "P", PARENTS) is State.WAITING_CHILDREN
    await finish(worker, "C2", value='"two"')

    assert await state(backend, "P", PARENTS) is State.WAIT
    assert (await told(backend, PARENTS))[-1] == (
        "waiting",
        {"jobId": "P", "prev": "waiting-children"},
    )
    found = {child.job_id: child for child in await children(backend)}
    assert [(one.fate, one.value, one.state) for one in found.values()] == [
        ("completed", '{"r":1}', State.COMPLETED),
        ("completed", '"two"', State.COMPLETED),
    ]
    assert found["C1"].key.endswith(":kids:C1")
    await finish(worker, "P", PARENTS)


async def test_tree_ends_from_the_leaves_up(backend: Backend, worker: HandWorker) -> None:
    await plant(backend, DEEP)

    for job_id in ("L1", "L2", "N"):
        await finish(worker, job_id)
    await finish(worker, "M", PARENTS)
    await finish(worker, "G", PARENTS)

    assert await counts(backend, PARENTS) == {State.COMPLETED: 2}


async def test_children_and_parents_end_in_one_exchange(
    backend: Backend, worker: HandWorker
) -> None:
    await plant(backend, parent(Tree("C1"), Tree("C2"), Tree("C3")))
    claimed = await worker.claim(KIDS, limit=3)

    reply = await worker.ask(
        PARENTS, outcomes=[outcome(one, "completed", value="1") for one in claimed]
    )

    assert reply.words == ["ok"] * 3
    assert [one.id for one in reply.claimed] == ["P"]


async def test_released_parent_is_the_next_to_run(backend: Backend, worker: HandWorker) -> None:
    await plant(backend, parent(Tree("C")))
    await add_one(backend, PARENTS, job_id="other")

    await finish(worker, "C")

    assert await line(backend, State.WAIT, PARENTS) == ["P", "other"]


async def test_released_parent_keeps_its_priority(backend: Backend, worker: HandWorker) -> None:
    await plant(backend, parent(Tree("C"), priority=5))
    await add_one(backend, PARENTS, job_id="other", priority=5)

    await finish(worker, "C")

    assert await line(backend, State.PRIORITIZED, PARENTS) == ["other", "P"]


async def test_released_parent_waits_for_its_own_delay(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await plant(backend, parent(Tree("C"), delay_ms=7_000))
    clock.advance(60.0)

    await finish(worker, "C")

    found = await record(backend, "P", PARENTS)
    assert (found.state, found.run_at_ms) == (State.DELAYED, clock.now_ms() + 7_000)
    assert (await told(backend, PARENTS))[-1][0] == "delayed"
    clock.advance(7.0)
    await finish(worker, "P", PARENTS)


# What a failure means


async def test_child_that_may_be_tried_again_tells_its_parent_nothing(
    backend: Backend, worker: HandWorker
) -> None:
    await plant(backend, parent(Tree("C", on_failure="fail_parent")))

    claimed = await take(worker, "C", KIDS)
    await worker.end(claimed, "retried", reason="broke")

    assert await fates(backend) == {"C": "pending"}
    assert (await record(backend, "C", KIDS)).parent == ParentRef(PARENTS, "P", "fail_parent")


async def test_parent_waits_for_a_failed_child_without_a_policy(
    backend: Backend, worker: HandWorker
) -> None:
    await plant(backend, parent(Tree("C1"), Tree("C2")))

    await fail(worker, "C1", reason="broke")
    await finish(worker, "C2")

    assert await state(backend, "P", PARENTS) is State.WAITING_CHILDREN
    (failed, _) = sorted(await children(backend), key=lambda child: child.job_id)
    assert (failed.fate, failed.state, failed.failed_reason) == ("pending", State.FAILED, "broke")
    await backend.jobs.retry(KIDS, "C1", reset_attempts=True)
    await finish(worker, "C1")
    assert await state(backend, "P", PARENTS) is State.WAIT


async def test_child_fails_its_parent_at_once(backend: Backend, worker: HandWorker) -> None:
    await plant(backend, parent(Tree("C1", on_failure="fail_parent"), Tree("C2")))

    await fail(worker, "C1")

    assert await state(backend, "P", PARENTS) is State.WAIT
    assert await fates(backend) == {"C1": "failed", "C2": "pending"}
    claimed = await take(worker, "P", PARENTS)
    assert (claimed.deferred_failure or "").startswith("child ")
    assert (claimed.deferred_failure or "").endswith(":kids:C1 failed")


async def test_failure_goes_up_as_far_as_the_policies_say(
    backend: Backend, worker: HandWorker
) -> None:
    leaf = Tree("L", on_failure="fail_parent")
    middle = Tree("M", PARENTS, [leaf], on_failure="fail_parent")
    await plant(backend, Tree("G", PARENTS, [middle]))

    await fail(worker, "L")
    for job_id in ("M", "G"):
        claimed = await take(worker, job_id, PARENTS)
        assert claimed.deferred_failure is not None
        await worker.end(claimed, "failed", reason=claimed.deferred_failure)

    assert await counts(backend, PARENTS) == {State.FAILED: 2}


async def test_parent_that_is_delayed_fails_at_once_too(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    """It was put off by its task, and a child that it had added fails meanwhile."""
    await add_one(backend, PARENTS, job_id="P")
    claimed = await take(worker, "P", PARENTS)
    child = Tree("C", on_failure="fail_parent")
    await backend.flows.add(
        nodes(child, ParentRef(PARENTS, "P", "fail_parent")), token=claimed.token
    )
    await worker.end(claimed, "snoozed", wait_ms=60_000)

    await fail(worker, "C")

    found = await record(backend, "P", PARENTS)
    assert (found.state, found.delay_ms) == (State.WAIT, 0)
    assert (await take(worker, "P", PARENTS)).deferred_failure is not None


async def test_parent_goes_on_at_once_without_the_others(
    backend: Backend, worker: HandWorker
) -> None:
    await plant(backend, parent(Tree("C1", on_failure="continue"), Tree("C2")))

    await fail(worker, "C1", reason="broke")

    assert await state(backend, "P", PARENTS) is State.WAIT
    assert await fates(backend) == {"C1": "ignored", "C2": "pending"}
    assert (await take(worker, "P", PARENTS)).deferred_failure is None


@pytest.mark.parametrize(("policy", "known"), [("ignore", {"C1": "ignored"}), ("remove", {})])
async def test_failure_counts_as_done(
    backend: Backend, worker: HandWorker, policy: OnFailure, known: dict[str, str]
) -> None:
    await plant(backend, parent(Tree("C1", on_failure=policy), Tree("C2")))

    await fail(worker, "C1", reason="broke")
    assert await state(backend, "P", PARENTS) is State.WAITING_CHILDREN
    await finish(worker, "C2")

    assert await state(backend, "P", PARENTS) is State.WAIT
    assert await fates(backend) == {**known, "C2": "completed"}
    assert [one.value for one in await children(backend) if one.fate == "ignored"] == (
        ["broke"] if known else []
    )


async def test_parent_that_ends_before_its_children_fails(
    backend: Backend, worker: HandWorker
) -> None:
    await plant(backend, parent(Tree("C1", on_failure="continue"), Tree("C2")))
    await fail(worker, "C1")

    await finish(worker, "P", PARENTS)

    found = await record(backend, "P", PARENTS)
    assert found.state is State.FAILED
    assert found.failed_reason == "job has children that have not finished"


async def test_running_parent_with_a_failed_child_fails(
    backend: Backend, worker: HandWorker
) -> None:
    await add_one(backend, PARENTS, job_id="P")
    claimed = await take(worker, "P", PARENTS)
    await backend.flows.add(
        nodes(Tree("C", on_failure="fail_parent"), ParentRef(PARENTS, "P", "fail_parent"))
    )
    await fail(worker, "C")

    await worker.end(claimed, "completed", value="1")

    found = await record(backend, "P", PARENTS)
    assert found.state is State.FAILED
    assert (found.failed_reason or "").endswith(":kids:C failed")


# Children of a running parent


async def test_running_parent_waits_for_children_that_it_adds(
    backend: Backend, worker: HandWorker
) -> None:
    await add_one(backend, PARENTS, job_id="P")
    claimed = await take(worker, "P", PARENTS)
    await backend.flows.add(nodes(Tree("C"), ParentRef(PARENTS, "P")), token=claimed.token)

    assert await worker.end(claimed, "waiting_children") == "ok"

    found = await record(backend, "P", PARENTS)
    assert (found.state, found.attempts_made) == (State.WAITING_CHILDREN, 0)
    assert (await told(backend, PARENTS))[-1] == (
        "waiting-children",
        {"jobId": "P", "prev": "active"},
    )
    await finish(worker, "C")
    again = await take(worker, "P", PARENTS)
    assert (again.attempts_started, again.attempts_made) == (2, 0)


async def test_running_parent_whose_children_have_ended_goes_on_at_once(
    backend: Backend, worker: HandWorker
) -> None:
    await add_one(backend, PARENTS, job_id="P")
    claimed = await take(worker, "P", PARENTS)
    await backend.flows.add(nodes(Tree("C"), ParentRef(PARENTS, "P")))
    await finish(worker, "C")

    await worker.end(claimed, "waiting_children")

    assert await state(backend, "P", PARENTS) is State.WAIT


async def test_job_without_children_waits_for_none(backend: Backend, worker: HandWorker) -> None:
    await add_one(backend, PARENTS, job_id="P")
    claimed = await take(worker, "P", PARENTS)

    await worker.end(claimed, "waiting_children")

    assert await state(backend, "P", PARENTS) is State.WAIT


async def test_parent_that_waits_after_a_child_failed_it_fails(
    backend: Backend, worker: HandWorker
) -> None:
    await add_one(backend, PARENTS, job_id="P")
    claimed = await take(worker, "P", PARENTS)
    await backend.flows.add(
        nodes(Tree("C", on_failure="fail_parent"), ParentRef(PARENTS, "P", "fail_parent"))
    )
    await fail(worker, "C")

    await worker.end(claimed, "waiting_children")

    assert await state(backend, "P", PARENTS) is State.FAILED


async def test_child_is_added_under_a_claim_that_holds_only(
    backend: Backend, worker: HandWorker
) -> None:
    await add_one(backend, PARENTS, job_id="P")
    claimed = await take(worker, "P", PARENTS)
    await worker.end(claimed, "released")

    with pytest.raises(WrongStateError, match="not held by this attempt any more"):
        await backend.flows.add(nodes(Tree("C"), ParentRef(PARENTS, "P")), token=claimed.token)

    assert await backend.jobs.get(KIDS, "C") is None


async def test_child_of_no_parent_is_refused(backend: Backend) -> None:
    with pytest.raises(JobNotFoundError, match="'nope'"):
        await backend.flows.add(nodes(Tree("C"), ParentRef(PARENTS, "nope")))

    assert await backend.jobs.get(KIDS, "C") is None


async def test_child_of_a_finished_parent_is_refused(backend: Backend, worker: HandWorker) -> None:
    await add_one(backend, PARENTS, job_id="P")
    await finish(worker, "P", PARENTS)

    with pytest.raises(WrongStateError, match="is completed, so no child can be added"):
        await backend.flows.add(nodes(Tree("C"), ParentRef(PARENTS, "P")))


# Ids that are taken


async def test_tree_whose_root_is_there_is_not_added(backend: Backend) -> None:
    await plant(backend, parent(Tree("C1")))

    added = await plant(backend, parent(Tree("C1"), Tree("C2")), parent(Tree("C3"), id="P2"))

    assert [answer.duplicate for answer in added] == [True, True, True, False, False]
    assert await backend.jobs.get(KIDS, "C2") is None
    assert await fates(backend) == {"C1": "pending"}
    assert [name for name, _ in await told(backend, PARENTS)].count("duplicated") == 1


async def test_job_that_is_there_becomes_a_child(backend: Backend, worker: HandWorker) -> None:
    await add_one(backend, KIDS, job_id="C1")

    (_, answer) = await plant(backend, parent(Tree("C1")))

    assert answer.duplicate
    assert await fates(backend) == {"C1": "pending"}
    await finish(worker, "C1")
    assert await state(backend, "P", PARENTS) is State.WAIT


async def test_job_that_has_completed_counts_at_once(backend: Backend, worker: HandWorker) -> None:
    await add_one(backend, KIDS, job_id="C1")
    await finish(worker, "C1", value='"done"')

    await plant(backend, parent(Tree("C1")))

    assert await state(backend, "P", PARENTS) is State.WAIT
    assert [(one.fate, one.value) for one in await children(backend)] == [("completed", '"done"')]


async def test_job_that_has_failed_counts_as_its_policy_says(
    backend: Backend, worker: HandWorker
) -> None:
    for job_id in ("C1", "C2"):
        await add_one(backend, KIDS, job_id=job_id)
        await fail(worker, job_id)

    await plant(
        backend,
        parent(Tree("C1", on_failure="ignore")),
        parent(Tree("C2", on_failure="fail_parent"), id="P2"),
    )

    assert await fates(backend) == {"C1": "ignored"}
    assert await state(backend, "P", PARENTS) is State.WAIT
    assert (await record(backend, "P2", PARENTS)).deferred_failure is not None


async def test_child_of_another_live_parent_is_refused_with_the_whole_tree(
    backend: Backend,
) -> None:
    """BullMQ adds such a tree, and its parent waits for ever."""
    await plant(backend, parent(Tree("C1")))

    with pytest.raises(WrongStateError, match=r"'C1' of queue 'kids' is the child of job 'P'"):
        await plant(backend, Tree("P2", PARENTS, [Tree("C2"), Tree("C1")]))

    assert await backend.jobs.get(PARENTS, "P2") is None
    assert await backend.jobs.get(KIDS, "C2") is None
    assert await counts(backend, KIDS) == {State.WAIT: 1}


async def test_child_of_a_parent_that_is_gone_is_taken(
    backend: Backend, worker: HandWorker
) -> None:
    await plant(backend, parent(Tree("C1")))
    await backend.jobs.cancel(PARENTS, "P", reason="no")
    await backend.jobs.remove(PARENTS, "P")

    await plant(backend, parent(Tree("C1"), id="P2"))

    await finish(worker, "C1")
    assert await state(backend, "P2", PARENTS) is State.WAIT


async def test_node_with_children_that_is_there_is_refused(backend: Backend) -> None:
    await add_one(backend, PARENTS, job_id="M")

    with pytest.raises(WrongStateError, match="'M' of queue 'parents' is there already"):
        await plant(backend, Tree("G", PARENTS, [Tree("M", PARENTS, [Tree("L")])]))

    assert await backend.jobs.get(PARENTS, "G") is None


# Retries, cancels, removals


@pytest.mark.parametrize("policy", ["fail_parent", "continue", "ignore"])
@pytest.mark.parametrize("in_bulk", [False, True])
async def test_retried_child_is_waited_for_again(
    backend: Backend, worker: HandWorker, policy: OnFailure, in_bulk: bool, clock: ManualClock
) -> None:
    children = [Tree("C1", on_failure=policy, fields={"priority": 3}), Tree("C2")]
    await plant(backend, parent(*children))
    claimed = await worker.claim(KIDS, limit=2)
    first = next(one for one in claimed if one.id == "C1")
    await worker.end(first, "failed", reason="broke")

    if in_bulk:
        await backend.bulk.retry(
            KIDS,
            State.FAILED,
            limit=9,
            finished_until_ms=clock.now_ms(),
            reset_attempts=True,
        )
    else:
        await backend.jobs.retry(KIDS, "C1", reset_attempts=True)

    assert (await fates(backend))["C1"] == "pending"
    found = await record(backend, "C1", KIDS)
    assert (found.state, found.priority) == (State.PRIORITIZED, 3)
    assert found.parent == ParentRef(PARENTS, "P", policy)


async def test_retried_parent_waits_for_children_that_have_not_ended(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await plant(backend, parent(Tree("C1", on_failure="fail_parent"), Tree("C2")))
    await fail(worker, "C1")
    await fail(worker, "P", PARENTS)

    await backend.jobs.retry(KIDS, "C1", reset_attempts=True)
    await backend.bulk.retry(
        PARENTS, State.FAILED, limit=9, finished_until_ms=clock.now_ms(), reset_attempts=True
    )

    assert await state(backend, "P", PARENTS) is State.WAITING_CHILDREN
    assert (await told(backend, PARENTS))[-1] == (
        "waiting-children",
        {"jobId": "P", "prev": "failed"},
    )
    await finish(worker, "C2")
    await finish(worker, "C1")
    await finish(worker, "P", PARENTS)
    assert await state(backend, "P", PARENTS) is State.COMPLETED


async def test_recovered_child_keeps_its_parent(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await plant(backend, parent(Tree("C", fields={"priority": 4})))
    await take(worker, "C", KIDS)
    clock.advance(60.0)

    await backend.dispatch.recover(max_stalled=1, heartbeat_s=600.0, limit=10)

    found = await record(backend, "C", KIDS)
    assert (found.state, found.priority) == (State.PRIORITIZED, 4)
    await finish(worker, "C")
    assert await state(backend, "P", PARENTS) is State.WAIT


async def test_cancelled_child_tells_its_parent(backend: Backend) -> None:
    await plant(backend, parent(Tree("C", on_failure="ignore")))

    await backend.jobs.cancel(KIDS, "C", reason="no")

    assert await state(backend, "P", PARENTS) is State.WAIT
    assert [(one.fate, one.value) for one in await children(backend)] == [("ignored", "no")]


async def test_waiting_parent_is_cancelled(backend: Backend, worker: HandWorker) -> None:
    await plant(backend, parent(Tree("C")))

    assert await backend.jobs.cancel(PARENTS, "P", reason="no") is State.WAITING_CHILDREN

    found = await record(backend, "P", PARENTS)
    assert (found.state, found.failed_reason) == (State.FAILED, "no")
    assert (await told(backend, PARENTS))[-1][1]["prev"] == "waiting-children"
    await finish(worker, "C")
    assert await state(backend, "P", PARENTS) is State.FAILED


@pytest.mark.parametrize("how", ["remove", "drain", "obliterate", "clean"])
async def test_parent_does_not_wait_for_removed_children(backend: Backend, how: str) -> None:
    await plant(backend, parent(Tree("C1"), Tree("C2")))

    match how:
        case "remove":
            for job_id in ("C1", "C2"):
                await backend.jobs.remove(KIDS, job_id)
        case "drain":
            await backend.bulk.drain(KIDS, delayed=False, limit=10)
        case "obliterate":
            await backend.limits.pause(KIDS)
            while await backend.bulk.obliterate(KIDS, force=False, limit=10):
                pass
        case "clean":
            await backend.bulk.clean(KIDS, State.WAIT, older_than_ms=0, limit=10)

    assert await state(backend, "P", PARENTS) is State.WAIT
    assert await fates(backend) == {}


async def test_failed_child_that_is_not_kept_is_waited_for_no_longer(
    backend: Backend, worker: HandWorker
) -> None:
    await plant(backend, parent(Tree("C1"), Tree("C2")))

    await worker.end(await take(worker, "C1", KIDS), "failed", reason="broke", keep_count=0)
    assert await fates(backend) == {"C2": "pending"}
    await worker.end(await take(worker, "C2", KIDS), "completed", value="7", keep_count=0)

    (found,) = await children(backend)
    assert (found.fate, found.value, found.name, found.state) == ("completed", "7", None, None)
    assert await state(backend, "P", PARENTS) is State.WAIT


async def test_failed_child_that_is_trimmed_is_waited_for_no_longer(
    backend: Backend, worker: HandWorker
) -> None:
    """Its parent would wait for ever: nobody is left to retry it."""
    await plant(backend, parent(Tree("C")))
    await worker.end(await take(worker, "C", KIDS), "failed", reason="broke", keep_count=1)

    await add_one(backend, KIDS, job_id="later")
    await worker.end(await take(worker, "later", KIDS), "failed", reason="broke", keep_count=1)

    assert await state(backend, "C", KIDS) is None
    assert await state(backend, "P", PARENTS) is State.WAIT


async def test_waiting_parent_is_removed_only_with_its_flow(backend: Backend) -> None:
    await plant(backend, DEEP)

    with pytest.raises(WrongStateError, match="'G' of queue 'parents' is waiting-children"):
        await backend.jobs.remove(PARENTS, "G")
    assert await backend.flows.remove(PARENTS, "G") == 5

    assert await counts(backend, PARENTS) == {}
    assert await counts(backend, KIDS) == {}
    assert [name for name, _ in await told(backend, KIDS)].count("removed") == 3


async def test_flow_with_a_running_job_is_not_removed(backend: Backend, worker: HandWorker) -> None:
    await plant(backend, DEEP)
    await take(worker, "L1", KIDS)

    with pytest.raises(WrongStateError, match="a worker holds job 'L1' of queue 'kids'"):
        await backend.flows.remove(PARENTS, "G")

    assert await counts(backend, PARENTS) == {State.WAITING_CHILDREN: 2}


async def test_part_of_a_flow_is_removed_and_the_rest_goes_on(
    backend: Backend, worker: HandWorker
) -> None:
    await plant(backend, DEEP)

    assert await backend.flows.remove(PARENTS, "M") == 3

    assert await fates(backend, "G") == {"N": "pending"}
    await finish(worker, "N")
    assert await state(backend, "G", PARENTS) is State.WAIT


async def test_flow_that_is_not_there_is_not_removed(backend: Backend) -> None:
    with pytest.raises(JobNotFoundError):
        await backend.flows.remove(PARENTS, "nope")


async def test_children_that_are_waited_for_are_removed(
    backend: Backend, worker: HandWorker
) -> None:
    await plant(backend, parent(Tree("C1"), Tree("M", KIDS, [Tree("L")]), Tree("C2")))
    await finish(worker, "C1")

    assert await backend.flows.remove_children(PARENTS, "P") == 3

    assert await fates(backend) == {"C1": "completed"}
    assert await state(backend, "P", PARENTS) is State.WAIT
    assert await counts(backend, KIDS) == {State.COMPLETED: 1}


async def test_children_that_a_worker_holds_stay(backend: Backend, worker: HandWorker) -> None:
    await plant(backend, parent(Tree("C1"), Tree("C2")))
    await take(worker, "C1", KIDS)

    assert await backend.flows.remove_children(PARENTS, "P") == 1

    assert await fates(backend) == {"C1": "pending"}
    assert await state(backend, "P", PARENTS) is State.WAITING_CHILDREN


async def test_broken_tie_lets_both_go(backend: Backend, worker: HandWorker) -> None:
    await plant(backend, parent(Tree("C1"), Tree("C2")))

    assert await backend.flows.break_tie(KIDS, "C1")
    assert (await record(backend, "C1", KIDS)).parent is None
    assert await backend.flows.break_tie(KIDS, "C2")

    assert await state(backend, "P", PARENTS) is State.WAIT
    with pytest.raises(WrongStateError, match="'C1' of queue 'kids' has no parent"):
        await backend.flows.break_tie(KIDS, "C1")
    with pytest.raises(JobNotFoundError):
        await backend.flows.break_tie(KIDS, "nope")


# Looking


async def test_children_are_listed_page_by_page(backend: Backend, worker: HandWorker) -> None:
    many = [Tree(f"C{number}") for number in range(30)]
    await plant(backend, parent(*many))
    for number in range(10):
        await finish(worker, f"C{number}")

    found = await children(backend, limit=7)

    assert {child.job_id for child in found} == {child.id for child in many}
    assert sum(child.fate == "completed" for child in found) == 10
    assert await backend.flows.outline(PARENTS, "P") == {"completed": 10, "pending": 20}


async def test_children_say_what_they_are_and_whether_they_are_parents(backend: Backend) -> None:
    await plant(backend, DEEP)

    found = {child.job_id: child for child in await children(backend, "G")}

    assert (found["M"].queue, found["M"].state) == (PARENTS, State.WAITING_CHILDREN)
    assert (found["M"].is_parent, found["N"].is_parent) == (True, False)
    assert (found["N"].name, found["N"].state) == ("cars", State.WAIT)


async def test_job_without_children_has_none(backend: Backend) -> None:
    job_id = await add_one(backend, PARENTS)

    assert await children(backend, job_id) == []
    assert await children(backend, "nope") == []
    assert await backend.flows.outline(PARENTS, job_id) == {}
    with pytest.raises(InvalidOptionError, match="after='nonsense'"):
        await backend.flows.children(PARENTS, job_id, limit=5, after="nonsense")


async def test_many_nodes_are_added_in_one_call(backend: Backend, worker: HandWorker) -> None:
    kids = [Tree(f"C{number}") for number in range(999)]
    await plant(backend, parent(*kids))

    assert await backend.flows.outline(PARENTS, "P") == {"pending": 999}
    claimed = await worker.claim(KIDS, limit=999)
    reply = await worker.ask(
        PARENTS, outcomes=[outcome(one, "completed", value="1") for one in claimed]
    )

    assert set(reply.words) == {"ok"}
    assert [one.id for one in reply.claimed] == ["P"]


async def test_plain_jobs_beside_a_flow_go_their_way(backend: Backend, worker: HandWorker) -> None:
    await plant(backend, parent(Tree("C")))
    await backend.jobs.add([job(KIDS, job_id="plain")])
    claimed = await worker.claim(KIDS, limit=2)

    reply = await worker.ask(outcomes=[outcome(one, "completed", value="1") for one in claimed])

    assert reply.words == ["ok", "ok"]
    assert await state(backend, "plain", KIDS) is State.COMPLETED
    assert await fates(backend) == {"C": "completed"}


async def test_nodes_of_a_refused_call_leave_nothing(backend: Backend) -> None:
    new = [NewNode(job=job(KIDS, job_id="A")), *nodes(Tree("C"), ParentRef(PARENTS, "nope"))]

    with pytest.raises(JobNotFoundError):
        await backend.flows.add(new)

    assert await backend.jobs.get(KIDS, "A") is None


async def test_job_above_a_parent_does_not_become_its_child(backend: Backend) -> None:
    await plant(backend, Tree("G", PARENTS, [Tree("P", PARENTS, [Tree("C")])]))
    under = ParentRef(KIDS, "C")
    below_a_new_one = [
        NewNode(job=job(KIDS, job_id="D"), parent=under, waits=True),
        NewNode(job=job(PARENTS, job_id="G"), parent=ParentRef(KIDS, "D")),
    ]

    for new in (below_a_new_one, [NewNode(job=job(PARENTS, job_id="G"), parent=under)]):
        with pytest.raises(WrongStateError, match="is above that one already"):
            await backend.flows.add(new)

    assert await state(backend, "D", KIDS) is None
    assert (await record(backend, "G", PARENTS)).parent is None


async def test_job_does_not_become_its_own_child(backend: Backend) -> None:
    await add_one(backend, KIDS, job_id="C")

    with pytest.raises(WrongStateError, match="is above that one already"):
        await backend.flows.add([NewNode(job=job(KIDS, job_id="C"), parent=ParentRef(KIDS, "C"))])


async def test_waiting_parent_has_no_moment_to_run_at(backend: Backend) -> None:
    await plant(backend, parent(Tree("C"), delay_ms=5_000))

    assert (await record(backend, "P", PARENTS)).run_at_ms is None
