"""Whatever the code of an application raises, wherever: its job fails at most, never the worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
from tests.engine.working import ONCE, memory_app, working
from tests.support.waiting import wait_until

from toril import App, BackendClosedError, Context, HookEvent, RetryPolicy, State
from toril.core.loggers import logger
from toril.engine.hooks import Hooks
from toril.engine.judging import describe

KINDS = [asyncio.CancelledError, SystemExit, KeyboardInterrupt, GeneratorExit, StopAsyncIteration]

pytestmark = pytest.mark.usefixtures("no_thread_left")


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> type[BaseException]:
    """What is raised."""
    found: type[BaseException] = request.param
    return found


async def goes_on(app: App) -> None:
    """Have a job done by the worker that runs beside, which so has survived."""

    @app.task(name="next", retry=ONCE)
    async def follows() -> str:
        return "done"

    assert await (await follows.enqueue()).result(timeout_s=60) == "done"


async def test_a_hook_that_raises_anything_changes_nothing(
    kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """`CancelledError` or `SystemExit` of a hook ended the worker, unnoticed beside a program."""
    told: list[str] = []
    async with memory_app() as app:

        def breaks(event: HookEvent) -> NoReturn:
            told.append(event.name)
            raise kind("of a hook")

        async def breaks_later(event: HookEvent) -> NoReturn:
            await asyncio.sleep(0)
            told.append(f"{event.name} later")
            raise kind("of a hook")

        for name in ("active", "completed", "failed", "progress"):
            app.on(name)(breaks)
            app.on(name)(breaks_later)

        @app.task(retry=ONCE)
        async def work(ctx: Context, well: bool) -> str:
            ctx.progress(50)
            if not well:
                raise ValueError("no")
            return "well"

        async with working(app) as worker:
            jobs = [await work.enqueue(well=well) for well in (True, False)]
            assert await jobs[0].result(timeout_s=60) == "well"
            await wait_until(lambda: worker.busy == 0)
            await goes_on(app)
        info = await jobs[1].info()
        assert (info.state, info.failed_reason) == (State.FAILED, "ValueError: no")
    assert {"active", "completed", "failed", "progress"} <= set(told)
    assert {"active later", "completed later", "failed later", "progress later"} <= set(told)
    assert "a hook for 'completed' raised" in caplog.text


async def test_a_hook_that_is_cancelled_from_outside_ends() -> None:
    hooks, ended = Hooks(), asyncio.Event()

    @lambda hook: hooks.on("active", hook)
    async def _waits(event: HookEvent) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    hooks.tell("active")
    await asyncio.sleep(0)
    await hooks.finish(0)
    await asyncio.wait_for(ended.wait(), 60)


@pytest.mark.parametrize("where", ["task", "thread", "middleware", "wait", "text"])
async def test_code_around_a_task_that_raises_anything_fails_its_job_alone(
    kind: type[BaseException], where: str
) -> None:
    async with memory_app() as app:

        class SilentError(Exception):
            def __str__(self) -> str:
                raise kind("of a text")

        def wait(attempt: int, error: BaseException) -> float:
            raise kind("of a policy")

        policy = RetryPolicy(max_attempts=2, wait=wait, base_s=3600) if where == "wait" else ONCE

        async def on_loop() -> None:
            if where == "task":
                raise kind("of a task")
            if where == "text":
                raise SilentError
            raise ValueError("no")

        def in_thread() -> None:
            raise kind("of a task")

        task = app.task(name="work", retry=policy)(in_thread if where == "thread" else on_loop)
        if where == "middleware":

            @app.middleware
            async def breaks(context: Context, call: Any) -> Any:
                if context.task == "work":
                    raise kind("of a middleware")
                return await call()

        async with working(app):
            job = await task.enqueue()

            async def ended() -> bool:
                return (await job.info()).attempts_made == 1

            await wait_until(ended)
            await goes_on(app)
        info = await job.info()
        assert info.state is (State.DELAYED if where == "wait" else State.FAILED)
        assert info.failed_reason


class Breaks(logging.Handler):
    """An application's log handler that is broken."""

    def __init__(self, kind: type[BaseException]) -> None:
        super().__init__()
        self.kind = kind
        self.many = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Raise."""
        self.many += 1
        raise self.kind("of a log handler")


@pytest.fixture
def broken(kind: type[BaseException]) -> Iterator[Breaks]:
    """Toril's log lines go to a broken handler."""
    handler, ours = Breaks(kind), logging.getLogger("toril")
    ours.addHandler(handler)
    yield handler
    ours.removeHandler(handler)


async def test_a_log_handler_that_raises_anything_does_not_end_the_worker(
    broken: Breaks, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the middle of an exchange, in the sweep or in the lease thread it ended that loop."""
    began, go = asyncio.Event(), asyncio.Event()
    async with memory_app() as app:

        @app.task()
        async def work() -> None:
            began.set()
            await go.wait()

        job = await work.enqueue()
        async with working(app, lease=3600) as worker:
            await asyncio.wait_for(began.wait(), 60)
            await app.queue("default").pause()
            backend = app.backend()
            await backend.workers.declare_dead(worker.id)
            await backend.dispatch.recover(max_stalled=5, heartbeat_s=20, limit=10)
            go.set()  # its outcome comes too late, which is logged while the reply is taken
            await wait_until(lambda: broken.many and worker.busy == 0)
            await app.queue("default").resume()
            await job.result(timeout_s=60)
            await goes_on(app)
    assert "of a log handler" in capsys.readouterr().err


def test_a_log_record_names_who_logs(caplog: pytest.LogCaptureFixture) -> None:
    logger("toril.test").warning("a line", extra={"facts": {"a": 1}})

    record = caplog.records[-1]
    assert (record.funcName, record.message) == ("test_a_log_record_names_who_logs", "a line")
    assert record.__dict__["facts"] == {"a": 1}


def test_the_words_of_an_error_are_made_whatever_it_raises(kind: type[BaseException]) -> None:
    class OddError(Exception):
        def __str__(self) -> str:
            raise kind

    assert describe(OddError()).endswith(f"(its text could not be made: {kind.__qualname__})")


async def test_a_worker_beside_a_program_that_ends_says_so_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with memory_app() as app:

        @app.task()
        async def work() -> None:
            """Do nothing."""

        async def program() -> None:
            async with app.worker() as worker:
                await app.backend().lifecycle.close()
                await wait_until(lambda: f"worker {worker.id} has ended: " in caplog.text)

        with pytest.raises(BackendClosedError):
            await program()
