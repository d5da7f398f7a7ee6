"""Keeps what a worker holds: a thread that renews leases, beats, and watches the event loop.

A thread, so that a task which blocks the loop does not lose the job it is at work on, nor those of
its neighbours. It names the task that blocks. After a standstill of the whole process it looks at
all leases first, and the event loop waits for that (`standstill.py`).
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from toril.core.errors import BackendError
from toril.core.loggers import logger
from toril.core.process_memory import own_resident_bytes
from toril.engine.attempt import Attempt
from toril.engine.contract.dispatch import Dispatch, Renewal
from toril.engine.contract.workers import Claiming, Workers
from toril.engine.standstill import StandstillWatch, elapsed_s

log = logger("toril.worker")

LONGEST_TICK_S = 0.75
"""Between two looks. With `YOUNG_S`, how soon a cancellation from elsewhere is seen: the
documentation says within a second."""
YOUNG_S = 0.2
"""Attempts younger than this are left out of a look: most jobs end before."""
BEAT_S = 3.0
"""Between two heartbeats."""
BLOCKED_S = 1.0
"""A loop that does not turn for so long is reported."""
LOOK_S = 5.0
"""How long the loop waits for the check of its leases after a standstill, in seconds. A store that
does not answer must not stop everything. Outcomes of lost jobs are refused in any case."""
AGAIN_S = 0.1
"""Between two tries of that check, in seconds: a connection may have to be made first."""


class LeaseKeeper:
    """The lease thread of one worker."""

    def __init__(
        self,
        dispatch: Dispatch,
        workers: Workers,
        *,
        worker_id: str,
        concurrency: int,
        lease_s: float,
        running: Mapping[tuple[str, int | str], Attempt],
        renewed: Callable[[Renewal], None],
        kept: Callable[[int], None],
        blocked: Callable[[str | None, float], None],
        forgotten: Callable[[], None],
        refused: Callable[[], None],
        woken: Callable[[], None],
        wished: Callable[[str], None],
    ) -> None:
        """Make a keeper.

        Parameters:
            concurrency: Jobs at once, for the register; see `resized`.
            running: What is held, by token and number. Grows and shrinks meanwhile.
            renewed: Takes what a renewal found, on the worker's loop.
            kept: Takes how many leases were renewed, in this thread.
            blocked: Takes the name of a task that blocked the loop and for how long (s), on it.
            forgotten: Called on the loop when the register does not know the worker any more.
            refused: Called on it when the store refused a beat or a renewal.
            woken: Called on it after a standstill, before the leases are looked at.
            wished: Takes on it what somebody wants the worker to do; each wish once.
        """
        self._dispatch = dispatch
        self._workers = workers
        self._worker_id = worker_id
        self._tick_s = min(LONGEST_TICK_S, lease_s / 3)
        self._running = running
        self._renewed = renewed
        self._kept = kept
        self._blocked = blocked
        self._forgotten = forgotten
        self._refused = refused
        self._woken = woken
        self._wished = wished
        self._heard: tuple[str | None, str | None] = None, None
        """The newest wishes that were passed on."""
        self._concurrency = concurrency
        self._beat_now = False
        self._loop = asyncio.get_running_loop()
        self._ended = False
        self._hurry = threading.Event()
        self._claiming: Claiming = "open"
        self._culprit: str | None = None
        self._looked = threading.Condition()
        self._looked_s = self._went_on_s = elapsed_s()
        """When the last successful renewal began; and when the thread last ran."""
        self._stood_s = -math.inf
        """When the thread last noticed a standstill."""
        self._awaited: list[Renewal] | None = None
        """Collects renewals while the loop waits for them."""
        self._watch = StandstillWatch(
            tick_s=self._tick_s,
            lease_s=lease_s,
            busy=lambda: bool(running),
            went_on_s=lambda: self._went_on_s,
            stood_s=lambda: self._stood_s,
            woken=self._look_first,
            turned=self._turned,
        )
        self._thread = threading.Thread(target=self._run, name="toril-leases", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._watch.start()
        self._thread.start()

    def claims(self, claiming: Claiming) -> None:
        """Tell the register, with the next heartbeat, whether new jobs are taken."""
        self._claiming = claiming

    def resized(self, concurrency: int) -> None:
        """Tell the register at once how many jobs run at once by now."""
        self._concurrency = concurrency
        self._beat_now = True
        self._hurry.set()

    def look(self) -> None:
        """Check whether the process stood still. From a signal handler, in the loop's thread."""
        self._watch.look()

    async def stop(self) -> None:
        """End the thread. Nothing may be held any more."""
        self._watch.stop()
        self._ended = True
        self._hurry.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        next_beat_s = 0.0
        while True:
            self._hurry.wait(self._tick_s if self._awaited is None else AGAIN_S)
            self._hurry.clear()
            if self._ended:
                return
            self._wake_up()
            try:
                self._watch_loop()
                self._renew()
                if self._beat_now or time.monotonic() >= next_beat_s - self._tick_s / 2:
                    self._beat_now = False
                    next_beat_s = max(next_beat_s, time.monotonic() - BEAT_S) + BEAT_S
                    self._beat()
            except BackendError as error:
                log.warning("leases could not be renewed, trying again: %s", error)
                with suppress(RuntimeError):  # the loop was closed: the process is ending
                    self._loop.call_soon_threadsafe(self._refused)
            except Exception:
                if self._loop.is_closed():  # under us: the process is ending
                    return
                log.exception("leases could not be renewed, trying again")

    def _wake_up(self) -> None:
        now_s = elapsed_s()
        if now_s - self._went_on_s >= self._watch.standstill_s + self._tick_s:
            self._stood_s = now_s
        self._went_on_s = now_s

    def _renew(self) -> None:
        now_s, awaited = elapsed_s(), self._awaited
        # Younger ones have most of their lease before them; most jobs end before their first look.
        young_s = min(YOUNG_S, self._tick_s)
        old_s = time.monotonic() - young_s if awaited is None else math.inf
        held = [
            attempt.hold for attempt in list(self._running.values()) if attempt.started_s <= old_s
        ]
        if held:
            renewal = self._dispatch.renew(self._worker_id, held)
            self._kept(len(held) - len(renewal.lost))
            if awaited is not None:
                awaited.append(renewal)
            elif renewal.lost or renewal.cancelled:
                self._loop.call_soon_threadsafe(self._renewed, renewal)
        with self._looked:
            self._looked_s = now_s
            self._looked.notify_all()

    def _look_first(self, stood_s: float) -> None:
        """Check all leases after a standstill, while the event loop waits."""
        self._woken()
        now_s, found = elapsed_s(), list[Renewal]()
        if self._running:
            with self._looked:
                self._awaited = found
                self._hurry.set()
                self._looked.wait_for(lambda: self._looked_s >= now_s, LOOK_S)
                self._awaited = None
        lost = sum(len(renewal.lost) for renewal in found)
        log.warning(
            "this process stood still for %.1f s; of %d jobs that it ran %d were given to somebody"
            " else meanwhile",
            *(stood_s, len(self._running), lost),
        )
        for renewal in found:
            self._renewed(renewal)

    def _beat(self) -> None:
        known, *wishes = self._workers.beat(
            self._worker_id,
            running=len(self._running),
            concurrency=self._concurrency,
            claiming=self._claiming,
            resident_bytes=own_resident_bytes(),
        )
        if not known:  # this process was stopped, or its machine asleep, and is back
            self._loop.call_soon_threadsafe(self._forgotten)
        before, self._heard = self._heard, (wishes[0], wishes[1])
        for wish, last in zip(wishes, before, strict=True):
            if wish is not None and wish != last:
                self._loop.call_soon_threadsafe(self._wished, wish)

    def _watch_loop(self) -> None:
        """See how late the loop is, and who is to blame."""
        late_s = self._watch.late_s()
        just_stood = self._stood_s == self._went_on_s
        if late_s >= BLOCKED_S and self._culprit is None and not just_stood:
            self._culprit = self._who_blocks()
            log.warning(
                "%s has blocked the event loop for %.1f s; its leases are kept, but nothing else"
                ' runs meanwhile: give the task run_in="thread" or "process"',
                self._culprit or "something outside a task",
                late_s,
            )

    def _turned(self, late_s: float) -> None:
        culprit, self._culprit = self._culprit, None
        if culprit is not None:
            self._blocked(culprit or None, late_s)

    def _who_blocks(self) -> str:
        current = asyncio.current_task(self._loop)
        for attempt in list(self._running.values()):
            if attempt.task is current and current is not None:
                return attempt.label
        return ""
