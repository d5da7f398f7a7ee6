"""Failures that other clients of a Redis store leave without a letter."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.contract import HandWorker, Q, add_one

from toril.backends import open_backend
from toril.engine.contract import Backend, DeadLetterRule
from toril.engine.job import JobRecord, NewJob
from toril.engine.letter_keeper import LetterKeeper

DEAD = "graveyard"


@pytest.fixture
async def backend(redis_url: str) -> AsyncIterator[Backend]:
    backend = open_backend(redis_url)
    yield backend
    await backend.lifecycle.close()


def keeper(backend: Backend, told: list[str]) -> LetterKeeper:
    def tell(letter: NewJob, job: JobRecord) -> None:
        told.append(job.id)

    return LetterKeeper(backend, [Q], told=tell)


async def fail(backend: Backend, many: int = 1, *, job_id: str | None = None) -> list[str]:
    """Fail jobs without letters, as another client does; return their ids."""
    worker = HandWorker(backend)
    ids = []
    for _ in range(many):
        ids.append(await add_one(backend, job_id=job_id))
        await worker.end(await worker.claim_one(), "failed", reason="broken")
    await _until_the_next_millisecond(backend)
    return ids


async def _until_the_next_millisecond(backend: Backend) -> None:
    begun_ms = backend.clock.now_ms()
    while backend.clock.now_ms() <= begun_ms + 1:
        await backend.dead_letters.rule(Q)


async def test_each_is_found_once(backend: Backend) -> None:
    await backend.dead_letters.set_rule(Q, DeadLetterRule(DEAD))
    await _until_the_next_millisecond(backend)
    first = await fail(backend, 3)
    told: list[str] = []
    look_after = keeper(backend, told)

    await look_after.look()
    assert sorted(told) == sorted(first)
    assert await backend.dead_letters.unlettered(Q, limit=10) == ([], "")
    second = await fail(backend)
    await look_after.look()
    await keeper(backend, told).look()

    assert told[3:] == second


async def test_those_of_one_look_are_no_more_than_it_asks_for(backend: Backend) -> None:
    await backend.dead_letters.set_rule(Q, DeadLetterRule(DEAD))
    await _until_the_next_millisecond(backend)
    ids = await fail(backend, 7)
    found: list[str] = []

    while True:
        some, until = await backend.dead_letters.unlettered(Q, limit=2)
        if not until:
            break
        assert len(some) >= 1
        found += some
        await backend.dead_letters.looked(Q, until)

    assert sorted(found) == sorted(ids)


async def test_a_letter_that_fails_leaves_none(backend: Backend) -> None:
    await backend.dead_letters.set_rule(Q, DeadLetterRule(DEAD))
    await _until_the_next_millisecond(backend)
    await fail(backend, job_id="dead~mail~7~5")
    told: list[str] = []

    await keeper(backend, told).look()

    assert told == []


async def test_a_job_that_was_cancelled_in_line_leaves_none(backend: Backend) -> None:
    await backend.dead_letters.set_rule(Q, DeadLetterRule(DEAD))
    await _until_the_next_millisecond(backend)
    await backend.jobs.cancel(Q, await add_one(backend), reason="not needed")
    await _until_the_next_millisecond(backend)
    told: list[str] = []

    await keeper(backend, told).look()

    assert told == []


async def test_a_rule_that_ends_is_forgotten(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toril.engine.letter_keeper.RULES_S", 0.0)
    await backend.dead_letters.set_rule(Q, DeadLetterRule(DEAD))
    told: list[str] = []
    look_after = keeper(backend, told)
    await look_after.look()
    await backend.dead_letters.set_rule(Q, None)
    await fail(backend)

    await look_after.look()

    assert told == []


async def test_a_rule_that_names_its_own_queue_is_passed_over(backend: Backend) -> None:
    await backend.dead_letters.set_rule(Q, DeadLetterRule(Q))
    await _until_the_next_millisecond(backend)
    await fail(backend)
    told: list[str] = []

    await keeper(backend, told).look()

    assert told == []
