"""Taking over jobs from another store, and giving them away."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.support.contract import (
    HandWorker,
    Q,
    add,
    add_one,
    check_counts,
    counts,
    job,
    line,
    outcome,
    record,
    speech,
    state,
    told,
)

from toril.engine.contract import Backend
from toril.engine.job import MAX_HISTORY, Attempt, JobRecord, WholeJob
from toril.engine.states import LOOSE, State
from toril.testing.clock import ManualClock

ELSEWHERE = "elsewhere"
"""The queue to which the jobs of another one go: in a test both are in one store."""
SOON_S = 5.0
LONG_S = 30.0

RAN: dict[str, Any] = {
    "attempts_made": 2,
    "attempts_started": 4,
    "stalled": 1,
    "progress": '{"done":0.5}',
    "processed_on_ms": 1_800_000_000_350,
    "worker_id": "host-17-abcd",
}
"""What a job has that has run."""

WHOLE: dict[State, dict[str, Any]] = {
    State.WAIT: {"failed_reason": "boom", **RAN},
    State.PRIORITIZED: {"priority": 7, "deferred_failure": "nobody wants it", **RAN},
    State.DELAYED: {
        "delay_ms": 60_000,
        "run_at_ms": 2_200_000_060_000,
        "priority": 2_097_151,
        "failed_reason": "boom\nsecond line",
        **RAN,
    },
    State.COMPLETED: {"result": '{"ok":[1,null]}', "finished_on_ms": 1_800_000_000_900, **RAN},
    State.FAILED: {"failed_reason": "boom", "finished_on_ms": 1_800_000_000_900, **RAN},
}
"""Every field of every state that it may have."""


def whole(
    job_id: str, where: State = State.WAIT, log: list[str] | None = None, **fields: Any
) -> WholeJob:
    """Return a job of another store."""
    given: dict[str, Any] = {
        "name": "cars", "data": "{}", "opts": "{}", "priority": 0,
        "timestamp_ms": 1_800_000_000_000, "delay_ms": 0, "run_at_ms": None,
        "attempts_made": 0, "attempts_started": 0, "stalled": 0,
        "progress": "0", "result": None, "failed_reason": None, "processed_on_ms": None,
        "finished_on_ms": None, "worker_id": None, "lease_remaining_ms": None,
        "deferred_failure": None, "cancel_reason": None, "attempts": [],
    }  # fmt: skip
    if where is State.DELAYED:
        given["run_at_ms"] = 2_200_000_000_000
    if where in (State.COMPLETED, State.FAILED):
        given["finished_on_ms"] = 1_800_000_000_900
    if where is State.PRIORITIZED:
        given["priority"] = 1
    given.update(fields)
    size = len(given["data"].encode(errors="replace"))
    return WholeJob(JobRecord(id=job_id, queue=Q, state=where, data_bytes=size, **given), log or [])


def attempt(number: int, outcome: str, **fields: Any) -> Attempt:
    """Return an attempt of a job of another store."""
    ended_ms = 1_800_000_000_000 + 100 * number
    return Attempt(
        number=number,
        started_ms=ended_ms - 50,
        ended_ms=ended_ms,
        worker_id="host-17-abcd",
        outcome=outcome,
        **fields,
    )


PAST = [
    attempt(1, "retried", error="boom «1»\n", traceback="Traceback\n  line 1\n"),
    attempt(2, "stalled", error="its worker stopped renewing the lease"),
    attempt(3, "snoozed", error="no task", unknown_since_ms=1_800_000_000_000),
    attempt(4, "released"),
]


@pytest.mark.parametrize("where", list(WHOLE))
async def test_adopted_job_is_as_it_was(backend: Backend, where: State) -> None:
    attempts = list(PAST)
    if where is State.FAILED:
        attempts[-1] = attempt(4, "failed", error="boom", traceback="Traceback\n  line 2\n")
    if where is State.COMPLETED:  # seen from the job's own fields
        attempts[-1] = Attempt(
            number=4,
            started_ms=1_800_000_000_350,
            ended_ms=1_800_000_000_900,
            worker_id="host-17-abcd",
            outcome="completed",
        )
    log = ["first", "", "zwölf 🚗\ttab", "last"]
    given = whole(
        "17",
        where,
        log,
        name="cars «1»",
        data='{"deep":{"x":[1,2,"\\u0000\\ud83d\\ude97é"]},"n":12345678901234567890}',
        opts='{"attempts":3,"kl":5,"lifo":true}',
        attempts=attempts,
        **WHOLE[where],
    )

    assert await backend.moving.adopt(Q, [given]) == [True]

    assert await record(backend, "17") == given.record
    assert await backend.logs.read(Q, "17", start=0, limit=100) == (log, 4)
    assert await counts(backend) == {where: 1}


@pytest.mark.parametrize("where", list(WHOLE))
async def test_adopted_job_without_a_past_is_as_it_was(backend: Backend, where: State) -> None:
    given = whole("own", where)

    assert await backend.moving.adopt(Q, [given]) == [True]

    assert await record(backend, "own") == given.record
    assert await backend.logs.read(Q, "own", start=0, limit=100) == ([], 0)


async def a_bit_of_everything(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> list[WholeJob]:
    """Bring jobs into every state as workers and operators do, and return them whole."""
    await add(backend, *(job(priority=number % 2, data=f'{{"n":{number}}}') for number in range(9)))
    await add(backend, job(job_id="own"), job(delay_ms=60_000), job(priority=9, delay_ms=5))
    claimed = await worker.claim(limit=6)
    await backend.dispatch.speak(
        [speech(one, line=f"line {one.id}", progress="0.5") for one in claimed]
    )
    clock.advance(0.1)
    await worker.ask(
        outcomes=[
            outcome(claimed[0], "completed", value='"done"'),
            outcome(claimed[1], "failed", reason="boom", traceback="Traceback", exhausted=True),
            outcome(claimed[2], "retried", reason="boom", traceback="Traceback", wait_ms=9_000),
            outcome(claimed[3], "retried", reason="boom", wait_ms=0),
            outcome(claimed[4], "snoozed", wait_ms=70_000),
            outcome(claimed[5], "released"),
        ]
    )
    await backend.jobs.cancel(Q, "own", reason="not wanted")
    again = await worker.claim(limit=2)
    clock.advance(0.1)
    await worker.ask(outcomes=[outcome(one, "completed", value="null") for one in again])
    stuck = await worker.claim_one()
    await backend.jobs.cancel(Q, stuck.id, reason="not wanted either")
    clock.advance(31)
    await backend.dispatch.recover(max_stalled=1, heartbeat_s=60, limit=9)
    found: list[WholeJob] = []
    for where in State:
        ids = await line(backend, where)
        logs = await backend.moving.logs(Q, ids)
        found += [
            WholeJob(await record(backend, job_id), log)
            for job_id, log in zip(ids, logs, strict=True)
        ]
    assert len(found) == 12
    return found


async def test_jobs_that_have_lived_go_over_whole(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    found = await a_bit_of_everything(backend, worker, clock)

    assert await backend.moving.adopt(ELSEWHERE, found) == [True] * len(found)

    for each in found:
        there = await record(backend, each.record.id, ELSEWHERE)
        expected = msgspec.structs.replace(each.record, queue=ELSEWHERE)
        # Why it was cancelled shows in its deferred failure.
        there.cancel_reason = expected.cancel_reason = None
        assert there == expected
        found_log, _ = await backend.logs.read(ELSEWHERE, each.record.id, start=0, limit=100)
        assert found_log == each.log
    for where in State:
        assert await line(backend, where, ELSEWHERE) == await line(backend, where)
    assert await counts(backend, ELSEWHERE) == await counts(backend)


async def test_adopted_jobs_run_as_if_they_had_never_moved(
    backend: Backend, worker: HandWorker
) -> None:
    await backend.moving.adopt(
        Q, [whole("17", attempts=PAST, **RAN), whole("18", deferred_failure="not wanted")]
    )

    claimed = await worker.claim(limit=2)

    assert [one.id for one in claimed] == ["17", "18"]
    assert [one.deferred_failure for one in claimed] == [None, "not wanted"]
    first = claimed[0]
    assert (first.attempts_started, first.attempts_made) == (5, 2)
    assert (await record(backend, "17")).stalled == 1
    assert await worker.end(first, "completed", value="1") == "ok"
    assert await worker.end(claimed[1], "failed", reason="not wanted") == "ok"
    done = await record(backend, "17")
    assert [each.outcome for each in done.attempts] == [
        "retried", "stalled", "snoozed", "released", "completed",
    ]  # fmt: skip
    assert (await record(backend, "18")).deferred_failure is None


async def test_adopted_job_has_the_newest_attempts(backend: Backend, worker: HandWorker) -> None:
    past = [attempt(number, "retried", error="boom") for number in range(1, MAX_HISTORY + 1)]
    await backend.moving.adopt(Q, [whole("1", attempts=past, attempts_started=MAX_HISTORY)])

    await worker.end(await worker.claim_one(), "failed", reason="boom")

    attempts = (await record(backend, "1")).attempts
    assert [each.number for each in attempts] == list(range(2, MAX_HISTORY + 2))


async def test_adopted_jobs_stand_in_line_in_the_order_given_behind_those_there(
    backend: Backend, worker: HandWorker
) -> None:
    first = await add(backend, job(), job(lifo=True))
    low, high = await add(backend, job(priority=2), job(priority=1))

    await backend.moving.adopt(Q, [whole(f"a{number}") for number in (3, 1, 2)])
    await backend.moving.adopt(
        Q,
        [whole(f"p{number}", State.PRIORITIZED, priority=number) for number in (2, 1)]
        + [whole("a4"), whole("p2b", State.PRIORITIZED, priority=2)],
    )
    last = await add_one(backend)
    in_front = await add_one(backend, lifo=True)

    waiting = [in_front, first[1], first[0], "a3", "a1", "a2", "a4", last]
    prioritized = [high, "p1", low, "p2", "p2b"]
    assert await line(backend, State.WAIT) == waiting
    assert await line(backend, State.PRIORITIZED) == prioritized
    claimed = await worker.claim(limit=20)
    assert [one.id for one in claimed] == waiting + prioritized


async def test_ready_job_stands_where_its_priority_says(backend: Backend) -> None:
    """BullMQ's retry of all jobs leaves those with a priority in `wait`."""
    await backend.moving.adopt(
        Q, [whole("1", State.WAIT, priority=3), whole("2", State.PRIORITIZED, priority=0)]
    )

    assert await counts(backend) == {State.WAIT: 1, State.PRIORITIZED: 1}
    assert await line(backend, State.PRIORITIZED) == ["1"]


async def test_adopted_delayed_jobs_keep_their_order_and_their_moment(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    soon_ms = clock.now_ms() + 1_000
    due_ms = [soon_ms + 1, soon_ms, soon_ms, soon_ms + 1, clock.now_ms() - 5_000]
    await backend.moving.adopt(
        Q,
        [whole(f"d{number}", State.DELAYED, run_at_ms=each) for number, each in enumerate(due_ms)],
    )

    assert await line(backend, State.DELAYED) == ["d4", "d1", "d2", "d0", "d3"]
    reply = await worker.ask(Q, limit=9)
    assert ([one.id for one in reply.claimed], reply.next_due_ms) == (["d4"], 1_000)
    clock.advance(1.001)
    assert [one.id for one in await worker.claim(limit=9)] == ["d1", "d2", "d0", "d3"]


@pytest.mark.parametrize("where", [State.COMPLETED, State.FAILED])
async def test_adopted_finished_jobs_stand_by_the_moment_of_their_end(
    backend: Backend, where: State
) -> None:
    await backend.moving.adopt(
        Q,
        [
            whole("1", where, finished_on_ms=1_800_000_000_300),
            whole("2", where, finished_on_ms=1_800_000_000_100),
            whole("3", where, finished_on_ms=1_800_000_000_200),
        ],
    )

    assert await line(backend, where) == ["2", "3", "1"]


async def test_numbers_go_on_above_those_of_adopted_jobs(backend: Backend) -> None:
    await backend.moving.adopt(Q, [whole("5000"), whole("own"), whole("40", State.FAILED)])

    assert int(await add_one(backend)) > 5_000
    found = [await record(backend, job_id) for job_id in ("5000", "own", "40")]
    assert [each.id for each in found] == ["5000", "own", "40"]


async def test_numbers_do_not_go_back(backend: Backend) -> None:
    before = int((await add(backend, *(job() for _ in range(20))))[-1])
    await backend.moving.adopt(ELSEWHERE, [whole("3")])
    await backend.moving.adopt(Q, [whole("own")])

    assert int(await add_one(backend)) > before


async def test_queues_may_have_jobs_of_the_same_number(
    backend: Backend, worker: HandWorker
) -> None:
    """In a store whose queues count for themselves each has a number 1."""
    queues = ("a", "b", "c")
    for queue in queues:
        await backend.moving.adopt(
            queue, [whole(str(number), log=[f"{queue}{number}"]) for number in range(1, 6)]
        )

    for queue in queues:
        assert await line(backend, State.WAIT, queue) == ["1", "2", "3", "4", "5"]
        assert await backend.moving.adopt(queue, [whole("3"), whole("6")]) == [False, True]
        assert await backend.logs.read(queue, "4", start=0, limit=9) == ([f"{queue}4"], 1)
        assert await backend.jobs.remove(queue, "2") is State.WAIT
        claimed = await worker.claim(queue, limit=9)
        assert [one.id for one in claimed] == ["1", "3", "4", "5", "6"]
        assert await worker.end(claimed[0], "completed") == "ok"
        assert await state(backend, "1", queue) is State.COMPLETED
        assert int(await add_one(backend, queue)) > 6
    assert await state(backend, "2", "b") is None


async def test_ids_of_any_sort_are_kept(backend: Backend) -> None:
    ids = ["repeat:nightly:1800000000000", "007", "é «1»", "9" * 15, "9" * 18, "9" * 40, "-5"]
    await backend.moving.adopt(Q, [whole(job_id) for job_id in ids])

    assert await line(backend, State.WAIT) == ids
    assert [await state(backend, job_id) for job_id in ids] == [State.WAIT] * len(ids)
    assert await backend.moving.adopt(Q, [whole(job_id) for job_id in ids]) == [False] * len(ids)
    assert int(await add_one(backend)) <= 10**15 + 100


async def test_job_whose_id_is_taken_is_not_adopted(backend: Backend) -> None:
    number, own = await add(backend, job(data='{"mine":1}'), job(job_id="own"))
    before = [await record(backend, job_id) for job_id in (number, own)]

    answers = await backend.moving.adopt(
        Q,
        [
            whole(number, State.FAILED, ["line"]),
            whole("new", log=["first"]),
            whole("own", State.DELAYED),
            whole("new", State.COMPLETED, ["second"]),
        ],
    )

    assert answers == [False, True, False, False]
    assert [await record(backend, job_id) for job_id in (number, own)] == before
    assert await backend.moving.logs(Q, [number, "new", own]) == [[], ["first"], []]
    assert await counts(backend) == {State.WAIT: 3}


async def test_adopting_none_makes_no_job(backend: Backend) -> None:
    assert await backend.moving.adopt(Q, []) == []
    assert await counts(backend) == {}


async def test_jobs_are_adopted_all_or_none(backend: Backend) -> None:
    await add_one(backend)
    broken = whole("broken", data='"\ud800"')  # no text that could be stored

    with pytest.raises(UnicodeEncodeError):
        await backend.moving.adopt(Q, [whole("good"), broken])

    assert await counts(backend) == {State.WAIT: 1}


async def test_adopting_tells_nothing(backend: Backend) -> None:
    await add_one(backend)
    before = await told(backend)

    await backend.moving.adopt(
        Q, [whole(f"{where}-1", where, ["line"], **fields) for where, fields in WHOLE.items()]
    )

    assert await told(backend) == before
    await add_one(backend)
    assert len(await told(backend)) == len(before) + 2


async def test_adopted_finished_jobs_add_to_the_totals(
    backend: Backend, worker: HandWorker
) -> None:
    await add(backend, job(), job())
    done, failed = await worker.claim(limit=2)
    await worker.ask(outcomes=[outcome(done, "completed"), outcome(failed, "failed", reason="r")])

    await backend.moving.adopt(
        Q,
        [whole(f"c{number}", State.COMPLETED) for number in range(5)]
        + [whole(f"f{number}", State.FAILED) for number in range(3)],
    )
    await backend.bulk.clean(Q, State.COMPLETED, older_than_ms=0, limit=100)
    await add_one(backend)
    await worker.end(await worker.claim_one(), "completed")

    queue = await backend.counts.queue(Q)
    assert queue is not None
    assert (queue.completed_total, queue.failed_total) == (7, 4)


@pytest.mark.parametrize("where", [State.WAIT, State.PRIORITIZED, State.DELAYED])
async def test_sleepers_are_woken(backend: Backend, worker: HandWorker, where: State) -> None:
    seen = (await worker.ask(Q)).seen
    waiting = asyncio.create_task(backend.dispatch.wait([Q], seen, timeout_s=LONG_S))

    await backend.moving.adopt(Q, [whole(f"{number}", where) for number in range(1, 4)])

    await asyncio.wait_for(waiting, SOON_S)


async def test_paused_queue_adopts_and_starts_nothing(backend: Backend, worker: HandWorker) -> None:
    await backend.limits.pause(Q)
    await backend.moving.adopt(Q, [whole("1"), whole("2", State.PRIORITIZED)])

    assert await worker.claim(limit=9) == []
    await backend.limits.resume(Q)
    assert [one.id for one in await worker.claim(limit=9)] == ["1", "2"]


async def test_long_logs_go_over_whole(backend: Backend) -> None:
    log = [f"line {number}" for number in range(2_500)]
    await backend.moving.adopt(Q, [whole("1", log=log), whole("2"), whole("3", log=["x"])])

    assert await backend.moving.logs(Q, ["1", "2", "3"]) == [log, [], ["x"]]
    assert await backend.logs.add(Q, "1", "another", keep=10_000) == 2_501
    assert await backend.logs.read(Q, "1", start=2_499, limit=9) == (
        ["line 2499", "another"], 2_501,
    )  # fmt: skip


async def test_logs_of_many_jobs_come_in_the_order_asked(backend: Backend) -> None:
    first, second = await add(backend, job(), job(job_id="own"))
    for number in range(12):
        await backend.logs.add(Q, first, f"{number}", keep=11)
    await backend.logs.add(Q, second, "mine", keep=11)

    found = await backend.moving.logs(Q, ["own", "none", first, "99999", "own"])

    assert found == [["mine"], [], [str(number) for number in range(1, 12)], [], ["mine"]]
    assert await backend.moving.logs(Q, []) == []
    assert await backend.moving.logs(ELSEWHERE, ["1"]) == [[]]


@pytest.mark.parametrize("where", LOOSE)
async def test_many_jobs_of_a_state_are_removed(backend: Backend, where: State) -> None:
    ids = [f"j{number}" for number in range(5)]
    await backend.moving.adopt(Q, [whole(job_id, where, ["line"]) for job_id in ids])
    await backend.moving.adopt(Q, [whole(f"other-{each}", each) for each in LOOSE])
    before = await told(backend)

    gone = await backend.moving.remove(Q, where, [*ids[:2], "none", ids[3], ids[0], "77"])

    assert gone == [True, True, False, True, False, False]
    assert await line(backend, where) == [
        job_id for job_id in await line(backend, where) if job_id not in (ids[0], ids[1], ids[3])
    ]
    assert await backend.moving.logs(Q, ids) == [[], [], ["line"], [], ["line"]]
    assert sum((await counts(backend)).values()) == 2 + len(LOOSE)
    assert await told(backend) == before
    await check_counts(backend)


async def test_jobs_in_another_state_are_not_removed(backend: Backend, worker: HandWorker) -> None:
    running, waiting = await add(backend, job(), job())
    await worker.claim_one()

    for where in (State.DELAYED, State.COMPLETED, State.PRIORITIZED):
        assert await backend.moving.remove(Q, where, [running, waiting]) == [False, False]
    assert await backend.moving.remove(Q, State.WAIT, [running, waiting]) == [False, True]

    assert await counts(backend) == {State.ACTIVE: 1}


async def test_removing_many_of_an_unknown_queue_makes_none(backend: Backend) -> None:
    assert await backend.moving.remove(ELSEWHERE, State.WAIT, ["1"]) == [False]
    assert await backend.counts.queues() == []


async def test_jobs_given_away_come_back_as_they_were(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    found = await a_bit_of_everything(backend, worker, clock)
    before = {where: await line(backend, where) for where in LOOSE}
    for where, ids in before.items():
        assert await backend.moving.remove(Q, where, ids) == [True] * len(ids)
    assert await counts(backend) == {}

    assert await backend.moving.adopt(Q, found) == [True] * len(found)

    assert {where: await line(backend, where) for where in LOOSE} == before
