"""Plain code: threads without a loop, code beside a running loop, closing and using again."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.engine.working import file_app, memory_app

from toril import App, Context, InvalidOptionError, Settings, State

pytestmark = pytest.mark.usefixtures("no_thread_left")


def test_many_threads_enqueue_at_once(tmp_path: Path) -> None:
    app = file_app(tmp_path)

    @app.task()
    def double(n: int) -> int:
        return 2 * n

    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(double.enqueue_sync, range(200)))
    many = double.enqueue_many_sync({"n": n} for n in range(10))
    asyncio.run(app.worker(concurrency=20).run(until_idle=True))

    assert len({job.id for job in jobs}) == 200
    assert [job.result_sync(10) for job in jobs] == [2 * n for n in range(200)]
    assert len(many) == 10
    app.close_sync()


async def test_sync_calls_beside_a_running_loop_work_and_warn() -> None:
    async with memory_app() as app:

        @app.task()
        def double(n: int) -> int:
            return 2 * n

        with pytest.warns(RuntimeWarning, match=r"^enqueue_sync\(\) .+ 'await enqueue") as warned:
            job = double.enqueue_sync(4)
        assert warned[0].filename == __file__
        await app.worker().run(until_idle=True)
        with pytest.warns(RuntimeWarning, match=r"^result_sync\(\) stops the event loop"):
            assert job.result_sync(10) == 8
        with pytest.warns(RuntimeWarning, match=r"^info_sync\(\) stops the event loop"):
            assert job.info_sync().state is State.COMPLETED
        # In a thread of its own there is no loop that could stand still.
        assert await asyncio.to_thread(job.result_sync, 10) == 8


def test_verbs_of_jobs_and_queues_work_in_plain_code(tmp_path: Path) -> None:
    app = file_app(tmp_path)

    @app.task(queue="mail")
    def send(context: Context, to: str) -> str:
        context.log(f"to {to}")
        return to

    mail = app.queue("mail")
    added = mail.add_sync("send", {"to": "Jo"})
    app.run_sync(app.worker().run(until_idle=True))

    assert (added.result_sync(10), added.state_sync()) == ("Jo", State.COMPLETED)
    assert added.logs_sync() == ["to Jo"]
    added.retry_sync()
    assert added.state_sync() is State.WAIT
    added.cancel_sync("no longer")
    assert added.info_sync().failed_reason == "no longer"
    assert (added.remove_sync(), added.remove_sync()) == (True, False)
    late = send.with_options(delay=3600).enqueue_sync(to="Bo")
    late.promote_sync()
    assert late.state_sync() is State.WAIT
    info = mail.info_sync()
    assert info is not None
    assert info.waiting == 1
    app.run_sync(mail.pause())
    assert [(one.name, one.paused) for one in app.run_sync(app.queues())] == [("mail", True)]
    app.close_sync()


async def test_any_call_in_plain_code_warns_beside_a_running_loop() -> None:
    async with memory_app() as app:
        with pytest.warns(RuntimeWarning, match=r"^run_sync\(\) .+ use 'await queues\(...\)'"):
            assert app.run_sync(app.queues()) == []


async def test_call_that_may_not_stop_the_loop_adds_nothing() -> None:
    """Warnings are errors here, as in many tests."""
    async with memory_app() as app:
        with pytest.raises(RuntimeWarning):
            app.queue("mail").add_sync("send")

        assert await app.queues() == []


def test_an_app_is_closed_and_used_again(tmp_path: Path) -> None:
    app = file_app(tmp_path)

    @app.task()
    def note() -> None: ...

    for n in range(3):
        job = note.enqueue_sync()
        assert job.id == str(n + 1)
        app.close_sync()
        app.close_sync()
    app.close_sync()


async def test_a_closed_app_opens_again_when_it_is_used(tmp_path: Path) -> None:
    app = file_app(tmp_path)
    await app.queue("mail").add("send")
    await app.close()
    await app.close()

    (queue,) = await app.queues()
    assert queue.waiting == 1
    await app.close()


async def test_close_sync_in_async_code_says_what_to_do() -> None:
    async with memory_app() as app:
        with pytest.raises(InvalidOptionError, match=r"use 'await app\.close\(\)'"):
            app.close_sync()


def test_a_thread_that_waits_is_told_when_the_app_is_closed() -> None:
    app = memory_app()
    job = asyncio.run(app.queue("mail").add("send"))
    ended: list[BaseException] = []
    waits = threading.Event()

    def wait() -> None:
        waits.set()
        try:
            job.result_sync()
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    waits.wait()
    asyncio.run(app.queue("mail").info())
    app.close_sync()
    thread.join(20)
    assert not thread.is_alive()
    assert len(ended) == 1


def test_an_app_opens_nothing_before_it_is_needed(tmp_path: Path) -> None:
    app = App(f"sqlite:///{tmp_path}/toril.db", settings=Settings())

    @app.task()
    def note() -> None: ...

    assert list(tmp_path.iterdir()) == []
    assert repr(app) == f"App('sqlite:///{tmp_path}/toril.db')"
