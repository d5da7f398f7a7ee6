"""Repeated jobs of BullMQ 5, whose keys are digests: worked on with their data, kept for others.

By the npm package of the version that wrote them. BullMQ 6 forgets their data at the second run.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from typing import Any

import pytest
from tests.interop.watching import PATIENCE_S
from tests.support.bullmq import INTEROP
from tests.support.node import node_binary, node_modules
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

from toril import App, State

pytestmark = pytest.mark.timeout(600)  # the first one installs

Q = "reports"


class Five:
    """BullMQ 5 on a store."""

    def __init__(self, server: RedisServer, prefix: str) -> None:
        self._asked = {"port": server.port, "prefix": prefix, "queue": Q}

    async def add(self, name: str, data: Any, **opts: Any) -> str:
        """Add a repeated job; return its id."""
        return str(await self._run(add={"name": name, "data": data, "opts": opts}))

    async def work(self, many: int) -> list[Any]:
        """Work so many jobs; return their data."""
        found: list[Any] = await self._run(work=many)
        return found

    async def _run(self, **asked: Any) -> Any:
        await asyncio.to_thread(node_modules)
        words = [node_binary(), str(INTEROP / "repeats5.mjs"), json.dumps({**self._asked, **asked})]
        done = await asyncio.to_thread(
            subprocess.run, words, cwd=INTEROP, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def five(redis_server: RedisServer, redis_prefix: str) -> Five:
    return Five(redis_server, redis_prefix)


async def ran(app: App, many: int, queue: str = Q) -> list[Any]:
    """Work until so many jobs were run; return their arguments."""
    seen: list[Any] = []

    @app.task(queue=queue, name="daily")
    async def daily(scheduled: bool, n: int = 0) -> None:
        seen.append((scheduled, n))

    async with app.worker(queues=[queue]):
        await wait_until(lambda: len(seen) >= many, deadline_s=PATIENCE_S, what=f"{many} runs")
    return seen


async def test_repeat_goes_on_with_its_data(
    app: App, five: Five, redis_server: RedisServer, redis_prefix: str
) -> None:
    job_id = await five.add(
        "daily", {"scheduled": True, "n": 5},
        repeat={"pattern": "* * * * * *"}, removeOnComplete=10, attempts=3,
    )  # fmt: skip
    digest = job_id.split(":")[1]
    assert len(digest) == 32
    fields = redis_server.command("HGETALL", f"{redis_prefix}:{Q}:repeat:{digest}")
    assert fields[::2] == ["name", "pattern"], "as that version writes it"
    (before,) = await app.schedules.list(Q)
    assert (before.id, before.cron, before.data) == (
        digest,
        "* * * * * *",
        {"scheduled": True, "n": 5},
    )

    seen = await ran(app, 3)

    assert seen[:3] == [(True, 5)] * 3
    (after,) = await app.schedules.list(Q)
    assert (after.data, after.problem) == ({"scheduled": True, "n": 5}, None)
    jobs = (await app.queue(Q).jobs(State.DELAYED)).jobs
    assert [job.options["removeOnComplete"] for job in jobs] == [10]
    assert [job.options["attempts"] for job in jobs] == [3]
    # And a worker of that version goes on where ours left it.
    assert await five.work(2) == [{"scheduled": True, "n": 5}] * 2


async def test_repeat_of_a_span_goes_on(app: App, five: Five) -> None:
    await five.add("daily", {"scheduled": True}, repeat={"every": 300})

    seen = await ran(app, 3)

    assert seen[:3] == [(True, 0)] * 3
    (found,) = await app.schedules.list(Q)
    assert found.every_s == 0.3


async def test_limit_of_a_repeat_holds(app: App, five: Five) -> None:
    await five.add("daily", {"scheduled": True}, repeat={"every": 100, "limit": 3})

    seen = await ran(app, 3)

    (found,) = await app.schedules.list(Q)
    assert (found.ended, found.limit) == (True, 3)
    assert len(seen) == 3


async def test_repeat_is_paused_resumed_and_removed_like_a_schedule(app: App, five: Five) -> None:
    job_id = await five.add("daily", {"scheduled": True, "n": 2}, repeat={"pattern": "0 6 * * *"})
    digest = job_id.split(":")[1]

    await app.schedules.pause(digest, queue=Q)
    assert (await app.queue(Q).jobs(State.DELAYED)).jobs == []
    await app.schedules.resume(digest, queue=Q)

    (job,) = (await app.queue(Q).jobs(State.DELAYED)).jobs
    assert (job.name, job.data) == ("daily", {"scheduled": True, "n": 2})
    assert await app.schedules.remove(digest, queue=Q)
    assert (await app.queue(Q).jobs(State.DELAYED)).jobs == []
