"""Calendars that are wrong: one that was put right later, or a worker that has one of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import apsw
import pytest
from tests.backends.sqlite.conftest import Opener
from tests.support.contract import (
    HandWorker,
    Q,
    add,
    add_all,
    add_one,
    counts,
    job,
    outcome,
    record,
    state,
)

from toril.backends.sqlite.calendar import AGAIN_MS, DOUBT_MS, SLACK_MS, Seen, believe
from toril.core.errors import StoreCorruptError
from toril.engine.contract import Backend
from toril.engine.deduplication import DeduplicationRule
from toril.engine.job import Added
from toril.engine.states import State
from toril.testing.clock import START_MS, ManualClock

DAY_S = 86_400
NINE_DAYS_S = 9 * DAY_S
WEEK_MS = 7 * DAY_S * 1000
BOOT = 5


class Host:
    """A host with two calendars: a right one, and one that is nine days ahead."""

    def __init__(self, opener: Opener) -> None:
        self.clock = ManualClock()
        self.clock_ahead = ManualClock(now_ms=START_MS + NINE_DAYS_S * 1000)
        self.right: Backend = opener(clock=self.clock, durability="normal")
        self.ahead: Backend = opener(clock=self.clock_ahead, durability="normal")
        self.worker = HandWorker(self.right, "right")
        self.worker_ahead = HandWorker(self.ahead, "ahead")

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.clock_ahead.advance(seconds)

    def restart(self) -> None:
        self.clock.restart_host(uptime_s=1)
        self.clock_ahead.restart_host(uptime_s=1)


@pytest.fixture
def host(opener: Opener) -> Host:
    return Host(opener)


async def test_backoff_of_a_worker_that_is_ahead_is_as_long_as_any(host: Host) -> None:
    """A wait of 0.2 s that a worker nine days ahead had written took nine days."""
    job_id = await add_one(host.right)
    claimed = await host.worker_ahead.claim_one()
    await host.worker_ahead.end(claimed, "retried", wait_ms=200)

    reply = await host.worker.ask(Q)
    assert (reply.claimed, reply.next_due_ms) == ([], 200)
    assert (await record(host.right, job_id)).run_at_ms == START_MS + 200
    host.advance(0.199)
    assert await host.worker.claim() == []
    host.advance(0.001)

    assert [one.id for one in await host.worker.claim()] == [job_id]


@pytest.mark.parametrize("verb", ["add", "add_many", "change_delay", "snooze", "reschedule"])
async def test_any_wait_is_as_long_as_it_was_meant_to_be(host: Host, verb: str) -> None:
    """Each way of putting a job off has its own statement."""
    ahead, rule = host.ahead, DeduplicationRule("d", reschedule=True)
    match verb:
        case "add":
            await add_one(ahead, delay_ms=5_000)
        case "add_many":
            await add(ahead, job("other"), job(delay_ms=5_000))
        case "change_delay":
            await ahead.jobs.change_delay(Q, await add_one(ahead, delay_ms=90_000), delay_ms=5_000)
        case "snooze":
            await add_one(ahead)
            await host.worker_ahead.end(
                await host.worker_ahead.claim_one(), "snoozed", wait_ms=5_000
            )
        case "reschedule":
            await add_one(ahead, delay_ms=90_000, deduplication=rule)
            await add_one(ahead, delay_ms=5_000, deduplication=rule)

    host.advance(4.999)
    assert await host.worker.claim() == []
    host.advance(0.001)

    assert len(await host.worker.claim()) == 1


async def test_a_moment_stays_a_moment_whoever_gave_it(host: Host) -> None:
    moment_ms = START_MS + NINE_DAYS_S * 1000 + 5_000
    job_id = await add_one(host.ahead, run_at_ms=moment_ms)

    host.advance(6)

    assert await host.worker.claim() == []
    assert (await record(host.right, job_id)).run_at_ms == moment_ms
    assert len(await host.worker_ahead.claim()) == 1


async def test_wait_ends_by_the_calendar_where_the_steady_clock_stood_still(host: Host) -> None:
    """As it does while a machine sleeps."""
    await add_one(host.right, delay_ms=5_000)

    host.clock.jump_calendar(5)

    assert len(await host.worker.claim()) == 1


async def test_wait_that_outlasts_a_start_of_the_host_does_not_grow(host: Host) -> None:
    await add(host.ahead, job(delay_ms=60_000), job(delay_ms=WEEK_MS))
    host.restart()
    assert await host.worker.claim(limit=2) == []
    host.advance(59)
    assert await host.worker.claim(limit=2) == [], "the new clock begins anew: it tells nothing"

    await host.right.dispatch.trim(limit=100)  # each worker's sweeper does, at once and then again
    host.advance(60)

    assert [one.id for one in await host.worker.claim(limit=2)] == ["1"]


async def test_wait_is_not_cut_short_on_a_host_that_has_been_up_for_longer(host: Host) -> None:
    """A file that was copied to another host: what it holds of the clock means nothing there."""
    await add_one(host.right, delay_ms=WEEK_MS)

    host.clock.restart_host(uptime_s=100 * DAY_S)
    await host.right.dispatch.trim(limit=100)

    assert await host.worker.claim() == []
    host.advance(7 * DAY_S)
    assert len(await host.worker.claim()) == 1


async def test_time_of_a_deduplication_id_does_not_grow(host: Host) -> None:
    """Nine days of jobs were refused as duplicates, for an id that was held for a minute."""
    rule = DeduplicationRule("d", ttl_ms=60_000)
    await add_one(host.ahead, deduplication=rule)
    assert await host.right.deduplication.holder(Q, "d") == "1"

    host.advance(60)

    assert await host.right.deduplication.holder(Q, "d") is None
    assert await host.right.moving.held_ids(Q, ["1"]) == [None]
    assert await add_one(host.right, deduplication=rule) == "2"


async def test_id_that_a_calendar_ahead_finds_free_is_held_again_by_the_right_one(
    host: Host,
) -> None:
    """A producer that was ahead cleared away the id of another, for good."""
    await add_one(host.right, deduplication=DeduplicationRule("d", ttl_ms=60_000))
    assert await host.ahead.deduplication.holder(Q, "d") is None
    for other in ("e", "f", "g"):  # each clears away two whose time is over
        await add_one(host.ahead, deduplication=DeduplicationRule(other, ttl_ms=60_000))

    assert await host.right.deduplication.holder(Q, "d") == "1"
    again = await add_all(host.right, [job(deduplication=DeduplicationRule("d"))])
    assert again == [Added("1", duplicate=True)]


async def test_ids_whose_time_is_over_do_not_pile_up(host: Host, path: Path) -> None:
    def stored() -> int:
        connection = apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)
        found = connection.execute("SELECT id FROM deduplications").fetchall()
        connection.close()
        return len(found)

    for number in range(20):
        await add_one(host.right, deduplication=DeduplicationRule(f"d{number}", ttl_ms=1_000))
    host.clock.jump_calendar(2)
    await add_one(host.right, deduplication=DeduplicationRule("e"))
    assert stored() == 21, "the steady clock says that their time goes on"
    host.advance(2)

    for number in range(10):
        await add_one(host.right, deduplication=DeduplicationRule(f"f{number}"))

    assert stored() == 11


async def complete(host: Host, *workers: HandWorker, age_ms: int = WEEK_MS) -> None:
    """Complete a job by each worker, which is kept for a week."""
    for worker in workers:
        await add_one(host.right)
        held = await worker.claim_one()
        await worker.ask(outcomes=[outcome(held, "completed", keep_age_ms=age_ms)])


async def test_sweep_of_a_worker_that_is_ahead_removes_nothing(host: Host) -> None:
    """It found every completed job to be nine days old, and removed them all."""
    await complete(host, host.worker, host.worker)

    assert await host.ahead.dispatch.trim(limit=100) == 0
    host.advance(2)  # the look of an exchange is once a second
    await complete(host, host.worker_ahead)

    assert await counts(host.right) == {State.COMPLETED: 3}
    health = await host.ahead.lifecycle.check()
    (finding,) = [each for each in health.findings if each.subject == "calendar"]
    assert (finding.grade, finding.text[:14]) == ("warning", "9 d 0 h ahead ")


async def test_whoever_opens_the_file_shows_its_calendar(host: Host) -> None:
    """A producer that does not sweep, before a worker that is ahead."""
    for _ in range(2):
        await add_one(host.right)
        await host.worker.end(await host.worker.claim_one(), "completed")

    await complete(host, host.worker_ahead)

    assert await counts(host.right) == {State.COMPLETED: 3}


async def test_calendar_that_is_shown_again_stays_believed(host: Host) -> None:
    await complete(host, host.worker)
    for _ in range(4):
        assert await host.ahead.dispatch.trim(limit=100) == 0
        assert await host.right.dispatch.trim(limit=100) == 0
        host.advance(DAY_S / 2)

    assert await counts(host.right) == {State.COMPLETED: 1}


async def test_calendar_that_is_put_forward_removes_nothing_for_a_day(host: Host) -> None:
    await complete(host, host.worker)
    host.clock.jump_calendar(NINE_DAYS_S)

    assert await host.right.dispatch.trim(limit=100) == 0
    host.advance(DAY_S - 1)
    assert await host.right.dispatch.trim(limit=100) == 0
    host.advance(2)

    assert await host.right.dispatch.trim(limit=100) == 1


async def test_finished_jobs_are_removed_when_they_are_old_by_all_clocks(host: Host) -> None:
    await complete(host, host.worker)
    for _ in range(7):
        assert await host.right.dispatch.trim(limit=100) == 0
        host.advance(DAY_S)

    assert await host.ahead.dispatch.trim(limit=100) == 1


async def test_doctor_names_jobs_whose_moment_cannot_be(host: Host) -> None:
    """They were due in nine days, and nothing told of it."""
    await add(host.ahead, *(job(delay_ms=60_000) for _ in range(4)))
    await add_one(host.right, delay_ms=60_000)
    await add_one(host.right, run_at_ms=2**52)
    whole = await host.right.lifecycle.check()
    host.restart()

    health = await host.right.lifecycle.check()

    assert not [each for each in whole.findings if each.subject == "due moments"]
    (finding,) = [each for each in health.findings if each.subject == "due moments"]
    assert finding.grade == "warning"
    assert "4 (paint/1, paint/2, paint/3, …)" in finding.text


@pytest.mark.parametrize("rest", ["-wal", "-shm"])
async def test_file_that_was_moved_away_from_its_log_is_not_made_anew(
    opener: Opener, path: Path, rest: str
) -> None:
    """The next process made an empty file, and what lay in the log was gone."""
    backend = opener()
    await add(backend)
    elsewhere = path.with_name("elsewhere")
    elsewhere.mkdir()
    for part in ("", "-wal", "-shm"):
        shutil.copy(f"{path}{part}", elsewhere)
    (elsewhere / path.name).unlink()
    for other in {"-wal", "-shm"} - {rest}:
        (elsewhere / f"{path.name}{other}").unlink()

    with pytest.raises(StoreCorruptError, match=f"{rest} are still there"):
        opener(elsewhere / path.name)

    assert not (elsewhere / path.name).exists()
    assert (elsewhere / f"{path.name}{rest}").stat().st_size > 0
    assert await state(backend, "1") is State.WAIT


@pytest.mark.parametrize(
    ("known", "now_ms", "steady_ms", "believed_ms", "news"),
    [
        pytest.param(None, 500, 100, 500, Seen(BOOT, 400, 100), id="nothing is known"),
        pytest.param(Seen(4, 0, 50), 500, 100, 500, Seen(BOOT, 400, 100), id="another start"),
        pytest.param(Seen(BOOT, 0, 200), 500, 100, 500, Seen(BOOT, 400, 100), id="from the future"),
        pytest.param(Seen(BOOT, 400, 50), 500, 100, 500, None, id="as it was"),
        pytest.param(
            Seen(BOOT, 400, 100), 500 + AGAIN_MS, 100 + AGAIN_MS, 500 + AGAIN_MS,
            Seen(BOOT, 400, 100 + AGAIN_MS), id="as it was a while ago",
        ),
        pytest.param(
            Seen(BOOT, 400, 100), 500 + SLACK_MS, 100, 500 + SLACK_MS, None, id="a little ahead"
        ),
        pytest.param(Seen(BOOT, 400, 100), 501 + SLACK_MS, 100, 500, None, id="ahead"),
        pytest.param(
            Seen(BOOT, 400, 100), 500 + DOUBT_MS + SLACK_MS, 99 + DOUBT_MS, 499 + DOUBT_MS, None,
            id="ahead for nearly a day",
        ),
        pytest.param(
            Seen(BOOT, 400, 100), 501 + DOUBT_MS + SLACK_MS, 100 + DOUBT_MS,
            501 + DOUBT_MS + SLACK_MS, Seen(BOOT, 401 + SLACK_MS, 100 + DOUBT_MS),
            id="ahead for a day",
        ),
        pytest.param(
            Seen(BOOT, 400 + SLACK_MS + 1, 100), 500, 100, 500, Seen(BOOT, 400, 100), id="behind"
        ),
        pytest.param(Seen(BOOT, 401, 100), 500, 100, 500, None, id="a little behind"),
    ],
)  # fmt: skip
def test_what_is_believed(
    known: Seen | None, now_ms: int, steady_ms: int, believed_ms: int, news: Seen | None
) -> None:
    assert believe(known, BOOT, now_ms, steady_ms) == (believed_ms, news)
