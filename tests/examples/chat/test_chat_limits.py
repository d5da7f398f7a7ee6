"""Rates over all workers, places of each, and what is kept: with real workers, on each store."""

from __future__ import annotations

import asyncio
import importlib
import secrets
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.examples.chat.conftest import forget_chat
from tests.examples.chat.deployment import FILES, MAIL, PUSH, Deployment
from tests.support.node import Node
from tests.support.waiting import wait_until

from toril import App, JobInfo, JobNotFoundError
from toril.core.clock import SystemClock
from toril.core.codec import Json


class ShiftedClock:
    """The host's clock, some time ahead. No `SystemClock`, or Redis would go by its own."""

    def __init__(self) -> None:
        self.host = SystemClock()
        self.ahead_s = 0.0

    def now_ms(self) -> int:
        return self.host.now_ms() + round(self.ahead_s * 1000)

    def steady_ms(self) -> int:
        return self.host.steady_ms() + round(self.ahead_s * 1000)


def starts_of(jobs: list[JobInfo]) -> list[float]:
    """Return when jobs began, in seconds, in order."""
    return sorted(job.processed_at.timestamp() for job in jobs if job.processed_at)


def windows(starts: list[float], window_s: float = 1.0) -> list[int]:
    """Return how many began in each window: it opens with a start, and lasts one second."""
    counts: list[int] = []
    opened = None
    for at in starts:
        if opened is None or at >= opened + window_s:
            opened = at
            counts.append(0)
        counts[-1] += 1
    return counts


def fullest(starts: list[float]) -> int:
    """Return the most that began in a window.

    SQLite's windows go by a clock that never jumps, starts by the time of day, both in whole
    milliseconds. So a window of 1000 ms may seem 2 ms shorter or longer.
    """
    return min(max(windows(starts, window_s)) for window_s in (0.998, 1.0, 1.002))


def sliding(starts: list[float]) -> int:
    """Return the most starts in any second."""
    return max(sum(at <= other < at + 1.0 for other in starts) for at in starts)


def at_once(jobs: list[JobInfo]) -> dict[str, int]:
    """Return the most jobs that each worker had at once."""
    edges: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for job in jobs:
        if job.processed_at and job.finished_at:
            who = str(job.worker_id or job.attempts[-1].worker_id if job.attempts else "node")
            edges[who].append((job.processed_at.timestamp(), 1))
            edges[who].append((job.finished_at.timestamp(), -1))
    most = {}
    for who, found in edges.items():
        running = peak = 0
        for _, step in sorted(found, key=lambda edge: (edge[0], edge[1])):
            running += step
            peak = max(peak, running)
        most[who] = peak
    return most


async def ended(app: App, queue: str, ids: list[str]) -> list[JobInfo]:
    """Return jobs once all have ended."""
    found: dict[str, JobInfo] = {}

    async def all_ended() -> bool:
        for job_id in ids:
            if job_id not in found:
                info = await app.queue(queue).job(job_id).info()
                if info.state not in ("completed", "failed"):
                    return False
                found[job_id] = info
        return True

    await wait_until(all_ended, deadline_s=120, what=f"{len(ids)} jobs of {queue}")
    return list(found.values())


async def rested(app: App, queue: str) -> None:
    """Return once nothing runs and the rate's window is over, so that the next start opens one."""

    async def over() -> bool:
        info = await app.queue(queue).info()
        if info is None:
            return True
        if info.active + info.waiting + info.prioritized + info.delayed:
            return False
        page = await app.queue(queue).jobs(["completed", "failed"], limit=1000)
        return all(at < time.time() - 1.1 for at in starts_of(page.jobs))

    await wait_until(over, what=f"{queue} to be at rest")


async def test_300_pushes_by_three_workers(chat: Deployment, app: App, store: str) -> None:
    """Step 8, CH-5: on Redis one of the workers is Node's."""
    user = await chat.sign_up()
    await chat.browser(user)
    async with AsyncExitStack() as stack:
        await asyncio.to_thread(chat.start_worker, "second")
        stack.callback(chat.stop, "second")
        if store == "redis":
            node = await stack.enter_async_context(await Node.start(chat.store_url))
            limiter = {"max": 100, "duration": 1000}
            await node.worker(PUSH, {"sleepMs": 20}, concurrency=5, limiter=limiter, name="node")
        else:
            await asyncio.to_thread(chat.start_worker, "third")
            stack.callback(chat.stop, "third")
        payload: Json = {"userId": user.id, "payload": {"title": "t", "body": "b"}}
        await rested(app, PUSH)
        added = await app.queue(PUSH).add_many([("push-notification", payload)] * 300)
        jobs = await ended(app, PUSH, [job.id for job in added])

    starts = starts_of(jobs)
    assert len(starts) == 300
    assert all(job.state == "completed" for job in jobs)
    assert fullest(starts) <= 100
    assert starts[-1] - starts[0] > 1.99
    assert sliding(starts) <= 200
    assert max(at_once(jobs).values()) <= 5
    node_did = [job for job in jobs if job.result is None]
    assert (len(node_did) > 0) == (store == "redis")


async def test_files_start_50_a_second_and_3_at_once(chat: Deployment, app: App) -> None:
    """CH-4, R-28."""
    name, data = "images.remove-original", {"filePath": "uploads/none"}
    await rested(app, FILES)

    added = await app.queue(FILES).add_many([(name, data)] * 110)
    jobs = await ended(app, FILES, [job.id for job in added])

    starts = starts_of(jobs)
    assert fullest(starts) <= 50
    assert starts[-1] - starts[0] > 1.99
    assert max(at_once(jobs).values()) <= 3


async def test_mails_start_100_a_second_and_5_at_once(chat: Deployment, app: App) -> None:
    """R-28."""
    data = {"to": "many@example.com", "subject": "s", "body": "<p>b</p>"}
    await rested(app, MAIL)

    added = await app.queue(MAIL).add_many([("send-email", data)] * 110)
    jobs = await ended(app, MAIL, [job.id for job in added])

    starts = starts_of(jobs)
    assert fullest(starts) <= 100
    assert starts[-1] - starts[0] > 0.99
    assert max(at_once(jobs).values()) <= 5


@pytest.fixture
async def clocked(
    servers: Deployment, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """The chat in this process, on a store of its own whose clock can be put forward."""
    forget_chat()
    for name, value in servers.environment.items():
        monkeypatch.setenv(name, value)
    if store == "redis":
        monkeypatch.setenv("REDIS_URL", f"{servers.store_url}-{secrets.token_hex(4)}")
    else:
        monkeypatch.setenv("TORIL_URL", f"sqlite:///{tmp_path}/toril.db")
    monkeypatch.chdir(tmp_path)
    worker: Any = importlib.import_module("examples.chat.worker")
    worker.app._clock = clock = ShiftedClock()
    monkeypatch.setattr(worker, "clock", clock, raising=False)
    yield worker
    await worker.app.close()
    await worker.services.close()
    forget_chat()


async def test_old_jobs_go_while_the_queue_is_idle(clocked: Any) -> None:
    """Step 16, CH-7: 8 days on; nothing is added meanwhile."""
    app = clocked.app
    some: list[tuple[str, str, Json]] = [
        (PUSH, "push-notification", {"userId": "nobody", "payload": {"title": "t", "body": "b"}}),
        (FILES, "images.remove-original", {"filePath": "uploads/none"}),
        (PUSH, "push-notification", {"userId": "nobody", "payload": {"title": "t"}}),
    ]
    for queue, name, data in some:
        other = App(app.url)
        await other.queue(queue).add(name, data)
        await other.close()
    at_first = await counts(app, [(1, 1), (1, 0)])
    clocked.clock.ahead_s = 2 * 86_400.0
    two_days_on = await counts(app, [(0, 1), (1, 0)])
    clocked.clock.ahead_s = 8 * 86_400.0
    eight_days_on = await counts(app, [(0, 0), (0, 0)])

    assert at_first == [(1, 1), (1, 0)]
    assert two_days_on == [(0, 1), (1, 0)]
    assert eight_days_on == [(0, 0), (0, 0)]


async def counts(app: App, expected: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Have a worker run until completed and failed pushes and files are so many; return them."""

    async def now() -> list[tuple[int, int]]:
        infos = [await app.queue(queue).info() for queue in (PUSH, FILES)]
        return [(one.completed, one.failed) for one in infos if one is not None]

    async def reached() -> bool:
        return await now() == expected

    async with app.worker():
        await wait_until(reached, what=f"{expected}")
    return await now()


async def test_newest_1000_pushes_and_500_files_are_kept(clocked: Any) -> None:
    """Step 16: 1,100 jobs."""
    app = clocked.app
    payload = {"userId": "nobody", "payload": {"title": "t", "body": "b"}}
    pushes = await app.queue(PUSH).add_many([("push-notification", payload)] * 1100)
    files = await app.queue(FILES).add_many(
        [("images.remove-original", {"filePath": "uploads/none"})] * 550
    )

    async with app.worker(concurrency=13):
        await pushes[-1].result(timeout_s=60)
        await files[-1].result(timeout_s=60)
        await ended(app, PUSH, [job.id for job in pushes[-20:]])
        await ended(app, FILES, [job.id for job in files[-20:]])

    assert (await app.queue(PUSH).info()).completed == 1000
    assert (await app.queue(FILES).info()).completed == 500
    states = [await state(app, PUSH, pushes[0].id), await state(app, PUSH, pushes[-1].id)]
    assert states == [None, "completed"]
    assert await state(app, FILES, files[-1].id) == "completed"


async def state(app: App, queue: str, job_id: str) -> str | None:
    """Return a job's state; None: it is gone."""
    try:
        return str((await app.queue(queue).job(job_id).info()).state)
    except JobNotFoundError:
        return None
