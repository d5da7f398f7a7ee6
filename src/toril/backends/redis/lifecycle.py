"""Closing the store, looking it over, and mending it."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence

from toril.backends.redis.client import Client
from toril.backends.redis.doctor import Doctor
from toril.backends.redis.keys import Keys
from toril.backends.redis.repairs import Repairs
from toril.engine.contract.lifecycle import Health, Repair

IDENTITY_MS = 120_000
"""For how long a store has the same name: longer than the minute that was promised."""


class RedisLifecycle:
    """The role `Lifecycle`."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        doctor: Doctor,
        repairs: Repairs,
        close: Callable[[], Awaitable[None]],
    ) -> None:
        self._client = client
        self._doctor = doctor
        self._repairs = repairs
        self._keys = keys
        self._close = close
        self._closed = False

    async def check(self) -> Health:
        return await self._doctor.health()

    async def repair(self, repairs: Sequence[Repair], *, max_stalled: int) -> list[Repair]:
        return await self._repairs.carry_out(repairs, max_stalled=max_stalled)

    async def identity(self) -> str:
        # Not the server's own id: a proxy may hide it. It expires, so that a copy has another one.
        _, _, name = await self._client.many(
            [
                ["SET", self._keys.here, secrets.token_hex(16), "NX", "PX", IDENTITY_MS],
                ["PEXPIRE", self._keys.here, IDENTITY_MS],
                ["GET", self._keys.here],
            ]
        )
        return str(name)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._close()
