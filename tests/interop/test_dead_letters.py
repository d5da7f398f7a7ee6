"""Failures on Node leave letters too, and a letter is an ordinary job to Node."""

from __future__ import annotations

import asyncio

import pytest
from tests.interop.watching import until, until_in
from tests.support.node import Node

from toril import App, Fail, RetryPolicy, State
from toril.engine.job import JobRecord, NewJob
from toril.engine.letter_info import LetterInfo
from toril.engine.letter_keeper import LetterKeeper

pytestmark = pytest.mark.timeout(600)  # the first one installs

ONCE = RetryPolicy(max_attempts=1)


async def letters(app: App) -> list[LetterInfo]:
    return (await app.dead_letters().list()).letters


def keeper(app: App, told: list[str]) -> LetterKeeper:
    def tell(letter: NewJob, job: JobRecord) -> None:
        told.append(job.id)

    return LetterKeeper(app.backend(), ["paint"], told=tell)


async def test_a_failure_on_node_leaves_one_letter_whoever_sees_it(app: App, node: Node) -> None:
    await app.queue("paint").set_dead_letter("dead-letter")
    worker = await node.worker("paint", {"throws": "out of paint"})
    job_id = await node.add("paint", "cars", {"n": 1}, attempts=2, backoff=10)
    await worker.wait_for("failed", many=2)
    told: list[str] = []
    keepers = [keeper(app, told) for _ in range(3)]

    async def look() -> bool:  # not in the very millisecond of the failure
        await asyncio.gather(*(each.look() for each in keepers))
        return bool(await letters(app))

    await until(look, "a letter")
    await asyncio.gather(*(each.look() for each in keepers))

    (letter,) = await letters(app)
    assert told == [job_id]
    assert (letter.original_queue, letter.original_job_id, letter.task) == ("paint", job_id, "cars")
    assert letter.data == {"n": 1}
    assert letter.options["attempts"] == 2
    assert (letter.failed_reason, letter.attempts_made) == ("out of paint", 2)
    assert "Error: out of paint" in letter.stacktrace[-1]


async def test_failures_from_before_the_rule_leave_none(app: App, node: Node) -> None:
    worker = await node.worker("paint", {"throws": "out of paint"})
    await node.add("paint", "cars")
    await worker.wait_for("failed")
    await app.queue("paint").set_dead_letter("dead-letter")
    told: list[str] = []

    await keeper(app, told).look()

    assert told == []


async def test_node_reads_and_works_letters(app: App, node: Node) -> None:
    @app.task(queue="paint", retry=ONCE, dead_letter="dead-letter")
    async def cars(n: int) -> None:
        raise Fail("out of paint")

    job = await cars.enqueue(1)
    async with app.worker(queues=["paint"]):
        await until_in(app, job.id, State.FAILED)
    (letter,) = await letters(app)

    found = await node.job("dead-letter", letter.id)
    assert found["name"] == "cars"
    assert found["data"]["originalQueue"] == "paint"
    assert found["data"]["originalJobId"] == job.id
    assert found["data"]["data"] == {"n": 1}
    assert found["data"]["failedReason"] == "out of paint"
    assert isinstance(found["data"]["stacktrace"], list)
    worker = await node.worker("dead-letter", {"returns": "noted"})
    await worker.wait_for("completed")
    assert (await app.dead_letters().get(letter.id)).state is State.COMPLETED


async def test_a_job_that_failed_on_node_is_worked_by_node_again(app: App, node: Node) -> None:
    await app.queue("paint").set_dead_letter("dead-letter")
    worker = await node.worker("paint", {"throws": "out of paint", "failures": 1, "echo": True})
    job_id = await node.add("paint", "cars", {"n": 1})
    await worker.wait_for("failed")

    async def look() -> bool:
        await keeper(app, []).look()
        return bool(await letters(app))

    await until(look, "a letter")
    (letter,) = await letters(app)
    back = await app.dead_letters().redrive(letter.id, {"n": 2})
    await worker.wait_for("failed", many=2)
    assert back.id == job_id
    assert (await node.job("paint", job_id))["data"] == {"n": 2}
