"""`run_in="process"` as a whole: from a job to a child and back."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.app import process_tasks as tasks
from tests.engine.working import working
from tests.support.children import own_children
from tests.support.waiting import wait_until

from toril import App, Call, Context, JobFailedError, State

pytestmark = pytest.mark.usefixtures("no_thread_left", "children_before")


@pytest.fixture
async def app() -> AsyncIterator[App]:
    tasks.app.provide(tasks.Scale(3))
    yield tasks.app
    tasks.app._middleware.clear()
    await tasks.app.close()
    assert own_children() == []


async def test_values_go_there_and_come_back(app: App) -> None:
    product = await tasks.multiply.enqueue(7)
    pair = await tasks.on_a_loop_there.enqueue(1)
    await app.worker().run(until_idle=True)

    assert await product.result() == 21
    n, pid = await pair.result()
    assert n == 1
    assert pid != os.getpid()


async def test_what_a_child_says_reaches_the_store(app: App) -> None:
    job = await tasks.talk.enqueue()
    await app.worker(concurrency=1).run(until_idle=True)

    assert (await job.result()).startswith(f"default:{job.id}:")
    assert (await job.info()).progress == {"half": True}
    assert await job.logs() == ["from a child"]
    done = (await app.queue("default").jobs(State.COMPLETED, newest_first=True)).jobs
    assert (done[0].name, done[0].result) == ("multiply", 6)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("value", "ValueError: no"),
        ("exit", "SystemExit"),
        ("result", "the result of 'fail' cannot be stored: nan is not a JSON number"),
        ("crash", "ProcessDiedError"),
    ],
)
async def test_whatever_a_child_does_is_a_failed_attempt(app: App, kind: str, words: str) -> None:
    job = await tasks.fail.enqueue(kind)
    await app.worker().run(until_idle=True)

    with pytest.raises(JobFailedError, match=words):
        await job.result()


async def test_a_child_out_of_time_is_killed(app: App, tmp_path: Path) -> None:
    job = await tasks.hang.enqueue(str(tmp_path / "mark"))
    await app.worker().run(until_idle=True)

    assert "AttemptTimeoutError: ran longer than" in ((await job.info()).failed_reason or "")


async def test_a_job_in_a_child_is_cancelled(app: App, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    job = await tasks.hang_long.enqueue(str(mark))
    async with working(app, lease=0.3):
        await wait_until(mark.exists)
        await job.cancel("unwanted")
        with pytest.raises(JobFailedError, match=r"^unwanted$"):
            await job.result(timeout_s=60)


async def test_a_stopping_worker_gives_a_childs_job_back(app: App, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    job = await tasks.hang_long.enqueue(str(mark))
    async with working(app):
        await wait_until(mark.exists)

    info = await job.info()
    assert (info.state, info.attempts_made) == (State.WAIT, 0)


async def test_middleware_sees_values_and_may_change_or_replace_them(app: App) -> None:
    """A replaced result once went to the store as if it were JSON text, and ended the worker."""
    seen: list[object] = []

    @app.middleware
    async def around(context: Context, call: Call) -> object:
        if context.job_id == "cached":
            return {"from": "the cache"}
        seen.append(await call())
        return [seen[-1]]

    changed = await tasks.multiply.enqueue(7)
    cached = await tasks.multiply.with_options(job_id="cached").enqueue(7)
    await app.worker().run(until_idle=True)

    assert seen == [21]
    assert (await changed.info()).result == [21]
    assert (await cached.info()).result == {"from": "the cache"}


async def test_a_payload_that_does_not_fit_needs_no_child(app: App) -> None:
    job = await app.queue("default").add("multiply", {"n": "seven"})
    await app.worker().run(until_idle=True)

    assert "task 'multiply', field 'n'" in ((await job.info()).failed_reason or "")


async def test_any_payload_and_typed_values_go_there_and_come_back(app: App) -> None:
    """Middleware saw the JSON of a child's result, not the value that other tasks give it."""
    seen: list[object] = []

    @app.middleware
    async def look(context: Context, call: Call) -> object:
        seen.append(await call())
        return seen[-1]

    raw = await app.queue("default").add("raw", [1, "x", None])
    keyed = await tasks.keyed.enqueue({1: b"\x00\xff"})
    later = await tasks.later.enqueue(3)
    await app.worker(concurrency=1).run(until_idle=True)

    assert await raw.result() == [1, "x", None]
    assert await keyed.result() == {1: b"\x00\xff"}
    assert await later.result() == 3
    assert seen == [[1, "x", None], {1: b"\x00\xff"}, 3]


async def test_a_child_learns_in_the_call_that_a_follow_up_is_refused(app: App) -> None:
    """Once a follow-up was looked at when its attempt had ended, if at all."""
    job = await tasks.follow.enqueue("return")
    other = await tasks.follow.enqueue("raise")
    await app.worker(queues=["default"], concurrency=1).run(until_idle=True)

    assert await job.result() == "return"
    page = await app.queue("after").jobs([State.DELAYED, State.WAIT])
    assert [(one.data, one.state) for one in page.jobs] == [
        ({"n": 1}, State.DELAYED),
        ({"n": 2}, State.WAIT),
    ]
    assert page.jobs[0].id == "mine"
    refusals = await job.logs()
    for line, words in zip(
        refusals,
        [
            "InvalidPayloadError: task 'after', field 'n': Expected `int`, got `str`",
            "InvalidPayloadError: task 'after', field 'm': unknown",
            "InvalidOptionError: the follow-up 'aftre' names no queue",
            "InvalidPayloadError: task 'any', field '(payload)'",
            "InvalidOptionError: queue='a:b'",
        ],
        strict=True,
    ):
        assert line.startswith(words)
    with pytest.raises(JobFailedError, match="the follow-up 'aftre' names no queue"):
        await other.result()


async def test_a_child_begins_each_attempt_in_a_context_of_its_own(app: App) -> None:
    jobs = [await tasks.spoil.enqueue(n) for n in range(3)]
    await app.worker(concurrency=1).run(until_idle=True)

    first, *others = [await job.result() for job in jobs]
    assert first[:2] == ("none", 28)
    assert others == [first, first]  # in the same process


async def test_a_childs_follow_ups_pass_enqueue_middleware_once_in_the_worker() -> None:
    """With what middleware has set around the attempt, and never in the child as well."""
    async with tasks.counted as app:

        @app.middleware
        async def enter(context: Context, call: Call) -> object:
            tasks.tenant.set("acme")
            return await call()

        job = await tasks.ask.enqueue()
        await app.worker(queues=["default"]).run(until_idle=True)
        app._middleware.clear()

        assert await job.result() != os.getpid()
        assert (await job.info()).data["passed"] == ["none", os.getpid()]
        added = (await app.queue("counted").jobs(State.WAIT)).jobs
        assert [one.data["passed"] for one in added] == [["acme", os.getpid()]] * 2


async def test_enqueue_middleware_that_leaves_ends_the_attempt_and_not_the_worker() -> None:
    async with tasks.counted as app:
        job = await tasks.ask.enqueue(leave=True)
        await app.worker(queues=["default"]).run(until_idle=True)

        assert "the task raised SystemExit: 3" in ((await job.info()).failed_reason or "")
        assert await app.queue("counted").info() is None


@pytest.mark.parametrize("task", [tasks.step_on, tasks.step_on_sync])
async def test_a_child_changes_its_payload_for_the_next_attempt(app: App, task: Any) -> None:
    job = await task.with_options(keep_logs=7).enqueue(step=0, note="kept")
    async with app.worker():
        attempt, data, options = await job.result(timeout_s=60)

    assert (attempt, data) == (3, {"step": 2, "note": "kept"})
    assert options["kl"] == 7
    assert (await job.info()).data == {"step": 2, "note": "kept"}


async def test_a_child_learns_in_the_call_that_its_payload_does_not_fit(app: App) -> None:
    job = await tasks.change_wrongly.enqueue(step=0)
    async with app.worker():
        refused = await job.result(timeout_s=60)

    assert "field 'step'" in refused
    assert (await job.info()).data == {"step": 0}


async def test_a_payload_that_a_child_sends_is_checked_as_a_strangers(app: App) -> None:
    job = await tasks.change_to_nonsense.enqueue()
    async with app.worker():
        assert "not JSON that can be stored" in await job.result(timeout_s=60)
    assert (await job.info()).data == {}
