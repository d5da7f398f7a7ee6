"""Counts what jobs do by type and tenant, across all workers, in a database of yours.

```python
totals = JobTotals(SqlTotals("sqlite:///records.db"))
totals.watch(app)  # in every process that runs workers
```

The tenant is the payload's `tenantId`. Toril's own history counts by queue and task, and forgets
after two years; these totals never end. A worker that is killed loses what it was just writing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from toril.core.clock import Clock, SystemClock, moment
from toril.core.loggers import logger
from toril.engine.history import Durations, durations
from toril.engine.hooks import HookEvent, HookName
from toril.engine.tally import bucket_of
from toril.services.totals.adding import summed
from toril.services.totals.port import JobTotal, LastError, Totals

OUTCOMES: tuple[HookName, ...] = ("completed", "failed", "retried")
MAX_ERROR_CHARS = 2000
"""Of a last error; the rest is cut off."""
MAX_PENDING = 10_000
"""Types and tenants whose counts wait while the database is away; further ones are dropped."""
log = logger("toril.totals")


class HasHooks(Protocol):
    """What is needed of an app."""

    def on(self, name: HookName) -> Callable[[Any], Any]:
        """Call a function when workers see something."""
        ...


class _Payload(msgspec.Struct, rename="camel"):
    tenant_id: str | None = None


_DECODER = msgspec.json.Decoder(_Payload)


class JobTotals:
    """Counts the outcomes that workers of this process see, and reads those of all processes.

    Outcomes that come while a write is under way are written together by the next one.

    Parameters:
        totals: Where they are kept.
        clock: When an error happened. Default: the system's.
    """

    def __init__(self, totals: Totals, *, clock: Clock | None = None) -> None:
        self._totals = totals
        self._clock = clock or SystemClock()
        self._pending: dict[tuple[str, str, str | None], JobTotal] = {}
        self._is_writing = False

    def watch(self, app: HasHooks) -> None:
        """Count what the workers of an app see. Call it once for each app."""
        for name in OUTCOMES:
            app.on(name)(self.note)

    async def note(self, event: HookEvent) -> None:
        """Count one outcome: a hook of the events `OUTCOMES`."""
        one = self._counted(event)
        self._put(one)
        if self._is_writing:
            return  # that write goes on with this one
        self._is_writing = True
        try:
            while self._pending:
                batch, self._pending = self._pending, {}
                try:
                    await self._totals.add([*batch.values()])
                except Exception as error:
                    for each in batch.values():
                        self._put(each)
                    waiting = len(self._pending)
                    log.warning("totals of %d types and tenants wait: %s", waiting, error)
                    return  # the next outcome tries again
        finally:
            self._is_writing = False

    async def of_tenants(self, queue: str, *, tenant_id: str | None = None) -> list[JobTotal]:
        """Return the totals of a queue by type and tenant, in alphabetical order.

        Parameters:
            queue: Which.
            tenant_id: Only of this tenant. Default: all.
        """
        return [*await self._totals.read(queue, tenant_id=tenant_id)]

    @staticmethod
    def by_type(totals: list[JobTotal]) -> list[JobTotal]:
        """Return totals of tenants summed up by type, under no tenant."""
        found: dict[str, JobTotal] = {}
        for one in totals:
            there = found.get(one.type) or JobTotal(queue=one.queue, type=one.type)
            found[one.type] = summed(there, one)
        return [*found.values()]

    def _counted(self, event: HookEvent) -> JobTotal:
        run_ms = (event.duration_s or 0.0) * 1000
        last = None
        if event.name != "completed":
            last = LastError(
                message=(event.reason or "")[:MAX_ERROR_CHARS].replace("\0", "�"),
                job_id=event.job_id or "",
                at=moment(self._clock.now_ms()),
            )
        return JobTotal(
            queue=event.queue or "",
            type=event.task or "",
            tenant_id=_tenant_of(event.data),
            completed=int(event.name == "completed"),
            failed=int(event.name == "failed"),
            retried=int(event.name == "retried"),
            run_ms=run_ms,
            runs={bucket_of(run_ms): 1},
            last_error=last,
        )

    def _put(self, one: JobTotal) -> None:
        key = one.queue, one.type, one.tenant_id
        there = self._pending.get(key)
        if there is not None:
            self._pending[key] = summed(there, one)
        elif len(self._pending) < MAX_PENDING:
            self._pending[key] = one


def took(total: JobTotal) -> Durations:
    """Return how long the attempts took: median, percentiles, mean."""
    return durations(total.runs, total.run_ms)


def _tenant_of(data: str | None) -> str | None:
    try:
        tenant_id = _DECODER.decode(data or "{}").tenant_id
    except msgspec.DecodeError:  # other programs may send anything
        return None
    # A database of texts takes no NUL, and a total is of a name, not of a text of any length.
    return tenant_id[:200].replace("\0", "�") if tenant_id else None
