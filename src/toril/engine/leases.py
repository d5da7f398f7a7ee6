"""Keeps what a worker holds: a thread that renews leases, beats, and watches the event loop.

A thread, so that a task which blocks the loop does not lose the job it is at work on, nor those of
its neighbours. It names the task that blocks.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from toril.core.errors import BackendError
from toril.core.loggers import logger
from toril.engine.attempt import Attempt
from toril.engine.contract.dispatch import Dispatch, Renewal
from toril.engine.contract.workers import Workers
from toril.engine.runners.memory import own_resident_bytes

log = logger("toril.worker")

LONGEST_TICK_S = 1.0
"""Between two looks: how soon a cancellation from elsewhere is seen."""
BEAT_S = 7.5
"""Between two heartbeats."""
BLOCKED_S = 1.0
"""A loop that does not turn for so long is reported."""


class LeaseKeeper:
    """The lease thread of one worker."""

    def __init__(
        self,
        dispatch: Dispatch,
        workers: Workers,
        *,
        worker_id: str,
        lease_s: float,
        running: Mapping[tuple[str, int | str], Attempt],
        renewed: Callable[[Renewal], None],
        blocked: Callable[[str | None, float], None],
        forgotten: Callable[[], None],
        refused: Callable[[], None],
    ) -> None:
        """Make a keeper.

        Parameters:
            running: What is held, by token and number. Grows and shrinks meanwhile.
            renewed: Takes what a renewal found, on the worker's loop.
            blocked: Takes the name of a task that blocked the loop and for how long (s), on it.
            forgotten: Called on the loop when the register does not know the worker any more.
            refused: Called on it when the store refused a beat or a renewal.
        """
        self._dispatch = dispatch
        self._workers = workers
        self._worker_id = worker_id
        self._tick_s = min(LONGEST_TICK_S, lease_s / 3)
        self._running = running
        self._renewed = renewed
        self._blocked = blocked
        self._forgotten = forgotten
        self._refused = refused
        self._loop = asyncio.get_running_loop()
        self._ended = threading.Event()
        self._quiet = False
        self._asked_s: float | None = None
        self._culprit: str | None = None
        self._thread = threading.Thread(target=self._run, name="toril-leases", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def quiet(self) -> None:
        """Tell the register that nothing new is taken."""
        self._quiet = True

    async def stop(self) -> None:
        """End the thread. Nothing may be held any more."""
        self._ended.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        next_beat_s = 0.0
        while not self._ended.wait(self._tick_s):
            try:
                self._watch_loop()
                self._renew()
                if time.monotonic() >= next_beat_s:
                    self._beat()
                    next_beat_s = time.monotonic() + BEAT_S
            except BackendError as error:
                log.warning("leases could not be renewed, trying again: %s", error)
                with suppress(RuntimeError):  # the loop was closed: the process is ending
                    self._loop.call_soon_threadsafe(self._refused)
            except Exception:
                if self._loop.is_closed():  # under us: the process is ending
                    return
                log.exception("leases could not be renewed, trying again")

    def _renew(self) -> None:
        # Younger ones have most of their lease before them; most jobs end before their first look.
        old_s = time.monotonic() - self._tick_s
        held = [
            attempt.hold for attempt in list(self._running.values()) if attempt.started_s <= old_s
        ]
        if held:
            renewal = self._dispatch.renew(self._worker_id, held)
            if renewal.lost or renewal.cancelled:
                self._loop.call_soon_threadsafe(self._renewed, renewal)

    def _beat(self) -> None:
        known = self._workers.beat(
            self._worker_id,
            running=len(self._running),
            quiet=self._quiet,
            resident_bytes=own_resident_bytes(),
        )
        if not known:  # this process was stopped, or its machine asleep, and is back
            self._loop.call_soon_threadsafe(self._forgotten)

    def _watch_loop(self) -> None:
        """Ask the loop to answer, and see how long it takes."""
        now_s = time.monotonic()
        if self._asked_s is None:
            self._asked_s = now_s
            self._loop.call_soon_threadsafe(self._answer)
        elif now_s - self._asked_s >= BLOCKED_S and self._culprit is None:
            self._culprit = self._who_blocks()
            log.warning(
                "%s has blocked the event loop for %.1f s; its leases are kept, but nothing else"
                ' runs meanwhile: give the task run_in="thread" or "process"',
                self._culprit or "something outside a task",
                now_s - self._asked_s,
            )

    def _answer(self) -> None:
        asked_s, culprit = self._asked_s, self._culprit
        self._asked_s = self._culprit = None
        if asked_s is not None and culprit is not None:
            self._blocked(culprit or None, time.monotonic() - asked_s)

    def _who_blocks(self) -> str:
        current = asyncio.current_task(self._loop)
        for attempt in list(self._running.values()):
            if attempt.task is current and current is not None:
                return attempt.label
        return ""
