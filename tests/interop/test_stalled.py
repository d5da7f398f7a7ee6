"""What a worker held that was killed is taken back by the other kind; what is held stays held."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.interop.watching import PATIENCE_S, until, until_completed, until_in
from tests.support.bullmq import BullMQError
from tests.support.contract import HandWorker
from tests.support.node import Node
from tests.support.redis_servers import RedisServer

from toril import App, JobOptions, State

pytestmark = pytest.mark.timeout(600)  # the first one installs

CHECK_MS = 200
"""Between two looks of Node's workers for jobs whose lock is gone."""
SHORT_LOCK = {"lockDuration": 1_000, "stalledInterval": CHECK_MS}

PROGRAM = """
import asyncio, sys
from toril import App

app = App(sys.argv[1])

@app.task(queue="paint", name="cars")
async def cars(n: int = 0) -> None:
    print(n, flush=True)
    await asyncio.sleep(600)

asyncio.run(app.worker(queues=["paint"], concurrency=5, lease=1.0, sweep=0.3).run())
"""


@asynccontextmanager
async def doomed_worker(url: str, *, holding: int) -> AsyncIterator[None]:
    """Run a worker of ours in a process of its own until it holds so many jobs; then kill it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        for _ in range(holding):
            assert await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
        yield
    finally:
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()


async def looks(server: RedisServer, url: str, many: int) -> None:
    """Return once somebody has looked for stalled jobs so many times from now."""
    key = f"{url.partition('prefix=')[2]}:paint:stalled-check"
    seen: set[str] = set()

    def looked() -> bool:
        if server.command("PTTL", key) > 5_000:  # of one who comes seldom; others wait for its end
            server.command("DEL", key)
        elif (at_ms := server.command("GET", key)) is not None:
            seen.add(at_ms)
        return len(seen) >= many

    await until(looked, f"{many} looks for stalled jobs")


async def test_nodes_stalled_check_leaves_held_jobs_alone(
    app: App, node: Node, redis_server: RedisServer, redis_url: str
) -> None:
    finish = asyncio.Event()

    @app.task(queue="paint", name="cars")
    async def cars() -> int:
        await finish.wait()
        return 1

    queue = app.queue("paint")
    async with app.worker(queues=["paint"], lease=0.5, sweep=600, concurrency=3):
        jobs = [await queue.add("cars"), await queue.add("cars", {}, JobOptions(priority=3))]
        for job in jobs:
            await until_in(app, job.id, State.ACTIVE)
        checker = await node.worker("paint", {}, stalledInterval=CHECK_MS)

        await looks(redis_server, redis_url, 9)  # over three leases

        assert [await job.state() for job in jobs] == [State.ACTIVE, State.ACTIVE]
        finish.set()
        assert [await job.result(timeout_s=PATIENCE_S) for job in jobs] == [1, 1]
    assert checker.named("stalled", "active") == []


async def test_torils_sweep_leaves_what_node_holds_alone(
    app: App, node: Node, redis_server: RedisServer, redis_url: str
) -> None:
    @app.task(queue="paint", name="cars")
    async def cars() -> None: ...

    queue = app.queue("paint")
    worker = await node.worker(
        "paint", {"waits": True, "returns": 1}, concurrency=2, lockDuration=1_000
    )
    jobs = [await queue.add("cars"), await queue.add("cars", {}, JobOptions(priority=3))]
    await worker.wait_for("active", many=2)
    async with app.worker(queues=["paint"], sweep=0.2):
        await looks(redis_server, redis_url, 10)  # over two locks

        assert [await job.state() for job in jobs] == [State.ACTIVE, State.ACTIVE]
        await node.release()
        assert [await job.result(timeout_s=PATIENCE_S) for job in jobs] == [1, 1]
    assert [(await job.info()).stalled for job in jobs] == [0, 0]


async def test_node_takes_back_the_jobs_of_a_killed_toril_worker(
    app: App, node: Node, redis_url: str
) -> None:
    ids = await node.add_bulk(
        "paint", [("cars", {"n": n}, {"priority": n % 2, "attempts": 1}) for n in range(5)]
    )
    async with doomed_worker(redis_url, holding=5):
        pass
    assert await node.counts("paint", "active") == {"active": 5}

    worker = await node.worker("paint", {"echo": True}, stalledInterval=CHECK_MS)

    done = await worker.wait_for("completed", many=5)
    assert sorted(job["id"] for job in done) == sorted(ids)
    assert [(await node.job("paint", one))["stalledCounter"] for one in ids] == [1] * 5
    assert await node.counts("paint", "active", "completed") == {"active": 0, "completed": 5}


async def test_toril_takes_back_the_jobs_of_a_killed_node(
    app: App, node: Node, redis_url: str
) -> None:
    """Each in front of its line: what has a priority stays behind what has none."""
    order: list[int] = []

    @app.task(queue="paint", name="cars")
    async def cars(n: int) -> int:
        order.append(n)
        return n

    async with await Node.start(redis_url) as doomed:
        worker = await doomed.worker("paint", {"waits": True}, concurrency=5, **SHORT_LOCK)
        ids = await node.add_bulk(
            "paint", [("cars", {"n": n}, {"priority": n % 2}) for n in range(5)]
        )
        await worker.wait_for("active", many=5)
        await doomed.kill()
    last = await node.add("paint", "cars", {"n": 9}, priority=1)
    await node.pause("paint")

    async def all_back() -> bool:
        return await node.counts("paint", "waiting", "prioritized") == {
            "waiting": 3,
            "prioritized": 3,
        }

    async with app.worker(queues=["paint"], sweep=0.3, concurrency=1):
        await until(all_back, "all to be taken back")
        await node.resume("paint")
        await until_completed(app, "paint", 6)

    infos = [await app.queue("paint").job(one).info() for one in [*ids, last]]
    assert [info.stalled for info in infos] == [1, 1, 1, 1, 1, 0]
    assert order == [0, 2, 4, 1, 3, 9]
    assert await node.counts("paint", "active") == {"active": 0}


async def test_what_node_found_stalled_too_often_is_failed_by_toril(
    app: App, node: Node, redis_url: str
) -> None:
    """And does not run once more."""
    ran: list[int] = []

    @app.task(queue="paint", name="cars")
    async def cars() -> None:
        ran.append(1)

    job_id = await node.add("paint", "cars", attempts=5)
    async with doomed_worker(redis_url, holding=1):
        pass
    checker = await node.worker(
        "paint", {}, stalledInterval=CHECK_MS, maxStalledCount=0, autorun=False
    )
    await checker.call("startStalledCheckTimer")
    await checker.wait_for("stalled")

    async with app.worker(queues=["paint"]):
        info = await until_in(app, job_id, State.FAILED)

    assert info.failed_reason == "job stalled more than allowable limit"
    assert ran == []


async def test_what_toril_found_stalled_too_often_is_failed_by_node(
    app: App, node: Node, redis_url: str
) -> None:
    """And does not run once more."""
    queue = app.queue("paint")
    job = await queue.add("cars", {}, JobOptions(max_attempts=5))
    async with await Node.start(redis_url) as doomed:
        worker = await doomed.worker("paint", {"waits": True}, **SHORT_LOCK)
        await worker.wait_for("active")
        await doomed.kill()

    async def taken_back() -> bool:
        await app.backend().dispatch.recover(max_stalled=0, heartbeat_s=60, limit=10)
        return await job.state() is State.WAIT

    await until(taken_back, "it to be taken back")
    worker = await node.worker("paint", {"waits": True})

    (failure,) = await worker.wait_for("failed")
    assert failure["failedReason"] == "job stalled more than allowable limit"
    assert await node.release() == 0
    assert (await job.info()).attempts_made == 1


async def test_late_outcome_of_toril_changes_nothing_that_node_did(app: App, node: Node) -> None:
    job = await app.queue("paint").add("cars", {"n": 1})
    slow = HandWorker(app.backend(), lease_ms=100)
    claimed = await slow.claim_one("paint")
    worker = await node.worker("paint", {"returns": "by Node"}, stalledInterval=CHECK_MS)
    await worker.wait_for("completed", deadline_s=PATIENCE_S)

    assert await slow.end(claimed, "completed", value='"too late"') == "lease_lost"

    info = await job.info()
    assert (info.result, info.attempts_made, info.stalled) == ("by Node", 1, 1)


async def test_late_outcome_of_node_changes_nothing_that_toril_did(app: App, node: Node) -> None:
    @app.task(queue="paint", name="cars")
    async def cars() -> str:
        return "by us"

    job_id = await node.add("paint", "cars")
    assert await node.take("paint", "token", lockDuration=100) is not None
    async with app.worker(queues=["paint"], sweep=0.2):
        await until_in(app, job_id, State.COMPLETED)

    for late in (node.complete(job_id, "token", "too late"), node.fail(job_id, "token", "late")):
        with pytest.raises(BullMQError, match="Missing lock"):
            await late
    job = await node.job("paint", job_id)
    assert (job["returnvalue"], job["attemptsMade"], job["stalledCounter"]) == ("by us", 1, 1)


async def test_what_a_stopping_toril_worker_gives_back_node_takes_at_once(
    app: App, node: Node
) -> None:
    @app.task(queue="paint", name="cars")
    async def cars() -> None:
        await asyncio.sleep(600)

    async with app.worker(queues=["paint"], shutdown=0):
        job = await app.queue("paint").add("cars", {}, JobOptions(max_attempts=1))
        await until_in(app, job.id, State.ACTIVE)
    await node.worker("paint", {"returns": "by Node"})

    assert await job.result(timeout_s=PATIENCE_S) == "by Node"
    info = await job.info()
    assert (info.attempts_made, info.attempts_started, info.stalled) == (1, 2, 0)
