"""Pauses, concurrency and rate limits of a queue, kept in its `meta` hash and its `limiter`."""

from __future__ import annotations

import msgspec

from toril.backends.redis.client import Client
from toril.backends.redis.keys import Keys
from toril.backends.redis.moments import Moments
from toril.backends.redis.scripts import script


class RedisLimits:
    """The role `Limits`."""

    def __init__(self, client: Client, keys: Keys, moments: Moments) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments

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
        answer: object = await self._client.run(
            script(verb), [self._keys.meta(queue)], self._moments.frozen(), *arguments
        )
        return answer
