"""Wakes idle workers: they block on the markers of their queues, which every producer writes.

All workers of an event loop share one blocking connection; in a Cluster, one per slot. It blocks
only while one of them is idle: a marker that it takes would be missing for an idle worker
elsewhere. In a Cluster with too many slots for that, the markers of the further slots are polled.

Workers whose claims wait at the server (`standing.py`) do not need this. It is for Clusters and for
short leases.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from toril.backends.redis.client import BlockingConnection, Client
from toril.backends.redis.keys import Keys
from toril.core.errors import BackendClosedError, BackendError

LONGEST_S = 15.0
"""A sleeper looks after so long, woken or not: limits that Node lifts write no marker."""
BLOCK_S = 30.0
"""How long the server is asked to block."""
SHORT_S = 1.0
"""The same for users without the right to `CLIENT UNBLOCK`. It delays changes by that much."""
BACK_SOON_S = 0.05
"""For how long a connection goes on blocking for a sleeper that has left: it mostly comes back."""
TROUBLE_S = 0.5
MOST_WATCHES = 32
"""Most slots of a Cluster with a blocking connection, in one event loop."""
ROUND_S = 1.0
"""Between two polls of the markers in all other slots, in seconds: one write per node."""


class WakeUps:
    """The sleepers of every event loop."""

    def __init__(self, client: Client, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._loops: dict[asyncio.AbstractEventLoop, _Sleepers] = {}

    def version(self) -> int:
        """Return what `wait` has to be told so that it misses nothing from now on."""
        return self._sleepers().version

    async def wait(self, queues: Sequence[str], seen: int, timeout_s: float) -> None:
        """Return once a marker of the queues was written, or after a while."""
        await self._sleepers().wait(queues, seen, min(timeout_s, LONGEST_S))

    async def close(self) -> None:
        """End what blocks."""
        loops, self._loops = self._loops, {}
        for loop, sleepers in loops.items():
            if not loop.is_closed():
                await sleepers.close()

    def _sleepers(self) -> _Sleepers:
        loop = asyncio.get_running_loop()
        found = self._loops.get(loop)
        if found is None:
            self._loops = {kept: one for kept, one in self._loops.items() if not kept.is_closed()}
            found = self._loops[loop] = _Sleepers(self._client, self._keys)
        return found


class _Sleepers:
    """Those who sleep on one event loop."""

    def __init__(self, client: Client, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self.version = 0
        self._waiting: dict[asyncio.Future[None], Sequence[str]] = {}
        self._watches: dict[int | None, _Watch] = {}
        self._rounds = _Rounds(client, keys, self)

    async def wait(self, queues: Sequence[str], seen: int, timeout_s: float) -> None:
        if self.version != seen:
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting[future] = queues
        timer = loop.call_later(timeout_s, _resolve, future)
        watches = [self._watch(queue) for queue in queues]
        for watch, queue in zip(watches, queues, strict=True):
            watch.add(queue)
        try:
            await future
        finally:
            timer.cancel()
            self._waiting.pop(future, None)
            for watch, queue in zip(watches, queues, strict=True):
                watch.remove(queue)

    def ring(self) -> None:
        """Wake all."""
        self.version += 1
        waiting, self._waiting = self._waiting, {}
        for future in waiting:
            _resolve(future)

    def has_waiting(self) -> bool:
        """Whether anybody sleeps."""
        return any(not future.done() for future in self._waiting)

    async def close(self) -> None:
        """End what blocks."""
        self.ring()
        watches, self._watches = self._watches, {}
        for watch in watches.values():
            await watch.close()
        await self._rounds.close()

    def _watch(self, queue: str) -> _Watch | _Rounds:
        slot = self._client.slot(self._keys.marker(queue))
        watch = self._watches.get(slot)
        if watch is None:
            if len(self._watches) >= MOST_WATCHES:
                return self._rounds
            watch = self._watches[slot] = _Watch(self._client, self._keys, self)
        return watch


class _Watch:
    """One connection that blocks on the markers of those queues for which somebody sleeps."""

    def __init__(self, client: Client, keys: Keys, sleepers: _Sleepers) -> None:
        self._client = client
        self._keys = keys
        self._sleepers = sleepers
        self._wanted: Counter[str] = Counter()
        self._blocked_on: frozenset[str] = frozenset()
        self._changed = asyncio.Event()
        self._connection: BlockingConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._unblocking: asyncio.Task[None] | None = None

    def add(self, queue: str) -> None:
        """Watch a queue."""
        self._wanted[queue] += 1
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
        self._look_again()

    def remove(self, queue: str) -> None:
        """Watch it for one sleeper less."""
        self._wanted[queue] -= 1
        if self._wanted[queue] <= 0:
            del self._wanted[queue]
            self._look_again()

    async def close(self) -> None:
        """End the connection."""
        self._wanted.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._connection is not None:
            await self._connection.close()

    def _look_again(self) -> None:
        """Have the connection block on what is wanted now."""
        self._changed.set()
        if self._blocked_on and self._timer is None:
            # A sleeper that comes back soon, as most do, finds the connection as it left it.
            pause_s = 0.0 if self._wanted.keys() - self._blocked_on else BACK_SOON_S
            self._timer = asyncio.get_running_loop().call_later(pause_s, self._compare)

    def _compare(self) -> None:
        self._timer = None
        if self._blocked_on and self._blocked_on != frozenset(self._wanted):
            self._unblocking = asyncio.get_running_loop().create_task(self._unblock())

    async def _unblock(self) -> None:
        connection = self._connection
        if connection is None or not self._blocked_on:
            return
        try:
            await connection.unblock()
        except BackendError:
            await connection.close()

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            if not self._wanted:
                await self._changed.wait()
                continue
            try:
                await self._block()
            except BackendClosedError:
                return
            except BackendError:
                # Those who sleep find out by their own calls, and come back.
                self._sleepers.ring()
                await asyncio.sleep(TROUBLE_S)

    async def _block(self) -> None:
        if self._connection is None or self._connection.closed:
            queue = next(iter(self._wanted))
            self._connection = await self._client.open_blocking(self._keys.marker(queue))
        self._blocked_on = frozenset(self._wanted)
        if not self._blocked_on:
            return
        try:
            markers = [self._keys.marker(queue) for queue in sorted(self._blocked_on)]
            block_s = BLOCK_S if self._connection.can_unblock else SHORT_S
            popped = await self._connection.call("BZPOPMIN", *markers, block_s, timeout_s=block_s)
        finally:
            self._blocked_on = frozenset()
        if popped:
            if not self._sleepers.has_waiting():
                # Everybody left meanwhile: it belongs to a sleeper elsewhere.
                await self._connection.call(
                    "ZADD", popped[0], popped[2], popped[1], timeout_s=LONGEST_S
                )
            self._sleepers.ring()


class _Rounds:
    """Polls the markers of queues, where there are too many slots to block on each."""

    def __init__(self, client: Client, keys: Keys, sleepers: _Sleepers) -> None:
        self._client = client
        self._keys = keys
        self._sleepers = sleepers
        self._wanted: Counter[str] = Counter()
        self._task: asyncio.Task[None] | None = None

    def add(self, queue: str) -> None:
        """Poll a queue's marker for one sleeper more."""
        self._wanted[queue] += 1
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    def remove(self, queue: str) -> None:
        """Poll it for one sleeper less."""
        self._wanted[queue] -= 1
        if self._wanted[queue] <= 0:
            del self._wanted[queue]

    async def close(self) -> None:
        """Stop polling."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        # Those who sleep come back soon: nobody wanting anything for a moment is no end.
        while True:
            try:
                await self._ask()
            except BackendClosedError:
                return
            except BackendError:
                self._sleepers.ring()
            await asyncio.sleep(ROUND_S)

    async def _ask(self) -> None:
        markers = [self._keys.marker(queue) for queue in self._wanted]
        found = await self._client.many([["ZPOPMIN", marker] for marker in markers])
        popped = [(marker, *one) for marker, one in zip(markers, found, strict=True) if one]
        if not popped:
            return
        if not self._sleepers.has_waiting():
            # Everybody left meanwhile: they belong to a sleeper elsewhere.
            await self._client.many(
                [["ZADD", marker, score, member] for marker, member, score in popped]
            )
        self._sleepers.ring()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
