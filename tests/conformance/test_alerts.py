"""What is kept for alerts: rows of text, and who holds the watch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from toril.engine.contract import AlertRow, Backend
from toril.testing.clock import ManualClock

LEASE_MS = 20_000


async def test_rows_are_written_replaced_and_removed_by_kind(backend: Backend) -> None:
    store = backend.alerts
    rows = [AlertRow("alert", "b", "1"), AlertRow("alert", "a", "2"), AlertRow("mute", "a", "3")]

    assert await store.change(rows)
    assert await store.change(
        [AlertRow("alert", "a", "é\x1b\n{}")], [AlertRow("alert", "b"), AlertRow("note", "none")]
    )

    assert await store.rows(["mute", "alert"]) == [
        AlertRow("mute", "a", "3"),
        AlertRow("alert", "a", "é\x1b\n{}"),
    ]
    assert await store.rows(["sample", "message", "note"]) == []


async def test_rows_come_by_their_keys(backend: Backend) -> None:
    keys = ["10", "b:c", "a", "2", ""]
    await backend.alerts.change([AlertRow("message", key, key) for key in keys])

    found = await backend.alerts.rows(["message"])

    assert [row.key for row in found] == sorted(keys)


async def test_one_holds_the_watch_until_its_time_is_over(
    backend: Backend, clock: ManualClock
) -> None:
    store = backend.alerts

    assert await store.hold("one", lease_ms=LEASE_MS)
    assert not await store.hold("two", lease_ms=LEASE_MS)
    clock.advance(15)
    assert await store.hold("one", lease_ms=LEASE_MS)
    clock.advance(15)
    assert not await store.hold("two", lease_ms=LEASE_MS)
    clock.advance(5)
    assert await store.hold("two", lease_ms=LEASE_MS)
    assert not await store.hold("one", lease_ms=LEASE_MS)


async def test_watch_that_is_given_up_is_free_at_once(backend: Backend) -> None:
    store = backend.alerts
    await store.hold("one", lease_ms=LEASE_MS)

    await store.release("two")
    assert not await store.hold("two", lease_ms=LEASE_MS)
    await store.release("one")

    assert await store.hold("two", lease_ms=LEASE_MS)


async def test_only_who_holds_the_watch_may_change_on_its_behalf(
    backend: Backend, clock: ManualClock
) -> None:
    store = backend.alerts
    await store.hold("one", lease_ms=LEASE_MS)

    assert await store.change([AlertRow("alert", "a", "one")], holder="one")
    assert not await store.change([AlertRow("alert", "a", "two")], holder="two")
    clock.advance(20)
    assert not await store.change([AlertRow("alert", "a", "late")], holder="one")
    assert not await store.change([], [AlertRow("alert", "a")], holder="one")

    assert await store.rows(["alert"]) == [AlertRow("alert", "a", "one")]


@pytest.mark.needs("shared_processes")
async def test_of_many_that_ask_at_once_one_holds_the_watch(
    open_another: Callable[[], Backend], backend: Backend
) -> None:
    stores = [backend, *(open_another() for _ in range(4))]

    held = await asyncio.gather(
        *(one.alerts.hold(f"p{at}", lease_ms=LEASE_MS) for at, one in enumerate(stores))
    )

    assert sum(held) == 1
