"""After a standstill the event loop waits for the check of the leases: no longer than it takes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.engine.working import file_app, memory_app, working
from tests.support.locks import locked
from tests.support.waiting import wait_until

from toril.backends.sqlite import connection
from toril.engine import leases, standstill

pytestmark = pytest.mark.usefixtures("no_thread_left")

JUMP_S = 60.0
"""Longer than a standstill that is noticed."""


@pytest.fixture
def stand_still(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let the stopwatch jump, as it does when the process was stopped for that long."""
    elapsed_s = standstill.elapsed_s
    jumped_s = 0.0

    def stand_still() -> None:
        nonlocal jumped_s
        jumped_s += JUMP_S

    for module in (standstill, leases):
        monkeypatch.setattr(module, "elapsed_s", lambda: elapsed_s() + jumped_s)
    return stand_still


class Turns:
    """Notes the longest time between two turns of the event loop."""

    def __init__(self) -> None:
        self._longest_s = 0.0
        self._loop = asyncio.get_running_loop()
        self._last_s = time.monotonic()
        self._turn()

    def longest_s(self) -> float:
        """Return the longest time so far, in seconds."""
        return max(self._longest_s, time.monotonic() - self._last_s)

    def _turn(self) -> None:
        self._longest_s = self.longest_s()
        self._last_s = time.monotonic()
        self._loop.call_later(0.01, self._turn)


async def test_loop_goes_on_as_soon_as_the_leases_are_checked(
    stand_still: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If the lease thread did not tell the loop, it would wait as if the store were silent."""
    monkeypatch.setattr(leases, "LOOK_S", 12.0)
    end = asyncio.Event()
    async with memory_app() as app:

        @app.task()
        async def work() -> None:
            await end.wait()

        job = await work.enqueue()
        async with working(app) as worker:
            await wait_until(lambda: worker.running)
            turns = Turns()
            with caplog.at_level(logging.WARNING, "toril.worker"):
                stand_still()
                await wait_until(lambda: "this process stood still" in caplog.text)
            assert turns.longest_s() < 8
            end.set()
            await job.result(timeout_s=60)
    assert "of 1 jobs that it ran 0 were given to somebody else" in caplog.text


async def test_loop_waits_for_a_silent_store_for_a_while_only(
    tmp_path: Path,
    stand_still: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(leases, "LOOK_S", 0.5)
    monkeypatch.setattr(connection, "BUSY_S", 0.02)
    end = asyncio.Event()
    async with file_app(tmp_path) as app:

        @app.task()
        async def work() -> None:
            await end.wait()

        job = await work.enqueue()
        async with working(app) as worker:
            await wait_until(lambda: worker.running)
            turns = Turns()
            with caplog.at_level(logging.WARNING, "toril.worker"), locked(tmp_path):
                stand_still()
                await wait_until(lambda: "this process stood still" in caplog.text)
            assert turns.longest_s() >= 0.5
            end.set()
            await job.result(timeout_s=60)
