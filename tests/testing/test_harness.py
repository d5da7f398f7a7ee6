"""What users import in their tests."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from toril import (
    AlertMessage,
    AlertOptions,
    AlertThresholds,
    App,
    Context,
    JobFailedError,
    Node,
    RetryPolicy,
    Settings,
    Snooze,
    State,
)
from toril.testing import ManualClock, MemoryApp, StillRunningError, in_memory

pytestmark = pytest.mark.usefixtures("no_thread_left")

shop = App("sqlite:////nowhere/at/all.db", settings=Settings())


@shop.task(queue="mail", retry=RetryPolicy(max_attempts=2, base_s=60))
async def welcome(name: str) -> str:
    if name == "nobody":
        raise ValueError(name)
    return f"hello {name}"


async def test_your_own_app_gets_a_store_in_memory_for_a_while() -> None:
    async with in_memory(shop) as bench:
        job = await welcome.enqueue("Jo")
        ran = await bench.run_until_idle()

        assert [event.task for event in ran.completed] == ["welcome"]
        assert await job.result() == "hello Jo"
        assert bench.app is shop
    assert shop.url == "sqlite:////nowhere/at/all.db"
    async with in_memory(shop):
        assert await shop.queues() == []


def test_plain_tests_do_the_same() -> None:
    with in_memory(shop, clock=ManualClock(now_ms=0)) as bench:
        job = welcome.enqueue_sync("Jo")
        bench.run_until_idle_sync()

        assert job.result_sync() == "hello Jo"
        assert job.info_sync().created_at.year == 1970
    assert shop.url == "sqlite:////nowhere/at/all.db"


async def test_its_own_store_is_there_again_afterwards(tmp_path: Path) -> None:
    async with App(f"sqlite:///{tmp_path}/own.db", settings=Settings()) as app:
        await app.queue("mail").add("send")
        async with in_memory(app):
            assert await app.queues() == []
        (queue,) = await app.queues()
        assert queue.waiting == 1


async def test_time_passes_only_when_it_is_moved() -> None:
    async with in_memory(shop) as bench:
        await welcome.enqueue("nobody")
        await welcome.with_options(delay=3600).enqueue("Jo")

        first = await bench.run_until_idle()
        assert (len(first.retried), len(first.completed)) == (1, 0)
        bench.clock.advance(60)
        second = await bench.run_until_idle()
        assert (len(second.failed), len(second.completed)) == (1, 0)
        third = await bench.run_until_idle(advance=True)
        assert len(third.completed) == 1
        assert bench.clock.now_ms() == ManualClock().now_ms() + 3_600_000


async def test_the_first_failure_can_be_raised_with_its_cause() -> None:
    async with in_memory(shop) as bench:
        await welcome.enqueue("nobody")
        ran = await bench.run_until_idle(advance=True)

        with pytest.raises(JobFailedError, match="welcome failed: ValueError: nobody") as caught:
            ran.raise_errors()
        assert isinstance(caught.value.__cause__, ValueError)
        (await bench.run_until_idle()).raise_errors()


async def test_jobs_that_lead_to_jobs_are_all_run(toril_app: MemoryApp) -> None:
    @toril_app.task(queue="a")
    def first(ctx: Context) -> None:
        ctx.enqueue("second")

    @toril_app.task(queue="b")
    async def second() -> None: ...

    await first.enqueue()
    ran = await toril_app.run_until_idle()

    assert [event.task for event in ran.completed] == ["first", "second"]


async def test_an_async_hook_that_enqueues_is_waited_for(toril_app: MemoryApp) -> None:
    order: list[str] = []

    @toril_app.task()
    async def note(word: str) -> None:
        order.append(word)

    @toril_app.on("completed")
    async def again(event: object) -> None:
        await asyncio.sleep(0)
        if len(order) < 3:
            await note.enqueue(str(len(order)))

    await note.enqueue("0")
    await toril_app.run_until_idle()

    assert order == ["0", "1", "2"]


async def test_a_task_that_enqueues_itself_is_found_out(toril_app: MemoryApp) -> None:
    @toril_app.task()
    async def again() -> None:
        await again.enqueue()

    await again.enqueue()
    with pytest.raises(StillRunningError, match="over 20 attempts, the last of 'again'"):
        await toril_app.run_until_idle(max_attempts=20)


async def test_a_task_that_snoozes_for_ever_is_found_out(toril_app: MemoryApp) -> None:
    @toril_app.task()
    async def later() -> None:
        raise Snooze(after_s=60)

    await later.enqueue()
    assert not (await toril_app.run_until_idle()).completed
    with pytest.raises(StillRunningError, match="over 20 attempts"):
        await toril_app.run_until_idle(max_attempts=20, advance=True)


async def test_a_task_that_does_not_end_is_named(toril_app: MemoryApp) -> None:
    @toril_app.task()
    async def hang() -> None:
        await asyncio.Event().wait()

    job = await hang.enqueue()
    with pytest.raises(StillRunningError, match="not idle after 2 s") as caught:
        await toril_app.run_until_idle(timeout_s=2)  # for it to begin on a busy machine

    assert "hang (job 1 of default)" in str(caught.value)
    assert await job.state() is State.WAIT


async def test_a_task_that_waits_for_another_needs_two_slots(toril_app: MemoryApp) -> None:
    @toril_app.task()
    async def parent() -> int:
        return await (await child.enqueue()).result()

    @toril_app.task()
    async def child() -> int:
        return 3

    job = await parent.enqueue()
    await toril_app.run_until_idle(concurrency=2)

    assert await job.result() == 3


async def test_paused_queues_and_other_programs_queues_are_left(toril_app: MemoryApp) -> None:
    @toril_app.task()
    async def note() -> None: ...

    await note.with_options(delay=5).enqueue()
    await toril_app.queue("default").pause()
    await toril_app.queue("node").add("encode")

    ran = await toril_app.run_until_idle(advance=True)
    assert (ran.completed, ran.failed) == ([], [])


def test_a_memory_app_heeds_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORIL_CONCURRENCY", "nonsense")
    monkeypatch.setenv("WORKER_TYPE", "heavy")
    app = MemoryApp()

    @app.task()
    def where() -> bool:
        return threading.current_thread() is threading.main_thread()

    job = where.enqueue_sync()
    app.run_until_idle_sync()
    assert job.result_sync() is False
    app.close_sync()


def test_the_clock_moves_both_ways_and_forward_only() -> None:
    clock = ManualClock(now_ms=1000, steady_ms=5)
    clock.advance(1.5)
    assert (clock.now_ms(), clock.steady_ms()) == (2500, 1505)
    clock.jump_calendar(-2)
    assert (clock.now_ms(), clock.steady_ms()) == (500, 1505)
    with pytest.raises(ValueError, match=r"^seconds=-1"):
        clock.advance(-1)


async def test_flows_run_to_their_end_with_the_clock_that_the_test_moves() -> None:
    async with MemoryApp() as app:

        @app.task(queue="kids")
        async def child(n: int) -> int:
            return n

        @app.task(queue="parents")
        async def parent(context: Context) -> int:
            if not await context.children_results(child):
                await context.add_children([child.with_options(delay=3600).node(1)])
            await context.wait_for_children()
            return sum((await context.children_results(child)).values())

        top = Node("tops", "none", children=[parent.node()])
        flow = await app.flows.add(top)

        await app.run_until_idle()
        (waiting,) = (await flow.tree()).children
        assert waiting.state is State.WAITING_CHILDREN
        ran = await app.run_until_idle(advance=True)

        assert [event.task for event in ran.completed] == ["child", "parent"]
        assert (await flow.tree()).children[0].result == 1
        assert await flow.state() is State.WAIT


async def test_tests_tell_nobody_of_alerts() -> None:
    """A test of an app that declares alerts would have sent mails."""

    class Ringing:
        name = "ringing"

        async def send(self, message: AlertMessage) -> None:
            raise AssertionError("a test rings")

    app = App(
        "sqlite://:memory:",
        alerts=AlertOptions(channels=[Ringing()], thresholds=AlertThresholds(size=1)),
    )

    @app.task(queue="mail")
    async def send() -> None: ...

    async with in_memory(app) as test_app:
        await app.queue("other").add_many([("x", {})] * 3)
        await send.enqueue()
        await test_app.run_until_idle()

        assert await app.alerts.list() == []
