"""How an idle worker waits, with a store that notes what it is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, cast

import pytest
from tests.support.waiting import wait_until

from toril.engine.contract.dispatch import BlockingClaim, Dispatch, Exchange, ExchangeReply
from toril.engine.idling import MAX_SLEEP_S, Idling

SOON_MS = 20


class Claimer:
    """A blocking claim that is never answered."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def exchange(self, exchange: Exchange) -> ExchangeReply:
        raise AssertionError("the fetcher makes it")

    def release(self) -> None:
        self.calls.append("release")

    async def close(self) -> None:
        self.calls.append("close")


class Store:
    """The part of a store that the idle need."""

    def __init__(self, claimer: Claimer | None = None) -> None:
        self.claimer = claimer
        self.leases_ms: list[int] = []
        self.waits: list[tuple[Sequence[str], int, float]] = []
        self.cancelled = 0
        self.wakes = asyncio.Event()
        self.error: Exception | None = None

    def standing(self, *, lease_ms: int) -> BlockingClaim | None:
        self.leases_ms.append(lease_ms)
        return self.claimer

    async def wait(self, queues: Sequence[str], seen: int, *, timeout_s: float) -> None:
        self.waits.append((queues, seen, timeout_s))
        try:
            await self.wakes.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error


class Idle:
    """An idle worker's waiting, and how often it would have polled."""

    def __init__(self, store: Store) -> None:
        self.polls = 0
        self.idling = Idling(
            cast("Dispatch", store), queues=("mail",), lease_ms=500, poll=self._poll
        )

    def _poll(self) -> None:
        self.polls += 1

    def wait(self, **facts: Any) -> BlockingClaim | None:
        return self.idling.wait(reply(**facts))


def reply(*, due_ms: int | None = None, seen: int = 7) -> ExchangeReply:
    return ExchangeReply([], [], due_ms, seen)


async def a_few_turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_sleeper_waits_for_any_change_after_the_reply_and_then_polls() -> None:
    store = Store()
    idle = Idle(store)

    assert idle.wait(seen=41) is None
    await a_few_turns()
    assert store.waits == [(("mail",), 41, MAX_SLEEP_S)]
    assert idle.polls == 0

    store.wakes.set()
    await a_few_turns()
    assert idle.polls == 1
    await idle.idling.close()


async def test_sleeper_goes_on_when_nothing_is_due() -> None:
    store = Store()
    idle = Idle(store)

    for _ in range(3):
        idle.wait()
        await a_few_turns()

    assert len(store.waits) == 1
    await idle.idling.close()
    await a_few_turns()
    assert store.cancelled == 1


async def test_sleeper_begins_anew_after_it_was_woken() -> None:
    store = Store()
    idle = Idle(store)
    idle.wait()
    store.wakes.set()
    await a_few_turns()

    idle.wait(seen=8)
    await a_few_turns()

    assert [seen for _, seen, _ in store.waits] == [7, 8]
    await idle.idling.close()


@pytest.mark.parametrize(
    ("due_ms", "sleep_s"),
    [(1500, 1.5), (0, 0.001), (1, 0.001), (10 * round(MAX_SLEEP_S * 1000), MAX_SLEEP_S)],
)
async def test_sleeper_wakes_when_a_job_is_due(due_ms: int, sleep_s: float) -> None:
    store = Store()
    idle = Idle(store)
    idle.wait()
    await a_few_turns()

    idle.wait(due_ms=due_ms)  # in place of the one that would sleep longer
    await a_few_turns()

    assert [timeout_s for *_, timeout_s in store.waits] == [MAX_SLEEP_S, sleep_s]
    assert store.cancelled == 1
    await idle.idling.close()


async def test_stopped_sleeper_does_not_poll() -> None:
    store = Store()
    idle = Idle(store)
    idle.wait()
    await a_few_turns()

    idle.idling.stop_sleeping()
    idle.idling.stop_sleeping()
    await a_few_turns()

    assert (store.cancelled, idle.polls) == (1, 0)


async def test_store_that_cannot_be_waited_for_is_polled() -> None:
    store = Store()
    store.error = ValueError("a wrong answer")
    store.wakes.set()
    idle = Idle(store)

    idle.wait()
    await a_few_turns()

    assert idle.polls == 1
    await idle.idling.close()


async def test_blocking_claim_takes_the_sleepers_place() -> None:
    claimer = Claimer()
    store = Store(claimer)
    idle = Idle(store)

    assert idle.wait() is claimer
    assert idle.wait() is claimer
    await a_few_turns()

    assert store.leases_ms == [500]  # one for all the worker's life
    assert store.waits == []
    assert claimer.calls == []
    await idle.idling.close()
    assert claimer.calls == ["close"]


async def test_store_is_asked_for_a_blocking_claim_until_it_has_one() -> None:
    """It knows whether it has one after the first exchange."""
    store = Store()
    idle = Idle(store)
    assert idle.wait() is None

    store.claimer = Claimer()

    assert idle.wait() is store.claimer
    await idle.idling.close()


async def test_blocking_claim_can_be_ended() -> None:
    claimer = Claimer()
    idle = Idle(Store(claimer))
    idle.idling.end_claim()  # there is none yet
    idle.wait()

    idle.idling.end_claim()

    assert claimer.calls == ["release"]
    await idle.idling.close()


async def test_poll_comes_when_a_job_is_due_beside_a_blocking_claim() -> None:
    idle = Idle(Store(Claimer()))
    begin_s = time.monotonic()

    idle.wait(due_ms=SOON_MS)
    await wait_until(lambda: idle.polls, what="the poll")

    assert time.monotonic() - begin_s >= SOON_MS / 1000
    await idle.idling.close()


async def test_job_that_is_due_at_once_is_polled_for() -> None:
    idle = Idle(Store(Claimer()))

    idle.wait(due_ms=0)

    await wait_until(lambda: idle.polls, what="the poll")
    await idle.idling.close()


async def test_repeated_waiting_does_not_put_off_the_poll() -> None:
    idle = Idle(Store(Claimer()))
    latest = reply(due_ms=SOON_MS)

    async def polled() -> bool:
        idle.idling.wait(latest)
        return idle.polls > 0

    await wait_until(polled, what="the poll")
    assert idle.polls == 1
    await idle.idling.close()


async def test_newer_reply_says_anew_when_a_job_is_due() -> None:
    idle = Idle(Store(Claimer()))
    idle.wait(due_ms=SOON_MS)

    idle.wait(due_ms=None)
    until_s = time.monotonic() + 3 * SOON_MS / 1000
    await wait_until(lambda: time.monotonic() > until_s)

    assert idle.polls == 0
    idle.wait(due_ms=SOON_MS)
    await wait_until(lambda: idle.polls, what="the poll")
    await idle.idling.close()


async def test_nothing_polls_after_the_end() -> None:
    idle = Idle(Store(Claimer()))
    idle.wait(due_ms=SOON_MS)

    await idle.idling.close()
    until_s = time.monotonic() + 3 * SOON_MS / 1000
    await wait_until(lambda: time.monotonic() > until_s)

    assert idle.polls == 0
