"""Opens the cache that a URL or the environment names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from toril.core.checks import unknown
from toril.core.errors import InvalidOptionError, InvalidSettingError
from toril.services.cache.memory import DEFAULT_MAX_BYTES, MemoryCache
from toril.services.cache.port import Cache
from toril.services.cache.redis import DEFAULT_PREFIX, RedisCache


def open_cache(url: str) -> Cache:
    """Return the cache of a URL. It connects when it is used.

    Parameters:
        url: `redis://host:6379/1?prefix=shop:`, `rediss://…`, `unix:///path.sock`, or
            `memory://?max_bytes=67108864`. Default prefix: `cache:`.

    Raises:
        InvalidOptionError: The URL makes no sense. The message never holds the password.
    """
    place, _, query = str(url).partition("?")
    scheme, separator, _ = place.partition("://")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if not separator or scheme not in ("memory", "redis", "rediss", "unix"):
        raise InvalidOptionError("url: expected redis://host:6379/1?prefix=cache: or memory://")
    if scheme == "memory":
        for name in options:
            if name != "max_bytes":
                raise InvalidOptionError(f"url: {unknown('option', name, ['max_bytes'])}")
        text = options.get("max_bytes", str(DEFAULT_MAX_BYTES))
        if not (text.isascii() and text.isdigit() and int(text)):
            raise InvalidOptionError(f"url option max_bytes={text!r}: expected a number from 1")
        return MemoryCache(max_bytes=int(text))
    prefix = options.pop("prefix", DEFAULT_PREFIX)
    return RedisCache(f"{place}?{urlencode(options)}" if options else place, prefix=prefix)


def cache_from_environment(environ: Mapping[str, str] | None = None) -> Cache:
    """Return the cache that `CACHE_URL` names; memory if it is not set or empty.

    Raises:
        InvalidSettingError: The URL makes no sense.
    """
    environ = os.environ if environ is None else environ
    url = environ.get("CACHE_URL", "").strip()
    try:
        return open_cache(url or "memory://")
    except InvalidOptionError as error:
        raise InvalidSettingError(f"CACHE_URL: {error}") from None
