"""Verbs over many jobs of a queue: each script call works on a bounded chunk."""

from __future__ import annotations

from toril.backends.redis.queue_register import QueueRegister
from toril.backends.redis.queue_scripts import QueueScripts
from toril.backends.refusals import has_running_jobs, not_paused
from toril.engine.states import FINISHED, State

LOOK_CHUNK = 1000
"""Jobs that one call of a clean looks at."""


class RedisBulk:
    """The role `Bulk`."""

    def __init__(self, known: QueueRegister, scripts: QueueScripts) -> None:
        self._known = known
        self._scripts = scripts

    async def retry(
        self, queue: str, state: State, *, limit: int, finished_until_ms: int, reset_attempts: bool
    ) -> int:
        reset = "yes" if reset_attempts else "no"
        many: int = await self._scripts.run(
            "retry_many", queue, state, limit, finished_until_ms, reset
        )
        return many

    async def promote(self, queue: str, *, limit: int) -> int:
        many: int = await self._scripts.run("promote_many", queue, limit)
        return many

    async def drain(self, queue: str, *, delayed: bool, limit: int) -> int:
        many: int = await self._scripts.run("drain", queue, "yes" if delayed else "no", limit)
        return many

    async def clean(self, queue: str, state: State, *, older_than_ms: int, limit: int) -> list[str]:
        removed: list[str] = []
        start = 0
        while start >= 0 and len(removed) < limit:
            look = LOOK_CHUNK
            gone, start = await self._scripts.run(
                "clean", queue, state, older_than_ms, limit - len(removed), start, look
            )
            removed += gone
            if state in FINISHED:
                break
        return removed

    async def obliterate(self, queue: str, *, force: bool, limit: int) -> int:
        answer = await self._scripts.run("obliterate", queue, "yes" if force else "no", limit)
        match answer[0]:
            case "not_paused":
                raise not_paused(queue)
            case "active":
                raise has_running_jobs(queue)
            case "missing":
                await self._known.forget(queue)
                return 0
        removed: int = answer[1]
        if removed == 0:
            await self._known.forget(queue)
        return removed
