"""Whatever goes wrong about an attempt, it settles: its slot is free, its lease is not renewed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NoReturn

import pytest
from tests.engine.working import ONCE, memory_app, working
from tests.support.waiting import wait_until

from toril import App, Context, Fail, JobFailedError, RetryPolicy, Settings, State
from toril.engine import endings
from toril.engine.contract.dispatch import Claim, Exchange
from toril.engine.job import NewJob

POISON = [
    '{"a":' * 1100 + "1" + "}" * 1100,
    '{"removeOnComplete":{"age":' + "9" * 400 + "}}",
    '{"removeOnFail":{"age":' + "9" * 400 + "}}",
    '{"backoff":{"type":"fixed","delay":' + "9" * 400 + "}}",
    '{"attempts":' + "9" * 400 + "}",
]
"""Options that whoever writes to the store may leave there."""


@pytest.fixture(params=["memory", "redis"])
async def app(request: pytest.FixtureRequest, no_thread_left: None) -> AsyncIterator[App]:
    if request.param == "memory":
        made = memory_app()
    else:
        made = App(request.getfixturevalue("redis_url"), settings=Settings())
    async with made as app:
        yield app


async def test_poisonous_options_stop_no_worker(app: App) -> None:
    """Ten such jobs took all slots of a worker for good: their attempts never settled."""

    @app.task(queue="q", retry=ONCE)
    async def work() -> str:
        return "done"

    @app.task(queue="q", retry=ONCE)
    def fail() -> NoReturn:
        raise Fail("no")

    poison = [NewJob(queue="q", name=name, data="{}", opts=opts)
              for opts in POISON for name in ("work", "fail")]  # fmt: skip
    await app.backend().jobs.add(poison)
    job = await work.enqueue()

    async with app.worker(concurrency=2):
        assert await job.result(timeout_s=60) == "done"

        async def settled() -> bool:
            info = await app.queue("q").info()
            assert info is not None
            return info.active == info.waiting == 0

        await wait_until(settled, what="all attempts to settle")


async def test_poisonous_jobs_that_have_lost_their_worker_are_failed(app: App) -> None:
    """They came back again and again: the quarantine's own failure never settled."""

    @app.task(queue="q", retry=ONCE)
    async def work() -> None: ...

    dispatch, jobs = app.backend().dispatch, app.backend().jobs
    await jobs.add([NewJob(queue="q", name="work", data="{}", opts=opts) for opts in POISON])
    claims = [Claim("q", len(POISON), 1)]
    await dispatch.exchange(Exchange("dead", claims=claims, room=len(POISON)))

    async def all_back() -> bool:
        await dispatch.recover(max_stalled=0, heartbeat_s=20, limit=10)
        info = await app.queue("q").info()
        assert info is not None
        return info.active == 0

    await wait_until(all_back, what="the leases to end")
    await app.worker().run(until_idle=True)

    info = await app.queue("q").info()
    assert info is not None
    assert info.failed == len(POISON)


@pytest.mark.parametrize("run_in", ["loop", "thread"])
@pytest.mark.parametrize("ends", ["returns", "raises", "is cancelled"])
async def test_an_attempt_whose_outcome_cannot_be_made_is_failed_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, run_in: str, ends: str
) -> None:
    def broken(opts: str) -> NoReturn:
        raise RecursionError("too deep")

    def end(ctx: Context) -> None:
        if ends == "raises":
            raise ValueError("of the task")
        if ends == "is cancelled":
            raise Fail("cancelled")

    async def on_loop(ctx: Context) -> None:
        monkeypatch.setattr(endings, "from_wire", broken)
        end(ctx)

    def in_thread(ctx: Context) -> None:
        monkeypatch.setattr(endings, "from_wire", broken)
        end(ctx)

    async with memory_app() as app:
        function: Any = on_loop if run_in == "loop" else in_thread
        task: Any = app.task(name="work", retry=RetryPolicy(max_attempts=3))(function)
        job = await task.enqueue()
        await app.worker().run(until_idle=True)

        info = await job.info()
        assert info.state is State.FAILED
        assert info.failed_reason == (
            "the outcome of this attempt could not be settled: RecursionError: too deep"
        )
        assert info.attempts_made == 1
        assert "in broken" in (info.attempts[0].traceback or "")


async def test_an_abandoned_attempt_settles_whatever_its_options(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(opts: str) -> NoReturn:
        raise OverflowError

    async with memory_app() as app:

        @app.task(retry=ONCE)
        async def work(ctx: Context) -> None:
            monkeypatch.setattr(endings, "from_wire", broken)
            executor = worker._executor
            assert executor is not None
            (attempt,) = executor.running.values()
            attempt.stop_kind = "released"
            executor.abandon(attempt)

        job = await work.enqueue()
        async with working(app) as worker:
            with pytest.raises(JobFailedError, match="could not be settled: OverflowError"):
                await job.result(timeout_s=60)


async def test_an_outcome_that_no_store_can_take_fails_its_own_job_only(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One such outcome ended the worker, and took with it the outcomes that went along."""

    @app.task(queue="q", retry=RetryPolicy(max_attempts=3))
    async def work(n: int) -> int:
        return n

    encode = work.encode

    def broken(result: object, **how: Any) -> str:
        return "\ud800" if result in (3, 7) else encode(result, **how)

    monkeypatch.setattr(work, "encode", broken)
    told: list[str] = []

    @app.on("completed")
    def note(event: Any) -> None:
        told.append(event.job_id)

    jobs = await work.enqueue_many({"n": n} for n in range(10))
    async with app.worker(concurrency=10):
        for n, job in enumerate(jobs):
            if n in (3, 7):
                with pytest.raises(JobFailedError, match=r"could not be stored: UnicodeEncodeErr"):
                    await job.result(timeout_s=60)
            else:
                assert await job.result(timeout_s=60) == n
        late = await work.enqueue(n=11)
        assert await late.result(timeout_s=60) == 11
    assert [(await job.info()).attempts_started for job in jobs] == [1] * 10
    good = [job.id for n, job in enumerate(jobs) if n not in (3, 7)]
    assert sorted(told) == sorted([*good, late.id])
