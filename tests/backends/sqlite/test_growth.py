"""The work of one call does not grow with the store: steps of SQLite's machine, not seconds."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import apsw
import pytest
from tests.backends.sqlite.conftest import Opener
from tests.support.contract import HandWorker, Q, job, outcome

from toril.engine.contract import Backend, JobFilter
from toril.engine.states import State

SMALL, LARGE = 2_000, 50_000
"""Jobs of each state: 10,000 and 200,000 in all."""
GRAIN = 50


class Steps:
    """How many instructions all connections have run, in grains of `GRAIN`."""

    def __init__(self) -> None:
        self.many = 0
        self.longest = 0
        self._begin = 0

    def tick(self) -> bool:
        self.many += 1
        return False

    def committed(self) -> bool:
        self.longest = max(self.longest, self.many - self._begin)
        self._begin = self.many
        return False

    def begin(self) -> None:
        self.longest = 0
        self._begin = self.many


@pytest.fixture
def steps() -> Iterator[Steps]:
    """Count from the moment that a connection is opened."""
    found = Steps()

    def hook(connection: apsw.Connection) -> None:
        connection.set_progress_handler(found.tick, GRAIN)
        connection.set_commit_hook(found.committed)

    apsw.connection_hooks.append(hook)
    yield found
    apsw.connection_hooks.remove(hook)


async def fill(backend: Backend, many: int) -> None:
    """Put so many jobs into each of four states; a hundred into `active`."""
    worker = HandWorker(backend)
    for begin in range(0, many, 500):
        size = min(500, many - begin)
        await backend.jobs.add([job() for _ in range(size)])
        ends = [outcome(one, "failed", reason="r") for one in await worker.claim(limit=size)]
        await worker.ask(outcomes=ends)
        await backend.jobs.add([job(delay_ms=10**9 + number) for number in range(size)])
        await backend.jobs.add([job() for _ in range(size)])
        await worker.claim(limit=2)
        await worker.ask(outcomes=[])
        await backend.jobs.add([job(priority=1 + number % 20) for number in range(size)])
        if begin:
            await backend.bulk.drain(Q, delayed=False, limit=size * 2 - 2)
            await backend.jobs.add([job() for _ in range(size - 2)])
            await backend.jobs.add([job(priority=1 + number % 20) for number in range(size)])


Call = Callable[[Backend], Awaitable[object]]


def page(state: State, *, newest_first: bool) -> Call:
    return lambda backend: backend.jobs.page(
        JobFilter(queue=Q, states=(state,), limit=50, newest_first=newest_first)
    )


CALLS: dict[str, Call] = {
    "add 100": lambda backend: backend.jobs.add([job() for _ in range(100)]),
    "claim 50": lambda backend: HandWorker(backend).claim(limit=50),
    "get": lambda backend: backend.jobs.get(Q, "1500"),
    "counts": lambda backend: backend.counts.queues(),
    "retry_many": lambda backend: backend.bulk.retry(
        Q, State.FAILED, limit=500, finished_until_ms=2**60, reset_attempts=True
    ),
    "promote_many": lambda backend: backend.bulk.promote(Q, limit=500),
    "drain": lambda backend: backend.bulk.drain(Q, delayed=True, limit=500),
    "clean failed": lambda backend: backend.bulk.clean(Q, State.FAILED, older_than_ms=0, limit=500),
    "clean wait": lambda backend: backend.bulk.clean(Q, State.WAIT, older_than_ms=0, limit=500),
    "clean prioritized": lambda backend: backend.bulk.clean(
        Q, State.PRIORITIZED, older_than_ms=0, limit=500
    ),
    "clean delayed": lambda backend: backend.bulk.clean(
        Q, State.DELAYED, older_than_ms=0, limit=500
    ),
    "trim": lambda backend: backend.dispatch.trim(limit=500),
    "obliterate": lambda backend: backend.bulk.obliterate(Q, force=True, limit=500),
    **{
        f"page {state}{' newest first' if newest_first else ''}": page(
            state, newest_first=newest_first
        )
        for state in State
        if state is not State.ACTIVE
        for newest_first in (False, True)
    },
}


async def test_no_call_does_more_in_a_store_of_200_000_jobs_than_in_a_small_one(
    opener: Opener, steps: Steps, tmp_path: Any
) -> None:
    cost: dict[str, list[int]] = {name: [] for name in CALLS}
    for many in (SMALL, LARGE):
        backend = opener(tmp_path / f"{many}.db", durability="normal")
        await fill(backend, many)
        for name, call in CALLS.items():
            if name == "obliterate":
                await backend.limits.pause(Q)
            before, begin_s = steps.many, time.perf_counter()
            done = await call(backend)
            took_ms = (time.perf_counter() - begin_s) * 1000
            cost[name].append(steps.many - before)
            said = done if isinstance(done, int) else ""
            print(
                f"{many:>6} {name:<28} {cost[name][-1] * GRAIN:>8} steps {took_ms:6.1f} ms {said}"
            )
            if isinstance(done, int):
                assert done <= 500

    grown = {name: found for name, found in cost.items() if found[1] > 1.6 * found[0] + 40}
    assert not grown


async def test_clean_that_has_to_look_at_everything_does_so_in_small_transactions(
    opener: Opener, steps: Steps
) -> None:
    backend = opener(durability="normal")
    for _ in range(20):
        await backend.jobs.add([job() for _ in range(1_000)])
    before = steps.many
    steps.begin()

    assert await backend.bulk.clean(Q, State.WAIT, older_than_ms=3_600_000, limit=500) == []

    assert steps.longest <= (steps.many - before) / 10
