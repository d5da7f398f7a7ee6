"""`app.schedules` and `@app.schedule`: by the clock that tests move."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
import pytest
from tests.support.contract import HandWorker
from tests.support.waiting import wait_until

from toril import (
    App,
    HookEvent,
    InvalidOptionError,
    InvalidPayloadError,
    JobOptions,
    ScheduleNotFoundError,
    State,
    TaskBundle,
    acting,
)
from toril.core.clock import moment
from toril.engine.schedules.declaring import FRESH_MS, SAY_AGAIN_MS, reconcile
from toril.engine.schedules.keeper import ScheduleKeeper
from toril.engine.schedules.record import iteration
from toril.testing import MemoryApp

HOUR = timedelta(hours=1)


@pytest.fixture
async def app() -> AsyncIterator[MemoryApp]:
    async with MemoryApp() as app:
        yield app


def sync_task(app: App) -> Any:
    @app.task(queue="sync")
    async def sync(bucket: str, deep: bool = False) -> str:
        return bucket

    return sync


async def test_schedule_runs_its_task_again_and_again(app: MemoryApp) -> None:
    sync = sync_task(app)

    made = await app.schedules.put(
        "hourly", sync.with_options(priority=5), {"bucket": "a"}, every=HOUR
    )

    assert (made.id, made.queue, made.name, made.data) == (
        "hourly",
        "sync",
        "sync",
        {"bucket": "a"},
    )
    assert made.next_at == moment(app.clock.now_ms()) + HOUR
    assert (made.every_s, made.made, made.problem) == (3600.0, 1, None)
    for _ in range(3):
        app.clock.advance(3600)
        ran = await app.run_until_idle()
        assert [event.result for event in ran.completed] == ['"a"']
    after = await app.schedules.get("hourly")
    assert after is not None
    assert (after.made, after.next_at) == (4, moment(app.clock.now_ms()) + HOUR)
    jobs = (await app.queue("sync").jobs(State.DELAYED)).jobs
    assert [(job.id, job.priority) for job in jobs] == [(after.job_id, 5)]


async def test_template_is_checked_when_it_is_saved(app: MemoryApp) -> None:
    sync = sync_task(app)

    with pytest.raises(InvalidPayloadError, match="bucket"):
        await app.schedules.put("s", sync, {"bucket": 5}, every=HOUR)
    with pytest.raises(InvalidPayloadError, match="bucket"):
        await app.schedules.put("s", sync, every=HOUR)
    with pytest.raises(InvalidPayloadError, match="bukket"):
        app.schedule(every=HOUR, payload={"bukket": "a"})(sync)
    assert await app.schedules.list() == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "cron=None: expected one of cron= and every=, with every=None"),
        ({"cron": "61 * * * *"}, "cron='61 * * * *': minutes are 0 to 59"),
        ({"cron": "0 0 * * *", "every": 5}, "one of cron= and every=, with every=5"),
        ({"cron": "0 0 * * *", "timezone": "Mars/Base"}, "timezone='Mars/Base'"),
        ({"every": 0}, "every=0: expected a span from 0.01 s"),
        ({"every": 5, "timezone": "UTC"}, "timezone='UTC': expected none with every"),
        ({"every": 5, "offset": 5}, "offset=5: expected less than every=5"),
        ({"every": 5, "limit": 0}, "limit=0: expected an integer from 1"),
        ({"every": 5, "missed": "some"}, "missed='some': expected 'skip', 'one' or 'all'"),
        ({"every": 5, "jitter": 6}, "jitter=6: expected at most what lies between two jobs, 5 s"),
        ({"every": 5, "start": datetime(2030, 1, 1)}, "aware datetime"),  # noqa: DTZ001 - the point
        ({"every": 5, "end": datetime(2020, 1, 1, tzinfo=UTC)}, "end: expected a moment after"),
        (
            {"cron": "0 0 1 1 *", "end": datetime(2025, 12, 1, tzinfo=UTC)},
            "with cron='0 0 1 1 *' there is none before it",
        ),
        (
            {"every": 5, "immediately": True, "start": datetime(2030, 1, 1, tzinfo=UTC)},
            "immediately=True: expected False beside start",
        ),
    ],
    ids=str,
)
async def test_nonsense_is_refused_by_name(
    app: MemoryApp, options: dict[str, Any], words: str
) -> None:
    sync = sync_task(app)

    with pytest.raises(InvalidOptionError) as error:
        await app.schedules.put("s", sync, {"bucket": "a"}, **options)

    assert words in str(error.value)
    assert await app.schedules.list() == []


@pytest.mark.parametrize("schedule_id", ["", "a:b", "a\nb", "x" * 513, 5])
async def test_no_schedule_has_such_an_id(app: MemoryApp, schedule_id: Any) -> None:
    with pytest.raises(InvalidOptionError, match=r"^id="):
        await app.schedules.put(schedule_id, sync_task(app), {"bucket": "a"}, every=HOUR)


async def test_options_of_one_job_are_refused(app: MemoryApp) -> None:
    sync = sync_task(app)

    for task in (sync.with_options(job_id="x"), sync.with_options(delay=5)):
        with pytest.raises(InvalidOptionError, match="have their own"):
            await app.schedules.put("s", task, {"bucket": "a"}, every=HOUR)


async def test_schedule_of_a_queue_needs_no_task(app: MemoryApp) -> None:
    made = await app.schedules.put(
        "nightly", app.queue("reports"), {"n": 1}, name="daily", cron="@daily",
        options=JobOptions(priority=3, max_attempts=2),
    )  # fmt: skip

    assert (made.queue, made.name, made.cron, made.timezone) == (
        "reports", "daily", "0 0 * * *", "UTC",
    )  # fmt: skip
    assert made.options == {"attempts": 2, "priority": 3}
    with pytest.raises(InvalidOptionError, match="the jobs' name"):
        await app.schedules.put("x", app.queue("reports"), every=HOUR)


async def test_changing_a_schedule_keeps_its_moment_if_its_timing_stays(app: MemoryApp) -> None:
    sync = sync_task(app)
    await app.schedules.put("s", sync, {"bucket": "a"}, every=HOUR, limit=9)
    app.clock.advance(3600)
    await app.run_until_idle()
    before = await app.schedules.get("s")
    app.clock.advance(600)

    same = await app.schedules.put("s", sync, {"bucket": "b"}, every=HOUR, limit=9)
    other = await app.schedules.put("s", sync, {"bucket": "b"}, every=2 * HOUR)

    assert before is not None
    assert (same.next_at, same.job_id, same.data) == (
        before.next_at,
        before.job_id,
        {"bucket": "b"},
    )
    assert other.next_at == moment(app.clock.now_ms()) + 2 * HOUR
    info = await app.queue("sync").info()
    assert info is not None
    assert info.delayed == 1


async def test_limit_and_end_end_it(app: MemoryApp) -> None:
    sync = sync_task(app)
    now = moment(app.clock.now_ms())
    await app.schedules.put("three", sync, {"bucket": "a"}, every=HOUR, limit=3, immediately=True)
    await app.schedules.put("end", sync, {"bucket": "b"}, every=HOUR, end=now + 2 * HOUR)

    ran = await app.run_for(timedelta(days=1))

    results = [event.result for event in ran.completed]
    assert (results.count('"a"'), results.count('"b"')) == (3, 2)
    assert [one.ended for one in await app.schedules.list()] == [True, True]
    again = await app.schedules.put("three", sync, {"bucket": "a"}, every=HOUR, limit=3)
    assert not again.ended


async def test_pause_resume_run_and_remove(app: MemoryApp) -> None:
    sync = sync_task(app)
    await app.schedules.put("s", sync, {"bucket": "a"}, every=HOUR)

    await app.schedules.pause("s")
    await app.schedules.pause("s")
    paused = await app.schedules.get("s")
    assert paused is not None
    assert (paused.paused, paused.next_at, paused.ended) == (True, None, False)
    assert (await app.run_for(timedelta(hours=5))).completed == []
    changed = await app.schedules.put("s", sync, {"bucket": "b"}, every=HOUR)
    assert changed.paused
    job = await app.schedules.run("s")
    assert [event.result for event in (await app.run_until_idle()).completed] == ['"b"']
    assert await job.result() == "b"

    await app.schedules.resume("s")
    resumed = await app.schedules.get("s")
    assert resumed is not None
    assert not resumed.paused
    assert resumed.next_at is not None
    assert resumed.next_at - moment(app.clock.now_ms()) <= HOUR
    assert resumed.made == 1
    assert len((await app.run_for(timedelta(hours=3))).completed) == 3

    assert await app.schedules.remove("s")
    assert not await app.schedules.remove("s")
    for verb in (app.schedules.run, app.schedules.pause, app.schedules.resume):
        with pytest.raises(ScheduleNotFoundError, match="no queue has schedule 's'"):
            await verb("s")


async def test_paused_schedule_with_a_limit_counts_on(app: MemoryApp) -> None:
    sync = sync_task(app)
    await app.schedules.put("s", sync, {"bucket": "a"}, every=HOUR, limit=3)
    await app.run_for(HOUR)
    await app.schedules.pause("s")
    await app.schedules.resume("s")

    ran = await app.run_for(timedelta(hours=9))

    assert len(ran.completed) == 2


async def test_id_in_several_queues_wants_its_queue(app: MemoryApp) -> None:
    for queue in ("a", "b"):
        await app.schedules.put("s", app.queue(queue), name="x", every=HOUR)

    with pytest.raises(InvalidOptionError, match="expected one of 'a', 'b'"):
        await app.schedules.get("s")
    found = await app.schedules.get("s", queue="b")
    assert found is not None
    assert found.queue == "b"
    assert await app.schedules.list("nothing") == []


async def test_schedule_whose_task_is_gone_or_changed_says_so(
    app: MemoryApp, caplog: pytest.LogCaptureFixture
) -> None:
    sync_task(app)
    await app.schedules.put("gone", app.queue("sync"), name="old", every=HOUR)
    await app.schedules.put("unfit", app.queue("sync"), {"bukket": 1}, name="sync", every=HOUR)
    await app.schedules.put("good", app.queue("sync"), {"bucket": "b"}, name="sync", every=HOUR)

    problems = {one.id: one.problem for one in await app.schedules.list()}
    await app.run_until_idle()

    assert "no task 'old'" in str(problems["gone"])
    assert "bucket" in str(problems["unfit"])
    assert problems["good"] is None
    logged = [one.getMessage() for one in caplog.records if one.name == "toril.schedules"]
    assert sum("'gone'" in one for one in logged) == 1
    assert sum("'unfit'" in one for one in logged) == 1


async def test_declared_schedule_is_there_once_a_worker_is(app: MemoryApp) -> None:
    @app.schedule("0 6 * * *", timezone="Europe/Berlin")
    @app.schedule(every=HOUR, id="hourly", payload={"date": "x"}, immediately=True)
    @app.task(queue="reports")
    async def report(date: str | None = None) -> str | None:
        return date

    ran = await app.run_until_idle()

    assert [event.result for event in ran.completed] == ['"x"']
    schedules = {one.id: one for one in await app.schedules.list()}
    assert schedules.keys() == {"report", "hourly"}
    daily = schedules["report"]
    assert (daily.cron, daily.timezone, daily.declared) == ("0 6 * * *", "Europe/Berlin", True)
    assert await report() is None  # it is still a task to call
    before = [(one.id, one.next_at, one.made) for one in await app.schedules.list()]
    await app.run_until_idle()
    assert [(one.id, one.next_at, one.made) for one in await app.schedules.list()] == before


async def test_bundle_brings_its_schedules(app: MemoryApp) -> None:
    bundle = TaskBundle()

    @bundle.schedule("@hourly")
    @bundle.task(queue="mail")
    async def digest() -> None: ...

    app.include(bundle)
    await app.run_until_idle()

    assert [one.id for one in await app.schedules.list()] == ["digest"]


async def test_two_schedules_of_one_id_are_refused(app: MemoryApp) -> None:
    sync = sync_task(app)
    app.schedule(every=HOUR, payload={"bucket": "a"})(sync)

    with pytest.raises(InvalidOptionError, match="give one of them another"):
        app.schedule(every=HOUR, payload={"bucket": "b"})(sync)
    with pytest.raises(InvalidOptionError, match="put it above"):
        app.schedule(every=HOUR)(len)  # type: ignore[type-var]


class Code:
    """A version of some code, whose workers declare schedules."""

    def __init__(self, app: MemoryApp, **crons: str) -> None:
        self.app = app
        self.own = MemoryApp()
        for schedule_id, cron in crons.items():
            self._declare(schedule_id, cron)

    def _declare(self, schedule_id: str, cron: str) -> None:
        @self.own.schedule(cron, id=schedule_id)
        @self.own.task(queue="q", name=schedule_id)
        async def run() -> None: ...

    async def look(self) -> dict[str, str | None]:
        """Do what its workers do when they start, and every few minutes."""
        declarations = [one.declaration("UTC") for one in self.own._scheduled.values()]
        role = self.app.backend().schedules
        await reconcile(role, declarations, ["q"], frozenset({__name__.partition(".")[0]}))
        return {one.id: one.cron for one in await self.app.schedules.list()}


async def test_two_versions_of_the_code_do_not_fight(app: MemoryApp) -> None:
    old = Code(app, kept="1 * * * *", changed="2 * * * *", dropped="3 * * * *")
    new = Code(app, kept="1 * * * *", changed="4 * * * *", added="5 * * * *")
    await old.look()

    both = {
        "kept": "1 * * * *",
        "changed": "4 * * * *",
        "dropped": "3 * * * *",
        "added": "5 * * * *",
    }
    assert await new.look() == both
    for _ in range(10):  # a deploy that takes long: workers of both start, in any order
        app.clock.advance(SAY_AGAIN_MS / 1000)
        assert await old.look() == both
        assert await new.look() == both

    app.clock.advance(FRESH_MS / 1000)  # the last of the old ones has ended
    await new.look()
    assert await new.look() == {one: cron for one, cron in both.items() if one != "dropped"}


async def test_going_back_to_the_version_before_brings_its_schedules_back(app: MemoryApp) -> None:
    old, new = Code(app, s="1 * * * *"), Code(app, s="2 * * * *")
    await old.look()
    await new.look()

    assert await old.look() == {"s": "2 * * * *"}
    app.clock.advance(FRESH_MS / 1000)
    assert await old.look() == {"s": "1 * * * *"}
    assert await old.look() == {"s": "1 * * * *"}


async def test_only_what_code_had_made_is_removed(app: MemoryApp) -> None:
    await app.schedules.put("by-hand", app.queue("q"), name="x", every=HOUR)
    await Code(app, declared="1 * * * *").look()
    app.clock.advance(2 * FRESH_MS / 1000)

    assert (await Code(app).look()).keys() == {"by-hand"}


async def test_edit_by_hand_stays_until_the_code_changes(app: MemoryApp) -> None:
    code = Code(app, s="1 * * * *")
    await code.look()
    await app.schedules.put("s", app.queue("q"), name="s", cron="9 * * * *")

    app.clock.advance(SAY_AGAIN_MS / 1000)
    assert await code.look() == {"s": "9 * * * *"}
    assert await Code(app, s="2 * * * *").look() == {"s": "2 * * * *"}


async def test_workers_that_start_together_declare_once(app: MemoryApp) -> None:
    codes = [Code(app, s="1 * * * *") for _ in range(8)]

    await asyncio.gather(*(code.look() for code in codes))

    info = await app.queue("q").info()
    assert info is not None
    assert info.delayed == 1


@pytest.mark.parametrize(("missed", "expected"), [("one", 1), ("skip", 0), ("all", 6)])
async def test_missed_slots_are_settled_by_policy_and_told(
    app: MemoryApp, missed: Any, expected: int, caplog: pytest.LogCaptureFixture
) -> None:
    sync = sync_task(app)
    caplog.set_level(logging.INFO)
    await app.schedules.put("s", sync, {"bucket": "a"}, every=HOUR, missed=missed)

    app.clock.advance(6 * 3600 + 1800)  # nobody works meanwhile
    ran = await app.run_until_idle()

    assert len(ran.completed) == expected
    told = [
        event.fields
        async for event in app.queue("sync").events(after=0, until_idle=True)
        if event.name == "missed"
    ]
    assert told[0]["count"] == "6"
    assert told[0]["dropped"] == str({"one": 5, "skip": 6, "all": 0}[missed])
    assert (told[0]["schedule"], told[0]["policy"]) == ("s", missed)
    assert "6 slots from" in caplog.text
    after = await app.schedules.get("s")
    assert after is not None
    assert after.next_at == moment(app.clock.now_ms()) + timedelta(minutes=30)
    app.clock.advance(1800)
    assert len((await app.run_until_idle()).completed) == 1


async def test_schedule_that_stands_still_goes_on(app: MemoryApp) -> None:
    """Its worker was killed between the run and what had to follow; or somebody took the job."""
    sync = sync_task(app)
    await app.schedules.put("s", sync, {"bucket": "a"}, every=HOUR)
    app.clock.advance(3600)
    backend = app.backend()
    hand = HandWorker(backend)
    (claimed,) = await hand.claim("sync")
    await hand.end(claimed, "completed")
    app.clock.advance(3600)

    ran = await app.run_until_idle()

    assert len(ran.completed) == 1
    after = await app.schedules.get("s")
    assert after is not None
    assert not after.ended


async def test_nonsense_that_somebody_else_stored_is_told_not_raised(
    app: MemoryApp, caplog: pytest.LogCaptureFixture
) -> None:
    sync = sync_task(app)
    await app.schedules.put("s", sync, {"bucket": "a"}, cron="* * * * *")
    role = app.backend().schedules
    (stored,) = (await role.read("sync", ["s"])).schedules
    assert stored is not None
    bad = msgspec.structs.replace(
        stored, timing=msgspec.structs.replace(stored.timing, pattern="61 * * * *")
    )
    job = iteration(bad, bad.next_ms, 1, app.clock.now_ms(), follows=False)
    assert await role.put(bad, job, seen_ms=stored.next_ms) == "ok"

    (shown,) = await app.schedules.list()
    assert shown.problem == "cron='61 * * * *': minutes are 0 to 59"
    app.clock.advance(60)
    ran = await app.run_until_idle()

    assert len(ran.completed) == 1  # it was due, whatever comes after it
    assert "has ended, as it cannot be read: cron='61 * * * *': minutes are 0 to 59" in caplog.text


async def test_many_workers_run_each_slot_once(tmp_path: Any) -> None:
    apps = [App(f"sqlite:///{tmp_path}/toril.db") for _ in range(3)]
    seen: list[str] = []
    for one in apps:

        @one.task(queue="q")
        async def tick() -> None:
            seen.append("x")

    await apps[0].schedules.put("s", apps[0].queue("q"), name="tick", every=0.05, limit=10)
    workers = [one.worker(shutdown=5) for one in apps]
    async with workers[0], workers[1], workers[2]:
        await wait_until(lambda: len(seen) >= 10)

        async def ended() -> bool:
            return (await apps[0].schedules.list())[0].ended

        await wait_until(ended)
    assert len(seen) == 10
    for one in apps:
        await one.close()


async def test_doctor_looks_at_schedules(app: MemoryApp) -> None:
    sync = sync_task(app)
    assert not [one for one in (await app.check()).findings if "schedule" in one.subject]

    await app.schedules.put("good", sync, {"bucket": "a"}, every=HOUR)
    (well,) = [one for one in (await app.check()).findings if "schedule" in one.subject]
    await app.schedules.put("gone", app.queue("sync"), name="old", every=HOUR)
    app.clock.advance(3600)
    hand = HandWorker(app.backend())
    for claimed in await hand.claim("sync", limit=5):
        await hand.end(claimed, "completed")
    app.clock.advance(300)

    ill = {one.subject: one for one in (await app.check()).findings if "schedule" in one.subject}

    assert (well.grade, well.text) == ("ok", "1, and each goes on")
    assert "no task 'old'" in ill["schedule gone of sync"].text
    assert "schedules stand still: 2 (gone, good)" in ill["schedules of sync"].text
    assert {one.grade for one in ill.values()} == {"warning"}


async def test_pause_holds_although_a_worker_has_just_taken_its_job(app: MemoryApp) -> None:
    sync = sync_task(app)
    await app.schedules.put("s", sync, {"bucket": "a"}, every=HOUR)
    app.clock.advance(3600)
    hand = HandWorker(app.backend())
    (claimed,) = await hand.claim("sync")

    await app.schedules.pause("s")
    assert await ScheduleKeeper(app.backend().schedules).took(claimed, hand.hold(claimed))

    await hand.end(claimed, "completed")
    found = await app.schedules.get("s")
    assert found is not None
    assert found.paused
    assert (await app.run_for(timedelta(hours=5))).completed == []
    await app.schedules.resume("s")
    assert len((await app.run_for(timedelta(hours=2))).completed) == 2


async def test_bad_declaration_of_one_queue_leaves_others_alone(
    app: MemoryApp, caplog: pytest.LogCaptureFixture
) -> None:
    for queue, end in (("a", datetime(2020, 1, 1, tzinfo=UTC)), ("b", None)):

        @app.schedule("@daily", end=end)
        @app.task(queue=queue)
        async def daily() -> None: ...

    await app.run_until_idle()

    assert [one.queue for one in await app.schedules.list()] == ["b"]
    assert "schedules of a are not as the code declares them: end: expected" in caplog.text


async def test_worker_asks_no_more_of_schedules_for_many_jobs_than_for_one(app: MemoryApp) -> None:
    """Who uses none pays nothing: no call for a job, and none for an exchange."""

    @app.task(queue="plain")
    async def plain() -> None: ...

    backend = app.backend()
    asked: list[str] = []

    class Asked:
        def __getattr__(self, name: str) -> Any:
            asked.append(name)
            return getattr(backend.schedules, name)

    app._store._backend = dataclasses.replace(backend, schedules=cast("Any", Asked()))
    counts = []
    for many in (1, 300):
        asked.clear()
        await plain.enqueue_many([{}] * many)
        worker = app.worker(concurrency=5)
        await worker.run(until_idle=True)
        counts.append(Counter(asked))

    assert counts[0] == counts[1]
    assert counts[0].keys() <= {"ids", "overdue"}


async def test_who_changes_a_schedule_is_told(toril_app: MemoryApp) -> None:
    told: list[tuple[str | None, str | None, str | None, object]] = []

    @toril_app.on("operated")
    def note(event: HookEvent) -> None:
        told.append((event.verb, event.actor, event.queue, event.arguments))

    mail = toril_app.queue("mail")
    with acting("jo@example.com"):
        await toril_app.schedules.put("nightly", mail, name="send", cron="@daily")
        await toril_app.schedules.pause("nightly")
        await toril_app.schedules.resume("nightly")
        await toril_app.schedules.run("nightly")
        assert await toril_app.schedules.remove("nightly")
        assert not await toril_app.schedules.remove("nightly")

    given = {"schedule": "nightly"}
    assert told == [
        (f"schedules.{verb}", "jo@example.com", "mail", given)
        for verb in ("put", "pause", "resume", "run", "remove")
    ]
