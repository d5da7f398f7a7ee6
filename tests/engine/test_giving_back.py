"""A stopping worker gives its jobs back once: no claim of its own takes them again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.engine.working import file_app
from tests.support.redis_servers import RedisServer
from tests.support.waiting import wait_until

from toril import App, Retry, Settings, State, Worker
from toril.backends.redis import standing
from toril.engine import outbox
from toril.engine.stopping import FAREWELL_S

pytestmark = [
    pytest.mark.usefixtures("no_thread_left"),
]

DEAF = ["+@all", "-client|unblock"]
"""Rights of a user whose blocking claims cannot be ended early: each lasts for a second."""


class Jobs:
    """A store with one job, whose task runs until it is told to end."""

    def __init__(self, app: App, server: RedisServer | None, user: str) -> None:
        self.app = app
        self._server = server
        self._user = user
        self.began = asyncio.Event()
        self.end = asyncio.Event()

        @app.task()
        async def work() -> None:
            self.began.set()
            await self.end.wait()
            raise Retry("once more", after_s=0)

        self.work = work

    @asynccontextmanager
    async def run_by_a_worker_with_free_slots(self) -> AsyncIterator[Worker]:
        self.began.clear()
        async with self.app.worker(concurrency=8, sweep=3600, lease=60) as worker:
            await self.began.wait()
            if self._server is not None:
                await wait_until(self._claim_blocks, what="the blocking claim")
            yield worker

    def _claim_blocks(self) -> bool:
        assert self._server is not None
        clients = self._server.command("CLIENT", "LIST").splitlines()
        return any("cmd=bzpopmin" in one and f"user={self._user} " in one for one in clients)


@pytest.fixture
async def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Jobs]:
    """The rights of the store's user are the parameter. None: on SQLite."""
    if request.param is None:
        async with file_app(tmp_path) as app:
            yield Jobs(app, None, "")
        return
    server, prefix, url = map(
        request.getfixturevalue, ("redis_server", "redis_prefix", "redis_url")
    )
    server.command("ACL", "SETUSER", prefix, "on", ">PASSWORD", "~*", "&*", *request.param)
    async with App(url.replace("://", f"://{prefix}:PASSWORD@"), settings=Settings()) as app:
        yield Jobs(app, server, prefix)
    server.command("ACL", "DELUSER", prefix)


ON_ALL = pytest.mark.parametrize(
    "jobs",
    [None, ["+@all"], DEAF],
    ids=["sqlite", "redis", "redis that ends no claim early"],
    indirect=True,
)
ON_DEAF = pytest.mark.parametrize("jobs", [DEAF], ids=["deaf"], indirect=True)


@ON_ALL
async def test_job_that_is_given_back_is_not_claimed_by_the_same_worker(jobs: Jobs) -> None:
    """Its blocking claim took the job in the moment in which it was given back."""
    job = await jobs.work.enqueue()
    for times in (1, 2, 3):
        async with jobs.run_by_a_worker_with_free_slots() as worker:
            worker.stop(0)

        info = await job.info()
        assert (info.state, info.attempts_started) == (State.WAIT, times)
        assert (info.attempts_made, info.stalled) == (0, 0)
        assert await jobs.app.workers() == []


@ON_ALL
async def test_job_that_is_retried_at_once_is_left_to_others_by_a_worker_that_stops(
    jobs: Jobs,
) -> None:
    job = await jobs.work.enqueue()
    async with jobs.run_by_a_worker_with_free_slots() as worker:
        worker.stop()
        jobs.end.set()

    info = await job.info()
    assert (info.state, info.attempts_started, info.attempts_made) == (State.WAIT, 1, 1)


@ON_DEAF
async def test_claim_that_never_ends_keeps_no_job_from_being_given_back(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is claimed once more then, and given back again: nothing is lost, and none waits."""
    monkeypatch.setattr(standing, "SHORT_S", 30.0)
    monkeypatch.setattr(outbox, "MAX_HOLD_BACK_S", 0.2)
    job = await jobs.work.enqueue()
    async with jobs.run_by_a_worker_with_free_slots() as worker:
        begin_s = time.monotonic()
        worker.stop(0)

    assert time.monotonic() - begin_s < FAREWELL_S
    info = await job.info()
    assert (info.state, info.attempts_started) == (State.WAIT, 2)
    assert (info.attempts_made, info.stalled) == (0, 0)
    assert await jobs.app.workers() == []
