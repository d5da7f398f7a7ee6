"""The event stream of a queue.

A position in it is a stream id written as one number: milliseconds * 2^20 + sequence.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import msgspec

from toril.backends.redis.client import BlockingConnection, Client
from toril.backends.redis.keys import Keys
from toril.backends.redis.moments import Moments
from toril.backends.redis.queue_register import QueueRegister
from toril.backends.redis.scripts import script
from toril.core.errors import BackendError
from toril.engine.events import EventRecord, EventsTold

NO_STREAM_S = 1.0
"""How often to check, in seconds, whether the key of the events has become a stream."""
_SEQUENCE_BITS = 20
_LONGEST_BLOCK_S = 10.0


class RedisEvents:
    """The role `Events`."""

    def __init__(self, client: Client, keys: Keys, moments: Moments, known: QueueRegister) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments
        self._known = known
        self._idle: dict[asyncio.AbstractEventLoop, dict[int | None, list[BlockingConnection]]] = {}
        """Idle connections for the next reader. In a Cluster by slot, as each leads to one node."""

    async def latest(self, queue: str) -> int:
        newest = await self._newest(queue, 1)
        return _position(newest[0][0]) if newest else 0

    async def newest(self, queue: str, *, limit: int) -> list[EventRecord]:
        found = await self._newest(queue, limit)
        return [_event(stream_id, fields) for stream_id, fields in reversed(found)]

    async def _newest(self, queue: str, limit: int) -> list[Any]:
        key = self._keys.events(queue)
        try:
            return await self._client.call("XREVRANGE", key, "+", "-", "COUNT", limit) or []
        except BackendError:
            if await self._is_stream(key):
                raise
            return []

    async def _is_stream(self, key: str) -> bool:
        """Whether a key is a stream, or missing. A key of another type has no events."""
        return await self._client.call("TYPE", key) in ("stream", "none")

    async def read(self, queue: str, *, after: int, limit: int, wait_s: float) -> list[EventRecord]:
        key = self._keys.events(queue)
        try:
            return await self._read(key, after, limit, wait_s)
        except BackendError:
            if await self._is_stream(key):
                raise
            await asyncio.sleep(min(wait_s, NO_STREAM_S))
            return []

    async def _read(self, key: str, after: int, limit: int, wait_s: float) -> list[EventRecord]:
        tail = ("STREAMS", key, _stream_id(after))
        found = await self._client.call("XREAD", "COUNT", limit, *tail)
        if found or wait_s <= 0:
            return _events(found)
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + wait_s
        connection = await self._connection(key)
        try:
            while not found and (left_s := ends_s - loop.time()) > 0:
                block_s = min(left_s, _LONGEST_BLOCK_S)
                block_ms = max(1, round(block_s * 1000))
                found = await connection.call(
                    "XREAD", "COUNT", limit, "BLOCK", block_ms, *tail, timeout_s=block_s
                )
        except BaseException:  # it may still wait for an answer: of no use to the next reader
            await connection.close()
            raise
        self._idle.setdefault(loop, {}).setdefault(self._client.slot(key), []).append(connection)
        return _events(found)

    async def choose(self, queue: str, told: EventsTold) -> None:
        settings = {"toril:events": False if told == "all" else told}
        await self._client.run(
            script("limit"),
            [self._keys.meta(queue)],
            self._moments.frozen(),
            msgspec.json.encode(settings).decode(),
        )
        await self._known.enlist([queue])

    async def close(self) -> None:
        """End the connections on which readers wait."""
        idle, self._idle = self._idle, {}
        for loop, slots in idle.items():
            if loop.is_closed():
                continue
            for connection in itertools.chain(*slots.values()):
                await connection.close()

    async def _connection(self, key: str) -> BlockingConnection:
        slots = self._idle.get(asyncio.get_running_loop(), {})
        idle = slots.get(self._client.slot(key), [])
        while idle:
            connection = idle.pop()
            if not connection.closed:
                return connection
        return await self._client.open_blocking(key)


def _events(found: list[Any] | None) -> list[EventRecord]:
    if not found:
        return []
    return [_event(stream_id, fields) for stream_id, fields in found[0][1]]


def _event(stream_id: str, fields: list[str]) -> EventRecord:
    named = dict(zip(fields[::2], fields[1::2], strict=False))
    at_ms = int(stream_id.partition("-")[0])
    return EventRecord(_position(stream_id), at_ms, named.pop("event", ""), named)


def _position(stream_id: str) -> int:
    ms, _, sequence = stream_id.partition("-")
    return (int(ms) << _SEQUENCE_BITS) + int(sequence)


def _stream_id(position: int) -> str:
    return f"{position >> _SEQUENCE_BITS}-{position & ((1 << _SEQUENCE_BITS) - 1)}"
