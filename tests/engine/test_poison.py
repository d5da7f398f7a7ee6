"""A worker among jobs whose stored options nobody can read: each attempt ends, and others run."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.engine.working import working
from tests.support.poison import OPTIONS, poisonous
from tests.support.waiting import wait_until

from toril import App, JobOptions, Settings
from toril.engine.job import NewJob


@pytest.fixture(params=["sqlite", "redis"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> App:
    """An app on a file, and one on a server."""
    if request.param == "redis":
        return App(request.getfixturevalue("redis_url"), settings=Settings())
    return App(f"sqlite:///{tmp_path}/toril.db", durability="normal", settings=Settings())


async def test_jobs_with_unreadable_options_end_and_their_neighbours_run(app: App) -> None:
    """The failure path failed at them too: ten of them held all slots of a worker for ever."""
    ran: list[int] = []

    @app.task(queue="paint")
    async def fine(n: int) -> None:
        ran.append(n)

    @app.task(queue="paint")
    async def broken(n: int) -> None:
        raise ValueError(n)

    poison = [
        NewJob(queue="paint", name=name, data=f'{{"n":{index}}}', opts=opts)
        for index, opts in enumerate(OPTIONS.values())
        for name in ("fine", "broken")
    ]
    async with app, working(app, concurrency=2):
        await app.backend().jobs.add(poison)
        job = await fine.enqueue(n=-1)

        await job.result(timeout_s=60)
        assert sorted(ran) == [-1, *range(len(OPTIONS))]

        async def ended() -> bool:
            info = await app.queue("paint").info()
            return info is not None and info.failed + info.delayed == len(OPTIONS)

        await wait_until(ended, what="every job to end or to be put off")


async def test_worker_takes_no_harm_from_far_moments_and_payloads_that_nobody_can_read(
    app: App,
) -> None:
    @app.task(queue="paint")
    async def fine(n: int) -> int:
        return n

    async with app, working(app, concurrency=2):
        many = len(await app.backend().jobs.add(poisonous("paint")))
        job = await fine.enqueue(n=7)

        assert await job.result(timeout_s=60) == 7

        async def ended() -> bool:
            info = await app.queue("paint").info()
            return info is not None and info.failed + info.delayed == many

        await wait_until(ended, what="every job to fail or to stay delayed")


async def test_job_keeps_as_many_log_lines_from_outside_as_it_says(app: App) -> None:
    """`Job.add_log` kept 1,000, whatever the job's `keep_logs` said."""
    async with app:
        two = await app.queue("paint").add("fine", {}, JobOptions(keep_logs=2))
        none = await app.queue("paint").add("fine", {}, JobOptions(keep_logs=0))
        many = await app.queue("paint").add("fine", {})

        assert [await two.add_log(f"line {n}") for n in range(3)] == [1, 2, 2]
        assert await none.add_log("line") == 0
        assert await many.add_log("line") == 1
        assert await two.logs() == ["line 1", "line 2"]
        assert await none.logs() == []
