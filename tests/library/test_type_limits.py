"""Limits by the name of a job, in one worker, on both stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.waiting import wait_until

from toril import App, InvalidOptionError, RetryPolicy
from toril.library.type_limits import TypeLimits


@pytest.fixture
async def app(url: str) -> AsyncIterator[App]:
    async with App(url) as made:
        yield made


async def test_jobs_above_the_limit_wait_and_keep_their_attempts(app: App) -> None:
    app.middleware(TypeLimits({"long": 1}, put_off_s=0.1))
    gate = asyncio.Event()
    running = most = 0
    seen: list[str] = []

    @app.task(name="long", queue="jobs", retry=RetryPolicy(max_attempts=1))
    async def long(n: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1
        if n == 0:
            raise ValueError("the first one fails")

    @app.task(name="short", queue="jobs")
    async def short() -> None:
        seen.append("short")

    jobs = [await long.enqueue(n=n) for n in range(3)]
    other = await short.enqueue()
    async with app.worker(concurrency=2):
        await other.result(timeout_s=60)  # though two long ones come before it
        assert running == 1
        gate.set()

        async def are_over() -> bool:
            return all([await job.state() in ("completed", "failed") for job in jobs])

        await wait_until(are_over, what="the long jobs to end")

    infos = [await job.info() for job in jobs]
    assert (seen, most) == (["short"], 1)
    assert sorted(info.state for info in infos) == ["completed", "completed", "failed"]
    assert [info.attempts_made for info in infos] == [1, 1, 1]


async def test_names_without_a_limit_are_left_alone(app: App) -> None:
    app.middleware(TypeLimits.of("other:1"))
    both = asyncio.Barrier(2)

    @app.task(queue="jobs")
    async def free() -> str:
        await both.wait()
        return "both ran"

    jobs = [await free.enqueue() for _ in range(2)]
    async with app.worker(concurrency=2):
        assert [await job.result(timeout_s=60) for job in jobs] == ["both ran"] * 2


def test_text_says_limits_and_names_may_have_colons() -> None:
    limits = TypeLimits.of(" DATA_EXPORT:1, file:process:12 ,")

    assert limits._limits == {"DATA_EXPORT": 1, "file:process": 12}
    assert TypeLimits.of("")._limits == {}


@pytest.mark.parametrize("text", ["DATA_EXPORT", ":1", "A:0", "A:-1", "A:x", "A:1.5", "A:²"])
def test_text_that_says_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidOptionError, match="NAME:COUNT"):
        TypeLimits.of(text)


def test_limits_that_make_no_sense_are_refused() -> None:
    for limit in (0, True, "1"):
        with pytest.raises(InvalidOptionError, match="an integer from 1"):
            TypeLimits({"a": limit})  # type: ignore[dict-item]
    with pytest.raises(InvalidOptionError, match="put_off_s"):
        TypeLimits({}, put_off_s=0)
