"""Jobs that a worker has no task for: as in a deploy, where old and new workers share a queue."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.engine.working import working
from tests.support.redis_clock import RedisClock
from tests.support.waiting import wait_until

from toril import (
    App,
    InvalidOptionError,
    Job,
    JobDraft,
    JobInfo,
    Queue,
    Settings,
    State,
    UnknownTaskWarning,
)
from toril.core.codec import Json
from toril.engine.contract import Claim, Exchange
from toril.engine.job import Attempt, Finished, unknown_since_ms
from toril.engine.unknown_tasks import MOST_NAMES
from toril.testing import MemoryApp, in_memory
from toril.testing.clock import ManualClock

Make = Callable[..., App]


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of each kind."""
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return f"sqlite:///{tmp_path}/toril.db?durability=normal"


@pytest.fixture
def still(request: pytest.FixtureRequest, url: str) -> ManualClock:
    """Time that stands still, for the store as well."""
    if url.startswith("redis"):
        server = request.getfixturevalue("redis_server")
        return RedisClock([server], [request.getfixturevalue("redis_prefix")])
    return ManualClock()


@pytest.fixture
def make(url: str) -> Make:
    """Makes apps on one store, each a version of the same program."""

    def make_it(*names: str, **options: Any) -> App:
        app = App(url, settings=Settings(), **options)
        for name in names:

            async def work() -> str:
                return "done"

            app.task(name=name, queue="mail")(work)
        return app

    return make_it


async def add(app: App, name: str = "gret", many: int = 1) -> list[Job[Any]]:
    """Add jobs by a name, as a producer that is of no app of these."""
    async with App(app.url, settings=Settings(), clock=app._clock) as producer:
        ids = [job.id for job in await producer.queue("mail").add_many([(name, {})] * many)]
    return [app.queue("mail").job(job_id) for job_id in ids]


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what workers have warned of."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "toril.worker" and record.levelno == logging.WARNING
    ]


async def run(app: App) -> str:
    """Run what is ready; return the worker's id."""
    worker = app.worker()
    await worker.run(until_idle=True)
    return worker.id


async def test_job_of_a_task_that_is_not_there_yet_goes_back_and_waits(
    make: Make, still: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with make("greet", clock=still, version="1.4") as old:
        jobs = await add(old, many=3)
        worker_id = await run(old)
        infos = [await job.info() for job in jobs]
        explanation = await jobs[0].explain()

        for info in infos:
            assert (info.state, info.attempts_made, info.failed_reason) == (State.DELAYED, 0, None)
            assert info.unknown_since is not None
            (attempt,) = info.attempts
            assert (attempt.outcome, attempt.error) == (
                "snoozed",
                f"worker {worker_id} (version 1.4) has no task 'gret' (the nearest is 'greet')",
            )
        (warned,) = warnings_in(caplog)
        assert warned == (
            f"worker {worker_id} (version 1.4) has no task 'gret' on queue 'mail' (the nearest is"
            " 'greet'): its jobs wait for a worker that has it, and fail after 24 h"
        )
        reason = explanation.reasons[0]
        assert "as no worker that took it since" in reason.sentence
        assert reason.values["unknown_since"] is not None

        async with make("greet", "gret", clock=still) as new:
            still.advance(2)
            await run(new)
            assert [(await job.info()).state for job in jobs] == [State.COMPLETED] * 3
            done = await jobs[0].info()
            assert (done.attempts_made, done.unknown_since) == (1, None)


async def test_pauses_grow_to_ten_minutes_and_the_job_fails_after_a_day(
    make: Make, still: ManualClock
) -> None:
    async with make("greet", clock=still) as old:
        (job,) = await add(old)
        begun_ms, pauses_s = still.now_ms(), []
        for _ in range(400):
            await run(old)
            info = await job.info()
            if info.state is State.FAILED:
                break
            pauses_s.append(info.delay_s)
            still.advance(info.delay_s)
        waited_h = (still.now_ms() - begun_ms) / 3_600_000

    assert 0.5 <= pauses_s[0] <= 1
    assert all(pause_s <= 600 for pause_s in pauses_s)
    assert all(300 <= pause_s for pause_s in pauses_s[40:-1])
    assert len(pauses_s) < 330
    assert waited_h == pytest.approx(24, abs=0.01)
    assert (info.attempts_made, info.attempts_started) == (1, len(pauses_s) + 1)
    assert info.failed_reason is not None
    assert info.failed_reason.startswith(
        "no worker that took the job has had a task 'gret' on queue 'mail' for 24 h; the last one"
        " was worker "
    )
    assert info.failed_reason.endswith(
        " (the nearest is 'greet'): deploy the task, then retry the job"
    )
    # Of all these attempts one is written down: what happened before them stays.
    assert [attempt.outcome for attempt in info.attempts] == ["snoozed", "failed"]
    assert info.attempts[0].number == len(pauses_s)


async def test_patience_is_the_apps(make: Make, still: ManualClock) -> None:
    async with make("greet", clock=still, unknown_task_patience=timedelta(seconds=1.5)) as old:
        (job,) = await add(old)
        for _ in range(10):
            await run(old)
            info = await job.info()
            if info.state is State.FAILED:
                break
            still.advance(info.delay_s)
        assert "for 1.5 s" in str(info.failed_reason)


async def test_unknown_tasks_fail_at_once_where_the_app_says_so(make: Make) -> None:
    async with make("greet", unknown_tasks="fail") as app:
        (job,) = await add(app)
        worker_id = await run(app)
        info = await job.info()
        assert (info.state, info.attempts_made) == (State.FAILED, 1)
        assert info.failed_reason == (
            f"worker {worker_id} has no task 'gret' on queue 'mail' (the nearest is 'greet'):"
            " deploy the task, then retry the job"
        )


async def test_job_that_ran_meanwhile_begins_its_patience_anew(
    make: Make, still: ManualClock
) -> None:
    async with make("greet", clock=still) as old, make("gret", clock=still) as new:
        (job,) = await add(old)
        await run(old)
        still.advance(10)
        await run(new)
        assert (await job.info()).state is State.COMPLETED
        still.advance(2 * 86_400)
        await job.retry()
        await run(old)
        assert (await job.info()).state is State.DELAYED


async def test_worker_that_stops_with_such_a_job_ends_no_patience(
    make: Make, still: ManualClock
) -> None:
    async with make("greet", clock=still, unknown_task_patience=30) as old:
        (job,) = await add(old)
        await run(old)
        still.advance(1)
        claim = Exchange("stopping", (), [Claim("mail", 1, 30_000)], 1)
        (claimed,) = (await old.backend().dispatch.exchange(claim)).claimed
        given_back = Finished.given_back(claimed, "stopping")
        await old.backend().dispatch.exchange(Exchange("stopping", [given_back]))
        still.advance(29)
        await run(old)
        assert (await job.info()).state is State.FAILED


async def test_old_and_new_workers_share_a_queue(make: Make, still: ManualClock) -> None:
    """Both ways: jobs of a task that only the new one has, and of one that only the old one has."""
    async with (
        make("old", "both", clock=still) as before,
        make("both", "new", clock=still) as after,
    ):
        added = [
            job
            for name in ("old", "both", "new")
            for job in await add(before, name=name, many=20)
        ]  # fmt: skip
        # Who gets a job is chance, each time: 40 of them have found theirs after 100 rounds, or one
        # was tried 100 times by the wrong one.
        for _ in range(100):
            await asyncio.gather(run(before), run(after))
            if not (await before.queue("mail").jobs(State.DELAYED)).jobs:
                break
            still.advance(600)
        infos: list[JobInfo] = [await job.info() for job in added]
        assert {info.state for info in infos} == {State.COMPLETED}
        assert {info.attempts_made for info in infos} == {1}


async def test_many_unknown_jobs_come_back_one_by_one_and_hold_nobody_up(
    make: Make, still: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    many = 1_500
    async with make("greet", clock=still) as old:
        await add(old, many=many)
        (known,) = await add(old, name="greet")
        await run(old)

        assert (await known.info()).state is State.COMPLETED
        info = await old.queue("mail").info()
        assert info is not None
        assert info.delayed == many
        due_s: list[float] = []
        after = None
        while True:
            page = await old.queue("mail").jobs(State.DELAYED, limit=1_000, after=after)
            due_s += [job.delay_s for job in page.jobs]
            if (after := page.next) is None:
                break
        # The last of them would be back after 15 s, 100 a second; by chance after half of that.
        assert max(due_s) > 7
        assert sum(pause_s < 1.5 for pause_s in due_s) < 400
        assert len(warnings_in(caplog)) == 1


async def test_names_without_end_are_not_told_without_end(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    async with make("greet") as old:
        async with App(old.url, settings=Settings()) as producer:
            names: list[tuple[str, Json]] = [
                (f"made-up-{number}", {}) for number in range(MOST_NAMES + 20)
            ]
            await producer.queue("mail").add_many(names)
        await run(old)
        told = warnings_in(caplog)
        assert len(told) == MOST_NAMES
        assert told[-1].endswith("; further names are not reported")


async def test_deferred_failure_comes_before_patience(make: Make, still: ManualClock) -> None:
    """A job that a person has cancelled does not wait for a task."""
    async with make("greet", clock=still) as old:
        (job,) = await add(old)
        claim = Exchange("gone", (), [Claim("mail", 1, 30_000)], 1)
        (claimed,) = (await old.backend().dispatch.exchange(claim)).claimed
        await job.cancel("not wanted")
        given_back = Finished.given_back(claimed, "gone")
        await old.backend().dispatch.exchange(Exchange("gone", [given_back]))
        await run(old)
        assert (await job.info()).failed_reason == "not wanted"


async def test_schedule_of_an_unknown_task_makes_no_heap_of_jobs(
    make: Make, still: ManualClock
) -> None:
    """An old worker moved the schedule on, and after the deploy a job of each slot ran."""
    async with make("greet", clock=still) as old, make("remind", clock=still) as new:
        await new.schedules.put("minutely", new.find_task("remind"), every=60)
        for _ in range(30):
            still.advance(60)
            await run(old)
        info = await old.queue("mail").info()
        assert info is not None
        assert (info.delayed, info.waiting, info.failed) == (1, 0, 0)

        still.advance(600)
        await run(new)
        info = await new.queue("mail").info()
        assert info is not None
        assert (info.completed, info.delayed) == (1, 1)
        (job,) = (await new.queue("mail").jobs(State.DELAYED)).jobs
        assert 0 < job.delay_s <= 60


async def test_schedule_of_a_task_that_fails_at_once_goes_on(
    make: Make, still: ManualClock
) -> None:
    old = make("greet", clock=still, unknown_tasks="fail")
    async with old, make("remind", clock=still) as new:
        await new.schedules.put("minutely", new.find_task("remind"), every=60)
        for _ in range(3):
            still.advance(60)
            await run(old)
        info = await old.queue("mail").info()
        assert info is not None
        assert (info.delayed, info.failed) == (1, 3)


def plain_code(queue: Queue) -> None:
    queue.add_sync("gret")
    queue.add_many_sync([("gret", {})])


async def test_name_that_the_app_does_not_have_warns_where_it_is_added(make: Make) -> None:
    async with make("greet", "part") as app:
        with pytest.warns(UnknownTaskWarning) as one:
            await app.queue("mail").add("gret")
        with pytest.warns(UnknownTaskWarning) as many:
            await app.queue("mail").add_many([("greet", {}), ("zzz", {}), ("zzz", {})])
        with pytest.warns(UnknownTaskWarning) as plain:
            await asyncio.to_thread(plain_code, app.queue("mail"))
        assert len(plain) == 2
        said = [str(each.message) for each in [*one, *many]]
        assert [text.removeprefix("the app has no task ") for text in said] == [
            f"{name}; only a worker of another program can run this job"
            for name in (
                "'gret' on queue 'mail': perhaps 'greet' is meant",
                "'zzz' on queue 'mail': it has greet, part",
            )
        ]
        assert {each.filename for each in [*one, *many, *plain]} == {__file__}
        await app.queue("of-others").add("gret")  # no warning, which would be an error
        await app.queue("mail").add("greet")


async def test_task_for_any_name_has_no_unknown_jobs(make: Make) -> None:
    async with make() as app:

        @app.task(queue="mail", any_name=True)
        async def anything() -> None: ...

        job = await app.queue("mail").add("gret")
        await run(app)
        assert (await job.info()).state is State.COMPLETED


async def test_tests_do_not_wait_for_another_worker() -> None:
    app = MemoryApp()
    app.task(queue="mail")(greet)
    async with app:
        with pytest.warns(UnknownTaskWarning):
            await app.queue("mail").add("gret")
        assert len((await app.run_until_idle()).failed) == 1

    own = App("sqlite://:memory:", settings=Settings())
    own.task(queue="mail")(greet)
    async with in_memory(own) as bench:
        with pytest.warns(UnknownTaskWarning):
            await own.queue("mail").add("gret")
        assert len((await bench.run_until_idle()).failed) == 1
    assert own._unknown_tasks == "wait"


async def greet() -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"unknown_tasks": "drop"}, "unknown_tasks='drop': expected 'wait' or 'fail'"),
        ({"unknown_task_patience": 0}, "unknown_task_patience=0"),
        ({"unknown_task_patience": "1 h"}, "unknown_task_patience='1 h'"),
        ({"version": ""}, "version='': expected a text"),
        ({"version": 3}, "version=3: expected a text"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(options: Any, said: str) -> None:
    with pytest.raises(InvalidOptionError) as refused:
        App("sqlite://:memory:", settings=Settings(), **options)
    assert said in str(refused.value)


def past(number: int, outcome: str = "snoozed", since_ms: int | None = None) -> Attempt:
    """Return an attempt of a job's history."""
    return Attempt(
        number=number,
        started_ms=1,
        ended_ms=2,
        worker_id="w",
        outcome=outcome,
        unknown_since_ms=since_ms,
    )


@pytest.mark.parametrize(
    ("attempts", "before", "since_ms"),
    [
        ([], 1, None),
        ([past(1, since_ms=7)], 2, 7),
        ([past(1, since_ms=7)], 3, None),  # the second has completed, which is not written down
        ([past(1, since_ms=7), past(2, "released")], 3, 7),
        ([past(1, since_ms=7), past(2, "stalled"), past(3, "released")], 4, 7),
        ([past(1, since_ms=7), past(2)], 3, None),  # its task has run, and asked for a pause
        ([past(1, since_ms=7), past(2, "retried")], 3, None),
        ([past(9, since_ms=7)], 1, None),  # its attempts are counted anew
    ],
)
def test_history_tells_since_when_a_job_waits(
    attempts: list[Attempt], before: int, since_ms: int | None
) -> None:
    assert unknown_since_ms(attempts, before=before) == since_ms


async def test_worker_at_work_is_not_kept_busy_by_unknown_jobs(make: Make) -> None:
    """No hot loop: before each look at a job lies a pause."""
    async with make("greet") as old:
        jobs = await add(old, many=5)
        begun_s = time.monotonic()
        async with working(old):

            async def all_were_looked_at() -> bool:
                return all([(await job.info()).attempts_started >= 3 for job in jobs])

            await wait_until(all_were_looked_at, what="three looks at each job")
        infos = [await job.info() for job in jobs]
        # Pauses of at least half a second.
        most = 1 + (time.monotonic() - begun_s) / 0.5
        assert max(info.attempts_started for info in infos) <= most


@pytest.mark.parametrize("adds_fields", [False, True])
async def test_fields_that_a_task_does_not_know_are_told_by_the_worker(
    make: Make, adds_fields: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in an app whose enqueue middleware may add them on purpose, as it tells no one."""
    async with make() as app:

        @app.task(queue="mail")
        async def remind(to: str) -> str:
            return to

        if adds_fields:

            @app.enqueue_middleware
            def mark(job: JobDraft) -> None:
                job.payload["tenant"] = "acme"

        job = await app.queue("mail").add("remind", {"to": "Jo", "cc": "Al"})
        await run(app)
        assert await job.result(timeout_s=5) == "Jo"
        told = [one.getMessage() for one in caplog.records if one.name == "toril.tasks"]
        assert len(told) == (0 if adds_fields else 1)
