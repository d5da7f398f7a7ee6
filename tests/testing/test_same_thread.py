"""Plain tasks in the thread of the test, at a call's end (`eager`) or when the test says so."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

from toril import App, Context, JobFailedError, RetryPolicy, Settings, State
from toril.testing import in_memory

pytestmark = pytest.mark.usefixtures("no_thread_left")

shop = App("sqlite:////nowhere/at/all.db", settings=Settings())
mine = threading.local()
"""What only the thread that has set it sees, as a transaction of a database is."""


@shop.task(queue="shop", retry=RetryPolicy(max_attempts=2, base_s=60))
def buy(what: str) -> str:
    if what == "nothing":
        raise ValueError(what)
    bill.enqueue_sync(what)
    return f"{mine.buyer} buys {what}"


@shop.task(queue="shop")
def bill(what: str) -> str:
    return f"{mine.buyer} pays {what}"


@shop.task(queue="shop")
async def wave() -> int:
    await asyncio.sleep(0)
    return threading.get_ident()


@pytest.fixture(autouse=True)
def buyer() -> None:
    mine.buyer = "Jo"


def test_plain_tasks_run_in_the_thread_that_waits_for_them() -> None:
    with in_memory(shop, same_thread=True) as bench:
        job = buy.enqueue_sync("tea")
        assert job.info_sync().state is State.WAIT

        ran = bench.run_until_idle_sync()

        ran.raise_errors()
        assert [event.result for event in ran.completed] == ['"Jo buys tea"', '"Jo pays tea"']


def test_without_it_they_run_in_threads_of_the_worker() -> None:
    with in_memory(shop) as bench:
        bill.enqueue_sync("tea")

        ran = bench.run_until_idle_sync()

        with pytest.raises(JobFailedError, match="AttributeError"):
            ran.raise_errors()


def test_several_at_once_have_threads_of_their_own() -> None:
    met = threading.Barrier(2, timeout=20)

    with in_memory(app := App(settings=Settings()), same_thread=True) as bench:

        @app.task()
        def meet() -> int:
            return met.wait()

        meet.enqueue_many_sync([{}, {}])
        ran = bench.run_until_idle_sync(concurrency=2)

    assert sorted(str(event.result) for event in ran.completed) == ["0", "1"]


def test_eager_jobs_have_run_when_the_call_returns() -> None:
    with in_memory(shop, eager=True) as bench:
        job = buy.enqueue_sync("tea")

        assert job.info_sync().state is State.COMPLETED
        assert job.result_sync() == "Jo buys tea"
        assert [event.task for event in bench.ran.completed] == ["buy", "bill"]
        assert wave.enqueue_sync().result_sync() != threading.get_ident()


def test_eager_leaves_what_is_not_due() -> None:
    with in_memory(shop, eager=True) as bench:
        job = bill.with_options(delay=3600).enqueue_sync("tea")
        assert job.info_sync().state is State.DELAYED

        bench.run_for_sync(timedelta(hours=1))

        assert job.result_sync() == "Jo pays tea"


def test_eager_ends_with_its_block() -> None:
    with in_memory(shop, eager=True):
        pass
    with in_memory(shop) as bench:
        job = wave.enqueue_sync()
        assert job.info_sync().state is State.WAIT
        assert bench.ran.completed == []


def test_eager_jobs_of_two_threads_are_all_run() -> None:
    with in_memory(shop, eager=True) as bench:
        threads = [threading.Thread(target=wave.enqueue_sync) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        bench.run_until_idle_sync()

        assert len(bench.ran.completed) == 8


def test_what_a_task_raises_is_what_the_test_sees() -> None:
    with in_memory(shop, eager=True) as bench:
        buy.enqueue_sync("nothing")

        with pytest.raises(
            JobFailedError, match="buy failed and is to be tried again: Val"
        ) as told:
            bench.ran.raise_errors()
        assert isinstance(told.value.__cause__, ValueError)
        assert [event.task for event in bench.ran.to_retry] == ["buy"]


@pytest.mark.parametrize("odd", [SystemExit(3), StopIteration(), GeneratorExit()])
def test_nothing_that_a_task_raises_ends_the_test(odd: BaseException) -> None:
    app = App(settings=Settings())

    @app.task(retry=RetryPolicy(max_attempts=1))
    def odd_one() -> None:
        raise odd

    with in_memory(app, eager=True) as bench:
        odd_one.enqueue_sync()
        assert [event.task for event in bench.ran.failed] == ["odd_one"]


def test_ctrl_c_in_a_task_ends_the_test() -> None:
    app = App(settings=Settings())

    @app.task()
    def long() -> None:
        raise KeyboardInterrupt

    with in_memory(app, eager=True), pytest.raises(KeyboardInterrupt):
        long.enqueue_sync()


def test_a_task_over_its_time_is_told_and_waited_for() -> None:
    app = App(settings=Settings())

    @app.task(timeout=0.05, retry=RetryPolicy(max_attempts=1))
    def long(context: Context) -> None:
        while not context.cancelled:
            threading.Event().wait(0.005)

    with in_memory(app, eager=True) as bench:
        long.enqueue_sync()
        (failed,) = bench.ran.failed
        assert failed.reason == "AttemptTimeoutError: ran longer than timeout_s=0.05"


@pytest.mark.parametrize("name", ["same_thread", "eager"])
async def test_an_asynchronous_test_is_told_that_its_thread_is_busy(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}=True in an asynchronous test: its thread is"):
        async with in_memory(shop, **{name: True}):  # type: ignore[arg-type]
            pass


async def test_a_job_that_failed_and_completed_later_is_no_error() -> None:
    app = App(settings=Settings())

    @app.task(retry=RetryPolicy(max_attempts=3, base_s=5))
    async def third_time(context: Context) -> None:
        if context.attempt < 3:
            raise ValueError(context.attempt)

    async with in_memory(app) as bench:
        await third_time.enqueue()
        first = await bench.run_until_idle()
        with pytest.raises(JobFailedError, match="is to be tried again: ValueError: 1"):
            first.raise_errors()
        later = await bench.run_until_idle(advance=True)

        later.raise_errors()
        bench.ran.raise_errors()
        assert [str(event.error) for event in bench.ran.retried] == ["1", "2"]
        assert bench.ran.to_retry == []
