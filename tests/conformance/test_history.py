"""History: what queues did, per task and minute, hour and day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tests.support.contract import HandWorker, Q, add, add_one, job, outcome

from toril.engine.contract import Backend, HistoryRow, Level
from toril.engine.contract.history import MINUTE_MS
from toril.engine.tally import MAX_TASKS, OTHERS, Tally, bucket_of
from toril.testing.clock import ManualClock

DAY_MS = 1440 * MINUTE_MS
FAR_MS = 2**50


async def rows(
    backend: Backend, level: Level = Level.MINUTE, queue: str = Q, since_ms: int = 0
) -> list[HistoryRow]:
    """Return what is there of a level, but for the queue's own figures."""
    # A whole period, as the contract wants it.
    since_ms -= since_ms % (level.period_ms or 1)
    found = await backend.history.read(queue, level, since_ms=since_ms, until_ms=FAR_MS)
    return [row for row in found if row.task]


async def total(backend: Backend, level: Level = Level.MINUTE, queue: str = Q) -> Tally:
    """Return the sum of a level."""
    sum_of = Tally()
    for row in await rows(backend, level, queue):
        sum_of.merge(row.tally)
    return sum_of


async def rolled(backend: Backend, clock: ManualClock) -> None:
    """End the minute that is open, and roll all up."""
    clock.advance(60)
    while await backend.history.roll_up(limit=3):
        pass


def start_of(ms: int, level: Level = Level.MINUTE) -> int:
    return ms - ms % level.period_ms


async def test_attempts_count_by_task_outcome_wait_and_run(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await add(backend, job(name="cars"), job(name="cars"), job(name="bikes"))
    clock.advance(2)
    claimed = await worker.claim(limit=3)
    clock.advance(0.3)
    now_ms = clock.now_ms()
    await worker.ask(
        outcomes=[
            outcome(claimed[0], "completed"),
            outcome(claimed[1], "failed", reason="x"),
            outcome(claimed[2], "retried", reason="x"),
        ]
    )

    bikes, cars = await rows(backend)

    assert bikes.start_ms == cars.start_ms == start_of(now_ms)
    assert (bikes.task, cars.task) == ("bikes", "cars")
    wait, run = bucket_of(2000), bucket_of(300)
    assert cars.tally == Tally(
        completed=1, failed=1, wait_ms=4000, run_ms=600, waits={wait: 2}, runs={run: 2}
    )
    assert bikes.tally == Tally(retried=1, wait_ms=2000, run_ms=300, waits={wait: 1}, runs={run: 1})


async def test_what_only_goes_back_in_line_does_not_count(
    backend: Backend, worker: HandWorker
) -> None:
    await add(backend, job(), job())
    first, second = await worker.claim(limit=2)
    await worker.end(first, "released")
    await worker.end(second, "snoozed", wait_ms=5)

    assert await rows(backend) == []


async def test_jobs_that_are_removed_at_once_count(backend: Backend, worker: HandWorker) -> None:
    await add(backend, job(), job())
    for claimed in await worker.claim(limit=2):
        await worker.end(claimed, "completed", keep_count=0)

    assert (await total(backend)).completed == 2


async def test_outcome_that_is_sent_twice_counts_once(backend: Backend, worker: HandWorker) -> None:
    await add(backend, job(), job())
    first, second = await worker.claim(limit=2)
    sent = [outcome(first, "completed", keep_count=0), outcome(second, "retried", reason="x")]

    await worker.ask(outcomes=sent)
    await worker.ask(outcomes=sent)
    await worker.ask(outcomes=[*sent, *sent])

    counted = await total(backend)
    assert (counted.completed, counted.retried) == (1, 1)


async def test_wait_of_a_delayed_job_begins_when_it_is_due(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    """Also of one that waits for a moment, of which its options say nothing."""
    await add(backend, job(run_at_ms=clock.now_ms() + 3_600_000))
    clock.advance(3_601)
    claimed = await worker.claim_one()
    assert claimed.waited_ms == 1000

    await worker.end(claimed, "retried", reason="x", wait_ms=500)
    clock.advance(0.75)
    again = await worker.claim_one()
    assert again.waited_ms == 250

    await worker.end(again, "retried", reason="x")
    third = await worker.claim_one()
    assert third.waited_ms == -1
    await worker.end(third, "completed")

    counted = await total(backend)
    assert (counted.completed, counted.retried) == (1, 2)
    assert counted.wait_ms == 1250
    assert sum(counted.waits.values()) == 2
    assert sum(counted.runs.values()) == 3


async def test_wait_of_a_retried_failure_is_not_that_of_a_new_job(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    job_id = await add_one(backend)
    await worker.end(await worker.claim_one(), "failed", reason="x")
    clock.advance(3600)
    await backend.jobs.retry(Q, job_id, reset_attempts=True)

    assert (await worker.claim_one()).waited_ms == -1


async def test_job_that_is_cancelled_in_line_counts_as_failed(
    backend: Backend, worker: HandWorker
) -> None:
    job_id = await add_one(backend, name="cars")
    await backend.jobs.cancel(Q, job_id, reason="nobody wants it")

    (row,) = await rows(backend)
    assert (row.task, row.tally) == ("cars", Tally(failed=1))


async def test_minutes_add_up_to_hours_days_and_the_total(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    begin_ms = clock.now_ms()
    for _ in range(5):
        for _ in range(3):
            await add(backend, job(name="cars"), job(name="bikes"))
            for claimed in await worker.claim(limit=2):
                await worker.end(claimed, "completed")
        await rolled(backend, clock)
        clock.advance(1000)

    for level, least in ((Level.MINUTE, 5), (Level.HOUR, 2), (Level.DAY, 1), (Level.EVER, 1)):
        found = await rows(backend, level)
        counted: Counter[str] = Counter()
        for row in found:
            counted[row.task] += row.tally.completed
        assert counted == {"cars": 15, "bikes": 15}, level
        assert len({row.start_ms for row in found}) == least, level
        if level is not Level.EVER:
            assert found[0].start_ms == start_of(begin_ms, level)


async def test_open_minutes_count_at_once_and_once_only(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await add_one(backend)
    await worker.end(await worker.claim_one(), "completed")
    await backend.history.roll_up(limit=100)
    for level in Level:
        assert (await total(backend, level)).completed == 1

    await rolled(backend, clock)
    await rolled(backend, clock)
    for level in Level:
        assert (await total(backend, level)).completed == 1


async def test_rows_of_a_span_only_are_read(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    begins = []
    for _ in range(4):
        begins.append(start_of(clock.now_ms()))
        await add_one(backend)
        await worker.end(await worker.claim_one(), "completed")
        clock.advance(60)
        await backend.history.roll_up(limit=100)

    found = await backend.history.read(Q, Level.MINUTE, since_ms=begins[1], until_ms=begins[3])

    assert [row.start_ms for row in found if row.task] == begins[1:3]


async def test_age_of_the_next_job_is_noted(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await add_one(backend)
    clock.advance(90)
    minute_ms = start_of(clock.now_ms())
    await backend.history.roll_up(limit=100)

    found = await backend.history.read(Q, Level.MINUTE, since_ms=0, until_ms=FAR_MS)

    (own,) = [row for row in found if not row.task]
    assert (own.start_ms, own.tally.oldest_ms) == (minute_ms, 90_000)
    await rolled(backend, clock)
    (own, _) = await backend.history.read(Q, Level.MINUTE, since_ms=0, until_ms=FAR_MS)
    assert (own.start_ms, own.tally.oldest_ms) == (minute_ms, 90_000)


async def test_history_that_is_off_is_not_written(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    async def work() -> None:
        for kind in ("completed", "failed", "retried"):
            await add_one(backend)
            await worker.end(await worker.claim_one(), kind, reason="x")
        await worker.end(await worker.claim_one(), "completed")

    await backend.history.keep(Q, False)
    await work()
    await add_one(backend)
    clock.advance(60)
    await backend.history.roll_up(limit=100)
    queue = await backend.counts.queue(Q)
    assert queue is not None
    assert not queue.history
    assert await backend.history.read(Q, Level.MINUTE, since_ms=0, until_ms=FAR_MS) == []

    await backend.history.keep(Q, True)
    queue = await backend.counts.queue(Q)
    assert queue is not None
    assert queue.history
    await worker.end(await worker.claim_one(), "completed")
    assert (await total(backend)).completed == 1


async def test_periods_are_kept_for_so_long_only(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    async def work() -> None:
        await add_one(backend)
        await worker.end(await worker.claim_one(), "completed")
        await rolled(backend, clock)

    await work()
    began_ms = start_of(clock.now_ms(), Level.DAY)
    for _ in range(16):
        clock.advance(43_200)
        await work()
    assert (await total(backend)).completed < 17
    assert (await total(backend, Level.HOUR)).completed == 17

    for _ in range(130):
        clock.advance(86_400)
        await backend.history.roll_up(limit=100)
    await work()
    assert (await total(backend)).completed == 1
    assert (await total(backend, Level.HOUR)).completed == 1
    assert (await total(backend, Level.DAY)).completed == 18

    for _ in range(1100):
        clock.advance(86_400)
        await backend.history.roll_up(limit=100)
    assert await rows(backend, Level.DAY) == []
    assert (await total(backend, Level.EVER)).completed == 18
    assert began_ms > 0


async def test_calendar_that_jumps_ahead_for_a_while_loses_and_moves_nothing(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    async def work() -> None:
        await add_one(backend)
        await worker.end(await worker.claim_one(), "completed")
        await rolled(backend, clock)

    await work()
    clock.jump_calendar(400 * 86_400)
    await work()
    await work()
    clock.jump_calendar(-400 * 86_400)
    await work()
    await work()

    now_ms = clock.now_ms()
    for level in (Level.MINUTE, Level.HOUR, Level.DAY):
        assert (await total(backend, level)).completed == 5, level
        assert all(row.start_ms <= now_ms for row in await rows(backend, level)), level
    assert (await total(backend, Level.EVER)).completed == 5


async def test_names_beyond_a_number_count_together(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    for first in range(0, MAX_TASKS + 50, 50):
        await add(backend, *(job(name=f"task-{first + number}") for number in range(50)))
        claimed = await worker.claim(limit=50)
        await worker.ask(outcomes=[outcome(one, "completed") for one in claimed])
        await rolled(backend, clock)

    for level in (Level.MINUTE, Level.EVER):
        found = await rows(backend, level)
        names = {row.task for row in found}
        assert len(names) <= MAX_TASKS + 1
        assert OTHERS in names
        assert sum(row.tally.completed for row in found) == MAX_TASKS + 50


async def test_history_goes_with_its_queue(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await add(backend, job(), job())
    first, second = await worker.claim(limit=2)
    await worker.end(first, "completed")
    await rolled(backend, clock)
    await worker.end(second, "completed")
    await backend.limits.pause(Q)
    while await backend.bulk.obliterate(Q, force=True, limit=100):
        pass

    await add_one(backend)

    for level in Level:
        assert await rows(backend, level) == []


async def test_rows_of_another_store_are_taken_once(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    start_ms = start_of(clock.now_ms(), Level.HOUR) - 10 * Level.HOUR.period_ms
    taken = [
        HistoryRow(start_ms + number * Level.HOUR.period_ms, task, Tally(completed=number + 1))
        for number in range(3)
        for task in ("cars", "bikes")
    ]
    ever = [HistoryRow(0, task, Tally(completed=6)) for task in ("cars", "bikes")]
    for _ in range(2):
        await backend.history.adopt(Q, Level.HOUR, taken)
        await backend.history.adopt(Q, Level.EVER, ever)
    await add_one(backend)
    await worker.end(await worker.claim_one(), "completed")
    await rolled(backend, clock)

    assert (await total(backend, Level.HOUR)).completed == 13
    assert (await total(backend, Level.EVER)).completed == 13


async def test_queue_that_is_not_there_has_no_history(backend: Backend) -> None:
    assert await rows(backend) == []
    assert not await backend.history.roll_up(limit=100)


async def test_two_stores_of_one_place_count_together(
    backend: Backend, worker: HandWorker, open_another: Callable[[], Backend], kind: str
) -> None:
    other = backend if kind == "memory" else open_another()
    beside = HandWorker(other, id="worker-2")
    for _ in range(5):
        await add(backend, job(), job())
        first = await worker.claim_one()
        second = await beside.claim_one()
        await beside.end(second, "completed")
        await worker.end(first, "completed")

    assert (await total(other)).completed == 10
