"""Drives an operation: finds its jobs, chunk by chunk, and has the store change them.

Whoever drives holds a lease, and every step is fenced by the one before it. A process that dies in
the middle leaves an operation that another goes on with where it stood: each step was made whole or
not at all.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing

from toril.core.errors import BackendError, TorilError
from toril.core.ids import new_worker_id
from toril.core.loggers import logger
from toril.engine.bulk.info import OperationInfo, operation_info, wish_of
from toril.engine.bulk.wish import MAY, Wish
from toril.engine.contract import Backend
from toril.engine.contract.operations import Act, OperationRecord, OperationState, Step
from toril.engine.operations import Operations, acting
from toril.engine.search.grammar import parse
from toril.engine.search.searcher import Searcher, read_cursor

log = logger("toril.operator")

LEASE_MS = 5_000
RENEW_S = 0.25
"""Between two looks whether somebody wants it to end, which renew the lease as well."""
FIRST_CHUNK = 100
"""Jobs in the first step. The next ones adapt to how long it took."""
MAX_CHUNK = 500
LEAST_CHUNK = 10
AIM_S = 0.008
"""How long one step is meant to take."""
NOTE_S = 1.0
"""A place is noted so often where nothing is found."""
READ_AT_ONCE = 100
"""Jobs that are named by id are read so many at a time."""
ENDED = "."
"""The place of a queue that was gone through."""

Progress = Callable[[OperationInfo], None]
"""Told how far an operation has come."""


class _LostError(Exception):
    """Another process drives it by now."""


class Driver:
    """Drives operations of one store."""

    def __init__(self, open_store: Callable[[], Backend], operations: Operations) -> None:
        """Make a driver.

        Parameters:
            open_store: Gives the store.
            operations: Told of each operation that has ended.
        """
        self._open = open_store
        self._told = operations
        self._searcher = Searcher(open_store)

    async def drive(self, operation_id: str, *, progress: Progress | None = None) -> bool:
        """Drive an operation to its end; return whether this call has ended it.

        Raises:
            BackendError: The store does not answer. The operation can be driven again.
        """
        operations = self._open().operations
        holder = f"{new_worker_id()}-{secrets.token_hex(4)}"
        record = await operations.take(operation_id, holder, lease_ms=LEASE_MS)
        if record is None:
            return False
        wish = wish_of(record)
        steps = await operations.steps(operation_id, wish.queues)
        drive = _Drive(self._open(), self._searcher, record, wish, holder, steps, progress)
        state: OperationState
        try:
            state, note = await drive.run(), ""
        except _LostError:
            return False
        except BackendError:
            raise
        except TorilError as error:
            state, note = "failed", str(error)
        if not await operations.end(operation_id, holder, state, note):
            return False
        with acting(wish.actor, wish.reason):
            async with self._told.doing(
                "bulk.ended",
                operation=operation_id,
                action=wish.action,
                query=wish.asked,
                state=state,
                refused=sum(step.refused for step in drive.steps),
            ) as doing:
                doing.count = sum(step.done for step in drive.steps)
        return True


class _Drive:
    """One operation while this process drives it."""

    def __init__(
        self,
        backend: Backend,
        searcher: Searcher,
        record: OperationRecord,
        wish: Wish,
        holder: str,
        steps: Sequence[Step],
        progress: Progress | None,
    ) -> None:
        self._backend = backend
        self._operations = backend.operations
        self._searcher = searcher
        self._record = record
        self._wish = wish
        self._holder = holder
        self.steps = list(steps)
        self._progress = progress
        self._chunk = FIRST_CHUNK
        self._cancelled = record.wanted == "cancel"
        self._renew_at_s = time.monotonic() + RENEW_S
        self._began_s = time.monotonic()
        self._done_here = 0

    async def run(self) -> OperationState:
        """Go through all queues; return how it has ended."""
        for index, queue in enumerate(self._wish.queues):
            if self._cancelled:
                return "cancelled"
            if self.steps[index].place == ENDED:
                continue
            if self._wish.query is None:
                await self._go_through_ids(index, queue)
            else:
                await self._search(index, queue, self._wish.query)
        return "cancelled" if self._cancelled else "done"

    async def _search(self, index: int, queue: str, text: str) -> None:
        query = parse(text)
        place = self.steps[index].place
        start = self._searcher.start(query, self._wish.now_ms)
        if place:
            start = read_cursor(place, query)
        looks = self._searcher.looks(
            query,
            start,
            queues=[queue],
            room=self._room,
            oldest_first=True,
            ids_only=True,
            ended_until_ms=self._wish.now_ms,
        )
        looked_at, noted_s = 0, time.monotonic()
        async with aclosing(looks):
            async for look in looks:
                looked_at += look.looked_at
                place = ENDED if look.cursor is None else str(look.cursor)
                ids = [record.id for record in look.found]
                if not ids and place != ENDED and time.monotonic() - noted_s < NOTE_S:
                    await self._renew()
                else:
                    act = self._wish.act(look.found[0].state, ids) if ids else None
                    await self._step(index, queue, place, looked_at, act)
                    looked_at, noted_s = 0, time.monotonic()
                if self._cancelled:
                    return
        if self.steps[index].place != ENDED:
            await self._step(index, queue, ENDED, looked_at, None)

    async def _go_through_ids(self, index: int, queue: str) -> None:
        """Change jobs that are named by id: each step those beside each other in one state."""
        ids = self._wish.selected[queue]
        at = int(self.steps[index].place or 0)
        while at < len(ids) and not self._cancelled:
            some = ids[at : at + min(READ_AT_ONCE, self._room())]
            records = await asyncio.gather(
                *(self._backend.jobs.get(queue, job_id) for job_id in some)
            )
            states = [None if record is None else record.state for record in records]
            many = next((n for n, state in enumerate(states) if state != states[0]), len(some))
            # One that is gone, or may not be changed so, is in none of these states: refused.
            may = MAY[self._wish.action]
            state = states[0] if states[0] in may else may[0]
            at += many
            place = str(at) if at < len(ids) else ENDED
            await self._step(index, queue, place, many, self._wish.act(state, some[:many]))

    async def _step(
        self, index: int, queue: str, place: str, looked_at: int, act: Act | None
    ) -> None:
        before = self.steps[index]
        began_s = time.monotonic()
        now = await self._operations.step(
            self._record.id, queue, after=before.version, place=place, looked_at=looked_at, act=act
        )
        if now is None:
            raise _LostError
        self.steps[index] = now
        if act is not None:
            took_s = time.monotonic() - began_s
            fitting = round(len(act.ids) * AIM_S / max(took_s, 1e-6))
            if len(act.ids) >= self._chunk or fitting < self._chunk:
                self._chunk = max(LEAST_CHUNK, min(fitting, 2 * self._chunk, MAX_CHUNK))
            self._done_here += len(act.ids)
        if self._progress is not None:
            self._progress(operation_info(self._record, self._wish, self.steps))
        await self._renew()
        await self._keep_rate()

    def _room(self) -> int:
        """Return how many jobs the next step changes at most."""
        rate = self._wish.max_per_s
        return self._chunk if rate is None else max(1, min(self._chunk, int(rate * RENEW_S)))

    async def _keep_rate(self) -> None:
        """Wait until as many jobs may have been changed as were."""
        rate = self._wish.max_per_s
        while rate is not None and not self._cancelled:
            wait_s = self._began_s + self._done_here / rate - time.monotonic()
            if wait_s <= 0:
                return
            await asyncio.sleep(min(wait_s, RENEW_S))
            await self._renew()

    async def _renew(self) -> None:
        if time.monotonic() < self._renew_at_s:
            return
        taken = await self._operations.take(self._record.id, self._holder, lease_ms=LEASE_MS)
        if taken is None:
            raise _LostError
        self._cancelled = taken.wanted == "cancel"
        self._renew_at_s = time.monotonic() + RENEW_S
