"""What an HTTP client promises: one request, one answer, within limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from toril.core.checks import require
from toril.core.errors import TorilError


class HttpError(TorilError):
    """A request got no answer. It may be tried again, unless the error is of a kind below."""


class HttpNotSentError(HttpError):
    """No connection was made, so that nothing was sent: trying again does nothing twice."""


class EgressRefusedError(HttpNotSentError):
    """The address is in a network that requests may not reach; the message says how to allow it."""


class HttpTooLargeError(HttpError):
    """The answer is larger than `HttpLimits.max_bytes`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """What one request may take."""

    total_s: float = 30.0
    """From the beginning to the last byte, redirects included, in seconds."""
    connect_s: float = 10.0
    """Until a connection is made, in seconds."""
    max_bytes: int = 1024 * 1024
    """Of an answer's body, once it is unpacked."""
    max_redirects: int = 5
    """How many are followed. 0: none; a redirect is the answer then."""

    def __post_init__(self) -> None:
        for name in ("total_s", "connect_s"):
            require(getattr(self, name) > 0, name, getattr(self, name), "seconds, above 0")
        for name in ("max_bytes", "max_redirects"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "an integer from 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """An answer."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    """By lower-case name. Of several of one name, the last."""
    url: str = field(repr=False)
    """Where it came from, after redirects."""

    @property
    def ok(self) -> bool:
        """Whether the status is from 200 to 299."""
        return 200 <= self.status < 300


class HttpClient(Protocol):
    """Makes requests."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limits: HttpLimits | None = None,
    ) -> HttpReply:
        """Make a request and return the answer, whatever its status.

        Parameters:
            method: `GET`, `POST`, …
            url: `http` or `https`.
            headers: Beside those that every request has. `Authorization` and `Cookie` are left
                out once a redirect leads to another origin.
            body: What is sent.
            limits: In place of the client's own.

        Raises:
            EgressRefusedError: It leads, or a redirect leads, where requests may not go.
            HttpTooLargeError: The answer is too large.
            HttpError: There was no answer, or not in time.
            InvalidOptionError: The URL cannot be used.
        """
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...
