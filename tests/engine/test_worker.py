"""A worker as a whole: how much it takes, in what order, and how it stops."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.engine.working import ONCE, file_app, memory_app, working
from tests.support.waiting import wait_until

from toril import (
    App,
    BackendClosedError,
    HookEvent,
    InvalidOptionError,
    RateLimit,
    State,
)

pytestmark = pytest.mark.usefixtures("no_thread_left")


@pytest.fixture
async def app() -> AsyncIterator[App]:
    async with memory_app() as app:
        yield app


class Gate:
    """Tasks wait at it; the test sees how many, and opens it."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.waiting = 0
        self.most = 0
        self.passed: list[int] = []

    async def __call__(self, n: int = 0) -> None:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        try:
            await self.open.wait()
            self.passed.append(n)
        finally:
            self.waiting -= 1


async def test_concurrency_is_reached_and_not_passed(app: App) -> None:
    gate = Gate()

    @app.task()
    async def wait() -> None:
        await gate()

    await wait.enqueue_many([{}] * 20)
    async with working(app, concurrency=7) as worker:
        await wait_until(lambda: gate.waiting == 7)
        info = await app.queue("default").info()
        assert info is not None
        assert (info.active, info.waiting) == (7, 13)  # no more is taken than there are slots
        assert (worker.busy, len(worker.running)) == (7, 7)
        gate.open.set()
        await wait_until(lambda: len(gate.passed) == 20)
    assert gate.most == 7


async def test_two_workers_share_what_there_is(tmp_path: Path) -> None:
    async with file_app(tmp_path) as one, file_app(tmp_path) as other:
        gates = (Gate(), Gate())
        for app, gate in zip((one, other), gates, strict=True):
            app.task(name="wait")(gate.__call__)
        await one.find_task("wait").enqueue_many({"n": n} for n in range(6))
        async with working(one, concurrency=3), working(other, concurrency=3):
            await wait_until(lambda: [gate.waiting for gate in gates] == [3, 3])
            for gate in gates:
                gate.open.set()
            await wait_until(lambda: sum(len(gate.passed) for gate in gates) == 6)
    assert sorted(gates[0].passed + gates[1].passed) == list(range(6))


async def test_queues_without_weights_are_taken_one_after_the_other(app: App) -> None:
    order: list[str] = []

    for queue in ("first", "second"):

        @app.task(queue=queue, name="note")
        async def note(word: str) -> None:
            order.append(word)

    await app.find_task("note", "second").enqueue_many([{"word": "second"}] * 3)
    await app.find_task("note", "first").enqueue_many([{"word": "first"}] * 3)
    await app.worker(queues=["first", "second"], concurrency=2).run(until_idle=True)

    assert order == ["first"] * 3 + ["second"] * 3


async def test_queues_with_weights_get_their_shares_and_none_starves(app: App) -> None:
    order: list[str] = []

    for queue in ("often", "seldom"):

        @app.task(queue=queue, name="note")
        async def note(word: str) -> None:
            order.append(word)

    for queue in ("often", "seldom"):
        await app.find_task("note", queue).enqueue_many([{"word": queue}] * 400)
    await app.worker(queues={"often": 4, "seldom": 1}, concurrency=5).run(until_idle=True)

    half = Counter(order[:400])
    assert 260 <= half["often"] <= 380
    assert half["seldom"] >= 20


async def test_what_one_queue_leaves_the_others_get(app: App) -> None:
    gate = Gate()

    for queue in ("busy", "idle"):

        @app.task(queue=queue, name="wait")
        async def wait() -> None:
            await gate()

    await app.find_task("wait", "busy").enqueue_many([{}] * 10)
    async with working(app, queues={"busy": 1, "idle": 9}, concurrency=10):
        await wait_until(lambda: gate.waiting == 10)


async def test_a_job_added_to_an_idle_worker_starts_at_once(app: App) -> None:
    @app.task()
    async def add(a: int, b: int) -> int:
        return a + b

    async with working(app):
        assert await (await add.enqueue(1, 2)).result(timeout_s=60) == 3
        assert await (await add.enqueue(3, 4)).result(timeout_s=60) == 7


async def test_a_delayed_job_runs_when_its_time_has_come(app: App) -> None:
    @app.task()
    async def note() -> None: ...

    async with working(app):
        job = await note.with_options(delay=0.05).enqueue()
        await job.result(timeout_s=60)
    info = await job.info()
    assert info.finished_at is not None
    assert (info.finished_at - info.created_at).total_seconds() >= 0.05


async def test_a_workers_rate_limit_holds_back_starts(app: App) -> None:
    @app.task()
    async def note() -> None: ...

    await note.enqueue_many([{}] * 5)
    await app.worker(rate=RateLimit(limit=2, window_s=3600)).run(until_idle=True)

    info = await app.queue("default").info()
    assert info is not None
    assert (info.completed, info.waiting) == (2, 3)


async def test_stop_lets_running_jobs_end_and_takes_no_more(app: App) -> None:
    gate = Gate()

    @app.task()
    async def wait() -> None:
        await gate()

    jobs = await wait.enqueue_many([{}] * 3)
    worker = app.worker(concurrency=2)
    running = asyncio.create_task(worker.run())
    await wait_until(lambda: gate.waiting == 2)
    worker.stop()
    gate.open.set()
    await running

    assert [await job.state() for job in jobs] == [State.COMPLETED, State.COMPLETED, State.WAIT]
    assert await app.workers() == []


async def test_jobs_that_outlast_the_deadline_are_given_back_without_an_attempt(app: App) -> None:
    gate = Gate()

    @app.task(retry=ONCE)
    async def wait() -> None:
        await gate()

    job = await wait.enqueue()
    worker = app.worker()
    running = asyncio.create_task(worker.run())
    await wait_until(lambda: gate.waiting == 1)
    worker.stop(deadline_s=0)
    await running

    info = await job.info()
    assert (info.state, info.attempts_made, info.attempts_started) == (State.WAIT, 0, 1)
    assert [attempt.outcome for attempt in info.attempts] == ["released"]
    gate.open.set()
    await app.worker().run(until_idle=True)
    assert await job.state() is State.COMPLETED


async def test_a_job_given_back_goes_to_the_front_of_its_line(app: App) -> None:
    gate = Gate()

    @app.task()
    async def wait(n: int) -> None:
        await gate(n)

    await wait.enqueue_many({"n": n} for n in range(3))
    async with working(app, concurrency=1):
        await wait_until(lambda: gate.waiting == 1)
    gate.open.set()
    await app.worker(concurrency=1).run(until_idle=True)

    assert gate.passed == [0, 1, 2]


async def test_a_second_stop_does_not_wait(app: App) -> None:
    gate = Gate()

    @app.task()
    async def wait() -> None:
        await gate()

    job = await wait.enqueue()
    worker = app.worker(shutdown=3600)
    running = asyncio.create_task(worker.run())
    await wait_until(lambda: gate.waiting == 1)
    worker.stop()
    worker.stop()
    await running

    assert await job.state() is State.WAIT


async def test_a_cancelled_worker_gives_its_jobs_back(app: App) -> None:
    """As after Ctrl-C under `asyncio.run`: the jobs must not wait for their lease to end."""
    gate = Gate()

    @app.task()
    async def wait() -> None:
        await gate()

    job = await wait.enqueue()
    for stop_first in (False, True):
        worker = app.worker(shutdown=3600, lease=3600)
        running = asyncio.create_task(worker.run())
        await wait_until(lambda: gate.waiting == 1)
        if stop_first:
            worker.stop()
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        assert (await job.info()).state is State.WAIT
        assert await app.workers() == []


async def test_an_idle_worker_stops_at_once(app: App) -> None:
    app.task()(Gate().__call__)
    worker = app.worker(shutdown=3600)
    running = asyncio.create_task(worker.run())
    await worker.ready()
    worker.stop()
    await running


async def test_a_worker_stopped_before_it_runs_takes_nothing(app: App) -> None:
    @app.task()
    async def note() -> None: ...

    job = await note.enqueue()
    worker = app.worker()
    worker.stop()
    await worker.run()

    assert await job.state() is State.WAIT


async def test_a_quiet_worker_takes_nothing_new(app: App) -> None:
    gate = Gate()

    @app.task()
    async def wait() -> None:
        await gate()

    job = await wait.enqueue()
    async with working(app) as worker:
        await wait_until(lambda: gate.waiting == 1)
        worker.quiet()
        other = await wait.enqueue()
        gate.open.set()
        await job.result(timeout_s=60)
        assert await other.state() is State.WAIT


async def test_a_worker_runs_once(app: App) -> None:
    app.task()(Gate().__call__)
    worker = app.worker()
    await worker.run(until_idle=True)
    with pytest.raises(InvalidOptionError, match="one that has not run; make another"):
        await worker.run()


async def test_until_idle_leaves_what_must_wait_and_runs_what_follows(app: App) -> None:
    order: list[int] = []

    @app.task()
    async def chain(n: int) -> None:
        order.append(n)
        if n:
            await chain.enqueue(n - 1)

    await chain.enqueue(3)
    later = await chain.with_options(delay=3600).enqueue(9)
    await app.worker().run(until_idle=True)

    assert order == [3, 2, 1, 0]
    assert await later.state() is State.DELAYED


async def test_a_worker_whose_store_is_closed_ends_with_that_error(app: App) -> None:
    @app.task()
    async def note() -> None: ...

    worker = app.worker()
    running = asyncio.create_task(worker.run())
    await worker.ready()
    backend = app.backend()
    await backend.lifecycle.close()
    with pytest.raises(BackendClosedError):
        await asyncio.wait_for(running, 60)


async def test_workers_are_listed_while_they_live(app: App) -> None:
    app.task(queue="mail")(Gate().__call__)
    async with working(app, concurrency=3) as worker:
        (record,) = await app.workers()
        assert (record.id, record.queues, record.concurrency) == (worker.id, ["mail"], 3)
    assert await app.workers() == []


async def test_a_job_that_keeps_losing_its_worker_is_not_run_again(app: App) -> None:
    runs: list[int] = []

    @app.task()
    async def crash() -> None:
        runs.append(1)

    from toril.engine.contract import Claim, Exchange

    job = await crash.enqueue()
    backend = app.backend()
    claim = Claim("default", 1, 1)
    for number in range(2):  # two workers that took it and were never heard of again
        await backend.dispatch.exchange(Exchange(f"dead-{number}", (), [claim], 1))

        async def lapsed() -> bool:
            left_s = (await job.info()).lease_remaining_s
            return left_s is not None and left_s < 0

        await wait_until(lapsed)
        await backend.dispatch.recover(max_stalled=1, heartbeat_s=20, limit=10)
    await app.worker().run(until_idle=True)

    info = await job.info()
    assert (runs, info.state, info.stalled) == ([], State.FAILED, 2)
    assert info.failed_reason == "job stalled more than allowable limit"


async def test_hooks_are_told_in_the_end_what_the_store_has(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[HookEvent] = []
    waited = asyncio.Event()

    @app.on("completed")
    def broken(event: HookEvent) -> None:
        raise RuntimeError("a customer's mistake")

    @app.on("completed")
    async def slow(event: HookEvent) -> None:
        await waited.wait()
        seen.append(event)

    @app.on("active")
    def also_seen(event: HookEvent) -> None:
        seen.append(event)
        waited.set()

    @app.task()
    async def add(a: int, b: int) -> int:
        return a + b

    job = await add.enqueue(1, 2)
    with caplog.at_level(logging.ERROR, "toril.hooks"):
        await app.worker().run(until_idle=True)

    assert "a hook for 'completed' raised" in caplog.text
    assert [event.name for event in seen] == ["active", "completed"]
    done = seen[1]
    assert (done.job_id, done.task, done.queue, done.attempt) == (job.id, "add", "default", 1)
    assert (done.result, done.error) == ("3", None)
    assert done.duration_s is not None


async def test_a_hook_that_never_ends_does_not_keep_the_worker(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("toril.engine.worker.FAREWELL_S", 0.05)

    @app.on("completed")
    async def hang(event: HookEvent) -> None:
        await asyncio.Event().wait()

    @app.task()
    async def note() -> None: ...

    await note.enqueue()
    await app.worker().run(until_idle=True)

    assert "a hook does not end and is left behind" in caplog.text


def test_an_unknown_hook_is_answered_with_the_nearest() -> None:
    with pytest.raises(InvalidOptionError, match="unknown hook 'fialed': did you mean 'failed'"):
        memory_app().on("fialed")(print)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"concurrency": 0}, "^concurrency=0"),
        ({"queues": "mail"}, r"^queues='mail': expected a list, \['mail'\]"),
        ({"queues": []}, "expected at least one"),
        ({"profile": "hevy"}, "did you mean 'heavy'\\?"),
        ({"profile": "heavy"}, "no task with the profile 'heavy'; name queues"),
        ({"lease": 0}, "^lease_s=0"),
        ({"shutdown": -1}, "^shutdown=-1"),
        ({"queues": {"mail": 0}}, "^weights="),
    ],
)
def test_worker_options_that_make_no_sense_are_refused(
    app_here: App, options: dict[str, object], words: str
) -> None:
    with pytest.raises(InvalidOptionError, match=words):
        app_here.worker(**options)  # type: ignore[arg-type]


def test_worker_of_an_app_without_tasks_says_what_to_import() -> None:
    with pytest.raises(InvalidOptionError, match="the modules that define tasks have to be import"):
        memory_app().worker()


@pytest.fixture
def app_here() -> App:
    app = memory_app()
    app.task(queue="mail", profile="light")(Gate().__call__)
    return app
