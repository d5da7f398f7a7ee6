"""A store made of two: Redis, and the spool that stands in for it.

What workers do goes to Redis always: a worker of Redis waits for it, and another one works the
spool (`local_work.py`). What an app asks for goes where jobs are: see the table on the page
"Fallback store".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import msgspec

from toril.core.errors import InvalidOptionError, JobNotFoundError, StoreUnreachableError
from toril.engine.contract import Backend, Exchange, ExchangeReply
from toril.engine.contract.jobs import JobFilter, JobPage
from toril.engine.job import Added, JobRecord, NewJob
from toril.engine.repeats import CallId
from toril.engine.spool_ids import is_spool_id, new_book, spool_id
from toril.fallback.adding import Adder
from toril.fallback.breaker import Breaker
from toril.fallback.keeper import Keeper
from toril.fallback.lock import MoveLock
from toril.fallback.options import Fallback
from toril.fallback.spool import Spool

READABLE = ("counts", "events", "logs", "history", "search", "workers")
"""Roles that answer from the spool while Redis cannot be read."""
SETTINGS = {
    "choose": "which events a queue tells is set in Redis",
    "keep": "whether a queue keeps its history is set in Redis",
    "declare_dead": "jobs of a worker that has died are in Redis",
}
"""Calls of these roles that wait for Redis, and why: in the spool they would be lost."""
ONLY_REDIS = {
    "bulk": "operations on many jobs change jobs in Redis",
    "deduplication": "de-duplication ids are settled in Redis",
    "limits": "pauses and limits hold for all workers, so Redis keeps them",
    "dead_letters": "rules of dead letters are kept in Redis",
    "schedules": "schedules are kept in Redis",
    "flows": "a flow's jobs have to be in one store, and Redis' workers have to see them",
    "operations": "operations on many jobs change jobs in Redis",
    "access": "keys and users are kept in Redis",
    "audit": "the audit log is kept in Redis",
    "alerts": "alerts are kept in Redis",
}
"""Roles that wait for Redis, and why."""
STOP_S = 25.0


class FallbackStore:
    """Two stores as one."""

    def __init__(
        self,
        primary: Backend,
        spool: Backend,
        options: Fallback,
        *,
        lock_path: str | None,
        max_stalled: int,
    ) -> None:
        """Join them.

        Parameters:
            primary: The store on Redis.
            spool: The file.
            options: The app's.
            lock_path: Of the file that says which process moves jobs. None: there is only one.
            max_stalled: How often a job may lose its worker before it fails.

        Raises:
            InvalidOptionError: The primary store is a file.
        """
        if primary.repeats is None:
            raise InvalidOptionError(
                f"fallback: {primary.url} is a file, which is never away; only a store on Redis"
                " takes one"
            )
        self.primary = primary
        self.options = options
        self.spool = Spool(spool)
        self.breaker = Breaker(spool.url)
        self.keeper = Keeper(
            primary.repeats,
            self.spool,
            self.breaker,
            options,
            lock=MoveLock(lock_path),
            max_stalled=max_stalled,
        )
        self.adder = Adder(
            primary.repeats, self.spool, self.breaker, options, probe=self.keeper.probe
        )
        self.local = replace(spool, dispatch=cast("Any", _LocalDispatch(spool)),
                             flows=cast("Any", _NoFlows(spool.flows)))  # fmt: skip
        """The spool, as its worker has it."""
        roles: dict[str, Any] = {
            name: _Readable(self, getattr(primary, name), getattr(spool, name)) for name in READABLE
        }
        roles["counts"] = _Counts(self, primary.counts, spool.counts)
        for name, why in ONLY_REDIS.items():
            roles[name] = _OnlyRedis(self, getattr(primary, name), why)
        self.backend = replace(
            primary,
            jobs=cast("Any", _Jobs(self)),
            lifecycle=cast("Any", _Lifecycle(self)),
            **roles,
        )
        """Both, as the app has them."""

    def refusal(self, why: str) -> StoreUnreachableError:
        """Return the error of a call that has to wait for Redis."""
        return StoreUnreachableError(
            f"{self.primary.url} is away since {self.breaker.since:%H:%M:%S} UTC"
            f" ({self.breaker.reason}): {why}. Nothing was done; try again once it is back.",
            sent=False,
        )

    @property
    def cut_off(self) -> bool:
        """Whether Redis can neither be written nor read."""
        return self.breaker.away and not self.breaker.reachable

    async def close(self) -> None:
        """Stop what runs here, and let go of both stores."""
        await asyncio.to_thread(self.keeper.stop, STOP_S)
        await self.primary.lifecycle.close()
        await self.spool.backend.lifecycle.close()


class _Role:
    """A role of Redis; what is not here is done by the role itself."""

    def __init__(self, store: FallbackStore, role: Any) -> None:
        self._store = store
        self._role = role

    def __getattr__(self, name: str) -> Any:
        return getattr(self._role, name)


class _Readable:
    """A role that answers from the spool while Redis cannot be read."""

    def __init__(self, store: FallbackStore, role: Any, spooled: Any) -> None:
        self._store = store
        self._role = role
        self._spooled = spooled

    def __getattr__(self, name: str) -> Any:
        if not self._store.cut_off:
            return getattr(self._role, name)
        why = SETTINGS.get(name)
        if why is None:
            return getattr(self._spooled, name)

        async def refuse(*arguments: Any, **named: Any) -> Any:
            raise self._store.refusal(why)

        return refuse


class _Counts(_Readable):
    async def queues(self, *, search: bool = False) -> Any:
        if self._store.cut_off:
            return await self._store.spool.queues()
        return await self._role.queues(search=search)

    async def queue(self, name: str) -> Any:
        if not self._store.cut_off:
            return await self._role.queue(name)
        found = await self._spooled.queue(name)
        if found is None and not await self._store.spool.has_calls(name):
            raise self._store.refusal(f"queue {name!r} is not in the spool")
        return found


class _OnlyRedis(_Role):
    """A role that waits for Redis."""

    def __init__(self, store: FallbackStore, role: Any, why: str) -> None:
        super().__init__(store, role)
        self._why = why

    def __getattr__(self, name: str) -> Any:
        return self._refuse if self._store.cut_off else getattr(self._role, name)

    async def _refuse(self, *arguments: Any, **named: Any) -> Any:
        raise self._store.refusal(self._why)


class _Jobs:
    """The role `Jobs`: looks for a job where it is."""

    def __init__(self, store: FallbackStore) -> None:
        self._store = store
        self._role = store.primary.jobs
        self._spooled = store.spool.backend.jobs
        self.add: Callable[..., Awaitable[list[Added]]] = store.adder.add

    async def get(self, queue: str, job_id: str) -> JobRecord | None:
        store = self._store
        if store.breaker.away or is_spool_id(job_id):
            found = await store.spool.get(queue, job_id)
            if found is not None:
                return found
            job_id = await store.spool.alias(queue, job_id)
            if store.cut_off and not is_spool_id(job_id):
                raise store.refusal(f"job {job_id} of queue {queue!r} is not in the spool")
            if store.cut_off:
                return None
        return await self._role.get(queue, job_id)

    async def page(self, wanted: JobFilter) -> JobPage:
        return await (self._spooled if self._store.cut_off else self._role).page(wanted)

    def __getattr__(self, name: str) -> Any:
        async def on_one(queue: str, job_id: str, **named: Any) -> Any:
            role, job_id = await self._place(queue, job_id)
            return await getattr(role, name)(queue, job_id, **named)

        return on_one

    async def _place(self, queue: str, job_id: str) -> tuple[Any, str]:
        """Return who has a job, and its id there."""
        store = self._store
        if not store.breaker.away and not is_spool_id(job_id):
            return self._role, job_id
        if await self._spooled.get(queue, job_id) is not None:
            return self._spooled, job_id
        if await store.spool.waiting(queue, job_id) is not None:
            raise store.refusal(f"job {job_id} of queue {queue!r} waits for it")
        job_id = await store.spool.alias(queue, job_id)
        if store.cut_off:
            if is_spool_id(job_id):
                raise JobNotFoundError(
                    f"queue {queue!r} has no job {job_id!r}", job_id=job_id, queue=queue
                )
            raise store.refusal(f"job {job_id} of queue {queue!r} is not in the spool")
        return self._role, job_id


class _Lifecycle(_Role):
    def __init__(self, store: FallbackStore) -> None:
        super().__init__(store, store.primary.lifecycle)

    async def close(self) -> None:
        await self._store.close()


class _LocalDispatch(_Role):
    """The spool's dispatch: what an attempt adds gets an id that no job of Redis can have."""

    def __init__(self, spool: Backend) -> None:
        self._role = spool.dispatch
        self._book = new_book()
        self._number = 0

    async def exchange(self, exchange: Exchange) -> ExchangeReply:
        for outcome in exchange.outcomes:
            if outcome.follow_ups:
                self._number += 1
                outcome.follow_ups = [
                    _named(job, CallId(self._book, self._number), index)
                    for index, job in enumerate(outcome.follow_ups)
                ]
        reply: ExchangeReply = await self._role.exchange(exchange)
        return reply


def _named(job: NewJob, call: CallId, index: int) -> NewJob:
    if job.job_id is not None:
        return job
    return msgspec.structs.replace(job, job_id=spool_id(call, index))


class _NoFlows(_Role):
    """The spool's flows: there are none."""

    def __init__(self, flows: Any) -> None:
        self._role = flows

    async def add(self, nodes: Any, *, token: str | None = None) -> list[Added]:
        raise StoreUnreachableError(
            "Redis is away: a flow's jobs have to be in one store, and Redis' workers have to see"
            " them. Nothing was done; the attempt may try again once it is back.",
            sent=False,
        )
