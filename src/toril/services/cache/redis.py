"""Keeps values in Redis or Valkey, by redis-py, on connections of its own.

A server that has no room may drop values (`maxmemory-policy`), and a queue must never lose a key:
so in production the cache has a server of its own.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import random
from collections.abc import Awaitable, Iterable, Mapping
from secrets import token_hex
from typing import Any, TypeVar

from toril.core.checks import require
from toril.core.errors import InvalidOptionError
from toril.core.extras import missing_extra
from toril.core.redact import without_password, without_passwords
from toril.services.cache.flights import Flights
from toril.services.cache.port import CacheUnavailableError, Make, check_key, check_value
from toril.services.forked import leave_to_parent

T = TypeVar("T")

DEFAULT_PREFIX = "cache:"
_POLL_S = 0.05
_MARK = "toril-making:"
"""In front of the keys that say who makes a value; no value has such a key."""
_UNLOCK = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
"""
_log = logging.getLogger("toril.cache")


class RedisCache:
    """A `Cache` in Redis or Valkey. Goes to another process by pickle.

    Parameters:
        url: `redis://user:password@host:6379/1`, `rediss://…` for TLS, or `unix:///path.sock`.
        prefix: In front of all keys; nothing else is read, written or cleared.
        timeout_s: For each call, in seconds.
        lock_s: How long one may be the only maker of a value, in seconds.
        max_connections: Most connections of a process. Calls beyond wait for one.

    Raises:
        InvalidOptionError: The URL or the prefix makes no sense.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = DEFAULT_PREFIX,
        timeout_s: float = 5.0,
        lock_s: float = 30.0,
        max_connections: int = 20,
    ) -> None:
        scheme = url.partition("://")[0] if isinstance(url, str) else ""
        if scheme not in ("redis", "rediss", "unix"):
            raise InvalidOptionError("url: expected redis://host:6379/1, rediss://… or unix://…")
        good = prefix != "" and prefix.isprintable() and not prefix.endswith(_MARK)
        require(good, "prefix", prefix, "text such as 'cache:'")
        require(timeout_s > 0, "timeout_s", timeout_s, "seconds, above 0")
        require(lock_s > 0, "lock_s", lock_s, "seconds, above 0")
        require(max_connections >= 1, "max_connections", max_connections, "a number from 1")
        self._url = url
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._lock_s = lock_s
        self._max_connections = max_connections
        self._flights = Flights()
        self._clients: dict[asyncio.AbstractEventLoop, Any] = {}
        self._pid = os.getpid()

    def __repr__(self) -> str:
        return f"RedisCache({without_password(self._url)!r}, prefix={self._prefix!r})"

    def __reduce__(self) -> tuple[object, ...]:
        given = (self._url, self._prefix, self._timeout_s, self._lock_s, self._max_connections)
        return _rebuilt, given

    async def get(self, key: str) -> bytes | None:
        """Return a value: see `Cache.get`."""
        client = await self._client()
        found: bytes | None = await self._asked(client.get(self._name(key)))
        return found

    async def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return values: see `Cache.get_many`."""
        wanted = list(dict.fromkeys(keys))
        names = [self._name(key) for key in wanted]
        if not names:
            return {}
        client = await self._client()
        found = await self._asked(client.mget(names))
        return {key: value for key, value in zip(wanted, found, strict=True) if value is not None}

    async def set(self, key: str, value: bytes, *, ttl_s: float | None) -> None:
        """Keep a value: see `Cache.set`."""
        check_value(value, ttl_s)
        client = await self._client()
        await self._asked(client.set(self._name(key), bytes(value), px=_milliseconds(ttl_s)))

    async def set_many(self, values: Mapping[str, bytes], *, ttl_s: float | None) -> None:
        """Keep values: see `Cache.set_many`."""
        named = {}
        for key, value in values.items():
            check_value(value, ttl_s)
            named[self._name(key)] = bytes(value)
        if not named:
            return
        client = await self._client()
        async with client.pipeline(transaction=False) as pipe:
            for name, value in named.items():
                pipe.set(name, value, px=_milliseconds(ttl_s))
            await self._asked(pipe.execute())

    async def delete(self, *keys: str) -> None:
        """Forget values: see `Cache.delete`."""
        names = [self._name(key) for key in keys]
        if names:
            client = await self._client()
            await self._asked(client.unlink(*names))

    async def get_or_set(self, key: str, make: Make, *, ttl_s: float | None) -> bytes:
        """Return a value, and make it if it is not there: see `Cache.get_or_set`."""
        self._name(key)
        check_value(b"", ttl_s)
        return await self._flights.join(key, lambda: self._got_or_made(key, make, ttl_s))

    async def _got_or_made(self, key: str, make: Make, ttl_s: float | None) -> bytes:
        mark, token = f"{self._prefix}{_MARK}{key}", token_hex(16)
        try:
            client = await self._client()
            lock_ms = _milliseconds(self._lock_s)
            while True:
                found = await self.get(key)
                if found is not None:
                    return found
                if await self._asked(client.set(mark, token, px=lock_ms, nx=True)):
                    break
                await asyncio.sleep(_POLL_S * (0.5 + random.random()))  # noqa: S311 - no secret
            # Its maker may have ended between our look and our turn.
            found = await self.get(key)
        except CacheUnavailableError as error:
            _log.warning("%s; the value is made without it", error)
            return await make()
        try:
            if found is None:
                found = await make()
                await self._kept(key, found, ttl_s)
            return found
        finally:
            await asyncio.shield(self._unlock(mark, token))

    async def _kept(self, key: str, value: bytes, ttl_s: float | None) -> None:
        try:
            await self.set(key, value, ttl_s=ttl_s)
        except CacheUnavailableError as error:
            _log.warning("%s; the value is not kept", error)

    async def _unlock(self, mark: str, token: str) -> None:
        try:
            client = await self._client()
            await self._asked(client.eval(_UNLOCK, 1, mark, token))
        except CacheUnavailableError:
            return  # it ends by itself, after `lock_s`

    async def clear(self) -> None:
        """Forget all values below the prefix: see `Cache.clear`."""
        client = await self._client()
        pattern = "".join(f"\\{char}" if char in "*?[]\\^" else char for char in self._prefix) + "*"
        cursor = 0
        while True:
            cursor, names = await self._asked(client.scan(cursor, match=pattern, count=1000))
            if names:
                await self._asked(client.unlink(*names))
            if cursor == 0:
                return

    async def check(self) -> None:
        """Look whether the server answers: see `Cache.check`."""
        client = await self._client()
        await self._asked(client.ping())

    async def close(self) -> None:
        """Close the connections of this event loop."""
        if self._pid != os.getpid():
            return
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def _name(self, key: str) -> str:
        check_key(key)
        require(not key.startswith(_MARK), "key", key, f"one that does not begin with {_MARK}")
        return f"{self._prefix}{key}"

    async def _client(self) -> Any:
        """Return the client of this event loop."""
        if self._pid != os.getpid():
            leave_to_parent((self._clients, self._flights))
            self._clients, self._flights = {}, Flights()
            self._pid = os.getpid()
        loop = asyncio.get_running_loop()
        found = self._clients.get(loop)
        if found is None:
            vendor = await asyncio.to_thread(_import)
            found = self._clients.get(loop)
        if found is None:
            for ended in [one for one in self._clients if one.is_closed()]:
                del self._clients[ended]
            found = self._clients[loop] = self._opened(vendor)
        return found

    def _opened(self, vendor: Any) -> Any:
        pool = vendor.BlockingConnectionPool.from_url(
            self._url,
            max_connections=self._max_connections,
            timeout=self._timeout_s,
            socket_timeout=self._timeout_s,
            socket_connect_timeout=self._timeout_s,
            decode_responses=False,
            client_name="toril-cache",
            # Once more, for a connection that the server has closed meanwhile; at once, as whoever
            # asks a cache can do without it.
            retry=_retry(),
        )
        return vendor.Redis.from_pool(pool)

    async def _asked(self, call: Awaitable[T]) -> T:
        """Wait for a call's answer, with the errors of redis-py as ours."""
        errors = importlib.import_module("redis.exceptions")
        try:
            async with asyncio.timeout(self._timeout_s):
                return await call
        except TimeoutError:
            told = f"no answer within {self._timeout_s:g} s"
        except (errors.RedisError, OSError) as error:
            told = without_passwords(str(error) or type(error).__name__)
        raise CacheUnavailableError(f"cache at {without_password(self._url)}: {told}")


def _milliseconds(ttl_s: float | None) -> int | None:
    return None if ttl_s is None else max(1, int(ttl_s * 1000))


def _import() -> Any:
    try:
        return importlib.import_module("redis.asyncio")
    except ImportError:
        raise missing_extra("a cache in Redis needs redis-py", "cache") from None


def _retry() -> Any:
    backoff = importlib.import_module("redis.backoff").NoBackoff()
    return importlib.import_module("redis.asyncio.retry").Retry(backoff, 1)


def _rebuilt(
    url: str, prefix: str, timeout_s: float, lock_s: float, max_connections: int
) -> RedisCache:
    return RedisCache(
        url,
        prefix=prefix,
        timeout_s=timeout_s,
        lock_s=lock_s,
        max_connections=max_connections,
    )
