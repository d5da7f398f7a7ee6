"""Flows from `task.node` to the result: trees, handles, what parents see, what is stuck."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.app import flow_tasks as tasks
from tests.engine.working import memory_app, working
from tests.support.waiting import wait_until

from toril import (
    App,
    Context,
    Deduplication,
    Fail,
    Flow,
    InvalidOptionError,
    InvalidPayloadError,
    Job,
    JobFailedError,
    JobNotFoundError,
    JobOptions,
    Node,
    ResultTimeoutError,
    Settings,
    State,
    WrongStateError,
    chain,
    group,
)


@pytest.fixture(params=["memory", "redis"])
async def app(request: pytest.FixtureRequest, no_thread_left: None) -> AsyncIterator[App]:
    if request.param == "memory":
        made = memory_app()
    else:
        made = App(request.getfixturevalue("redis_url"), settings=Settings())
    made.include(tasks.bundle)
    async with made as app:
        yield app


def node(app: App, task: Any, *args: Any, **how: Any) -> Node[Any]:
    found: Node[Any] = app.bound(task).node(*args, **how)
    return found


def tails(found: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping by the ids at the ends of BullMQ's keys."""
    return {key.rpartition(":")[2]: value for key, value in found.items()}


PARENTS = {
    "loop": tasks.read_on_loop,
    "thread": tasks.read_in_thread,
    "process": tasks.read_in_process,
    "coroutine in a process": tasks.read_async_in_process,
}


@pytest.mark.parametrize("run_in", PARENTS)
async def test_parent_reads_what_became_of_its_children(app: App, run_in: str) -> None:
    square = app.bound(tasks.square)
    flow = await app.flows.add(
        node(
            app,
            PARENTS[run_in],
            children=[
                square.with_options(job_id="two").node(2),
                square.with_options(job_id="three").node(n=3),
                app.bound(tasks.word).with_options(job_id="w").node("hello"),
                app.bound(tasks.broken)
                .with_options(job_id="b")
                .node("no luck", on_failure="ignore"),
            ],
        )
    )

    async with working(app):
        seen = await flow.result(timeout_s=60)

    assert tails(seen["results"]) == {"two": 4, "three": 9, "w": "hello"}
    assert all(key.split(":")[-2] == "kids" for key in seen["results"])
    assert seen["squares"] == [4, 9]
    assert tails(seen["failures"]) == tails(seen["ignored"]) == {"b": "no luck"}


@pytest.mark.parametrize("task", [tasks.add_on_loop, tasks.add_in_thread, tasks.add_in_process])
async def test_running_parent_adds_children_and_waits_for_them(app: App, task: Any) -> None:
    bound: Any = app.bound(task)
    job = await bound.enqueue(3)

    async with working(app):
        assert await job.result(timeout_s=60) == [[0, 1, 4], 1]

    info = await job.info()
    assert info.attempts_made == 1
    # Its children may have ended before it came to wait for them.
    assert [one.outcome for one in info.attempts] in (
        ["waiting_children", "completed"],
        ["completed"],
    )


async def test_parent_that_waits_runs_again_without_an_attempt(app: App) -> None:
    bound: Any = app.bound(tasks.add_on_loop)
    job: Job[Any] = await bound.enqueue(2)
    async with working(app, queues=["parents"]):
        await wait_until(lambda: _waits(job))

        async with working(app, queues=["kids"]):
            assert await job.result(timeout_s=60) == [[0, 1], 1]

    info = await job.info()
    assert (info.attempts_started, info.attempts_made) == (2, 1)
    assert [one.outcome for one in info.attempts] == ["waiting_children", "completed"]


async def _waits(job: Job[Any]) -> bool:
    return await job.state() is State.WAITING_CHILDREN


async def test_job_without_children_does_not_wait(app: App) -> None:
    @app.task(queue="parents")
    async def lonely(context: Context) -> str:
        await context.wait_for_children()
        return "went on"

    job = await lonely.enqueue()

    async with working(app):
        assert await job.result(timeout_s=60) == "went on"


async def test_parent_goes_on_without_the_others(app: App) -> None:
    slow = node(app, tasks.square, 1)
    children = [node(app, tasks.broken, "no", on_failure="continue"), slow.with_children([slow])]
    flow = await app.flows.add(node(app, tasks.go_on_alone, children=children))
    await app.queue("kids").pause()
    (broken_id,) = [child.id for child in (await flow.tree()).children if child.name == "broken"]
    await app.queue("kids").job(broken_id).cancel("no")

    async with working(app, queues=["parents"]):
        removed, ignored = await flow.result(timeout_s=60)

    assert removed == 2
    assert tails(ignored) == {broken_id: "no"}


async def test_plain_words_are_refused_on_the_event_loop(app: App) -> None:
    job = await app.bound(tasks.blocks).enqueue()

    async with working(app):
        with pytest.raises(JobFailedError, match="it would block all other tasks"):
            await job.result(timeout_s=60)


async def test_child_fails_its_parent(app: App) -> None:
    flow = await app.flows.add(
        node(
            app,
            tasks.read_on_loop,
            children=[node(app, tasks.broken, "no", on_failure="fail_parent")],
        )
    )

    async with working(app):
        with pytest.raises(JobFailedError, match=r"child .*:kids:.* failed"):
            await flow.result(timeout_s=60)


# The handle


async def test_handle_tells_state_progress_and_tree(app: App) -> None:
    flow = await app.flows.add(
        node(
            app,
            tasks.read_on_loop,
            children=[
                node(app, tasks.total, 7, children=[node(app, tasks.square, n) for n in (2, 3)]),
                node(app, tasks.word, "hi"),
            ],
        )
    )

    assert await flow.state() is State.WAITING_CHILDREN
    before = await flow.progress()
    assert (before.total, before.waiting, before.waiting_children, before.share) == (5, 3, 2, 0.0)
    async with working(app):
        await flow.result(timeout_s=60)
    after = await flow.progress()
    assert (after.completed, after.share, after.cut) == (5, 1.0, False)
    tree = await flow.tree()
    assert (tree.name, tree.state) == ("read_on_loop", State.COMPLETED)
    assert {(one.name, one.result) for one in tree.nodes() if one.name != "read_on_loop"} == {
        ("total", 7),
        ("square", 4),
        ("square", 9),
        ("word", "hi"),
    }
    assert all(one.is_done for one in tree.nodes())


async def test_tree_is_cut_where_it_is_told_to(app: App) -> None:
    children = [node(app, tasks.square, n) for n in range(30)]
    flow = await app.flows.add(node(app, tasks.read_on_loop, children=children))

    tree = await flow.tree(max_nodes=10)

    assert tree.cut
    assert len(tree.children) >= 9
    with pytest.raises(InvalidOptionError, match="max_nodes=0: expected an integer from 1"):
        await flow.tree(max_nodes=0)


async def test_cancel_stops_all_that_is_left(app: App) -> None:
    flow = await app.flows.add(
        node(
            app,
            tasks.read_on_loop,
            children=[
                node(app, tasks.total, 1, children=[node(app, tasks.square, 2)]),
                node(app, tasks.word, "done", on_failure="fail_parent"),
            ],
        )
    )

    assert await flow.cancel("nobody wants it") == 4

    assert {one.failed_reason for one in (await flow.tree()).nodes()} == {"nobody wants it"}
    assert await flow.cancel() == 0
    with pytest.raises(JobFailedError, match="nobody wants it"):
        await flow.result(timeout_s=5)


async def test_retry_puts_back_what_failed_and_its_parents_wait(app: App) -> None:
    tries: list[int] = []

    @app.task(queue="kids", retry=tasks.ONCE)
    async def flaky(n: int) -> int:
        tries.append(n)
        if len(tries) == 1:
            raise Fail("the first time")
        return n

    middle = node(app, tasks.total, 5, on_failure="fail_parent").with_children(
        [flaky.node(1).when_failed("fail_parent")]
    )
    flow = await app.flows.add(node(app, tasks.read_on_loop, children=[middle]))
    async with working(app):
        with pytest.raises(JobFailedError):
            await flow.result(timeout_s=60)
        assert (await flow.progress()).failed == 3

        assert await flow.retry() == 3

        await wait_until(lambda: _is(flow, State.COMPLETED))
    assert tails((await flow.root.info()).result["results"]).popitem()[1] == 5


async def _is(flow: Flow[Any], wanted: State) -> bool:
    return await flow.state() is wanted


async def test_remove_takes_the_whole_flow(app: App) -> None:
    children = [node(app, tasks.square, n) for n in range(3)]
    flow = await app.flows.add(node(app, tasks.read_on_loop, children=children))

    assert await flow.remove() == 4

    with pytest.raises(JobNotFoundError):
        await flow.state()
    with pytest.raises(JobNotFoundError):
        await flow.tree()
    with pytest.raises(JobNotFoundError):
        await flow.remove()


async def test_children_are_added_from_outside(app: App) -> None:
    flow = await app.flows.add(node(app, tasks.read_on_loop, children=[node(app, tasks.square, 2)]))

    (added,) = await flow.add_children([node(app, tasks.square, 5)])

    async with working(app):
        assert (await flow.result(timeout_s=60))["squares"] == [4, 25]
    assert await added.result(timeout_s=5) == 25
    with pytest.raises(WrongStateError, match="is completed, so no child can be added"):
        await flow.add_children([node(app, tasks.square, 6)])


async def test_result_of_a_flow_that_waits_for_ever_times_out(app: App) -> None:
    flow = await app.flows.add(
        node(app, tasks.read_on_loop, children=[node(app, tasks.broken, "no")])
    )

    async with working(app):
        with pytest.raises(ResultTimeoutError):
            await flow.result(timeout_s=0.3)


# Trees


async def test_nodes_by_queue_and_name(app: App) -> None:
    tree: Node[Any] = Node(
        "parents",
        "read_on_loop",
        children=[
            Node("kids", "square", {"n": 6}, options=JobOptions(priority=3), on_failure="ignore")
        ],
    )

    flow = await app.flows.add(tree)

    (child,) = (await flow.tree()).children
    assert (await app.queue("kids").job(child.id).info()).priority == 3
    async with working(app):
        assert (await flow.result(timeout_s=60))["squares"] == [36]


async def test_chain_runs_one_after_the_other(app: App) -> None:
    ran: list[str] = []

    @app.task(queue="kids")
    async def step(context: Context, name: str) -> list[Any]:
        ran.append(name)
        return [name, *(await context.children_results()).values()]

    flow = await app.flows.add(chain(step.node("a"), step.node("b"), step.node("c")))

    async with working(app):
        assert await flow.result(timeout_s=60) == ["c", ["b", ["a"]]]
    assert ran == ["a", "b", "c"]


async def test_chain_fails_with_its_first_link(app: App) -> None:
    flow = await app.flows.add(
        chain(node(app, tasks.broken, "no"), node(app, tasks.square, 1), node(app, tasks.word, "x"))
    )

    async with working(app):
        with pytest.raises(JobFailedError, match=r"child .* failed"):
            await flow.result(timeout_s=60)


async def test_group_ends_with_what_comes_then(app: App) -> None:
    squares = [node(app, tasks.square, n) for n in range(4)]
    flow = await app.flows.add(group(*squares, then=node(app, tasks.read_on_loop)))

    async with working(app):
        assert (await flow.result(timeout_s=60))["squares"] == [0, 1, 4, 9]


async def test_many_trees_are_added_at_once(app: App) -> None:
    trees = [node(app, tasks.total, n, children=[node(app, tasks.square, n)]) for n in range(5)]

    flows = await app.flows.add_many(trees)

    async with working(app):
        assert [await flow.result(timeout_s=60) for flow in flows] == [0, 1, 2, 3, 4]


async def test_more_trees_than_one_call_takes_are_added_in_several(app: App) -> None:
    trees = [
        node(app, tasks.total, n, children=[node(app, tasks.square, k) for k in range(999)])
        for n in range(3)
    ]

    flows = await app.flows.add_many(trees)

    info = await app.queue("kids").info()
    assert info is not None
    assert (len(flows), info.waiting, info.waiting_children) == (3, 2997, 3)


async def test_tree_whose_root_is_there_is_a_duplicate(app: App) -> None:
    total: Any = app.bound(tasks.total).with_options(job_id="once")
    tree: Node[int] = total.node(1)
    first = await app.flows.add(tree.with_children([node(app, tasks.square, 1)]))

    second = await app.flows.add(tree.with_children([node(app, tasks.square, 2)]))

    assert (first.duplicate, second.duplicate) == (False, True)
    assert len((await second.tree()).children) == 1


def _too_large(app: App) -> Node[Any]:
    return node(app, tasks.total, 1, children=[node(app, tasks.square, n) for n in range(2000)])


def _twice(app: App) -> Node[Any]:
    same = app.bound(tasks.square).with_options(job_id="same")
    return node(app, tasks.total, 1, children=[same.node(1), same.node(2)])


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda app: node(app, tasks.total, 1, on_failure="ignore"), "on_failure='ignore': job"),
        (lambda app: node(app, tasks.total, 1, on_failure="explode"), "on_failure='explode'"),
        (lambda app: node(app, tasks.total, 1, children=[1]), "children="),
        (lambda app: node(app, tasks.total, 1, children=node(app, tasks.square, 1)), "children="),
        (_too_large, "is too large: one call adds at most 2,000 nodes"),
        (_twice, "job_id='same': two nodes of one call have this id in queue 'kids'"),
        (lambda app: "a tree", "tree='a tree': expected a node"),
        (
            lambda app: (
                app.bound(tasks.square).with_options(deduplication=Deduplication("d")).node(1)
            ),
            "deduplication='d': job 'square' is of a flow",
        ),
        (lambda app: chain(), "nodes=()"),
        (lambda app: group(then=node(app, tasks.total, 1)), "nodes=()"),
    ],
)
async def test_bad_trees_are_refused_with_one_sentence(app: App, make: Any, why: str) -> None:
    with pytest.raises(InvalidOptionError) as refused:
        await app.flows.add(make(app))

    assert why in str(refused.value)
    assert await app.queues() == []


async def test_payload_of_a_node_is_checked(app: App) -> None:
    with pytest.raises(InvalidPayloadError, match="square"):
        node(app, tasks.square, n="two")


async def test_function_with_parameters_of_these_names_keeps_them(app: App) -> None:
    @app.task(queue="kids")
    async def family(children: int, on_failure: str) -> int:
        return children

    tree: Node[int] = family.node(children=2, on_failure="cry").with_children(
        [node(app, tasks.square, 1)]
    )
    flow = await app.flows.add(tree)

    async with working(app):
        assert await flow.result(timeout_s=60) == 2


async def test_task_of_another_store_is_refused(app: App) -> None:
    async with App("sqlite:///elsewhere.db", settings=Settings()) as other:

        @other.task(queue="kids")
        async def far(n: int) -> int:
            return n

        with pytest.raises(InvalidOptionError, match="task='far': its app has another store"):
            await app.flows.add(node(app, tasks.total, 1, children=[far.node(1)]))


# What waits, and what is stuck


async def test_waiting_roots_are_listed(app: App) -> None:
    inner = node(app, tasks.total, 1, children=[node(app, tasks.square, 1)])
    flow = await app.flows.add(node(app, tasks.read_on_loop, children=[inner]))

    found = await app.flows.waiting()

    assert [(one.id, one.queue, one.name) for one in found] == [
        (flow.id, "parents", "read_on_loop")
    ]
    assert [one.id for one in await app.flows.waiting("kids")] == []
    assert app.flows.get("parents", flow.id).id == flow.id


async def test_flow_that_works_is_not_stuck(app: App) -> None:
    await app.flows.add(node(app, tasks.total, 1, children=[node(app, tasks.square, 1)]))

    async with working(app, queues=["kids"]):
        assert await app.flows.stuck() == []


async def test_stuck_flows_say_why(app: App) -> None:
    failed = await app.flows.add(
        node(app, tasks.total, 1, children=[node(app, tasks.broken, "no luck")])
    )
    async with working(app, queues=["kids"]):
        await wait_until(lambda: _stuck_with(app, "child_failed"))
        unserved = await app.flows.add(
            node(app, tasks.total, 2, children=[Node("nowhere", "work")])
        )
        found = {one.job_id: one for one in await app.flows.stuck()}

    assert found[failed.id].reason == "child_failed"
    assert "it has failed for good (no luck)" in found[failed.id].text
    assert (found[unserved.id].reason, found[unserved.id].child_queue) == ("no_worker", "nowhere")
    assert "Start one with --queues nowhere" in found[unserved.id].text
    told = [
        finding for finding in (await app.check()).findings if finding.subject.startswith("flow ")
    ]
    assert {finding.grade for finding in told} == {"warning"}
    assert any("no luck" in finding.text for finding in told)


async def _stuck_with(app: App, reason: str) -> bool:
    return any(one.reason == reason for one in await app.flows.stuck())


async def test_waiting_parent_explains_which_children_it_waits_for(app: App) -> None:
    names = ("left", "right", "ends")
    flow = await app.flows.add(
        Node("tree", "root", children=[Node("tree", name) for name in names])
    )
    by_name = {node.name: node.id for node in (await flow.tree()).children}
    await app.queue("tree").job(by_name["ends"]).remove()

    explanation = await flow.root.explain()
    (why,) = [one for one in explanation.reasons if one.kind == "children"]

    assert why.values["left"] == 2
    assert {one["job_id"] for one in why.values["children"]} == {by_name["left"], by_name["right"]}
    child = await app.queue("tree").job(by_name["left"]).explain()
    (above,) = [one for one in child.reasons if one.kind == "parent"]
    assert above.values == {"queue": "tree", "job_id": flow.id}
