"""Keeps values in the memory of this process; what was used longest ago goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import NoReturn

from toril.core.checks import require
from toril.core.clock import Clock, SystemClock
from toril.services.cache.flights import Flights
from toril.services.cache.port import Make, check_key, check_value

DEFAULT_MAX_BYTES = 64 * 1024 * 1024
_ENTRY_BYTES = 200
"""What an entry takes besides its key and value, about."""


class MemoryCache:
    """A `Cache` in memory. Each process has its own.

    Parameters:
        max_bytes: How much it keeps, in bytes, about. Default: 64 MiB. A larger value is not kept.
        clock: What time it is.
    """

    def __init__(self, *, max_bytes: int = DEFAULT_MAX_BYTES, clock: Clock | None = None) -> None:
        require(max_bytes >= 1, "max_bytes", max_bytes, "a number of bytes from 1")
        self._max_bytes = max_bytes
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[bytes, int | None]] = OrderedDict()
        self._used_bytes = 0
        self._flights = Flights()

    def __repr__(self) -> str:
        return "MemoryCache()"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a cache in memory cannot be given to another process: use Redis")

    async def get(self, key: str) -> bytes | None:
        """Return a value: see `Cache.get`."""
        check_key(key)
        with self._lock:
            return self._get(key)

    async def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return values: see `Cache.get_many`."""
        wanted = [check_key(key) for key in keys]
        with self._lock:
            found = {key: self._get(key) for key in wanted}
        return {key: value for key, value in found.items() if value is not None}

    async def set(self, key: str, value: bytes, *, ttl_s: float | None) -> None:
        """Keep a value: see `Cache.set`."""
        await self.set_many({key: value}, ttl_s=ttl_s)

    async def set_many(self, values: Mapping[str, bytes], *, ttl_s: float | None) -> None:
        """Keep values: see `Cache.set_many`."""
        for key, value in values.items():
            check_key(key)
            check_value(value, ttl_s)
        until_ms = None if ttl_s is None else self._clock.steady_ms() + max(1, int(ttl_s * 1000))
        with self._lock:
            for key, value in values.items():
                self._drop(key)
                if _size(key, value) <= self._max_bytes:
                    self._kept[key] = bytes(value), until_ms
                    self._used_bytes += _size(key, value)
            while self._used_bytes > self._max_bytes:
                self._drop(next(iter(self._kept)))

    async def delete(self, *keys: str) -> None:
        """Forget values: see `Cache.delete`."""
        for key in keys:
            check_key(key)
        with self._lock:
            for key in keys:
                self._drop(key)

    async def get_or_set(self, key: str, make: Make, *, ttl_s: float | None) -> bytes:
        """Return a value, and make it if it is not there: see `Cache.get_or_set`."""
        found = await self.get(key)
        if found is not None:
            return found

        async def made() -> bytes:
            value = await make()
            await self.set(key, value, ttl_s=ttl_s)
            return value

        return await self._flights.join(key, made)

    async def clear(self) -> None:
        """Forget all values."""
        with self._lock:
            self._kept.clear()
            self._used_bytes = 0

    async def check(self) -> None:
        """Look whether it answers: always."""

    async def close(self) -> None:
        """Let go of nothing."""

    def _get(self, key: str) -> bytes | None:
        found = self._kept.get(key)
        if found is None:
            return None
        value, until_ms = found
        if until_ms is not None and until_ms <= self._clock.steady_ms():
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return value

    def _drop(self, key: str) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._used_bytes -= _size(key, found[0])


def _size(key: str, value: bytes) -> int:
    return len(key.encode("utf-8", "surrogatepass")) + len(value) + _ENTRY_BYTES
