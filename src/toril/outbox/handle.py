"""The outbox of an app: relay it, and look at what waits in it or was refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from toril.core.checks import require
from toril.core.clock import moment
from toril.core.errors import OutboxError
from toril.engine.contract import Backend
from toril.engine.contract.lifecycle import Finding
from toril.outbox.database import OutboxDatabase
from toril.outbox.relay import Relay, Relayed
from toril.outbox.statements import statements

LATE_S = 60.0
"""Of a row that waits for so long, `toril doctor` says that no relay runs."""
MOST_REFUSED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxQueue:
    """What an outbox has for one queue."""

    queue: str
    waiting: int
    """Committed rows that are no jobs yet."""
    refused: int
    """Rows that the store will never take; see `Outbox.refused`."""
    oldest_waiting_s: float | None
    """Age of the oldest that waits. None: none does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRow:
    """A row that the store will never take."""

    row_id: str
    queue: str
    name: str
    created_at: datetime
    refused_at: datetime
    reason: str


class Outbox:
    """The outbox of an app. `App.outbox` has it."""

    def __init__(
        self, open_database: Callable[[], OutboxDatabase], backend: Callable[[], Backend]
    ) -> None:
        self._open = open_database
        self._backend = backend
        self._relays: set[Relay] = set()
        """Those that run in this process."""

    def wake(self) -> None:
        """Have the relays of this process look now. From any thread; each commit calls it."""
        for relay in tuple(self._relays):
            relay.wake()

    async def relay(self, told: Callable[[Relayed], None] = lambda done: None) -> None:
        """Relay until cancelled, as `toril relay` does. Each worker of the app does so, too.

        Parameters:
            told: Called for each batch.
        """
        relay = Relay(self._open(), self._backend, told=told)
        self._relays.add(relay)
        try:
            await relay.run()
        finally:
            self._relays.discard(relay)

    @property
    def shown(self) -> str:
        """Where the database is, without secrets."""
        return self._open().shown

    async def drain(self, told: Callable[[Relayed], None] = lambda done: None) -> int:
        """Relay what is committed now, and return how many rows became jobs. For tests and scripts.

        Parameters:
            told: Called for each batch.

        Raises:
            OutboxError: The database cannot be used.
            BackendError: The store cannot.
        """
        jobs = 0

        def count(done: Relayed) -> None:
            nonlocal jobs
            jobs += done.jobs
            told(done)

        await Relay(self._open(), self._backend, told=count).drain()
        return jobs

    async def status(self) -> list[OutboxQueue]:
        """Return what waits and what was refused, by queue."""
        now_ms = self._backend().clock.now_ms()
        return [
            OutboxQueue(
                queue=queue,
                waiting=int(waiting),
                refused=int(refused),
                oldest_waiting_s=None if oldest is None else max(0, now_ms - oldest) / 1000,
            )
            for queue, waiting, refused, oldest in await self._ask("status")
        ]

    async def refused(self, *, limit: int = 50) -> list[RefusedRow]:
        """Return rows that the store will never take, oldest first.

        Parameters:
            limit: How many, 1 to 1,000.
        """
        require(1 <= limit <= MOST_REFUSED, "limit", limit, "an integer from 1 to 1,000")
        return [
            RefusedRow(
                row_id=row_id,
                queue=queue,
                name=name,
                created_at=moment(created_ms),
                refused_at=moment(refused_ms),
                reason=reason or "",
            )
            for row_id, queue, name, created_ms, refused_ms, reason in await self._ask(
                "refused", many=limit
            )
        ]

    async def retry(self, row_ids: Sequence[str] | None = None) -> int:
        """Have refused rows relayed again, and return how many.

        Parameters:
            row_ids: Which. None: all.
        """
        found = await self._ask("retry", **_which(row_ids))
        self.wake()
        return len(found)

    async def remove(self, row_ids: Sequence[str] | None = None) -> int:
        """Remove refused rows for good, and return how many. Their jobs will never run.

        Parameters:
            row_ids: Which. None: all.
        """
        return len(await self._ask("remove", **_which(row_ids)))

    async def findings(self) -> list[Finding]:
        """Return what `toril doctor` says of it."""
        try:
            found = await self.status()
        except OutboxError as error:
            return [Finding("outbox", "error", str(error))]
        waiting, refused = sum(one.waiting for one in found), sum(one.refused for one in found)
        oldest_s = max((one.oldest_waiting_s or 0.0 for one in found), default=0.0)
        findings = []
        if oldest_s > LATE_S:
            text = (
                f"{waiting} rows wait, the oldest for {oldest_s:.0f} s: is a worker of the app, or"
                " `toril relay`, running, and can it use the store?"
            )
            findings.append(Finding("outbox", "warning", text))
        if refused:
            text = f"the store refuses {refused} rows for good: toril relay status says why"
            findings.append(Finding("outbox", "warning", text))
        return findings or [Finding("outbox", "ok", f"{waiting} rows wait to be relayed")]

    async def _ask(self, name: str, **values: object) -> Sequence[Sequence[Any]]:
        database = self._open()
        try:
            found = await database.run(getattr(statements(database.dialect), name), **values)
            await database.commit()
        finally:
            await database.close()
        return found


def _which(row_ids: Sequence[str] | None) -> dict[str, object]:
    text = msgspec.json.encode([] if row_ids is None else list(row_ids)).decode()
    return {"every": int(row_ids is None), "row_ids": text}
