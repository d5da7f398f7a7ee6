"""What the writer remembers between transactions is never staler than the file."""

from __future__ import annotations

import pytest
from tests.backends.sqlite.conftest import Opener
from tests.support.contract import HandWorker, Q, add, check_counts, counts, job, outcome

from toril.backends.sqlite import remembered
from toril.engine.states import State


async def test_what_another_store_wrote_is_heeded_at_once(opener: Opener) -> None:
    mine, theirs = opener(), opener()
    worker = HandWorker(mine)
    for turn in range(5):
        await add(mine)
        await add(theirs, job(priority=turn))
    assert await counts(mine) == {State.WAIT: 6, State.PRIORITIZED: 4}

    await theirs.limits.pause(Q)
    assert await worker.claim(limit=1) == []
    await theirs.limits.resume(Q)
    await theirs.limits.set_concurrency(Q, 1)
    (held,) = await worker.claim(limit=5)
    assert await worker.claim(limit=5) == []
    await worker.ask(outcomes=[outcome(held, "completed")])

    await check_counts(mine)
    await check_counts(theirs)


async def test_numbers_and_places_are_given_once_between_stores(opener: Opener) -> None:
    mine, theirs = opener(), opener()
    ids = []
    for _ in range(10):
        for store in (mine, theirs, theirs):
            ids += await add(store)

    assert ids == [str(number) for number in range(1, 31)]
    claimed = await HandWorker(mine).claim(limit=30)
    assert [one.id for one in claimed] == ids


async def test_what_a_transaction_changed_and_did_not_write_is_forgotten(opener: Opener) -> None:
    backend = opener()
    await add(backend)
    for _ in range(3):
        with pytest.raises(UnicodeEncodeError):
            await backend.jobs.add([job(), job(data="\ud800")])

    assert await add(backend) == ["2"]
    await check_counts(backend)
    assert await backend.events.latest(Q) == 4


async def test_obliterated_queue_begins_anew(opener: Opener) -> None:
    backend = opener()
    await add(backend, job(), job())
    await backend.limits.pause(Q)
    await backend.bulk.obliterate(Q, force=False, limit=10)
    assert await counts(backend) == {}

    await add(backend)
    assert await counts(backend) == {State.WAIT: 1}
    await check_counts(backend)


async def test_more_queues_than_are_remembered(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "MOST_QUEUES", 3)
    backend = opener()
    names = [f"queue-{number}" for number in range(8)]
    for _ in range(3):
        for name in names:
            await backend.jobs.add([job(queue=name), job(queue=name)])

    assert [record.counts[State.WAIT] for record in await backend.counts.queues()] == [6] * 8
