"""What a task can say and know: outcomes, its context, where it runs, what the app gives it."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import Any

import pytest

from toril import (
    Call,
    Cancel,
    Context,
    Fail,
    HookEvent,
    JobFailedError,
    KeepPolicy,
    Retry,
    RetryPolicy,
    Snooze,
    State,
    TaskBundle,
    provided,
)
from toril.testing import ManualClock, MemoryApp


async def test_retry_says_when_to_try_again(toril_app: MemoryApp, toril_clock: ManualClock) -> None:
    @toril_app.task(retry=RetryPolicy(max_attempts=2))
    async def call(ctx: Context) -> int:
        if ctx.attempt == 1:
            raise Retry("429, come back in a minute", after_s=60)
        return ctx.attempt

    before_ms = toril_clock.now_ms()
    job = await call.enqueue()
    await toril_app.run_until_idle(advance=True)

    assert await job.result() == 2
    assert toril_clock.now_ms() - before_ms == 60_000


async def test_snooze_runs_it_later_and_costs_no_attempt(
    toril_app: MemoryApp, toril_clock: ManualClock
) -> None:
    opens_ms = toril_clock.now_ms() + 8 * 3_600_000

    @toril_app.task(retry=RetryPolicy(max_attempts=1))
    async def push(ctx: Context) -> int:
        if toril_clock.now_ms() < opens_ms:
            raise Snooze(after_s=3600)
        return ctx.attempt

    job = await push.enqueue()
    await toril_app.run_until_idle(advance=True)

    assert await job.result() == 1
    assert (await job.info()).attempts_started == 9


@pytest.mark.parametrize("outcome", [Cancel("not wanted any more"), Fail("no such card")])
async def test_cancel_and_fail_end_it_for_good(
    toril_app: MemoryApp, outcome: Cancel | Fail
) -> None:
    @toril_app.task(retry=RetryPolicy(max_attempts=5))
    async def charge() -> None:
        raise outcome

    job = await charge.enqueue()
    ran = await toril_app.run_until_idle()

    assert (len(ran.retried), len(ran.failed)) == (0, 1)
    with pytest.raises(JobFailedError, match=outcome.reason):
        await job.result()


async def test_the_context_tells_a_task_who_it_is(
    toril_app: MemoryApp, toril_clock: ManualClock
) -> None:
    @toril_app.task(queue="mail", retry=RetryPolicy(max_attempts=3))
    async def send(ctx: Context, to: str) -> dict[str, Any]:
        return {
            "job": ctx.job_id,
            "attempt": f"{ctx.attempt} of {ctx.max_attempts}",
            "key": ctx.idempotency_key,
            "to": to,
        }

    job = await send.with_options(job_id="welcome-jo").enqueue(to="jo@example.com")
    await toril_app.run_until_idle()

    assert await job.result() == {
        "job": "welcome-jo",
        "attempt": "1 of 3",
        "key": f"mail:welcome-jo:{toril_clock.now_ms()}",
        "to": "jo@example.com",
    }


async def test_progress_and_log_lines_are_seen_from_outside(toril_app: MemoryApp) -> None:
    @toril_app.task()
    async def encode(ctx: Context) -> None:
        for percent in (25, 100):
            ctx.log(f"{percent} % done")
            ctx.progress(percent)

    job = await encode.enqueue()
    await toril_app.run_until_idle()

    assert (await job.info()).progress == 100
    assert await job.logs() == ["25 % done", "100 % done"]


async def test_a_follow_up_is_added_in_the_step_that_completes_the_job(
    toril_app: MemoryApp,
) -> None:
    sent: list[str] = []

    @toril_app.task(retry=RetryPolicy(max_attempts=2, base_s=0))
    async def register(ctx: Context, name: str) -> None:
        ctx.enqueue("welcome", {"name": name})
        if ctx.attempt == 1:
            raise ConnectionError  # the follow-up of this attempt is dropped

    @toril_app.task(queue="mail")
    async def welcome(name: str) -> None:
        sent.append(name)

    await register.enqueue("Jo")
    await toril_app.run_until_idle()

    assert sent == ["Jo"]


async def test_an_async_task_runs_on_the_loop_and_a_plain_one_in_a_thread(
    toril_app: MemoryApp,
) -> None:
    @toril_app.task()
    async def on_the_loop() -> bool:
        return threading.current_thread() is threading.main_thread()

    @toril_app.task()
    def in_a_thread() -> bool:
        return threading.current_thread() is threading.main_thread()

    one, other = await on_the_loop.enqueue(), await in_a_thread.enqueue()
    await toril_app.run_until_idle()

    assert await one.result() is True
    assert await other.result() is False


async def test_an_attempt_that_takes_too_long_is_stopped(toril_app: MemoryApp) -> None:
    @toril_app.task(timeout=0.01, retry=RetryPolicy(max_attempts=1))
    async def hang() -> None:
        await asyncio.Event().wait()

    job = await hang.enqueue()
    await toril_app.run_until_idle()

    assert (await job.info()).failed_reason == (
        "AttemptTimeoutError: ran longer than timeout_s=0.01"
    )


async def test_hooks_are_told_what_workers_see(toril_app: MemoryApp) -> None:
    seen: list[str] = []

    @toril_app.on("failed")
    def report(event: HookEvent) -> None:
        seen.append(f"{event.task} of {event.queue} failed: {event.reason}")

    @toril_app.task(retry=RetryPolicy(max_attempts=1))
    async def call() -> None:
        raise ConnectionError("no answer")

    await call.enqueue()
    await toril_app.run_until_idle()

    assert seen == ["call of default failed: ConnectionError: no answer"]


async def test_middleware_runs_around_every_attempt(toril_app: MemoryApp) -> None:
    order: list[str] = []

    @toril_app.middleware
    async def outer(context: Context, call: Call) -> object:
        order.append(f"before {context.task}")
        result = await call()
        order.append(f"after: {result}")
        return result

    @toril_app.task()
    async def add(a: int, b: int) -> int:
        order.append("the task")
        return a + b

    await add.enqueue(1, 2)
    await toril_app.run_until_idle()

    assert order == ["before add", "the task", "after: 3"]


@dataclass(frozen=True)
class Mailer:
    host: str


async def test_the_app_provides_what_does_not_come_from_the_payload(toril_app: MemoryApp) -> None:
    toril_app.provide(Mailer("smtp.example.com"))

    @toril_app.task()
    async def send(to: str, *, mailer: Mailer = provided(Mailer)) -> str:
        return f"{to} by {mailer.host}"

    job = await send.enqueue("jo@example.com")
    await toril_app.run_until_idle()

    assert await job.result() == "jo@example.com by smtp.example.com"
    assert (await job.info()).data == {"to": "jo@example.com"}


async def test_a_bundle_of_tasks_is_written_without_an_app(toril_app: MemoryApp) -> None:
    mail = TaskBundle()

    @mail.task(queue="mail")
    async def send(to: str) -> str:
        return to

    toril_app.include(mail)
    job = await toril_app.find_task("send").enqueue(to="jo@example.com")
    await toril_app.run_until_idle()

    assert await job.result() == "jo@example.com"


async def test_finished_jobs_are_kept_as_long_as_their_task_says(
    toril_app: MemoryApp, toril_clock: ManualClock
) -> None:
    @toril_app.task(keep_completed=KeepPolicy(count=2, age_s=60))
    async def note(n: int) -> int:
        return n

    await note.enqueue_many({"n": n} for n in range(5))
    await toril_app.run_until_idle()
    queue = toril_app.queue("default")

    assert [job.result for job in (await queue.jobs(State.COMPLETED)).jobs] == [3, 4]
    toril_clock.advance(61)
    await toril_app.run_until_idle()
    assert (await queue.jobs(State.COMPLETED)).jobs == []
