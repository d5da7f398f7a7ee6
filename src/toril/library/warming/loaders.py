"""Where values come from: loaders that the app has registered, or a URL."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from toril.core.checks import require, unknown
from toril.core.errors import InvalidOptionError
from toril.services.http.egress import EgressPolicy, plain_host
from toril.services.http.port import (
    EgressRefusedError,
    HttpClient,
    HttpError,
    HttpLimits,
    HttpTooLargeError,
)
from toril.services.unusable import UnusableInputError, named

Loader = Callable[..., Any]
"""Returns the value: bytes, a text, or what JSON can carry. Async, or plain: then it runs in a
thread. One whose name ends in `:` is given what follows in the payload's `dataSource`."""
_LATER = frozenset({408, 425, 429})
"""Refusals of a server that hold for a while only. Others below 500 are final."""


class Loaders:
    """What `dataSource` of a payload may name.

    Parameters:
        loaders: By name. `stats` is named by `"dataSource": "stats"`; `database:` is named by
            `"dataSource": "database:top"`, and is called with `"top"`.
        http: What fetches URLs. None: a URL is refused.
        policy: Where `http` goes; what it refuses by its text is refused when a job is added.

    Raises:
        InvalidOptionError: A loader is none.
    """

    def __init__(
        self,
        loaders: Mapping[str, Loader],
        *,
        http: HttpClient | None = None,
        policy: EgressPolicy | None = None,
    ) -> None:
        for name, loader in loaders.items():
            require(callable(loader), f"loaders[{name!r}]", loader, "a function")
        self._loaders = dict(loaders)
        self._http = http
        self._policy = policy or EgressPolicy()

    def check(self, source: str) -> None:
        """Refuse a `dataSource` that will never do, by its text alone.

        Raises:
            UnusableInputError: No loader has this name, or the URL leads where requests do not go.
        """
        if not _is_url(source):
            self._find(source)
            return
        subject = named("dataSource", _shown(source))
        if self._http is None:
            raise UnusableInputError(subject, "this app fetches no URLs: give Loaders(http=…)")
        try:
            host = urlsplit(source).hostname
        except ValueError:
            host = None
        if not host:
            raise UnusableInputError(subject, "expected a URL with a host")
        local = plain_host(host)
        if self._policy.allows_host(host):
            return
        is_local = local == "localhost" or local.endswith(".localhost")
        if is_local and not self._policy.allows("127.0.0.1"):
            raise UnusableInputError(subject, self._policy.refusal(host, ["127.0.0.1"]))
        if (":" in local or local.replace(".", "").isdecimal()) and not self._policy.allows(local):
            raise UnusableInputError(subject, self._policy.refusal(host, [host]))

    async def load(self, source: str, *, max_bytes: int, fetch_s: float) -> bytes:
        """Return a value.

        Raises:
            UnusableInputError: It will never be had, or is larger than `max_bytes`.
            HttpError: Its server does not answer, or cannot at present. Whatever a loader raises.
        """
        if _is_url(source):
            return await self._fetch(source, max_bytes, fetch_s)
        loader, rest = self._find(source)
        if inspect.iscoroutinefunction(loader):
            found = await loader(*rest)
        else:
            found = await asyncio.to_thread(loader, *rest)
        value = _as_bytes(found, source)
        if len(value) > max_bytes:
            raise _too_large(source, max_bytes)
        return value

    def _find(self, source: str) -> tuple[Loader, list[str]]:
        name, colon, rest = source.partition(":")
        if colon and f"{name}:" in self._loaders:
            return self._loaders[f"{name}:"], [rest]
        if source in self._loaders and not source.endswith(":"):
            return self._loaders[source], []
        raise UnusableInputError(
            named("dataSource", source), unknown("loader", source, self._loaders)
        )

    async def _fetch(self, url: str, max_bytes: int, fetch_s: float) -> bytes:
        self.check(url)
        assert self._http is not None  # noqa: S101 - `check` has refused
        subject = named("dataSource", _shown(url))
        limits = HttpLimits(total_s=fetch_s, max_bytes=max_bytes)
        try:
            reply = await self._http.request("GET", url, limits=limits)
        except HttpTooLargeError:
            raise _too_large(_shown(url), max_bytes) from None
        except EgressRefusedError as error:
            raise UnusableInputError(subject, str(error)) from None
        except InvalidOptionError as error:
            raise UnusableInputError(subject, f"not a URL of HTTP: {error}") from None
        if reply.ok:
            return reply.body
        if reply.status >= 500 or reply.status in _LATER:
            raise HttpError(f"{subject}: its server answered {reply.status}")
        raise UnusableInputError(subject, f"its server answered {reply.status}")


def _is_url(source: str) -> bool:
    return source.lower().startswith(("http://", "https://"))


def _shown(url: str) -> str:
    # A query often is a signature that lets anybody in.
    return url.partition("?")[0]


def _as_bytes(found: Any, source: str) -> bytes:
    if isinstance(found, bytes | bytearray | memoryview):
        return bytes(found)
    if isinstance(found, str):
        return found.encode()
    try:
        return msgspec.json.encode(found)
    except (TypeError, ValueError) as error:
        reason = f"its loader returned what JSON cannot carry ({error})"
        raise UnusableInputError(named("dataSource", source), reason) from None


def _too_large(source: str, max_bytes: int) -> UnusableInputError:
    reason = f"the value is larger than {max_bytes:,} bytes (max_bytes)"
    return UnusableInputError(named("dataSource", source), reason)
