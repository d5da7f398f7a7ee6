"""Opens the socket of a connection: names with several addresses, TLS, keepalive."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain, zip_longest
from typing import Any, TypeVar

from toril.backends.redis.client.address import Endpoint, Tls
from toril.backends.redis.client.racing import race
from toril.core.errors import InvalidOptionError

P = TypeVar("P", bound=asyncio.BaseProtocol)

NEXT_ADDRESS_S = 0.25
"""How long an address of a name is tried before the next one is tried beside it.

Source:
    RFC 8305 (Happy Eyeballs), section 5: "Connection Attempt Delay".
"""
_KEEPALIVE_S = 30
_KEEPALIVE_STEP_S = 5
_KEEPALIVE_TRIES = 3

_HANDSHAKE_SHARE = 0.8
"""Of the time for a connection: what TLS may take."""

_Info = tuple[Any, Any, int, str, Any]
"""One answer of `getaddrinfo`."""


async def open_socket(
    protocol: Callable[[], P], endpoint: Endpoint, tls: Tls | None, *, timeout_s: float
) -> tuple[asyncio.BaseTransport, P]:
    """Connect to a host, and return the transport and its protocol.

    The name is looked up anew every time. If it has several addresses, they race: a machine whose
    IPv6 leads nowhere is not held up by it. asyncio could do that by itself, uvloop could not.

    Parameters:
        protocol: Makes the protocol.
        endpoint: Where.
        tls: How to encrypt it. None: it is not.
        timeout_s: How long the caller waits in all. The handshake of TLS gets less, so that the
            caller hears that it is what fails.

    Raises:
        ConnectionAbortedError: There was a connection, and no answer to TLS.
        OSError: No address can be connected to.
        InvalidOptionError: A file that `tls` names cannot be used.
    """
    loop = asyncio.get_running_loop()
    context = None if tls is None else _context(tls, _stamps(tls))
    host, port = endpoint
    infos = literal(host, port) or await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    connected = await race(
        [partial(_connect, loop, info) for info in in_turn(infos)],
        delay_s=NEXT_ADDRESS_S,
        failure=OSError,
        drop=socket.socket.close,
    )
    transport, made = await loop.create_connection(
        protocol,
        sock=connected,
        ssl=context,
        server_hostname=host if context is not None else None,
        ssl_handshake_timeout=_HANDSHAKE_SHARE * timeout_s if context is not None else None,
    )
    _tune(connected)
    return transport, made


def plain(error: OSError) -> str:
    """Return the system's words for an error, without the address."""
    if isinstance(error, socket.gaierror):
        return f"its name is not known ({error.strerror or error})"
    if error.errno is not None:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__


def literal(host: str, port: int) -> list[_Info]:
    """Return the address if a host is written as one. Then no thread has to look it up."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return []
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    return [(family, socket.SOCK_STREAM, 0, "", (host, port))]


async def _connect(loop: asyncio.AbstractEventLoop, info: _Info) -> socket.socket:
    family, kind, number, _, address = info
    connected = socket.socket(family, kind, number)
    try:
        connected.setblocking(False)
        await loop.sock_connect(connected, address)
    except BaseException:
        connected.close()
        raise
    return connected


def in_turn(infos: Sequence[_Info]) -> list[_Info]:
    """Return addresses so that the families take turns, beginning with the system's first."""
    first = [info for info in infos if info[0] == infos[0][0]]
    others = [info for info in infos if info[0] != infos[0][0]]
    return [info for info in chain(*zip_longest(first, others)) if info is not None]


def _stamps(tls: Tls) -> tuple[int, ...]:
    """Return when the files of `tls` were written: a renewed certificate is read anew."""
    stamps = []
    for name, path in (
        ("ssl_ca_certs", tls.ca_certs),
        ("ssl_certfile", tls.certfile),
        ("ssl_keyfile", tls.keyfile),
    ):
        if path is not None:
            try:
                stamps.append(os.stat(path).st_mtime_ns)
            except OSError as error:
                raise InvalidOptionError(
                    f"url option {name}={path!r}: expected a file that can be read"
                    f" ({error.strerror})"
                ) from None
    return tuple(stamps)


@functools.lru_cache(maxsize=8)
def _context(tls: Tls, stamps: tuple[int, ...]) -> ssl.SSLContext:
    """Return what TLS needs. Kept: to read the system's authorities takes milliseconds."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_certs)
        context.check_hostname = tls.check_hostname
        context.verify_mode = ssl.CERT_REQUIRED if tls.verify else ssl.CERT_NONE
        if tls.certfile is not None:
            context.load_cert_chain(tls.certfile, tls.keyfile)
    except (ssl.SSLError, OSError) as error:
        raise InvalidOptionError(
            f"url options ssl_ca_certs={tls.ca_certs!r}, ssl_certfile={tls.certfile!r},"
            f" ssl_keyfile={tls.keyfile!r}: expected certificates and their key as PEM ({error})"
        ) from error
    return context


def _tune(connected: socket.socket) -> None:
    """Have the system notice a peer that is gone: idle after 45 s, with data under way after 20."""
    options = [
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),  # not all loops do, for a socket of ours
    ]
    for name, value in (
        ("TCP_KEEPIDLE", _KEEPALIVE_S),
        ("TCP_KEEPALIVE", _KEEPALIVE_S),  # its name on macOS
        ("TCP_KEEPINTVL", _KEEPALIVE_STEP_S),
        ("TCP_KEEPCNT", _KEEPALIVE_TRIES),
        ("TCP_USER_TIMEOUT", 20_000),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            options.append((socket.IPPROTO_TCP, option, value))
    for option_of_socket in options:
        with contextlib.suppress(OSError):  # it works without
            connected.setsockopt(*option_of_socket)
