"""The loop that adds committed rows to the store, and removes them once the store has their jobs.

Several relays may run at the same time, in any processes. One of them has a queue at a time, until
its transaction ends, so the jobs of a queue are added in the order of their rows. A relay that is
killed after it has added jobs and before it has removed their rows leaves both: the next one sends
the same rows again, and the store knows them by their marks (`engine/contract/relaying.py`).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from itertools import islice
from typing import NamedTuple

import msgspec

from toril.core.errors import BackendError, OutboxError, StoreUnreachableError
from toril.core.loggers import logger
from toril.engine.contract import Backend
from toril.outbox.batches import Batch, add_rows
from toril.outbox.database import OutboxDatabase
from toril.outbox.file_turn import file_turn
from toril.outbox.rows import TABLE, Row
from toril.outbox.statements import statements

MANY = 200
"""Rows of a queue in one pass."""
QUEUES = 64
"""Queues that one pass takes: the others are left to other relays, or to the next pass."""
POLL_S = 0.025
"""Between two looks where nobody tells of a commit."""
TOLD_POLL_S = 2.0
"""The same where PostgreSQL tells."""
LISTEN_AGAIN_S = 5.0
HOLD_S = (0.1, 5.0)
"""How long a queue is left alone after the store has failed: first, and at most."""
REFUSED_DAYS = 90
"""Days after which a row that was refused is removed."""
TRIM_S = 3600.0
STALE_S = 10.0
"""A pass that has taken so long sends no more: a database may have ended its transaction."""
KEEP_MARKS_S = 60.0
"""The store keeps marks for so long after their rows are gone: a relay whose transaction was ended
by the database may have sent the same rows, and its call may still be under way."""
MARKS_TOGETHER = 1000
FAREWELL_S = 1.0

log = logger("toril.outbox")


class Relayed(NamedTuple):
    """What a relay has done."""

    queue: str
    jobs: int
    """Rows that are jobs now."""
    refused: int
    """Rows that the store will never take."""


class _Pass(NamedTuple):
    found: bool
    """There were rows."""
    more: bool
    """There are more rows to take at once."""
    problem: Exception | None


class Relay:
    """Relays the rows of one database to one store. Use one at a time on one event loop."""

    def __init__(
        self,
        database: OutboxDatabase,
        backend: Callable[[], Backend],
        *,
        told: Callable[[Relayed], None] = lambda done: None,
    ) -> None:
        """Make it. Nothing is connected to yet.

        Parameters:
            database: Where the rows are.
            backend: Returns the store.
            told: Called for each queue once its rows are removed, or marked as refused.
        """
        self._database = database
        self._statements = statements(database.dialect)
        self._backend = backend
        self._told = told
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hears = False
        """PostgreSQL tells of commits: somebody has heard one."""
        self._gone: dict[str, deque[tuple[float, str]]] = {}
        """By queue: when a row was removed, and its mark."""
        self._held: dict[str, tuple[float, float]] = {}
        """By queue: until when it is left alone, and for how long."""
        self._next_trim_s = 0.0
        self._first = 0
        """Of the queues: with which the next pass begins."""
        self._said = ""

    def wake(self) -> None:
        """Look now: rows may have been committed. From any thread."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(self._woken.set)

    async def run(self) -> None:
        """Relay until cancelled. Nothing that goes wrong ends it."""
        self._loop = asyncio.get_running_loop()
        listening = asyncio.create_task(self._listen(), name="toril-outbox-listener")
        wait_s = 0.0
        polls = False
        """Nobody has told of a commit: the time for the next look was over."""
        try:
            while True:
                self._woken.clear()
                try:
                    done = await self._whole_pass()
                except Exception as error:
                    self._complain(error)
                    wait_s = min(HOLD_S[1], wait_s * 2 or HOLD_S[0])
                    await asyncio.sleep(wait_s)
                    continue
                wait_s = 0.0
                if done.problem is None:
                    self._said = ""
                else:
                    self._complain(done.problem)
                if done.found and polls and not self._woken.is_set():
                    self._hears = False  # it should have been told of them
                polls = not done.more and await self._sleep()
        finally:
            self._loop = None
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._forget_marks(0.0), FAREWELL_S)
            await self._database.rollback()
            await self._database.close()

    async def drain(self) -> None:
        """Relay until no row is left that can be relayed now.

        Raises:
            OutboxError: The database cannot be used.
            BackendError: The store cannot.
        """
        try:
            while True:
                done = await self._pass(wait_for_turn=True)
                if done.problem is not None:
                    raise done.problem
                if not done.found:
                    await self._forget_marks(0.0)
                    return
        finally:
            await self._database.rollback()
            await self._database.close()

    async def _sleep(self) -> bool:
        """Sleep until somebody tells of a commit; return whether nobody did."""
        poll_s = TOLD_POLL_S if self._hears else POLL_S
        if self._held:
            now_s = time.monotonic()
            next_s = min(until_s for until_s, _ in self._held.values()) - now_s
            poll_s = min(poll_s, max(next_s, POLL_S))
        try:
            # Not `wait_for`: before Python 3.12 it loses a cancellation that comes with the wake.
            async with asyncio.timeout(poll_s):
                await self._woken.wait()
        except TimeoutError:
            return True
        return False

    async def _listen(self) -> None:
        """Have the database tell of commits, for as long as it can."""

        def heard() -> None:
            self._hears = True
            self.wake()

        while True:
            try:
                await self._database.listen(heard)
                return  # it cannot tell
            except OutboxError as error:
                log.debug("%s", error)  # the next pass says it, if it is not only this
            finally:
                self._hears = False
            await asyncio.sleep(LISTEN_AGAIN_S)

    async def _whole_pass(self) -> _Pass:
        """Take rows once; if cancelled meanwhile, end the pass first, unless it takes long.

        Drivers do not all survive that a statement is cancelled.
        """
        working = asyncio.ensure_future(self._pass())
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            await asyncio.wait([working], timeout=FAREWELL_S)
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            raise

    async def _pass(self, *, wait_for_turn: bool = False) -> _Pass:
        """Take rows once."""
        path = self._database.path
        while True:
            with nullcontext(True) if path is None else file_turn(path) as mine:
                if mine:
                    return await self._take()
            if not wait_for_turn:
                return _Pass(found=False, more=False, problem=None)
            await asyncio.sleep(POLL_S)

    async def _take(self) -> _Pass:
        database = self._database
        try:
            await self._trim()
            began_s = time.monotonic()
            queues = await self._queues()
            done: list[tuple[str, Batch, bool]] = []
            for queue in queues:
                rows = await self._rows(queue)
                if time.monotonic() - began_s > STALE_S:
                    break  # another relay may have the turn by now: this one begins anew
                if rows:
                    batch = await self._add(queue, rows)
                    done.append((queue, batch, len(rows) == MANY))
                    if isinstance(batch.problem, StoreUnreachableError):
                        break  # so are the other queues
            if not done:
                await database.rollback()
                await self._forget_marks(KEEP_MARKS_S)
                return _Pass(found=False, more=False, problem=None)
            await self._settle([batch for _, batch, _ in done])
        except BaseException:
            await database.rollback()
            raise
        for queue, batch, _ in done:
            gone = self._gone.setdefault(queue, deque())
            gone.extend((time.monotonic(), row.row_id) for row in batch.added)
            if batch.added or batch.refused:
                self._told(Relayed(queue, len(batch.added), len(batch.refused)))
            for row, reason in batch.refused:
                log.error(
                    "the store refuses job %r of the outbox for queue %s, row %s: %s. It stays"
                    " there: toril relay status",
                    row.name, row.queue, row.row_id, reason,
                )  # fmt: skip
        problems = [batch.problem for _, batch, _ in done if batch.problem is not None]
        more = any(full and batch.problem is None for _, batch, full in done)
        return _Pass(found=True, more=more, problem=problems[0] if problems else None)

    async def _queues(self) -> list[str]:
        """Return queues that have rows, of which this relay has the turn now."""
        found = [str(row[0]) for row in await self._database.run(self._statements.queues)]
        now_s = time.monotonic()
        queues = [queue for queue in found if self._held.get(queue, (0.0, 0.0))[0] <= now_s]
        if len(queues) > QUEUES:
            self._first = (self._first + QUEUES) % len(queues)
            queues = [*queues[self._first :], *queues[: self._first]][:QUEUES]
        if not queues or self._statements.lock is None:
            return queues
        keys = {str(_lock_key(queue)): queue for queue in queues}
        answers = await self._database.run(self._statements.lock, keys=_text(list(keys)))
        return [keys[str(key)] for key, taken in answers if taken]

    async def _rows(self, queue: str) -> list[Row]:
        found = await self._database.run(self._statements.rows, queue=queue, many=MANY)
        if self._statements.lock is None:
            await self._database.rollback()  # nothing is held while the store is asked
        return [Row(*row) for row in found]

    async def _add(self, queue: str, rows: Sequence[Row]) -> Batch:
        """Add the jobs of a queue; leave it alone for a while if the store cannot."""
        forget = self._marks_to_forget(queue, KEEP_MARKS_S)
        batch = await add_rows(self._backend().relaying, queue, rows, forget=forget)
        if batch.problem is None:
            self._forgotten(queue, len(forget))
            self._held.pop(queue, None)
        else:
            wait_s = min(HOLD_S[1], self._held.get(queue, (0.0, 0.0))[1] * 2 or HOLD_S[0])
            self._held[queue] = (time.monotonic() + wait_s, wait_s)
        return batch

    async def _settle(self, batches: Sequence[Batch]) -> None:
        """Remove the rows whose jobs the store has, and mark those that it will never take."""
        database = self._database
        gone = [row.position for batch in batches for row in batch.added]
        if gone:
            await database.run(self._statements.delete, positions=_text(gone))
        now_ms = self._backend().clock.now_ms()
        for batch in batches:
            for row, reason in batch.refused:
                await database.run(
                    self._statements.refuse, now_ms=now_ms, reason=reason, position=row.position
                )
        await database.commit()

    async def _forget_marks(self, after_s: float) -> None:
        """Have the store drop the marks of rows that were removed so long ago.

        The store keeps a mark that nobody drops for 30 days.
        """
        for queue in list(self._gone):
            with suppress(BackendError):
                while forget := self._marks_to_forget(queue, after_s):
                    await self._backend().relaying.add(queue, [], forget=forget)
                    self._forgotten(queue, len(forget))

    def _marks_to_forget(self, queue: str, after_s: float) -> list[str]:
        now_s = time.monotonic()
        gone = islice(self._gone.get(queue, ()), MARKS_TOGETHER)
        return [mark for since_s, mark in gone if now_s - since_s >= after_s]

    def _forgotten(self, queue: str, many: int) -> None:
        gone = self._gone.get(queue)
        if gone is not None:
            for _ in range(many):
                gone.popleft()
            if not gone:
                del self._gone[queue]

    async def _trim(self) -> None:
        if time.monotonic() < self._next_trim_s:
            return
        self._next_trim_s = time.monotonic() + TRIM_S
        before_ms = self._backend().clock.now_ms() - REFUSED_DAYS * 86_400_000
        database = self._database
        if not await database.run(self._statements.old, before_ms=before_ms):
            await database.rollback()
            return
        for (row_id,) in await database.run(self._statements.trim, before_ms=before_ms):
            log.warning("row %s of the outbox was refused %d days ago: gone", row_id, REFUSED_DAYS)
        await database.commit()

    def _complain(self, error: Exception) -> None:
        """Say what is wrong, once for as long as it stays the same."""
        known = isinstance(error, OutboxError | BackendError)
        said = str(error) if known else f"{type(error).__name__}: {error}"
        if said != self._said:
            log.error("the outbox waits: %s", said, exc_info=None if known else error)
        self._said = said


def _lock_key(queue: str) -> int:
    """Return the number by which relays of one database agree on who has a queue."""
    digest = hashlib.blake2b(f"{TABLE}:{queue}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _text(values: Sequence[str | int]) -> str:
    return msgspec.json.encode(values).decode()
