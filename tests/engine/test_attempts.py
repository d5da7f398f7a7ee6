"""One attempt: whatever a task returns, raises, says or swallows, there is exactly one outcome."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.engine.working import ONCE, memory_app, working
from tests.support.waiting import wait_until

from toril import (
    App,
    Call,
    Cancel,
    Context,
    Fail,
    HookEvent,
    InvalidOptionError,
    JobFailedError,
    RetryPolicy,
    State,
)
from toril.engine import deadlines
from toril.engine.runners import in_thread
from toril.services.unusable import UnusableInputError
from toril.testing import MemoryApp


@pytest.fixture
async def app(no_thread_left: None) -> AsyncIterator[App]:
    async with memory_app() as app:
        yield app


class Odd(BaseException):
    pass


class NoTextError(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


class NoReason(Fail):
    def __init__(self) -> None:
        """Not the way that `Fail` is made."""


RAISED: list[tuple[Callable[[], BaseException], str]] = [
    (lambda: ValueError("no"), "ValueError: no"),
    (lambda: SystemExit(3), "SystemExit"),
    (lambda: KeyboardInterrupt(), "KeyboardInterrupt"),
    (lambda: StopIteration(1), "StopIteration"),
    (lambda: StopAsyncIteration(1), "StopAsyncIteration"),
    (lambda: GeneratorExit(), "GeneratorExit"),
    (lambda: asyncio.CancelledError(), ""),
    (lambda: Odd("odd"), "Odd"),
    (lambda: NoTextError(), "NoTextError: (its text could not be made: ZeroDivisionError)"),
    (lambda: NoReason(), "NoReason"),
    (lambda: ValueError("\ud800 \x00"), "ValueError: ? \\0"),
    (lambda: Fail("\ud800 \x00"), "? \\0"),
    (lambda: Fail(None), "None"),  # type: ignore[arg-type]
    (lambda: RecursionError("x" * 100_000), "RecursionError: xxx"),
    (lambda: ExceptionGroup("both", [ValueError("a"), OSError("b")]), "ExceptionGroup: both"),
    (lambda: TimeoutError(), "TimeoutError"),
]


@pytest.mark.parametrize("run_in", ["loop", "thread"])
@pytest.mark.parametrize(("make", "words"), RAISED)
async def test_whatever_is_raised_ends_the_attempt_and_no_more(
    app: App, make: Callable[[], BaseException], words: str, run_in: str
) -> None:
    async def on_loop() -> None:
        raise make()

    def in_thread() -> None:
        raise make()

    task = app.task(name="odd", retry=ONCE)(on_loop if run_in == "loop" else in_thread)

    @app.task()
    async def neighbour() -> str:
        return "well"

    job = await task.enqueue()
    other = await neighbour.enqueue()
    await app.worker().run(until_idle=True)

    info = await job.info()
    assert info.state is State.FAILED
    assert words in (info.failed_reason or "")
    assert await other.result() == "well"


@pytest.mark.parametrize(
    ("error", "is_kept"),
    [
        (UnusableInputError("image 'a'", "it is none"), True),  # of a service: which, and where
        (InvalidOptionError("size=0: expected more"), False),
        (Fail("no"), False),
    ],
)
async def test_a_traceback_is_kept_unless_the_words_say_all(
    app: App, error: Exception, is_kept: bool
) -> None:
    @app.task(queue="q", retry=ONCE)
    async def broken() -> None:
        raise error

    job = await broken.enqueue()
    async with working(app):
        with pytest.raises(JobFailedError):
            await job.result(timeout_s=60)

    (attempt,) = (await job.info()).attempts
    assert (attempt.traceback is not None) is is_kept


async def test_a_failure_keeps_a_traceback_that_begins_in_the_task(app: App) -> None:
    @app.task(retry=ONCE)
    async def outer() -> None:
        inner()

    def inner() -> None:
        raise ValueError("deep")

    job = await outer.enqueue()
    await app.worker().run(until_idle=True)

    (attempt,) = (await job.info()).attempts
    lines = (attempt.traceback or "").splitlines()
    assert "test_attempts.py" in lines[1]
    assert "in inner" in attempt.traceback.splitlines()[-3] if attempt.traceback else False
    assert "toril/engine" not in (attempt.traceback or "")


async def test_attempts_are_told_of_their_own_number(app: App) -> None:
    seen: list[tuple[int, int]] = []

    @app.task(retry=RetryPolicy(max_attempts=3, base_s=0))
    async def call(ctx: Context) -> None:
        seen.append((ctx.attempt, ctx.max_attempts))
        raise OSError

    await call.enqueue()
    await call.with_options(max_attempts=1).enqueue()
    await app.worker(concurrency=1).run(until_idle=True)

    assert sorted(seen) == [(1, 1), (1, 3), (2, 3), (3, 3)]


async def test_what_a_task_says_arrives_before_its_outcome(app: App) -> None:
    @app.task()
    def talk(ctx: Context) -> str:
        for number in range(50):
            ctx.progress(number)
            ctx.log(f"line {number}")
        return "done"

    job = await talk.enqueue()
    await app.worker().run(until_idle=True)

    names = [e.name async for e in app.queue("default").events(after=0, until_idle=True)]
    assert names == ["added", "waiting", "active", *["progress"] * 50, "completed", "drained"]
    assert await job.logs() == [f"line {number}" for number in range(50)]


@pytest.mark.parametrize("line", ["\ud800", "nul \x00", "", "x" * 100_000, "two\nlines", "ü 🐂"])
async def test_any_line_can_be_logged(app: App, line: str) -> None:
    @app.task()
    async def talk(ctx: Context, n: int) -> None:
        ctx.log(line)

    job = await talk.enqueue(1)
    await app.worker().run(until_idle=True)
    await job.add_log(line)

    inside, outside = await job.logs()
    assert inside == outside
    assert await job.state() is State.COMPLETED


async def test_old_log_lines_go_past_the_limit(app: App) -> None:
    @app.task()
    async def talk(ctx: Context) -> None:
        for number in range(10):
            ctx.log(str(number))

    job = await talk.with_options(keep_logs=3).enqueue()
    none = await talk.with_options(keep_logs=0).enqueue()
    await app.worker().run(until_idle=True)

    assert await job.logs() == ["7", "8", "9"]
    assert await none.logs() == []


@pytest.mark.parametrize("value", [float("nan"), object(), "\ud800"])
async def test_progress_that_is_not_json_is_the_tasks_error(app: App, value: Any) -> None:
    @app.task(retry=ONCE)
    async def talk(ctx: Context) -> None:
        ctx.progress(value)

    job = await talk.enqueue()
    await app.worker().run(until_idle=True)

    assert await job.state() is State.FAILED


async def test_follow_ups_are_added_only_on_completion(app: App) -> None:
    @app.task(retry=ONCE)
    async def parent(ctx: Context, *, how: str) -> None:
        ctx.enqueue("child", {"n": 1})
        if how == "fail":
            raise ValueError
        if how == "unfit":
            ctx.enqueue("child", {"n": "one"})
        if how == "unknown":
            ctx.enqueue("chlid")

    @app.task(queue="children", retry=RetryPolicy(max_attempts=7))
    async def child(n: int) -> None: ...

    jobs = {how: await parent.enqueue(how=how) for how in ("ok", "fail", "unfit", "unknown")}
    await app.worker(queues=["default"]).run(until_idle=True)

    info = await app.queue("children").info()
    assert info is not None
    assert info.waiting == 1
    (followed,) = (await app.queue("children").jobs(State.WAIT)).jobs
    assert (followed.data, followed.options["attempts"]) == ({"n": 1}, 7)
    reasons = {how: (await job.info()).failed_reason for how, job in jobs.items()}
    assert reasons["ok"] is None
    assert "task 'child', field 'n'" in (reasons["unfit"] or "")
    assert "'chlid' names no queue, and the app has no such task" in (reasons["unknown"] or "")


async def test_a_follow_up_to_another_program_names_its_queue(app: App) -> None:
    @app.task()
    def parent(ctx: Context) -> None:
        ctx.enqueue("encode", {"file": "a.mp4"}, queue="node-video")

    await parent.enqueue()
    await app.worker().run(until_idle=True)

    (job,) = (await app.queue("node-video").jobs(State.WAIT)).jobs
    assert (job.name, job.data) == ("encode", {"file": "a.mp4"})


async def test_middleware_nests_in_the_order_of_its_registration(app: App) -> None:
    order: list[str] = []

    def layer(name: str) -> None:
        @app.middleware
        async def around(context: Context, call: Call) -> object:
            order.append(f"+{name}")
            try:
                return await call()
            finally:
                order.append(f"-{name}")

    layer("a")
    layer("b")

    @app.task()
    def note() -> None:
        order.append("task")

    await note.enqueue()
    await app.worker().run(until_idle=True)

    assert order == ["+a", "+b", "task", "-b", "-a"]


@pytest.mark.parametrize("run_in", ["loop", "thread"])
async def test_middleware_may_answer_change_repeat_or_refuse(app: App, run_in: str) -> None:
    runs: list[str] = []

    @app.middleware
    async def around(context: Context, call: Call) -> object:
        match context.job_id:
            case "answer":
                return {"from": "the cache"}
            case "change":
                return [await call()]
            case "twice":
                return [await call(), await call()]
            case "refuse":
                raise Cancel("not today")
        raise ValueError("broken middleware")

    async def on_loop(word: str) -> str:
        runs.append(word)
        return word

    def in_thread(word: str) -> str:
        runs.append(word)
        return word

    task = app.task(name="say", retry=ONCE)(on_loop if run_in == "loop" else in_thread)
    words = ("answer", "change", "twice", "refuse", "break")
    jobs = {word: await task.with_options(job_id=word).enqueue(word=word) for word in words}
    await app.worker(concurrency=1).run(until_idle=True)
    infos = {word: await job.info() for word, job in jobs.items()}

    assert infos["answer"].result == {"from": "the cache"}
    assert infos["change"].result == ["change"]
    assert infos["twice"].result == ["twice", "twice"]
    assert infos["refuse"].failed_reason == "not today"
    assert infos["break"].failed_reason == "ValueError: broken middleware"
    assert runs == ["change", "twice", "twice"]


async def test_an_attempt_out_of_time_fails_and_may_be_tried_again(app: App) -> None:
    @app.task(timeout=0.01, retry=RetryPolicy(max_attempts=2, base_s=0))
    async def hang(ctx: Context) -> int:
        if ctx.attempt == 1:
            await asyncio.Event().wait()
        return ctx.attempt

    job = await hang.enqueue()
    await app.worker().run(until_idle=True)

    assert await job.result() == 2
    assert (await job.info()).attempts[0].error == (
        "AttemptTimeoutError: ran longer than timeout_s=0.01"
    )


async def test_a_coroutine_may_clean_up_after_its_time(app: App) -> None:
    cleaned: list[str] = []

    @app.task(timeout=0.01, retry=ONCE)
    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(20):  # longer than the time between two looks at the deadlines
                await asyncio.sleep(0.01)
            cleaned.append("yes")

    await hang.enqueue()
    await app.worker().run(until_idle=True)

    assert cleaned == ["yes"]


async def test_a_coroutine_that_swallows_its_cancellation_is_left_behind(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(deadlines, "PATIENCE_S", 0.01)
    free = asyncio.Event()
    left: list[asyncio.Task[Any] | None] = []

    @app.task(timeout=0.01, retry=ONCE)
    async def stubborn() -> None:
        left.append(asyncio.current_task())
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue

    @app.task()
    async def neighbour() -> None: ...

    job = await stubborn.enqueue()
    async with working(app, concurrency=1):
        other = await neighbour.enqueue()
        await other.result(timeout_s=60)  # the slot is free again
        assert left[0] not in asyncio.all_tasks(), "asyncio.run would wait for it"
        free.set()
    assert "AttemptTimeoutError" in ((await job.info()).failed_reason or "")
    assert "does not end and is left behind" in caplog.text


async def test_a_coroutine_that_returns_although_it_is_out_of_time_has_failed(app: App) -> None:
    @app.task(timeout=0.01, retry=ONCE)
    async def late() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        return "too late"

    job = await late.enqueue()
    await app.worker().run(until_idle=True)

    with pytest.raises(JobFailedError, match="ran longer than"):
        await job.result()


async def test_a_thread_that_listens_ends_when_it_is_told(app: App) -> None:
    ended = threading.Event()

    @app.task(timeout=0.01, retry=ONCE)
    def listen(ctx: Context) -> None:
        try:
            ctx.sleep(3600)
        finally:
            ended.set()

    job = await listen.enqueue()
    await app.worker().run(until_idle=True)

    assert ended.is_set()
    assert "AttemptTimeoutError" in ((await job.info()).failed_reason or "")


async def test_a_thread_that_cleans_up_is_not_taken_for_a_stubborn_coroutine(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(deadlines, "TICK_S", 0.005)
    monkeypatch.setattr(deadlines, "PATIENCE_S", 0.0)
    monkeypatch.setattr(in_thread, "GRACE_S", 30.0)
    cleaned: list[str] = []

    @app.task(timeout=0.01, retry=ONCE)
    def clean_up(ctx: Context) -> None:
        try:
            ctx.sleep(3600)
        finally:
            for _ in range(20):  # longer than several looks at the deadlines
                time.sleep(0.01)
            cleaned.append("yes")

    await clean_up.enqueue()
    await app.worker().run(until_idle=True)

    assert cleaned == ["yes"]
    assert "left behind" not in caplog.text


async def test_a_worker_that_has_left_watches_no_deadlines(app: App) -> None:
    @app.task()
    async def work() -> None: ...

    await work.enqueue()
    await app.worker().run(until_idle=True)

    loop: Any = asyncio.get_running_loop()
    timers = [timer for timer in loop._scheduled if not timer.cancelled()]
    assert [timer for timer in timers if "Deadlines" in repr(timer)] == []


async def test_a_thread_that_does_not_listen_is_interrupted(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_thread, "GRACE_S", 0.05)
    ended = threading.Event()

    @app.task(timeout=0.01, retry=ONCE)
    def spin() -> None:
        try:
            while True:
                pass
        finally:
            ended.set()

    job = await spin.enqueue()
    await app.worker().run(until_idle=True)

    assert ended.is_set()
    assert "AttemptTimeoutError" in ((await job.info()).failed_reason or "")


async def test_a_thread_in_a_call_that_blocks_is_left_behind_and_its_slot_is_free(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(in_thread, "GRACE_S", 0.02)
    release = threading.Event()

    @app.task(timeout=0.01, retry=ONCE)
    def block() -> None:
        release.wait()

    @app.task()
    def neighbour() -> str:
        return "well"

    job = await block.enqueue()
    async with working(app, concurrency=1):
        assert await (await neighbour.enqueue()).result(timeout_s=60) == "well"
        assert "AttemptTimeoutError" in ((await job.info()).failed_reason or "")
        release.set()
    assert "was told to end (" in caplog.text
    assert ") and does not; its thread is left behind" in caplog.text


@pytest.mark.parametrize("run_in", ["loop", "thread"])
async def test_a_running_job_is_cancelled_from_another_app(
    tmp_path: Any, no_thread_left: None, run_in: str
) -> None:
    from tests.engine.working import file_app

    began = threading.Event()

    async def on_loop(ctx: Context) -> None:
        began.set()
        await asyncio.Event().wait()

    def in_thread(ctx: Context) -> None:
        began.set()
        ctx.sleep(3600)

    async with file_app(tmp_path) as app, file_app(tmp_path) as elsewhere:
        task = app.task(name="wait")(on_loop if run_in == "loop" else in_thread)
        job = await task.enqueue()
        async with working(app, lease=0.3):
            await wait_until(began.is_set)
            await elsewhere.queue("default").job(job.id).cancel("the order was \ud800 withdrawn")
            with pytest.raises(JobFailedError, match=r"the order was \? withdrawn"):
                await job.result(timeout_s=60)
        info = await job.info()
        assert [attempt.outcome for attempt in info.attempts] == ["failed"]


async def test_a_delayed_job_is_cancelled_where_it_waits(toril_app: MemoryApp) -> None:
    @toril_app.task()
    async def note() -> None: ...

    job = await note.with_options(delay=60).enqueue()
    await job.cancel()

    assert (await job.info()).failed_reason == "cancelled"
    assert (await toril_app.run_until_idle(advance=True)).completed == []


async def test_a_thread_that_gets_ready_while_the_worker_stops_is_not_run_again(app: App) -> None:
    began = threading.Event()

    @app.task()
    def work(ctx: Context) -> str:
        began.set()
        while not ctx.cancelled:
            pass
        return "ready all the same"

    job = await work.enqueue()
    async with working(app):
        await wait_until(began.is_set)

    assert await job.result(timeout_s=0) == "ready all the same"


async def test_a_stalled_hook_and_a_retried_hook_carry_the_error(app: App) -> None:
    seen: list[HookEvent] = []
    app.on("retried")(seen.append)
    app.on("progress")(seen.append)

    @app.task(retry=RetryPolicy(max_attempts=2, base_s=0))
    async def call(ctx: Context) -> None:
        ctx.progress({"step": ctx.attempt})
        if ctx.attempt == 1:
            raise OSError("once")

    await call.enqueue()
    await app.worker().run(until_idle=True)

    assert [(event.name, event.attempt, event.progress) for event in seen] == [
        ("progress", 1, '{"step":1}'),
        ("retried", 1, None),
        ("progress", 2, '{"step":2}'),
    ]
    assert isinstance(seen[1].error, OSError)
    assert seen[1].reason == "OSError: once"
