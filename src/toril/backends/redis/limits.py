"""Pauses, concurrency and rate limits of a queue, kept in its `meta` hash and its `limiter`."""

from __future__ import annotations

import msgspec

from toril.backends.redis.queue_register import QueueRegister
from toril.backends.redis.queue_scripts import QueueScripts


class RedisLimits:
    """The role `Limits`."""

    def __init__(self, scripts: QueueScripts, known: QueueRegister) -> None:
        self._scripts = scripts
        self._known = known

    async def pause(self, queue: str, *, moving: bool = False) -> None:
        await self._run("pause", queue, "yes" if moving else "no")

    async def resume(self, queue: str) -> None:
        while await self._run("resume", queue):
            pass

    async def set_concurrency(self, queue: str, limit: int | None) -> None:
        await self._set(queue, concurrency=limit)

    async def set_rate(self, queue: str, limit: int | None, window_ms: int) -> None:
        await self._set(queue, max=limit, duration=None if limit is None else window_ms)

    async def hold(self, queue: str, *, duration_ms: int) -> None:
        await self._run("hold", queue, duration_ms)

    async def _set(self, queue: str, **fields: int | None) -> None:
        settings = {name: value or False for name, value in fields.items()}
        await self._run("limit", queue, msgspec.json.encode(settings).decode())

    async def _run(self, verb: str, queue: str, *arguments: str | int) -> object:
        answer: object = await self._scripts.run(verb, queue, *arguments)
        await self._known.enlist([queue])
        return answer
