"""Adding jobs: ids, duplicates, atomicity, what is stored."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.support.contract import (
    HandWorker,
    Q,
    add,
    add_all,
    add_one,
    counts,
    job,
    line,
    record,
    told,
)

from toril.engine.contract import Backend
from toril.engine.job import Added
from toril.engine.options import MAX_PRIORITY
from toril.engine.states import State
from toril.testing.clock import ManualClock


async def test_added_job_waits_with_everything_that_was_said_of_it(
    backend: Backend, clock: ManualClock
) -> None:
    job_id = await add_one(backend, name="bikes", data='{"wheels":2}', opts='{"attempts":3}')

    found = await record(backend, job_id)
    assert found.state is State.WAIT
    assert (found.id, found.queue, found.name) == (job_id, Q, "bikes")
    assert (found.data, found.opts, found.data_bytes) == ('{"wheels":2}', '{"attempts":3}', 12)
    assert (found.priority, found.delay_ms, found.run_at_ms) == (0, 0, None)
    assert found.timestamp_ms == clock.now_ms()
    assert (found.attempts_made, found.attempts_started, found.stalled) == (0, 0, 0)
    assert (found.progress, found.result, found.failed_reason) == ("0", None, None)
    assert (found.processed_on_ms, found.finished_on_ms, found.worker_id) == (None, None, None)
    assert found.lease_remaining_ms is None
    assert found.attempts == []


async def test_ids_grow_and_are_never_given_twice(backend: Backend) -> None:
    first, second = await add(backend, job(), job())
    await backend.jobs.remove(Q, second)
    third = await add_one(backend)

    assert int(first) < int(second) < int(third)


async def test_job_says_when_it_was_made_if_its_producer_knows_better(backend: Backend) -> None:
    job_id = await add_one(backend, timestamp_ms=1_234)

    assert (await record(backend, job_id)).timestamp_ms == 1_234


async def test_add_is_told_as_added_then_waiting(backend: Backend) -> None:
    (job_id,) = await add(backend, job(name="cars"))

    assert await told(backend) == [
        ("added", {"jobId": job_id, "name": "cars"}),
        ("waiting", {"jobId": job_id}),
    ]


async def test_add_with_priority_is_told_as_waiting_too(backend: Backend) -> None:
    job_id = await add_one(backend, priority=5)

    assert (await record(backend, job_id)).state is State.PRIORITIZED
    assert [name for name, _ in await told(backend)] == ["added", "waiting"]


async def test_delayed_job_is_told_with_its_moment(backend: Backend, clock: ManualClock) -> None:
    job_id = await add_one(backend, delay_ms=5_000)

    due_ms = clock.now_ms() + 5_000
    assert await told(backend) == [
        ("added", {"jobId": job_id, "name": "cars"}),
        ("delayed", {"jobId": job_id, "delay": str(due_ms)}),
    ]
    found = await record(backend, job_id)
    assert (found.state, found.delay_ms, found.run_at_ms) == (State.DELAYED, 5_000, due_ms)


async def test_run_at_makes_a_job_delayed_until_that_moment(
    backend: Backend, clock: ManualClock
) -> None:
    due_ms = clock.now_ms() + 60_000
    job_id = await add_one(backend, run_at_ms=due_ms)

    found = await record(backend, job_id)
    assert (found.state, found.run_at_ms, found.delay_ms) == (State.DELAYED, due_ms, 60_000)


async def test_run_at_in_the_past_means_now(backend: Backend, clock: ManualClock) -> None:
    job_id = await add_one(backend, run_at_ms=clock.now_ms() - 1)

    assert (await record(backend, job_id)).state is State.WAIT


async def test_job_under_a_taken_id_is_not_added_again(backend: Backend) -> None:
    await add_one(backend, job_id="order-7", data='{"first":true}', priority=3)
    (answer,) = await add_all(backend, [job(job_id="order-7", data='{"first":false}')])

    assert answer == Added("order-7", duplicate=True)
    found = await record(backend, "order-7")
    assert (found.data, found.priority) == ('{"first":true}', 3)
    assert await counts(backend) == {State.PRIORITIZED: 1}
    assert (await told(backend))[-1] == ("duplicated", {"jobId": "order-7"})


async def test_second_job_of_an_id_in_one_batch_is_the_duplicate(backend: Backend) -> None:
    answers = await add_all(
        backend,
        [job(job_id="a", data="1"), job(data="2"), job(job_id="a", data="3"), job(job_id="b")],
    )

    assert [answer.duplicate for answer in answers] == [False, False, True, False]
    assert (await record(backend, "a")).data == "1"
    assert await counts(backend) == {State.WAIT: 3}


@pytest.mark.parametrize("end", ["completed", "failed", "active", "delayed"])
async def test_id_is_taken_in_every_state(backend: Backend, worker: HandWorker, end: Any) -> None:
    await add_one(backend, job_id="x", delay_ms=1_000 if end == "delayed" else 0)
    if end != "delayed":
        claimed = await worker.claim_one()
        if end != "active":
            await worker.end(claimed, end)

    (answer,) = await add_all(backend, [job(job_id="x")])

    assert answer.duplicate


async def test_id_is_free_again_once_its_job_was_removed(backend: Backend) -> None:
    await add_one(backend, job_id="x")
    await backend.jobs.remove(Q, "x")
    (answer,) = await add_all(backend, [job(job_id="x")])

    assert answer == Added("x")
    assert await counts(backend) == {State.WAIT: 1}


async def test_the_same_id_in_two_queues_is_two_jobs(backend: Backend) -> None:
    answers = await add_all(backend, [job("a", job_id="x"), job("b", job_id="x")])

    assert [answer.duplicate for answer in answers] == [False, False]
    assert (await record(backend, "x", "a")).queue == "a"
    assert (await record(backend, "x", "b")).queue == "b"


async def test_number_of_one_queue_finds_nothing_in_another(backend: Backend) -> None:
    job_id = await add_one(backend, "a")
    await add_one(backend, "b", job_id="own")

    assert await backend.jobs.get("b", job_id) is None
    assert await backend.jobs.remove("b", job_id) is None


@pytest.mark.parametrize(
    "job_id",
    ["007", "-1", "1.5", "a b", "🐂", "ünïcode", "x" * 512, "1e3", "१२", "'; DROP TABLE jobs", "%"],
)
async def test_odd_ids_are_kept_to_the_letter(
    backend: Backend, worker: HandWorker, job_id: str
) -> None:
    assert await add_one(backend, job_id=job_id) == job_id

    assert (await record(backend, job_id)).id == job_id
    claimed = await worker.claim_one()
    assert claimed.id == job_id
    assert await worker.end(claimed, "completed") == "ok"
    assert await line(backend, State.COMPLETED) == [job_id]
    assert ("completed", {"jobId": job_id, "returnvalue": "null", "prev": "active"}) in await told(
        backend
    )
    assert await backend.jobs.remove(Q, job_id) is State.COMPLETED


@pytest.mark.parametrize("queue", ["a b", "🐂", "x.y/z", "Q" * 512, "'", "QUEUE", "queue"])
async def test_odd_queue_names_are_kept_to_the_letter(backend: Backend, queue: str) -> None:
    job_id = await add_one(backend, queue)

    assert (await record(backend, job_id, queue)).queue == queue
    assert [found.name for found in await backend.counts.queues()] == [queue]


ODD = {
    "unicode": {"text": "naïve 🐂 漢字 \u2028"},
    "NUL": {"text": "a\u0000b"},
    "control characters": {"text": "\u0001\u001f\x7f\n\r\t"},
    "quotes": {"text": "\"'`\\"},
    "large": {"text": "x" * 200_000},
    "nested": json.loads("[" * 100 + "]" * 100),
    "large numbers": {"n": [2**53 + 1, -(2**63), 2**64, 1e308, 0.1]},
    "empty": {},
}


@pytest.mark.parametrize("content", ODD.values(), ids=ODD.keys())
async def test_odd_payloads_come_back_to_the_letter(
    backend: Backend, worker: HandWorker, content: Any
) -> None:
    data = json.dumps(content)
    job_id = await add_one(backend, data=data)

    found = await record(backend, job_id)
    assert (found.data, found.data_bytes) == (data, len(data.encode()))
    claimed = await worker.claim_one()
    assert claimed.data == data
    await worker.end(claimed, "completed", value=data)
    assert (await record(backend, job_id)).result == data
    assert [
        fields["returnvalue"] for name, fields in await told(backend) if name == "completed"
    ] == [data]


@pytest.mark.parametrize("text", ["a\x00b", "🐂\n\u2028", "x" * 10_000, "", '{"json":1}'])
async def test_odd_words_come_back_to_the_letter(
    backend: Backend, worker: HandWorker, text: str
) -> None:
    job_id = await add_one(backend, name=text or "n")
    claimed = await worker.claim_one()
    assert claimed.name == (text or "n")
    await backend.logs.add(Q, job_id, text, keep=10)
    await worker.end(claimed, "failed", reason=text, traceback=text)

    found = await record(backend, job_id)
    assert found.name == (text or "n")
    assert found.failed_reason == text
    assert (found.attempts[-1].error, found.attempts[-1].traceback) == (text, text)
    assert await backend.logs.read(Q, job_id, start=0, limit=10) == ([text], 1)


async def test_bulk_add_gives_one_answer_each_in_order(backend: Backend) -> None:
    answers = await add_all(backend, [job(data=str(number)) for number in range(1_000)])

    assert len({answer.job_id for answer in answers}) == 1_000
    assert await line(backend, State.WAIT) == [answer.job_id for answer in answers]
    assert await counts(backend) == {State.WAIT: 1_000}


async def test_bulk_add_of_several_queues_keeps_each_in_order(backend: Backend) -> None:
    ids = await add(backend, job("a"), job("b"), job("a"), job("b"))

    assert await line(backend, State.WAIT, "a") == ids[::2]
    assert await line(backend, State.WAIT, "b") == ids[1::2]


async def test_bulk_add_of_nothing_does_nothing(backend: Backend) -> None:
    assert await backend.jobs.add([]) == []
    assert await backend.counts.queues() == []


async def test_bulk_add_is_all_or_nothing(backend: Backend) -> None:
    unstorable = job(data="\ud800")

    with pytest.raises(UnicodeEncodeError):
        await add_all(backend, [job(), job("other", job_id="mine"), unstorable])

    assert await backend.counts.queues() == []
    assert await backend.jobs.get("other", "mine") is None


async def test_adds_of_one_turn_of_the_loop_each_get_their_own_answer(backend: Backend) -> None:
    answers = await asyncio.gather(
        *(backend.jobs.add([job(data=str(number))]) for number in range(1_200)),
        backend.jobs.add([job(job_id="own")]),
        backend.jobs.add([job(job_id="own")]),
    )

    ids = [answer.job_id for (answer,) in answers]
    assert [(await record(backend, ids[number])).data for number in (0, 499, 500, 1_199)] == [
        "0", "499", "500", "1199",
    ]  # fmt: skip
    assert ids[-2:] == ["own", "own"]
    assert sorted(answer.duplicate for (answer,) in answers[-2:]) == [False, True]
    assert await counts(backend) == {State.WAIT: 1_201}
    assert (await line(backend, State.WAIT))[:1_200] == ids[:1_200]


async def test_job_that_cannot_be_stored_harms_none_of_its_turn(backend: Backend) -> None:
    """A lone surrogate in one producer's payload failed all adds that travelled with it."""
    answers = await asyncio.gather(
        backend.jobs.add([job(data="1")]),
        backend.jobs.add([job(data="\ud800")]),
        backend.jobs.add([job(data="2")]),
        return_exceptions=True,
    )

    assert isinstance(answers[1], UnicodeEncodeError)
    assert isinstance(answers[0], list)
    assert isinstance(answers[2], list)
    assert await counts(backend) == {State.WAIT: 2}


async def test_producer_that_went_away_harms_none_of_its_turn(backend: Backend) -> None:
    first = asyncio.ensure_future(backend.jobs.add([job()]))
    second = asyncio.ensure_future(backend.jobs.add([job()]))
    await asyncio.sleep(0)
    first.cancel()

    (answer,) = await second
    assert (await record(backend, answer.job_id)).state is State.WAIT


@pytest.mark.parametrize("priority", [1, 21, MAX_PRIORITY])
async def test_every_priority_is_kept(backend: Backend, priority: int) -> None:
    job_id = await add_one(backend, priority=priority)

    assert (await record(backend, job_id)).priority == priority
