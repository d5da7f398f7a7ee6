"""What a cache promises: a value for a while, and one maker of it at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

from toril.core.checks import is_whole, require
from toril.core.errors import TorilError

MAX_KEY_BYTES = 512
Make = Callable[[], Awaitable[bytes]]
"""Makes the value that is not there."""


class CacheUnavailableError(TorilError):
    """The cache does not answer, or refuses. Go on without it, or try again later."""


class Cache(Protocol):
    """A cache. Safe to share between tasks of an event loop.

    A key is text of up to 512 bytes without control characters; values are bytes. Any value may be
    gone at any time: a cache drops what it has no room for.
    """

    async def get(self, key: str) -> bytes | None:
        """Return a value; None if it is not there or its time is over.

        Raises:
            CacheUnavailableError: The cache does not answer.
        """
        ...

    async def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the values that are there, by their keys, in one call."""
        ...

    async def set(self, key: str, value: bytes, *, ttl_s: float | None) -> None:
        """Keep a value; it replaces another.

        Parameters:
            key: Its key.
            value: The value.
            ttl_s: For how long, in seconds. None: until there is no room for it.
        """
        ...

    async def set_many(self, values: Mapping[str, bytes], *, ttl_s: float | None) -> None:
        """Keep values, in one call."""
        ...

    async def delete(self, *keys: str) -> None:
        """Forget values; those that are not there are none the less gone."""
        ...

    async def get_or_set(self, key: str, make: Make, *, ttl_s: float | None) -> bytes:
        """Return a value, and make it if it is not there.

        Of all who ask for it at the same time, in all processes that share the cache, one makes it
        and the others wait for it. If the maker's process dies, or takes longer than the cache's
        `lock_s`, another one makes it. If the cache does not answer, the value is made, not kept.

        Parameters:
            key: Its key.
            make: Makes it. Its error is raised here, for all of this process who wait for it, and
                nothing is kept.
            ttl_s: As for `set`.
        """
        ...

    async def clear(self) -> None:
        """Forget all values below the cache's prefix, and nothing else."""
        ...

    async def check(self) -> None:
        """Look whether the cache answers. For health checks.

        Raises:
            CacheUnavailableError: It does not.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. Twice is fine."""
        ...


def check_key(key: str) -> str:
    """Return a key if a cache may have it.

    Raises:
        InvalidOptionError: It may not.
    """
    good = isinstance(key, str) and key.isprintable() and key != ""
    good = good and len(key.encode("utf-8", "surrogatepass")) <= MAX_KEY_BYTES
    require(good, "key", key, f"text of up to {MAX_KEY_BYTES} bytes without control characters")
    return key


def check_value(value: bytes, ttl_s: float | None) -> None:
    """Refuse what cannot be kept.

    Raises:
        InvalidOptionError: It is not bytes, or the time is none.
    """
    good = isinstance(value, (bytes, bytearray, memoryview))
    require(good, "value", type(value).__name__, "bytes")
    good = ttl_s is None or (
        (is_whole(ttl_s) or isinstance(ttl_s, float)) and 0.001 <= ttl_s <= 10 * 366 * 86_400
    )
    require(good, "ttl_s", ttl_s, "seconds, from 0.001 to ten years, or None: no end")
