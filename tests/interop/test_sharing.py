"""One queue, Node and Python: each adds, works, watches and operates what the other does."""

from __future__ import annotations

import asyncio
import collections
import os
import signal
import sys
from collections.abc import AsyncIterator

import pytest
from tests.support.node import Node, NodeError
from tests.support.waiting import wait_until

from toril import App, Context, JobOptions, RetryPolicy, State

pytestmark = pytest.mark.timeout(300)  # the first one installs

SHORT_WAIT_S = 20.0


@pytest.fixture
async def app(redis_url: str) -> AsyncIterator[App]:
    """An app on the store that Node uses."""
    async with App(redis_url) as app:
        yield app


async def test_node_adds_and_python_works(app: App, node: Node) -> None:
    @app.task(queue="paint", name="cars")
    async def cars(ctx: Context, colour: str) -> dict[str, str]:
        ctx.log(f"painting it {colour}")
        ctx.progress({"done": 50})
        return {"painted": colour}

    events = await node.queue_events("paint")
    async with app.worker(queues=["paint"]):
        job_id = await node.add("paint", "cars", {"colour": "blue"})

        assert await node.result("paint", job_id, events) == {"painted": "blue"}

    assert await node.logs("paint", job_id) == ["painting it blue"]
    job = await node.job("paint", job_id)
    assert (job["attemptsMade"], job["progress"], job["returnvalue"]) == (
        1,
        {"done": 50},
        {"painted": "blue"},
    )
    await events.wait_for("progress")
    assert [name for name in events.names if name not in ("drained", "progress")] == [
        "added",
        "waiting",
        "active",
        "completed",
    ]


async def test_python_adds_and_node_works(app: App, node: Node) -> None:
    await node.worker("paint", {"echo": True, "logs": ["from Node"], "progress": [10]})

    job = await app.queue("paint").add("cars", {"colour": "grün", "n": 2**40})

    assert await job.result(timeout_s=SHORT_WAIT_S) == {"colour": "grün", "n": 2**40}
    info = await job.info()
    assert (info.state, info.attempts_made) == (State.COMPLETED, 1)
    assert info.progress == 10


async def test_failures_of_python_are_seen_by_node(app: App, node: Node) -> None:
    @app.task(queue="paint", name="cars", retry=RetryPolicy(max_attempts=2, base_s=0.01))
    async def cars() -> None:
        raise ValueError("no paint")

    events = await node.queue_events("paint")
    async with app.worker(queues=["paint"]):
        job_id = await node.add("paint", "cars", {}, attempts=2, backoff=10)
        with pytest.raises(NodeError, match="no paint"):
            await node.result("paint", job_id, events)

    job = await node.job("paint", job_id)
    assert job["attemptsMade"] == 2
    assert len(job["stacktrace"]) == 2
    assert "ValueError: no paint" in job["stacktrace"][0]
    await events.wait_for("retries-exhausted")


async def test_failures_of_node_are_seen_by_python(app: App, node: Node) -> None:
    await node.worker("paint", {"throws": "no brush"})

    job = await app.queue("paint").add("cars", {})
    await wait_until(
        lambda: is_in(app, job.id, State.FAILED), what="Node to fail it", deadline_s=SHORT_WAIT_S
    )

    assert (await job.info()).failed_reason == "no brush"


async def is_in(app: App, job_id: str, state: State) -> bool:
    """Whether a job is in a state."""
    return (await app.queue("paint").job(job_id).info()).state is state


async def test_both_work_one_queue_and_each_job_is_done_once(app: App, node: Node) -> None:
    """With priorities, delays and retries, added by both."""
    many = 5_000
    done: collections.Counter[str] = collections.Counter()

    @app.task(queue="shared", name="work", retry=RetryPolicy(max_attempts=3, base_s=0.01))
    async def work(ctx: Context, n: int) -> int:
        if n % 10 == 0 and ctx.attempt == 1:
            raise ValueError("once more")
        done[ctx.job_id] += 1
        return n

    queue = app.queue("shared")
    for first in range(0, many // 2, 500):
        await node.add_bulk(
            "shared",
            [
                (
                    "work",
                    {"n": n},
                    {
                        "attempts": 3,
                        "backoff": 10,
                        "priority": n % 3,
                        **({"delay": n % 50} if n % 7 == 0 else {}),
                    },
                )
                for n in range(first, first + 500)
            ],
        )
    painter = await node.worker("shared", {"echo": True}, concurrency=20)
    async with app.worker(queues=["shared"], concurrency=20):
        for n in range(many // 2, many):
            await queue.add("work", {"n": n}, JobOptions(priority=n % 3, max_attempts=3))

        async def all_done() -> bool:
            info = await queue.info()
            return info is not None and info.completed == many

        await wait_until(all_done, what="all jobs to be done", deadline_s=120)

    by_node = collections.Counter(job["id"] for job in painter.named("completed"))
    assert set(done.values()) <= {1}
    assert set(by_node.values()) <= {1}
    assert not set(done) & set(by_node)
    assert len(done) + len(by_node) == many
    assert len(done) > many / 20
    assert len(by_node) > many / 20


async def test_node_operates_what_python_works(app: App, node: Node) -> None:
    ran: list[int] = []

    @app.task(queue="paint", name="cars", retry=RetryPolicy(max_attempts=1))
    async def cars(n: int) -> int:
        ran.append(n)
        if n == 1 and ran.count(1) == 1:
            raise ValueError("first time")
        return n

    async with app.worker(queues=["paint"]):
        failing = await node.add("paint", "cars", {"n": 1})
        await wait_until(lambda: is_in(app, failing, State.FAILED), what="it to fail")
        await node.retry("paint", failing)
        await wait_until(lambda: is_in(app, failing, State.COMPLETED), what="it to run again")

        later = await node.add("paint", "cars", {"n": 2}, delay=600_000)
        await node.promote("paint", later)
        await wait_until(lambda: is_in(app, later, State.COMPLETED), what="it to be promoted")

        await node.pause("paint")
        held = await node.add("paint", "cars", {"n": 3})
        gone = await node.add("paint", "cars", {"n": 4})
        assert await node.remove("paint", gone) == 1
        assert ran == [1, 1, 2]
        await node.resume("paint")
        await wait_until(lambda: is_in(app, held, State.COMPLETED), what="it to go on")
    assert ran == [1, 1, 2, 3]


async def test_python_operates_what_node_works(app: App, node: Node) -> None:
    queue = app.queue("paint")
    worker = await node.worker("paint", {"throws": "once", "failures": 1, "returns": 1})
    job = await queue.add("cars", {}, JobOptions(max_attempts=1))
    await worker.wait_for("failed")
    await job.retry(reset_attempts=False)
    await worker.wait_for("completed")

    later = await queue.add("cars", {}, JobOptions(delay_s=600))
    await later.promote()
    await worker.wait_for("failed", many=2)

    await queue.pause()
    assert await node.is_paused("paint")
    await queue.add("cars", {})
    assert (await node.counts("paint", "waiting"))["waiting"] == 1
    await queue.resume()
    await worker.wait_for("failed", many=3)


async def test_bull_board_and_get_workers_show_python(app: App, node: Node) -> None:
    @app.task(queue="paint", name="cars")
    async def cars() -> None: ...

    async with app.worker(queues=["paint"]) as worker:

        async def listed() -> bool:
            return len(await node.workers("paint")) == 1

        await wait_until(listed, what="Node to list the worker")
        (shown,) = await node.workers("paint")
        assert shown["rawname"].endswith(f":w:{worker.id}")
        for _ in range(3):
            job = await cars.enqueue()
            await job.result(timeout_s=SHORT_WAIT_S)
        assert await node.counts("paint", "completed", "failed", "waiting", "active") == {
            "completed": 3,
            "failed": 0,
            "waiting": 0,
            "active": 0,
        }
        assert (await node.job("paint", job.id))["processedBy"] == worker.id


async def test_nodes_stalled_check_leaves_a_held_job_alone(app: App, node: Node) -> None:
    finish = asyncio.Event()

    @app.task(queue="paint", name="cars")
    async def cars() -> int:
        await finish.wait()
        return 1

    async with app.worker(queues=["paint"], lease=1.5):
        job = await cars.enqueue()
        await wait_until(lambda: is_in(app, job.id, State.ACTIVE), what="it to run")
        other = await node.worker("other", {}, stalledInterval=300)
        mine = await node.worker("paint", {"waits": True}, stalledInterval=300, concurrency=1)
        await asyncio.sleep(3.5)  # ten checks of Node's, and two leases of ours
        assert await is_in(app, job.id, State.ACTIVE)
        finish.set()
        assert await job.result(timeout_s=SHORT_WAIT_S) == 1
        assert not mine.named("stalled")
        await other.close()


async def test_node_takes_back_the_job_of_a_killed_python_worker(
    app: App, node: Node, redis_url: str
) -> None:
    program = """
import asyncio, sys
from toril import App
app = App(sys.argv[1])
@app.task(queue="paint", name="cars")
async def cars() -> None:
    print("running", flush=True)
    await asyncio.sleep(600)
asyncio.run(app.worker(queues=["paint"], lease=1.0).run())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, redis_url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    job_id = await node.add("paint", "cars")
    assert await asyncio.wait_for(process.stdout.readline(), SHORT_WAIT_S) == b"running\n"
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()

    worker = await node.worker("paint", {"returns": "saved"}, stalledInterval=300)

    (finished,) = await worker.wait_for("completed", deadline_s=SHORT_WAIT_S)
    assert finished["id"] == job_id
    assert (await node.job("paint", job_id))["stalledCounter"] == 1


async def test_python_takes_back_the_job_of_a_killed_node(
    app: App, node: Node, redis_url: str
) -> None:
    @app.task(queue="paint", name="cars")
    async def cars() -> str:
        return "saved"

    async with await Node.start(redis_url) as doomed:
        worker = await doomed.worker(
            "paint", {"waits": True}, lockDuration=1_000, stalledInterval=300
        )
        job_id = await node.add("paint", "cars")
        await worker.wait_for("active")
        await doomed.kill()

    async with app.worker(queues=["paint"], sweep=0.3):
        await wait_until(
            lambda: is_in(app, job_id, State.COMPLETED), what="it to be saved", deadline_s=30
        )
    assert (await app.queue("paint").job(job_id).info()).stalled == 1
