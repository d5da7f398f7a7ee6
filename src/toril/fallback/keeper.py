"""The thread that watches Redis, and moves jobs back once it has answered for a while."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from toril.core.errors import BackendError, StoreFullError, StoreReadOnlyError, TorilError
from toril.core.loggers import logger
from toril.engine.repeats import Repeats
from toril.fallback.breaker import Breaker
from toril.fallback.local_work import LocalWork, ThreadWork
from toril.fallback.lock import MoveLock
from toril.fallback.mover import Mover
from toril.fallback.options import Fallback
from toril.fallback.spool import Spool

log = logger("toril.fallback")

PROBE_S = 0.25
"""Between two probes while Redis is away."""
IDLE_PROBE_S = 1.0
"""Between two probes while it is not."""
FAILURES = 2
"""So many probes in a row fail before Redis is away for a process that adds nothing."""
TAIL_S = 0.25
"""Between two looks for jobs that end in the spool after the return."""
LEFT_BEHIND_S = 10.0
"""Between two looks for jobs that another process has left in the spool."""
FEW = 100
"""After a pass that moved so few, adding waits for the last one."""
GATE_S = 0.5
"""For how long adding waits at most until the spool is empty."""
STARVED_S = 3.0
"""A probe that took so long says nothing of Redis: this thread did not get on."""
LONGEST_STEADY_S = 60.0
FLAP_S = 60.0
"""A return that did not last so long was too early."""


class Keeper:
    """Watches for one app."""

    def __init__(
        self,
        repeats: Repeats,
        spool: Spool,
        breaker: Breaker,
        options: Fallback,
        *,
        lock: MoveLock,
        max_stalled: int,
    ) -> None:
        self._repeats = repeats
        self._spool = spool
        self._breaker = breaker
        self._options = options
        self._mover = Mover(spool, repeats, lock, max_stalled=max_stalled, probe=self.probe)
        self._steady_s = options.steady_s
        self._stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._nudged: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self.make_work: Callable[[], LocalWork | None] = lambda: None
        """Makes what works the spool in a process that has no worker. None: nothing does."""
        self.beside = 0
        """Workers of this process that work the spool themselves."""
        self._works = options.work
        """Whether this process works the spool if it has no worker; False once it cannot."""
        self._work: ThreadWork | None = None
        self.moving = False
        self._before_start: list[Callable[[], Any]] = []

    def start(self) -> None:
        """Start the thread, unless it runs."""
        with self._lock:
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(
                    target=self._run, name="toril-fallback", daemon=True
                )
                self._thread.start()

    def soon(self, call: Callable[[], Any]) -> None:
        """Call a function in the thread."""
        with self._lock:
            loop = self._loop
            if loop is None:
                self._before_start.append(call)
                return
        with suppress(RuntimeError):  # it ends
            loop.call_soon_threadsafe(call)

    def nudge(self) -> None:
        """Have the thread look at once."""
        nudged = self._nudged
        if nudged is not None:
            self.soon(nudged.set)

    def stop(self, deadline_s: float) -> None:
        """End the thread, and the worker that it has started. Blocks."""
        self._stopping.set()
        self.nudge()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(deadline_s)
        if self._work is not None:
            self._work.stop(deadline_s)

    async def probe(self) -> BackendError | None:
        """Look whether Redis can be written; return why it cannot."""
        wait_s = max(2 * PROBE_S, self._options.silence_s)
        try:
            async with asyncio.timeout(wait_s):
                await self._repeats.probe()
        except TimeoutError:
            return BackendError(f"no answer within {wait_s:g} s")
        except BackendError as error:
            return error
        return None

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                asyncio.run(self._watch())
            except Exception:  # a fault of ours must not leave the app on the spool for good
                log.exception("watching Redis has failed, beginning anew")
                self._stopping.wait(IDLE_PROBE_S)

    async def _watch(self) -> None:
        loop, self._nudged = asyncio.get_running_loop(), asyncio.Event()
        with self._lock:
            self._loop = loop
            waiting, self._before_start = self._before_start, []
        for call in waiting:
            loop.call_soon(call)
        failures, look_s, begun = 0, 0.0, False
        steady_since_s: float | None = None
        in_outage = False
        while not self._stopping.is_set():
            asked_s = time.monotonic()
            trouble = await self.probe()
            now_s = time.monotonic()
            if not self._breaker.away and trouble is not None:
                if now_s - asked_s < STARVED_S:  # else it was this thread that did not get on
                    failures += 1
                if failures >= FAILURES or (failures and not begun):
                    self._breaker.trip(str(trouble), reachable=_can_be_read(trouble))
            begun = True
            if not self._breaker.away:
                in_outage = False
                if trouble is None:
                    failures = 0
                    self._breaker.heard()
                    if now_s >= look_s:
                        look_s = now_s + (TAIL_S if await self._clear() else LEFT_BEHIND_S)
                await self._pause(max(0.01, min(IDLE_PROBE_S, look_s - time.monotonic())))
                continue
            if not in_outage:
                in_outage, steady_since_s = True, None
                self._begin_outage()
            await self._keep_open()
            if trouble is not None:
                self._breaker.reachable = _can_be_read(trouble)
                steady_since_s = None
            elif steady_since_s is None:
                steady_since_s = asked_s
            elif now_s - steady_since_s >= self._steady_s:
                steady_since_s = None
                if await self._return():
                    failures, look_s = 0, 0.0
                    continue
            await self._pause(PROBE_S)

    async def _pause(self, pause_s: float) -> None:
        nudged = self._nudged
        if nudged is None or self._stopping.is_set():
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await nudged.wait()
        nudged.clear()

    def _begin_outage(self) -> None:
        """Be more careful with the next return if the last one did not last."""
        lasted_s = time.monotonic() - self._breaker.returned_s
        if lasted_s < FLAP_S:
            self._steady_s = min(2 * self._steady_s, LONGEST_STEADY_S)
        else:
            self._steady_s = self._options.steady_s

    async def _keep_open(self) -> None:
        """Let local workers start jobs of the spool."""
        try:
            await self._mover.open_again()
        except TorilError as error:
            log.error("the spool cannot be opened again: %s", error)
        if self._work is None and not self.beside and self._works:
            try:
                work = self.make_work()
            except TorilError as error:
                log.error("this process cannot work the spool: %s", error)
                work = None
            if work is None:
                self._works = False
            else:
                self._work = ThreadWork(work)

    async def _clear(self) -> bool:
        """Move what is left in the spool while Redis is live; return whether more may come soon."""
        try:
            if not await self._spool.left():
                return False
            self.moving = True
            return bool(await self._mover.pass_over()) or await self._spool.runs()
        except BackendError as error:
            log.warning("jobs of the spool cannot move now: %s", error)
            return False
        finally:
            self.moving = False

    async def _return(self) -> bool:
        """Move all jobs to Redis, and change back; return whether that was done."""
        self.moving = True
        try:
            while not self._stopping.is_set():
                moved = await self._mover.pass_over()
                if moved is None:  # another process moves
                    await asyncio.sleep(TAIL_S)
                elif moved <= FEW and await self._last_pass():
                    return True
        except BackendError as error:
            log.warning("the return to Redis is put off: %s", error)
        finally:
            self.moving = False
        return False

    async def _last_pass(self) -> bool:
        """Hold new jobs back, move the last ones, and change back; return whether that was done."""
        until_s = time.monotonic() + GATE_S
        self._breaker.gate = True
        try:
            while self._breaker.spooling:
                if time.monotonic() > until_s:
                    return False
                await asyncio.sleep(0.002)
            if await self._mover.pass_over() is None:
                return False
            self._breaker.restore()
            return True
        finally:
            self._breaker.gate = False


def _can_be_read(trouble: BackendError | None) -> bool:
    return isinstance(trouble, StoreFullError | StoreReadOnlyError)
