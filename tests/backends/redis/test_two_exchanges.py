"""A worker with two exchanges under way: no job is lost or run twice, and there is room for all."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.support.redis_servers import Proxy
from tests.support.waiting import wait_until

from toril import App, HookEvent, Settings
from toril.core.errors import BackendError
from toril.engine.contract import Dispatch, Exchange, ExchangeReply
from toril.engine.fetcher import APART_S
from toril.engine.outbox import WORTH_AN_EXCHANGE

pytestmark = pytest.mark.usefixtures("no_thread_left")

SLOTS = 4 * WORTH_AN_EXCHANGE
JOBS = 20 * SLOTS
EXCHANGE = b"EVALSHA"
STORE_TAKES_S = 10 * APART_S
"""Added to each exchange. Without it a quick server answers before a second one has begun."""
CUT_EVERY = 4
"""Exchanges that begin beside another one, between two lost replies."""


class Watched:
    """The store's own dispatch, with a look at each exchange on its way."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self.under_way: list[Exchange] = []
        self.most = 0
        """Exchanges under way together."""
        self.most_promised = 0
        """Slots that they may fill beside those of their outcomes."""
        self.lost = 0
        self.beside_a_lost_one = 0
        """Exchanges that began before it was settled what became of a lost one, not alone."""
        self._unsettled = False
        self.cut: Callable[[], None] | None = None
        """Called when a second one begins, and every `CUT_EVERY`th of these from then on."""
        self._seconds = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dispatch, name)

    async def exchange(self, exchange: Exchange) -> ExchangeReply:
        settles = self._unsettled and not self.under_way
        self.beside_a_lost_one += self._unsettled and bool(self.under_way)
        self.under_way.append(exchange)
        self.most = max(self.most, len(self.under_way))
        if self.cut is not None and len(self.under_way) == 2:
            self._seconds += 1
            if self._seconds % CUT_EVERY == 1:
                self.cut()
        promised = sum(one.room - len(one.outcomes) for one in self.under_way if one.claims)
        self.most_promised = max(self.most_promised, promised)
        try:
            reply = await self._dispatch.exchange(exchange)
            await asyncio.sleep(STORE_TAKES_S)
        except BackendError:
            self.lost += 1
            self._unsettled = True
            raise
        finally:
            self.under_way = [one for one in self.under_way if one is not exchange]
        if settles:
            self._unsettled = False
        assert len(reply.claimed) <= exchange.room
        return reply


class Runs:
    """What the tasks have seen."""

    def __init__(self) -> None:
        self.by_number: Counter[int] = Counter()
        self.now = 0
        self.most = 0

    async def __call__(self, number: int) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        self.by_number[number] += 1
        await asyncio.sleep(0)
        self.now -= 1


@pytest.fixture
async def app(proxy: Proxy) -> AsyncIterator[App]:
    async with App(proxy.url, settings=Settings()) as app:
        yield app


@pytest.fixture
def watched(app: App, monkeypatch: pytest.MonkeyPatch) -> Watched:
    watched = Watched(app.backend().dispatch)
    monkeypatch.setattr(app._store, "_backend", replace(app.backend(), dispatch=watched))
    return watched


@pytest.fixture
def runs(app: App) -> Runs:
    """A task that counts, and a long line of its jobs."""
    runs = Runs()

    @app.task(name="count")
    async def count(number: int) -> None:
        await runs(number)

    return runs


async def fill(app: App, jobs: int = JOBS) -> None:
    await app.find_task("count").enqueue_many({"number": number} for number in range(jobs))


async def totals(app: App) -> tuple[int, int]:
    """Return how many jobs were completed, and how many are held."""
    info = await app.queue("default").info()
    assert info is not None
    assert info.failed_total == 0
    return info.completed_total, info.active


async def test_two_are_under_way_while_there_is_much_to_do(
    app: App, watched: Watched, runs: Runs
) -> None:
    await fill(app)

    await app.worker(concurrency=SLOTS).run(until_idle=True)

    assert watched.most == 2
    assert runs.by_number == Counter(range(JOBS))
    assert await totals(app) == (JOBS, 0)


async def test_they_never_claim_more_than_there_is_room_for(
    app: App, watched: Watched, runs: Runs
) -> None:
    await fill(app)

    await app.worker(concurrency=SLOTS).run(until_idle=True)

    assert runs.most <= SLOTS
    assert watched.most_promised <= SLOTS


async def test_few_outcomes_make_no_second_one(app: App, watched: Watched, runs: Runs) -> None:
    await fill(app, 200)

    await app.worker(concurrency=WORTH_AN_EXCHANGE - 1).run(until_idle=True)

    assert watched.most == 1
    assert await totals(app) == (200, 0)


async def test_a_lost_reply_of_one_of_two_loses_no_job_and_runs_none_twice(
    app: App, watched: Watched, runs: Runs, proxy: Proxy
) -> None:
    late: list[HookEvent] = []
    app.on("lease_lost")(late.append)
    await fill(app)
    watched.cut = lambda: proxy.cut_after_request(EXCHANGE)

    await app.worker(concurrency=SLOTS, sweep=3600).run(until_idle=True)

    assert watched.lost >= 2
    assert runs.by_number == Counter(range(JOBS))
    assert runs.most <= SLOTS
    assert watched.most_promised <= SLOTS
    assert watched.beside_a_lost_one == 0
    assert late == []
    assert await totals(app) == (JOBS, 0)


async def test_a_quiet_worker_ends_what_two_have_claimed_and_leaves_the_rest(
    app: App, watched: Watched, runs: Runs, proxy: Proxy
) -> None:
    await fill(app)
    worker = app.worker(concurrency=SLOTS)
    working = asyncio.create_task(worker.run())
    await wait_until(lambda: len(watched.under_way) == 2)

    proxy.freeze()
    worker.stop()
    proxy.thaw()
    await working

    done, held = await totals(app)
    assert held == 0
    assert done == runs.by_number.total()
    assert max(runs.by_number.values()) == 1
    info = await app.queue("default").info()
    assert info is not None
    assert info.waiting == JOBS - done
