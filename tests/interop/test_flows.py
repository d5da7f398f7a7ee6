"""Flows of both libraries: each adds trees that the other works, with every policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.interop.watching import until, until_in
from tests.support.node import Node as NodeProcess

from toril import App, Context, Fail, Flow, Node, RetryPolicy, State, WrongStateError
from toril.engine.flow import OnFailure

pytestmark = pytest.mark.timeout(600)

ONCE = RetryPolicy(max_attempts=1)
OPTIONS: dict[OnFailure, str | None] = {
    "wait": None,
    "fail_parent": "failParentOnFailure",
    "continue": "continueParentOnFailure",
    "ignore": "ignoreDependencyOnFailure",
    "remove": "removeDependencyOnFailure",
}
"""Our words and Node's options for them."""


def tasks(app: App) -> None:
    """Give an app the tasks of these flows."""

    @app.task(queue="kids", name="hull", retry=ONCE)
    async def hull(n: int) -> int:
        if n < 0:
            raise Fail("no wood")
        return n

    @app.task(queue="parents", name="ship", retry=ONCE)
    async def ship(context: Context) -> dict[str, Any]:
        return {
            "results": sorted((await context.children_results()).values()),
            "ignored": list((await context.ignored_children()).values()),
        }


def by_node(numbers: Sequence[int], policy: OnFailure = "wait") -> dict[str, Any]:
    """Return a tree as Node's flow producer takes it; what fails has the policy."""
    option = OPTIONS[policy]
    return {
        "name": "ship",
        "queueName": "parents",
        "children": [
            {
                "name": "hull",
                "queueName": "kids",
                "data": {"n": n},
                "opts": {option: True} if n < 0 and option else {},
            }
            for n in numbers
        ],
    }


def by_toril(numbers: Sequence[int], policy: OnFailure = "wait") -> Node[Any]:
    """Return the same tree as ours."""
    kids = [Node("kids", "hull", {"n": n}, on_failure=policy if n < 0 else "wait") for n in numbers]
    return Node("parents", "ship", children=kids)


async def until_ended(app: App, flow: Flow[Any]) -> State:
    """Wait until a root has ended."""

    async def has_ended() -> bool:
        return await flow.state() in (State.COMPLETED, State.FAILED)

    await until(has_ended, "the flow to end")
    return await flow.state()


async def test_tree_of_nodes_is_worked_by_toril(app: App, node: NodeProcess) -> None:
    tasks(app)
    added = await node.add_flow(by_node([1, 2, 3]))

    async with app.worker(queues=["kids", "parents"]):
        parent = await until_in(app, added["job"]["id"], State.COMPLETED, queue="parents")

    assert parent.result == {"results": [1, 2, 3], "ignored": []}


async def test_tree_of_torils_is_worked_by_node(app: App, node: NodeProcess) -> None:
    flow = await app.flows.add(by_toril([1, 2, 3]))
    kids = await node.worker("kids", {"echo": True})
    parents = await node.worker("parents", {"childrenValues": True})

    result = await flow.result(timeout_s=60)

    assert sorted(value["n"] for value in result.values()) == [1, 2, 3]
    assert all(key.split(":")[-2] == "kids" for key in result)
    await kids.wait_for("completed", many=3)
    await parents.wait_for("completed")


async def test_tree_is_worked_half_by_node_and_half_by_toril(app: App, node: NodeProcess) -> None:
    tasks(app)
    middle = Node("kids", "hull", {"n": 5}, children=[Node("leaves", "leaf", {"n": 1})])
    flow = await app.flows.add(Node("parents", "ship", children=[middle]))
    await node.worker("leaves", {"echo": True})
    await node.worker("parents", {"childrenValues": True})

    async with app.worker(queues=["kids"]):
        assert list((await flow.result(timeout_s=60)).values()) == [5]


@pytest.mark.parametrize("policy", OPTIONS)
async def test_policy_of_nodes_tree_holds_with_toril(
    app: App, node: NodeProcess, policy: OnFailure
) -> None:
    tasks(app)
    added = await node.add_flow(by_node([-1, 2], policy))
    flow = app.flows.get("parents", added["job"]["id"])

    async with app.worker(queues=["kids"], concurrency=1):
        await until_all_kids_ended(app)
    await check_policy(app, flow, policy)


@pytest.mark.parametrize("policy", OPTIONS)
async def test_policy_of_torils_tree_holds_with_node(
    app: App, node: NodeProcess, policy: OnFailure
) -> None:
    flow = await app.flows.add(by_toril([-1, 2], policy))
    for n in (-1, 2):
        job = await node.take("kids", "token")
        assert job["data"]["n"] == n
        if n < 0:
            await node.fail(job["id"], "token", "no wood")
        else:
            await node.complete(job["id"], "token", n)
    tasks(app)
    await check_policy(app, flow, policy)


async def until_all_kids_ended(app: App) -> None:
    async def ended() -> bool:
        info = await app.queue("kids").info()
        return info is not None and info.completed + info.failed == 2

    await until(ended, "both children to end")


async def check_policy(app: App, flow: Flow[Any], policy: OnFailure) -> None:
    """Check what a parent does whose children have ended, one of them badly."""
    tree = await flow.tree()
    known = sorted(child.fate or "" for child in tree.children)
    state = tree.state
    if policy == "wait":
        assert state is State.WAITING_CHILDREN
        assert [one.reason for one in await app.flows.stuck("parents")] == ["child_failed"]
        return
    assert state is State.WAIT
    expected = {
        "fail_parent": ["completed", "failed"],
        "continue": ["completed", "ignored"],
        "ignore": ["completed", "ignored"],
        "remove": ["completed"],
    }[policy]
    assert known == expected
    async with app.worker(queues=["parents"]):
        ended = await until_ended(app, flow)
    if policy == "fail_parent":
        assert ended is State.FAILED
        reason = (await flow.root.info()).failed_reason or ""
        assert reason.startswith("child ")
    else:
        result = (await flow.root.info()).result
        assert result == {
            "results": [2],
            "ignored": [] if policy == "remove" else ["no wood"],
        }


async def test_node_reads_torils_tree(app: App, node: NodeProcess) -> None:
    tasks(app)
    flow = await app.flows.add(by_toril([-1, 2], "ignore"))

    whole = await node.flow("parents", flow.id)
    assert whole["job"]["name"] == "ship"
    assert sorted(child["job"]["data"]["n"] for child in whole["children"]) == [-1, 2]
    before = await node.call_job("parents", flow.id, "getDependenciesCount")
    async with app.worker(queues=["kids"]):
        await until_all_kids_ended(app)
    after = await node.call_job("parents", flow.id, "getDependencies")

    assert (before["unprocessed"], before["processed"]) == (2, 0)
    assert list(after["processed"].values()) == [2]
    assert list(after["ignored"].values()) == ["no wood"]
    assert after["unprocessed"] == []


async def test_node_hears_of_waiting_parents(app: App, node: NodeProcess) -> None:
    events = await node.queue_events("parents")

    flow = await app.flows.add(by_toril([1]))

    (told,) = await events.wait_for("waiting-children")
    assert told["jobId"] == flow.id
    tasks(app)
    async with app.worker(queues=["kids", "parents"]):
        await events.wait_for("completed")
    assert [one["jobId"] for one in events.named("waiting")] == [flow.id]


async def test_running_parent_of_torils_waits_for_children_that_node_works(
    app: App, node: NodeProcess
) -> None:
    @app.task(queue="parents", name="builder", retry=ONCE)
    async def builder(context: Context) -> list[Any]:
        if not await context.children_results():
            await context.add_children([Node("kids", "hull", {"n": n}) for n in (1, 2)])
        await context.wait_for_children()
        return sorted(value["n"] for value in (await context.children_results()).values())

    events = await node.queue_events("parents")
    job = await builder.enqueue()
    async with app.worker(queues=["parents"]):
        (told,) = await events.wait_for("waiting-children")
        await node.worker("kids", {"echo": True})
        assert await job.result(timeout_s=60) == [1, 2]

    assert (told["jobId"], told["prev"]) == (job.id, "active")


async def test_toril_cancels_and_removes_nodes_flow(app: App, node: NodeProcess) -> None:
    added = await node.add_flow(by_node([1, 2]))
    flow = app.flows.get("parents", added["job"]["id"])

    assert await flow.cancel("nobody wants it") == 3
    assert await flow.remove() == 3

    assert await node.flow("parents", flow.id) is None


async def test_child_of_nodes_flow_is_not_taken_by_torils(app: App, node: NodeProcess) -> None:
    """BullMQ itself adds such a flow, and its parent waits for ever."""
    tree = by_node([1])
    tree["children"][0]["opts"] = {"jobId": "shared"}
    await node.add_flow(tree)
    again: Node[Any] = Node("parents", "ship", children=[_named("shared")])

    with pytest.raises(WrongStateError, match="'shared' of queue 'kids' is the child of job"):
        await app.flows.add(again)


def _named(job_id: str) -> Node[Any]:
    from toril import JobOptions

    return Node("kids", "hull", {"n": 1}, options=JobOptions(job_id=job_id))
