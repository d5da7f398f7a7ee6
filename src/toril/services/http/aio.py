"""An HTTP client of aiohttp.

A name is resolved once for each connection, and the connection goes to the addresses that were
checked then: what a name server says later has no effect. Redirects are followed here, each checked
like the first request.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import ModuleType
from typing import Any
from urllib.parse import urljoin, urlsplit

from toril.core.errors import InvalidOptionError
from toril.core.extras import missing_extra
from toril.core.redact import without_password
from toril.services.http.egress import EgressPolicy
from toril.services.http.port import (
    EgressRefusedError,
    HttpError,
    HttpLimits,
    HttpNotSentError,
    HttpReply,
    HttpTooLargeError,
)

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host; it is given the port, too."""

KEEP_ALIVE_S = 15.0
_TO_GET = frozenset({301, 302, 303})
_REDIRECTS = _TO_GET | {307, 308}
_OF_ORIGIN = frozenset({"authorization", "cookie", "proxy-authorization"})
_OF_BODY = frozenset({"content-type", "content-length", "content-encoding"})


class AioHttpClient:
    """An `HttpClient`. Made anywhere; used on one event loop."""

    def __init__(
        self,
        policy: EgressPolicy | None = None,
        *,
        limits: HttpLimits | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        """Make a client. aiohttp is imported with the first request.

        Parameters:
            policy: Where requests may go. Default: to public addresses only.
            limits: Of each request.
            resolve: What asks for the addresses of a name. Default: the system.
        """
        self._policy = policy or EgressPolicy()
        self._limits = limits or HttpLimits()
        self._resolve = resolve or _ask_system
        self._session: Any = None
        self._opening = asyncio.Lock()

    def __reduce__(self) -> tuple[object, ...]:
        # Another process opens connections of its own.
        return _made, (self._policy, self._limits, self._resolve)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limits: HttpLimits | None = None,
    ) -> HttpReply:
        """Make a request: see `HttpClient.request`."""
        limits = limits or self._limits
        session = await self._open()
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        try:
            async with asyncio.timeout(limits.total_s):
                return await self._follow(session, method.upper(), url, sent, body, limits)
        except TimeoutError:
            shown = _shown(url)
            raise HttpError(f"{shown}: no answer within {limits.total_s:g} s") from None

    async def close(self) -> None:
        """Close its connections. It may be used again."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _follow(
        self,
        session: Any,
        method: str,
        url: str,
        headers: dict[str, str],
        body: bytes | None,
        limits: HttpLimits,
    ) -> HttpReply:
        for _ in range(limits.max_redirects + 1):
            self._check(url)
            reply = await self._once(session, method, url, headers, body, limits)
            target = reply.headers.get("location")
            if reply.status not in _REDIRECTS or not target or not limits.max_redirects:
                return reply
            before, url = url, urljoin(url, target)
            if _origin(url) != _origin(before):
                headers = {name: headers[name] for name in headers if name not in _OF_ORIGIN}
            if reply.status in _TO_GET and method not in ("GET", "HEAD"):
                method, body = "GET", None
                headers = {name: headers[name] for name in headers if name not in _OF_BODY}
        raise HttpError(f"{_shown(url)}: more than {limits.max_redirects} redirects")

    async def _once(
        self,
        session: Any,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        limits: HttpLimits,
    ) -> HttpReply:
        aiohttp: Any = importlib.import_module("aiohttp")
        timeout = aiohttp.ClientTimeout(total=None, connect=limits.connect_s)
        try:
            async with session.request(
                method, url, headers=headers, data=body, allow_redirects=False, timeout=timeout
            ) as answer:
                found = bytearray()
                async for chunk in answer.content.iter_any():
                    found += chunk
                    if len(found) > limits.max_bytes:
                        answer.close()
                        raise HttpTooLargeError(
                            f"{_shown(url)}: the answer is larger than {limits.max_bytes:,} bytes"
                        )
                return HttpReply(
                    status=answer.status,
                    body=bytes(found),
                    headers={name.lower(): value for name, value in answer.headers.items()},
                    url=url,
                )
        except aiohttp.InvalidURL:
            raise InvalidOptionError(f"url={_shown(url)!r}: not a URL") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if (refused := _cause(error, EgressRefusedError)) is not None:
                raise refused from None
            if isinstance(error, TimeoutError):
                raise HttpNotSentError(
                    f"{_shown(url)}: no connection within {limits.connect_s:g} s"
                ) from None
            if isinstance(error, aiohttp.ClientConnectorError):
                raise HttpNotSentError(f"{_shown(url)}: {_plain(error)}") from None
            raise HttpError(f"{_shown(url)}: {_plain(error)}") from None

    def _check(self, url: str) -> None:
        """Refuse what is no HTTP, and addresses that need no resolving.

        Raises:
            InvalidOptionError: It is no URL of HTTP.
            EgressRefusedError: Requests do not go there.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidOptionError(f"url={_shown(url)!r}: expected one with http:// or https://")
        host = parts.hostname
        if _is_address(host) and not self._policy.allows_host(host):
            if not self._policy.allows(host):
                raise EgressRefusedError(self._policy.refusal(host, [host]))

    async def _open(self) -> Any:
        async with self._opening:
            if self._session is None:
                # Half a second, in which jobs go on.
                aiohttp = await asyncio.to_thread(_import)
                self._session = aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(
                        resolver=_resolver(aiohttp, self._addresses),
                        use_dns_cache=False,
                        keepalive_timeout=KEEP_ALIVE_S,
                    ),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    trust_env=False,  # a proxy of the environment would see through the policy
                )
        return self._session

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses that may be connected to; the connection uses no others."""
        found = list(await self._resolve(host, port))
        if self._policy.allows_host(host):
            return found
        # All or none: a name that also points inside is not to be reached by luck.
        if not found or not all(map(self._policy.allows, found)):
            raise EgressRefusedError(self._policy.refusal(host, found))
        return found


def _made(policy: EgressPolicy, limits: HttpLimits, resolve: Resolve) -> AioHttpClient:
    return AioHttpClient(policy, limits=limits, resolve=resolve)


def _import() -> ModuleType:
    try:
        return importlib.import_module("aiohttp")
    except ImportError:
        raise missing_extra("HTTP requests need aiohttp", "http") from None


def _resolver(aiohttp: Any, addresses: Resolve) -> Any:
    """Return a resolver for aiohttp that gives checked addresses only."""

    class Checked(aiohttp.abc.AbstractResolver):  # type: ignore[misc]
        async def resolve(
            self, host: str, port: int = 0, family: int = socket.AF_INET
        ) -> list[dict[str, Any]]:
            return [
                {
                    "hostname": host,
                    "host": address,
                    "port": port,
                    "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                    "proto": 0,
                    "flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                }
                for address in await addresses(host, port)
            ]

        async def close(self) -> None:
            pass

    return Checked()


async def _ask_system(host: str, port: int) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def _is_address(host: str) -> bool:
    """Whether aiohttp connects to this without resolving it."""
    return ":" in host or all(part.isdecimal() for part in host.split("."))


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port


def _shown(url: str) -> str:
    """Return a URL for messages: without its query, which often holds a key, and passwords."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        return without_password(parts._replace(query="", fragment="").geturl())
    return "a URL"


def _cause(error: BaseException | None, kind: type[HttpError]) -> HttpError | None:
    while error is not None:
        if isinstance(error, kind):
            return error
        error = error.__cause__ or error.__context__
    return None


def _plain(error: BaseException) -> str:
    cause = getattr(error, "os_error", None) or error
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
