"""Reads where a Redis server is from the variables that many programs share: `REDIS_URL` and parts.

An app does not read them by itself: a machine may have them for another program.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import quote

from toril.core.errors import InvalidSettingError

_PARTS = ("REDIS_HOST", "REDIS_PORT", "REDIS_USERNAME", "REDIS_PASSWORD", "REDIS_DB")


def redis_url_from_environment(
    environ: Mapping[str, str] | None = None, *, host: str = "localhost", port: int = 6379
) -> str | None:
    """Return the URL of the Redis server that the environment names; None if it names none.

    `REDIS_URL` goes first; `REDIS_PASSWORD` fills in the password of one that names no user.
    Otherwise any of `REDIS_HOST`, `REDIS_PORT`, `REDIS_USERNAME`,
    `REDIS_PASSWORD` and `REDIS_DB` (0) makes one, with defaults for the rest. Empty means unset.

    Parameters:
        environ: Where to read. Default: the process's own environment.
        host: For the parts, if `REDIS_HOST` is not set.
        port: The same for `REDIS_PORT`.

    Raises:
        InvalidSettingError: A value makes no sense; the message names the variable.
    """
    environ = os.environ if environ is None else environ
    given = {name: environ[name].strip() for name in ("REDIS_URL", *_PARTS) if name in environ}
    given = {name: value for name, value in given.items() if value}
    if url := given.get("REDIS_URL"):
        if "://" not in url:
            raise InvalidSettingError("REDIS_URL: expected a URL such as redis://localhost:6379")
        return _with_password(url, given.get("REDIS_PASSWORD"))
    if not given:
        return None
    port = _number(given, "REDIS_PORT", port, most=65535)
    database = _number(given, "REDIS_DB", 0, most=1_000_000)
    host = given.get("REDIS_HOST", host)
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    user = quote(given.get("REDIS_USERNAME", ""), safe="")
    password = quote(given.get("REDIS_PASSWORD", ""), safe="")
    login = f"{user}:{password}@" if user or password else ""
    return f"redis://{login}{host}:{port}/{database}"


def store_url(
    environ: Mapping[str, str],
    *,
    embedded: str,
    host: str = "localhost",
    port: int = 6379,
    prefix: str | None = None,
) -> str:
    """Return where jobs live: `TORIL_URL`, `REDIS_URL`, the parts of Redis, or a file.

    Parameters:
        environ: Where to read.
        embedded: The URL of the file, if no such variable is set.
        host: For the parts, if `REDIS_HOST` is not set.
        port: The same for `REDIS_PORT`.
        prefix: With what keys in Redis begin, if its URL does not say. Default: `bull`.

    Raises:
        InvalidSettingError: A part makes no sense.
    """
    url = environ.get("TORIL_URL") or redis_url_from_environment(environ, host=host, port=port)
    if url and prefix and url.startswith(("redis", "valkey")) and "prefix=" not in url:
        url += f"{'&' if '?' in url else '?'}prefix={quote(prefix, safe='')}"
    return url or embedded


def _with_password(url: str, password: str | None) -> str:
    scheme, _, rest = url.partition("://")
    is_named = "@" in rest.partition("/")[0]
    if password is None or is_named or not scheme.startswith(("redis", "valkey")):
        return url
    return f"{scheme}://:{quote(password, safe='')}@{rest}"


def _number(given: Mapping[str, str], name: str, default: int, *, most: int) -> int:
    text = given.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and int(text) <= most):
        raise InvalidSettingError(f"{name}={text!r}: expected a number from 0 to {most}")
    return int(text)
