"""Read these files in their order: they tell what Toril does, one thing at a time.

`toril_app` is an app whose jobs live in memory, and `run_until_idle` is a worker that stops when
there is nothing left to do. In production it is `App()` and `toril worker`.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from toril import (
    InvalidPayloadError,
    JobFailedError,
    Priority,
    ResultTimeoutError,
    RetryPolicy,
    State,
)
from toril.core.clock import moment
from toril.testing import ManualClock, MemoryApp


async def test_a_task_is_a_function_and_a_job_is_one_request_to_run_it(
    toril_app: MemoryApp,
) -> None:
    @toril_app.task()
    async def add(a: int, b: int) -> int:
        return a + b

    job = await add.enqueue(a=1, b=2)
    await toril_app.run_until_idle()

    assert await job.result() == 3


async def test_a_job_waits_until_a_worker_runs_it(toril_app: MemoryApp) -> None:
    @toril_app.task()
    async def greet(name: str) -> str:
        return f"hello {name}"

    job = await greet.enqueue("Jo")

    assert await job.state() is State.WAIT
    with pytest.raises(ResultTimeoutError, match="no live worker serves it"):
        await job.result(timeout_s=0)
    await toril_app.run_until_idle()
    assert await job.state() is State.COMPLETED


def test_plain_code_enqueues_without_await(toril_app: MemoryApp) -> None:
    @toril_app.task()
    def add(a: int, b: int) -> int:
        return a + b

    job = add.enqueue_sync(1, 2)
    toril_app.run_until_idle_sync()

    assert job.result_sync() == 3


async def test_many_jobs_are_enqueued_in_one_go(toril_app: MemoryApp) -> None:
    @toril_app.task()
    async def double(n: int) -> int:
        return 2 * n

    jobs = await double.enqueue_many({"n": n} for n in range(3))
    await toril_app.run_until_idle()

    assert [await job.result() for job in jobs] == [0, 2, 4]


async def test_a_task_is_still_the_function_that_it_was(toril_app: MemoryApp) -> None:
    @toril_app.task()
    async def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    assert await add.function(1, 2) == 3
    assert add.__doc__ == "Add."


async def test_arguments_that_do_not_fit_are_refused_at_the_door(toril_app: MemoryApp) -> None:
    @toril_app.task()
    async def add(a: int, b: int) -> int:
        return a + b

    with pytest.raises(InvalidPayloadError, match=r"task 'add', field 'b': .*the value is 'two'"):
        await add.enqueue(1, "two")  # type: ignore[arg-type]

    assert await toril_app.queues() == []


async def test_a_job_runs_no_sooner_than_after_its_delay(
    toril_app: MemoryApp, toril_clock: ManualClock
) -> None:
    @toril_app.task()
    async def remind() -> None: ...

    job = await remind.with_options(delay=timedelta(hours=1)).enqueue()

    assert not (await toril_app.run_until_idle()).completed
    assert await job.state() is State.DELAYED
    toril_clock.advance(3600)
    assert (await toril_app.run_until_idle()).completed


async def test_a_job_runs_no_sooner_than_its_moment(
    toril_app: MemoryApp, toril_clock: ManualClock
) -> None:
    @toril_app.task()
    async def remind() -> None: ...

    noon = moment(toril_clock.now_ms()) + timedelta(minutes=5)
    job = await remind.with_options(run_at=noon).enqueue()

    assert (await job.info()).run_at == noon
    await toril_app.run_until_idle(advance=True)
    assert await job.state() is State.COMPLETED
    assert moment(toril_clock.now_ms()) == noon


async def test_jobs_run_in_order_of_arrival_and_those_with_a_priority_after_them(
    toril_app: MemoryApp,
) -> None:
    order: list[str] = []

    @toril_app.task()
    async def note(word: str) -> None:
        order.append(word)

    await note.with_options(priority=Priority.LOW).enqueue("low")
    await note.with_options(priority=Priority.URGENT).enqueue("urgent")
    await note.enqueue("first")
    await note.enqueue("second")
    await toril_app.run_until_idle()

    assert order == ["first", "second", "urgent", "low"]


async def test_a_job_may_go_to_the_front_of_the_line(toril_app: MemoryApp) -> None:
    order: list[str] = []

    @toril_app.task()
    async def note(word: str) -> None:
        order.append(word)

    await note.enqueue("first")
    await note.with_options(lifo=True).enqueue("last in")
    await toril_app.run_until_idle()

    assert order == ["last in", "first"]


async def test_a_second_job_of_the_same_id_is_not_added(toril_app: MemoryApp) -> None:
    runs: list[str] = []

    @toril_app.task()
    async def charge(order: str) -> None:
        runs.append(order)

    first = await charge.with_options(job_id="order-17").enqueue("17")
    again = await charge.with_options(job_id="order-17").enqueue("17")
    await toril_app.run_until_idle()

    assert (first.duplicate, again.duplicate) == (False, True)
    assert again.id == first.id == "order-17"
    assert runs == ["17"]


async def test_a_failed_attempt_is_tried_again_after_a_growing_wait(
    toril_app: MemoryApp, toril_clock: ManualClock
) -> None:
    moments: list[int] = []

    @toril_app.task(retry=RetryPolicy(max_attempts=4, base_s=1.0))
    async def call() -> str:
        moments.append(toril_clock.now_ms())
        if len(moments) < 4:
            raise ConnectionError("no answer")
        return "there"

    job = await call.enqueue()
    await toril_app.run_until_idle(advance=True)

    assert [after - before for before, after in pairwise(moments)] == [
        1000,
        2000,
        4000,
    ]
    assert await job.result() == "there"


async def test_a_job_without_an_attempt_left_has_failed(toril_app: MemoryApp) -> None:
    @toril_app.task(retry=RetryPolicy(max_attempts=2, base_s=0))
    async def call() -> None:
        raise ConnectionError("no answer")

    job = await call.enqueue()
    await toril_app.run_until_idle()

    with pytest.raises(JobFailedError, match="ConnectionError: no answer"):
        await job.result()
    info = await job.info()
    assert [attempt.outcome for attempt in info.attempts] == ["retried", "failed"]
    assert "raise ConnectionError" in (info.attempts[-1].traceback or "")


async def test_a_failed_job_can_be_put_back_in_line(toril_app: MemoryApp) -> None:
    broken = True

    @toril_app.task(retry=RetryPolicy(max_attempts=1))
    async def call() -> str:
        if broken:
            raise ConnectionError("no answer")
        return "there"

    job = await call.enqueue()
    await toril_app.run_until_idle()
    broken = False
    await job.retry()
    await toril_app.run_until_idle()

    assert await job.result() == "there"


async def test_a_waiting_job_can_be_cancelled_or_removed(toril_app: MemoryApp) -> None:
    @toril_app.task()
    async def never() -> None:
        raise AssertionError("it ran")

    cancelled, removed = await never.enqueue(), await never.enqueue()
    await cancelled.cancel("the order was withdrawn")
    await removed.remove()
    ran = await toril_app.run_until_idle()

    assert ran.failed == []
    assert (await cancelled.info()).failed_reason == "the order was withdrawn"
