"""Which of two stores is live in this process: the circuit breaker between Redis and the spool.

It knows neither of them. Any thread may ask and any may switch; `keeper.py` decides when to switch
back.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from toril.core.loggers import logger

log = logger("toril.fallback")

Live = Literal["redis", "spool"]
SWITCHES_KEPT = 50
RETURNED = "Using Bull queue with Redis"
AWAY = "Redis unavailable, using in-memory fallback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """One switch from one store to the other."""

    source: Live
    target: Live
    at: datetime
    reason: str
    """What Redis said, or that it said nothing; for people."""


class Breaker:
    """Which store is live. Safe to use from several threads."""

    def __init__(self, shown: str) -> None:
        """Begin with Redis.

        Parameters:
            shown: The spool, as messages may name it.
        """
        self.away = False
        """New jobs go to the spool. Read for each call of `add`."""
        self.reachable = True
        """While away: Redis answers, but cannot be written. So it can be read."""
        self.gate = False
        """Adding has to wait: the last jobs of the spool are on their way to Redis."""
        self.since = datetime.now(UTC)
        self.reason: str | None = None
        """Why Redis is away. None: it is not."""
        self.counts: dict[tuple[Live, Live], int] = {
            ("redis", "spool"): 0,
            ("spool", "redis"): 0,
        }
        self.switches: deque[Switch] = deque(maxlen=SWITCHES_KEPT)
        self.tell: Callable[[Switch], None] = lambda switch: None
        """Called after each switch, in the thread that switched."""
        self.returned_s = float("-inf")
        """When Redis last came back, on `time.monotonic`."""
        self.spooling = 0
        """Calls that write to the spool at this moment."""
        self._shown = shown
        self._lock = threading.Lock()
        self._said_at_start = False
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    @property
    def live(self) -> Live:
        """The store that new jobs go to."""
        return "spool" if self.away else "redis"

    def heard(self) -> None:
        """Log, once, that Redis is used."""
        if not self._said_at_start:
            self._said_at_start = True
            log.info(RETURNED)

    def trip(self, reason: str, *, reachable: bool = False) -> None:
        """Change over to the spool. Nothing happens if it is live already."""
        with self._lock:
            if self.away:
                self.reachable = self.reachable and reachable
                return
            self.reachable, self.reason, self.gate = reachable, reason, False
            switch = self._switch("redis", "spool", reason)
        log.warning("%s (%s): %s", AWAY, self._shown, reason)
        self._announce(switch)

    def restore(self) -> None:
        """Change back to Redis, whose turn it is as the spool is empty."""
        with self._lock:
            if not self.away:
                return
            self.reachable, self.reason = True, None
            self.returned_s = time.monotonic()
            switch = self._switch("spool", "redis", "it answers again")
        self._said_at_start = True
        log.info(RETURNED)
        self._announce(switch)

    async def changes(self, *, away: bool) -> None:
        """Wait until Redis is away, or is not."""
        while self.away is not away:
            changed = asyncio.Event()
            mine = (asyncio.get_running_loop(), changed)
            with self._lock:
                self._waiting.append(mine)
            try:
                if self.away is not away:
                    await changed.wait()
            finally:
                with self._lock:
                    if mine in self._waiting:
                        self._waiting.remove(mine)

    def begin_spooling(self) -> None:
        """Note that a call is about to write to the spool."""
        with self._lock:
            self.spooling += 1

    def end_spooling(self) -> None:
        """Note that it has."""
        with self._lock:
            self.spooling -= 1

    def _switch(self, source: Live, target: Live, reason: str) -> Switch:
        self.away = target == "spool"
        self.since = datetime.now(UTC)
        self.counts[source, target] += 1
        switch = Switch(source=source, target=target, at=self.since, reason=reason)
        self.switches.append(switch)
        return switch

    def _announce(self, switch: Switch) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for loop, changed in waiting:
            try:
                loop.call_soon_threadsafe(changed.set)
            except RuntimeError:  # that loop has ended
                continue
        self.tell(switch)
