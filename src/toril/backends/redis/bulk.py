"""Verbs over many jobs, one bounded chunk a call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from toril.backends.redis import records
from toril.backends.redis.client import Client
from toril.backends.redis.keys import Keys
from toril.backends.redis.known import KnownQueues
from toril.backends.redis.moments import Moments
from toril.backends.redis.requests import whole_job
from toril.backends.redis.scripts import script
from toril.core.errors import BackendError, JobError, WrongStateError
from toril.engine.deduplication import HeldId
from toril.engine.job import WholeJob
from toril.engine.states import FINISHED, State

LOOK_CHUNK = 1000
"""Jobs that one call of a clean looks at."""


class Bulk:
    """The half of the role `Jobs` that works on many."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        moments: Moments,
        known: KnownQueues,
        *,
        metrics_points: int,
    ) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments
        self._known = known
        self.metrics_points = metrics_points
        self._tasks: set[asyncio.Task[None]] = set()

    async def retry_many(
        self, queue: str, state: State, *, limit: int, finished_until_ms: int, reset_attempts: bool
    ) -> int:
        reset = "yes" if reset_attempts else "no"
        many: int = await self._run("retry_many", queue, state, limit, finished_until_ms, reset)
        return many

    async def promote_many(self, queue: str, *, limit: int) -> int:
        many: int = await self._run("promote_many", queue, limit)
        return many

    async def drain(self, queue: str, *, delayed: bool, limit: int) -> int:
        many: int = await self._run("drain", queue, "yes" if delayed else "no", limit)
        return many

    async def clean(self, queue: str, state: State, *, older_than_ms: int, limit: int) -> int:
        removed, start = 0, 0
        while start >= 0 and removed < limit:
            look = LOOK_CHUNK
            gone, start = await self._run(
                "clean", queue, state, older_than_ms, limit - removed, start, look
            )
            removed += gone
            if state in FINISHED:
                break
        return removed

    async def obliterate(self, queue: str, *, force: bool, limit: int) -> int:
        answer = await self._run("obliterate", queue, "yes" if force else "no", limit)
        match answer[0]:
            case "not_paused":
                raise _refusal(queue, "is not paused; pause it first")
            case "active":
                raise _refusal(queue, "has running jobs; wait for them, or force")
            case "missing":
                await self._known.forget(queue)
                return 0
        removed: int = answer[1]
        if removed == 0:
            await self._known.forget(queue)
        return removed

    async def logs_many(self, queue: str, job_ids: Sequence[str]) -> list[list[str]]:
        keys = [self._keys.of(queue, f"{job_id}:logs") for job_id in job_ids]
        try:
            return await self._client.many([["LRANGE", key, 0, -1] for key in keys])
        except BackendError:
            kinds = await self._client.many([["TYPE", key] for key in keys])
            if set(kinds) <= {"list", "none"}:
                raise
        lists = [key for key, kind in zip(keys, kinds, strict=True) if kind == "list"]
        lines = dict(
            zip(
                lists,
                await self._client.many([["LRANGE", key, 0, -1] for key in lists]),
                strict=True,
            )
        )
        return [lines.get(key, []) for key in keys]

    async def held_ids(self, queue: str, job_ids: Sequence[str]) -> list[HeldId | None]:
        return [records.held(row) for row in await self._run("read_held", queue, *job_ids)]

    async def adopt(self, queue: str, jobs: Sequence[WholeJob]) -> list[bool]:
        await self._known.use(queue)
        arguments = [word for job in jobs for word in whole_job(job, self._keys.prefix)]
        answers = await self._run("adopt", queue, *arguments)
        await self._known.announce(queue)
        return [answer == 1 for answer in answers]

    async def remove_many(self, queue: str, state: State, job_ids: Sequence[str]) -> list[bool]:
        return [gone == 1 for gone in await self._run("remove_many", queue, state, *job_ids)]

    async def _run(self, verb: str, queue: str, *arguments: str | int) -> Any:
        return await self._client.run(
            script(verb), [self._keys.meta(queue)], self._moments.frozen(), *arguments
        )


def _refusal(queue: str, problem: str) -> JobError:
    return WrongStateError(f"queue {queue!r} {problem}", job_id="", queue=queue)
