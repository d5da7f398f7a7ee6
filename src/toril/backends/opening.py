"""From a URL to a backend: the only place that looks at a scheme."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode

from toril.backends.forks import FORKS
from toril.backends.sqlite.urls import Durability, FileOptions
from toril.backends.sqlite.urls import parse as parse_file
from toril.core.checks import require, unknown
from toril.core.clock import Clock, SystemClock
from toril.core.errors import InvalidOptionError
from toril.engine.contract import Backend

_SCHEMES = (
    "sqlite", "redis", "rediss", "unix",
    "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster",
)  # fmt: skip
_SERVER_OF_TORIL = (
    "'{0}' is the scheme of a server of Toril, not of a store: --server or TORIL_SERVER on the"
    " command line, toril.client in Python"
)
_INSTEAD = {
    "memory": "a store in memory is 'sqlite://:memory:'",
    "http": _SERVER_OF_TORIL.format("http"),
    "https": _SERVER_OF_TORIL.format("https"),
}
"""Schemes that people try, and what they mean here."""
DEFAULTS = FileOptions()
Credentials = str | tuple[str, str]
"""A password, or a user and a password."""
RedisCredentials = Callable[[], Credentials | Awaitable[Credentials]]
"""Asked for each new connection."""
_MISTYPED = re.compile(
    r"[a-z+]{2,}:/|[a-z+]{2,}//\S*@|(sqlite|rediss?|unix)(\+[a-z]+)?(:|//)|\S+:\S*@"
)
"""What was meant as a URL and lacks `://`: a file of that name would be made in its place."""
_SERVER = re.compile(r"(?P<server>[a-z0-9.-]+:[0-9]{2,5})(/[0-9]+)?", re.IGNORECASE)
"""What was meant as a server and lacks the scheme."""


def open_backend(
    url: str | object,
    *,
    durability: Durability | None = None,
    clock: Clock | None = None,
    create: bool = True,
    otherwise: FileOptions = DEFAULTS,
    answer_timeout_s: float = 15.0,
    redis_credentials: RedisCredentials | None = None,
    prefix: str | None = None,
) -> Backend:
    """Open the store at `url`; its file is made when it is not there.

    Parameters:
        url: `sqlite:///relative.db`, `sqlite:////absolute.db`, `sqlite://:memory:`, or a plain
            path of a file, each with `?durability=` and `?share=` (see `FileOptions`) where they
            are not the default; `redis://host:6379/0`, `rediss://` (TLS), `unix:///path.sock`,
            `redis+sentinel://host1,host2/service`, `redis+cluster://host1,host2`, each with
            `?prefix=` where it is not `bull`; or a client of redis-py, of which the settings are
            taken, not the connections.
        durability: For a file: `full` or `normal`. Default: what the URL says, else `otherwise`. A
            Redis server decides that itself.
        clock: What time it is. Default: the store's, which is the host's or the server's.
        create: Make the file when it is not there. Commands that only look say no.
        otherwise: For a file: the options that neither the URL nor an argument names.
        answer_timeout_s: After how long without any answer a connection to a server is given up, in
            seconds; unless the URL says it.
        redis_credentials: Called for each new connection to a Redis server. It returns a password,
            or a user and a password; it may be async, and a plain one runs in a thread.
        prefix: With what all keys on a Redis server begin. Default: what the URL says, else `bull`.

    Raises:
        InvalidOptionError: The URL makes no sense.
        BackendError: The store cannot be opened; the message says why and what to do.
    """
    if durability is not None:
        otherwise = replace(otherwise, durability=durability)
    if prefix is not None and isinstance(url, str):
        url = with_prefix(url, prefix)
    if not isinstance(url, str):
        return _open_redis(url, clock, answer_timeout_s, redis_credentials, prefix)
    require(url != "", "url", url, "a URL such as 'sqlite:///toril.db'")
    scheme, separator, rest = url.partition("://")
    # Nothing behind the scheme is ever shown: in a URL with a mistake it may hold a password.
    if not separator and _MISTYPED.match(url):
        raise InvalidOptionError(
            "url: expected '://' after the scheme, as in 'redis://host:6379/0', or the path of a"
            " file. It is not shown, as it may hold a password"
        )
    if not separator and _SERVER.fullmatch(url):
        raise InvalidOptionError(
            f"url={url!r}: expected 'redis://{url}' for a server, or 'sqlite:///{url}' for a file"
        )
    if not separator:
        scheme, rest = "sqlite", f"/{url}"
    if scheme not in _SCHEMES:
        raise InvalidOptionError(
            f"url: {_INSTEAD.get(scheme) or unknown('scheme', scheme, _SCHEMES)}"
        )
    if scheme != "sqlite":
        return _open_redis(url, clock, answer_timeout_s, redis_credentials)
    if redis_credentials is not None:
        raise InvalidOptionError("redis_credentials: only for a Redis server; this store is a file")
    with FORKS.importing:
        from toril.backends.sqlite.store import open_sqlite  # late: each store has its libraries

    path, options = parse_file(url, rest, asked=durability, otherwise=otherwise)
    return open_sqlite(path, options=options, clock=clock or SystemClock(), create=create)


def with_prefix(url: str, prefix: str) -> str:
    """Return the URL of a Redis server with a prefix of keys in it.

    Raises:
        InvalidOptionError: It is no prefix, or the URL has another, or is a file's.
    """
    check_prefix(prefix)
    scheme, _, rest = url.partition("://")
    if not rest or scheme == "sqlite":
        raise InvalidOptionError("prefix: only for a Redis server; this store is a file")
    _, mark, query = rest.partition("?")
    given = dict(parse_qsl(query, keep_blank_values=True)).get("prefix")
    if given is None:
        return f"{url}{'&' if mark else '?'}{urlencode({'prefix': prefix})}"
    if given != prefix:
        raise InvalidOptionError(
            f"prefix={prefix!r}: the URL says prefix={given!r}; give one of them"
        )
    return url


def check_prefix(prefix: str) -> str:
    """Return a prefix of keys if it is one.

    Raises:
        InvalidOptionError: It is empty, or no text.
    """
    good = isinstance(prefix, str) and prefix != ""
    require(good, "prefix", prefix, "a text of at least one character")
    return prefix


def _open_redis(
    url: object,
    clock: Clock | None,
    answer_timeout_s: float,
    credentials: RedisCredentials | None,
    prefix: str | None = None,
) -> Backend:
    try:
        with FORKS.importing:
            from toril.backends.redis.client.redis_py import from_client  # late, as above
            from toril.backends.redis.client.urls import parse
            from toril.backends.redis.store import open_redis
    except ImportError as error:
        if error.name != "hiredis":
            raise
        from toril.core.extras import missing_extra

        raise missing_extra("redis:// needs the package hiredis", "redis") from error
    if isinstance(url, str):
        address = parse(url, answer_timeout_s=answer_timeout_s)
    else:
        address = replace(from_client(url), answer_timeout_s=answer_timeout_s)
        if prefix is not None:
            address = replace(address, prefix=check_prefix(prefix))
    if credentials is not None:
        require(callable(credentials), "redis_credentials", "…", "a function")
        if address.password is not None or address.credentials is not None:
            raise InvalidOptionError(
                "redis_credentials: the URL or the client has a password already; give one of them"
            )
        address = replace(address, credentials=credentials)
    return open_redis(address, clock=clock or SystemClock())
