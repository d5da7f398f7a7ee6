"""kill -9 while flows run: every flow ends, and no parent runs before its children have ended."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.faults.support import FULL, Say, Stage, WorkerProgram, open_stage
from tests.support.waiting import wait_until

from toril import Flow, JobOptions, Node, State
from toril.engine.flow import OnFailure

ROUNDS, FLOWS, KILLS = (20, 40, 4) if FULL else (2, 12, 3)
"""Of a test; of a round."""
WORKERS = 2
ROUND_S = 120.0
POLICIES: tuple[OnFailure, ...] = ("fail_parent", "ignore", "remove", "wait")
AGAIN = JobOptions(max_attempts=20, backoff="fixed", backoff_s=0.05)


@pytest.fixture(params=["file", "redis"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    """A store of each kind; every process on it ends with the test."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    stage = open_stage(tmp_path, url=url)
    yield stage
    await stage.close()


def storm_worker(stage: Stage) -> WorkerProgram:
    queues = ["sums", "loop", "thread", "grow"]
    return stage.worker(queues=queues, concurrency=20, lease=1.0, sweep=0.5, max_stalled=1_000)


def tree(number: int) -> Node[Any]:
    """Return a tree of three levels, whose jobs take up to 50 ms each."""

    def leaf(policy: OnFailure = "wait") -> Node[Any]:
        queue, name = random.choice((("loop", "mark_on_loop"), ("thread", "mark_in_thread")))
        data = {"duration_s": round(random.uniform(0, 0.05), 4)}
        return Node(queue, name, data, options=AGAIN, on_failure=policy)

    middle = Node("sums", "count_children", options=AGAIN, children=[leaf() for _ in range(4)])
    grower = Node("grow", "grow_children", {"many": 3}, options=AGAIN)
    bad = Node("loop", "fail_at_once", on_failure=POLICIES[number % 3])
    children = [middle, grower, leaf(), bad]
    return Node("sums", "count_children", options=AGAIN, children=children)


async def all_ended(stage: Stage, flows: list[Flow[Any]]) -> bool:
    """Whether these flows have ended, and nothing of any is left."""
    states = [await flow.state() for flow in flows]
    ended = all(state in (State.COMPLETED, State.FAILED) for state in states)
    left = [await stage.figure(name) for name in ("waiting", "active", "waiting_children")]
    return ended and not any(left)


@pytest.mark.timeout(300 + ROUNDS * ROUND_S)
async def test_every_flow_ends_when_workers_are_killed(stage: Stage, say: Say) -> None:
    workers = [storm_worker(stage) for _ in range(WORKERS)]
    for worker in workers:
        await worker.ready()
    flows: list[Flow[Any]] = []
    kills = 0

    for _ in range(ROUNDS):
        before = len(stage.marks)
        flows += await stage.app.flows.add_many(
            [tree(len(flows) + number) for number in range(FLOWS)]
        )
        for after in sorted(random.sample(range(FLOWS * 7), KILLS)):
            await wait_until(
                lambda wanted=before + after: len(stage.marks) >= wanted,  # type: ignore[misc]
                deadline_s=ROUND_S,
                what="the moment of the next kill",
            )
            kills += 1
            victim = random.randrange(WORKERS)
            workers[victim].kill()
            workers[victim] = storm_worker(stage)

        newest = flows[-FLOWS:]
        await wait_until(
            lambda newest=newest: all_ended(stage, newest),  # type: ignore[misc]
            deadline_s=ROUND_S,
            what="all flows to end",
        )

    failed = 0
    for number, flow in enumerate(flows):
        whole = await flow.tree()
        if POLICIES[number % 3] == "fail_parent":
            failed += 1
            assert whole.state is State.FAILED
            continue
        assert whole.state is State.COMPLETED, whole.failed_reason
        # What it counted is what had ended when it ran: nothing was left out, nothing twice.
        assert whole.result == 3
        middle = next(node for node in whole.children if node.name == "count_children")
        assert middle.result == 4
        grower = next(node for node in whole.children if node.name == "grow_children")
        assert grower.result == 3
    assert await stage.app.flows.stuck() == []
    await stage.check_store()
    say(f"{len(flows)} flows, {kills} kills: all ended, {failed} of them failed with their child")
