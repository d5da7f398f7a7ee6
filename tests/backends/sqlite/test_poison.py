"""Nonsense in the file, put there by somebody who writes to it: no job of it holds up another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from tests.backends.sqlite.conftest import Opener
from tests.support.contract import (
    HandWorker,
    Q,
    add,
    add_one,
    card,
    outcome,
    record,
    records,
    state,
)
from tests.support.poison import DEEP, LONG_NUMBER

from toril.engine.contract import Backend
from toril.engine.deduplication import DeduplicationRule
from toril.engine.info import JobInfo
from toril.engine.job import OutcomeKind
from toril.engine.states import State
from toril.testing.clock import ManualClock

NONSENSE = ["{", "7", '"x"', '{"a":1}', "[7]", '[{"number":"x"}]', DEEP]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def backend(opener: Opener, clock: ManualClock) -> Backend:
    return opener(durability="normal", clock=clock)


@pytest.fixture
def spoil(path: Path, backend: Backend) -> Callable[[str, str], None]:
    """Set a column of all jobs."""

    def update(column: str, text: str) -> None:
        connection = apsw.Connection(str(path))
        connection.execute(f"UPDATE jobs SET {column} = ?", (text,))
        connection.close()

    return update


@pytest.mark.parametrize("text", NONSENSE, ids=range(len(NONSENSE)))
@pytest.mark.parametrize("column", ["opts", "data", "progress", "result", "history"])
async def test_job_with_nonsense_is_shown(
    backend: Backend, spoil: Callable[[str, str], None], column: str, text: str
) -> None:
    worker = HandWorker(backend)
    await add_one(backend)
    await worker.end(await worker.claim_one(), "completed")
    spoil(column, text)

    for found in (await record(backend, "1"), *await records(backend, State.COMPLETED)):
        info = JobInfo.from_record(found)
        assert (info.id, len(info.attempts)) == ("1", 1)
    assert await backend.jobs.remove(Q, "1") is State.COMPLETED


@pytest.mark.parametrize("text", NONSENSE, ids=range(len(NONSENSE)))
@pytest.mark.parametrize("kind", ["failed", "retried", "released", "stalled"])
async def test_attempt_of_a_job_with_a_nonsensical_history_ends(
    backend: Backend,
    clock: ManualClock,
    spoil: Callable[[str, str], None],
    kind: OutcomeKind,
    text: str,
) -> None:
    """SQLite refused to append to it, and with it all outcomes that came in the same exchange."""
    worker = HandWorker(backend)
    await add(backend)
    bad = await worker.claim_one()
    spoil("history", text)
    await add(backend)
    good = await worker.claim_one()

    if kind == "stalled":  # type: ignore[comparison-overlap]
        clock.advance(31)
        found = await backend.dispatch.recover(max_stalled=5, heartbeat_s=60, limit=10)
        assert sorted(found.recovered) == [(Q, bad.id), (Q, good.id)]
    else:
        outcomes = [outcome(bad, kind), outcome(good, "completed")]
        assert (await worker.ask(outcomes=outcomes)).words == ["ok", "ok"]
        assert await state(backend, good.id) is State.COMPLETED
    assert await state(backend, bad.id) is (State.FAILED if kind == "failed" else State.WAIT)
    await record(backend, bad.id)


async def test_completed_job_with_a_nonsensical_history_is_retried(
    backend: Backend, spoil: Callable[[str, str], None]
) -> None:
    worker = HandWorker(backend)
    await add(backend)
    await worker.end(await worker.claim_one(), "completed")
    spoil("history", "{")

    await backend.jobs.retry(Q, "1", reset_attempts=False)

    assert [each.outcome for each in (await record(backend, "1")).attempts] == ["completed"]


@pytest.mark.parametrize(
    "text",
    [
        *NONSENSE,
        '{"job_id":"later","name":"n","data":"{}","opts":"{"}',
        f'{{"job_id":"later","name":"n","data":"{{}}","opts":"{{\\"delay\\":{LONG_NUMBER}}}"}}',
        '{"job_id":"later","name":"n","data":"{}","opts":"{\\"priority\\":\\"x\\",\\"lifo\\":7}"}',
    ],
    ids=range(len(NONSENSE) + 3),
)
async def test_nonsense_that_was_put_aside_keeps_no_job_from_finishing(
    backend: Backend, path: Path, text: str
) -> None:
    worker = HandWorker(backend)
    await add_one(backend, deduplication=DeduplicationRule("d", keep_last_if_active=True))
    claimed = await worker.claim_one()
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE deduplications SET aside = ?", (text,))
    connection.close()

    assert len(await backend.moving.held_ids(Q, ["1"])) == 1
    assert await worker.end(claimed, "completed") == "ok"

    assert (await state(backend, "later") is not None) == ("later" in text)


async def test_worker_that_serves_nonsense_is_listed(backend: Backend, path: Path) -> None:
    await backend.workers.register(card("w"))
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE workers SET queues = '{'")
    connection.close()

    assert [worker.queues for worker in await backend.workers.list()] == [[]]
