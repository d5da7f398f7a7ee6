"""Reads the URL of a mail server: `smtp://user:password@host:587`, `smtps://host`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from toril.core.checks import require
from toril.core.errors import InvalidOptionError
from toril.core.redact import without_password
from toril.services.http.egress import plain_host

Tls = Literal["auto", "require", "off"]
_PORTS = {"smtp": 587, "smtps": 465}
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpServer:
    """Where a mail server is, and how it is spoken to."""

    host: str
    port: int
    tls_from_the_start: bool
    tls: Tls
    user: str | None
    password: str | None = field(repr=False)
    shown: str
    """The URL without its password."""

    @property
    def place(self) -> str:
        """What messages call it."""
        return f"mail server {self.host}:{self.port}"

    @property
    def start_tls(self) -> bool | None:
        """Whether to turn to TLS: yes, no, or if the server offers it (None)."""
        if self.tls_from_the_start or self.tls == "off":
            return False
        return True if self.tls == "require" else None


def read_smtp_url(url: str) -> SmtpServer:
    """Read the URL of a mail server.

    With a password, and a server on another machine, TLS is required unless the URL says
    `?tls=off`.

    Raises:
        InvalidOptionError: It makes no sense. The message has no password in it.
    """
    shown = without_password(url)
    parts = _parts(url, shown)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme not in _PORTS or not parts.hostname or set(options) - {"tls"}:
        raise InvalidOptionError(
            f"url={shown!r}: expected smtp://host:587 or smtps://host:465, with user:password@"
            " before the host if it wants one, and ?tls=auto, require or off"
        )
    tls = options.get("tls", "auto")
    require(tls in ("auto", "require", "off"), "tls", tls, "auto, require or off")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise InvalidOptionError(f"url={shown!r}: expected a port from 1 to 65535")
    user = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    if tls == "auto" and password and plain_host(parts.hostname) not in _HERE:
        tls = "require"
    return SmtpServer(
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        tls_from_the_start=parts.scheme == "smtps",
        tls=tls,  # type: ignore[arg-type]  # one of the three, by the check above
        user=user,
        password=password,
        shown=shown,
    )


def _parts(url: str, shown: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # such as brackets that nobody closes
        raise InvalidOptionError(f"url={shown!r}: not a URL") from None
