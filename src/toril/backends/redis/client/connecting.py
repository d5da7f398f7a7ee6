"""Opening a connection: the socket, its encryption, and being let in.

One attempt, in one go; `managed_connection.py` decides when there is another.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any

from toril.backends.redis.client.address import Address, Endpoint, Tls, show_endpoint
from toril.backends.redis.client.connection import OVERDUE_S, Connection, NotWrittenError
from toril.backends.redis.client.credentials import Credentials, credentials_of
from toril.backends.redis.client.protocol import Argument, ReplyError, pack
from toril.backends.redis.client.refusals import code, translate
from toril.backends.redis.client.server_info import ServerInfo, parse_info
from toril.core.errors import BackendError, InvalidOptionError, StoreUnreachableError

CLIENT_NAME = "toril"
"""What `CLIENT LIST` shows for connections without a name of their own."""
Opened = tuple[Connection, ServerInfo]
"""A connection, and what its server says it is."""

_KEEPALIVE_S = 30
_KEEPALIVE_STEP_S = 5
_KEEPALIVE_TRIES = 3


async def open_connection(
    address: Address,
    endpoint: Endpoint | None,
    *,
    name: str = CLIENT_NAME,
    answers_late: bool = False,
    as_primary: bool = False,
) -> Opened:
    """Connect to one server, be let in, and return the connection and what the server says it is.

    Parameters:
        address: How to be let in.
        endpoint: The server. None: the address' Unix socket.
        name: What `CLIENT LIST` shows.
        answers_late: For commands that block: the server may be silent for any time.
        as_primary: Refuse a server that is none.

    Raises:
        StoreUnreachableError: Not now (`sent` is False). Another attempt may go better.
        BackendError: The server does not let us in. Another attempt would go the same way.
        InvalidOptionError: A file that the address names for TLS cannot be used.
    """
    try:
        async with asyncio.timeout(address.connect_timeout_s):
            credentials = await credentials_of(address)
    except TimeoutError:
        raise away(
            address.shown,
            f"redis_credentials returned nothing within {address.connect_timeout_s:g} s",
            "Nothing was sent.",
        ) from None
    connection = await connect(
        address,
        endpoint,
        tls=address.tls,
        user=credentials.username,
        answer_timeout_s=None if answers_late else address.answer_timeout_s,
    )
    try:
        async with asyncio.timeout(address.connect_timeout_s):
            info = await _greet(connection, address, credentials, name, as_primary=as_primary)
    except TimeoutError:
        connection.abort("no answer")
        raise away(
            connection.shown, f"no answer to its greeting within {address.connect_timeout_s:g} s"
        ) from None
    except BaseException:
        connection.abort("it was not let in")
        raise
    return connection, info


async def open_any(address: Address, endpoints: Iterable[Endpoint]) -> Opened:
    """Connect, as `open_connection` does, to the first server that answers.

    Tries them in turn. If one does not answer within a second, tries the next one in parallel.
    """
    attempts: list[asyncio.Future[Opened]] = []
    troubles: list[StoreUnreachableError] = []
    rest = iter(endpoints)
    pending: set[asyncio.Future[Opened]] = set()
    try:
        while True:
            endpoint = next(rest, None)
            if endpoint is not None:
                attempts.append(asyncio.ensure_future(open_connection(address, endpoint)))
                pending.add(attempts[-1])
            elif not pending:
                raise troubles[0]
            timeout_s = None if endpoint is None else OVERDUE_S
            done, pending = await asyncio.wait(
                pending, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            for attempt in done:
                try:
                    opened = attempt.result()
                except StoreUnreachableError as error:
                    troubles.append(error)
                else:
                    attempts.remove(attempt)
                    return opened
    finally:
        for attempt in attempts:
            await give_up(attempt)


async def follow(
    endpoint: Endpoint,
    opener: Callable[[Endpoint], Coroutine[Any, Any, Opened]],
    look: Callable[[], Awaitable[Endpoint | None]],
) -> Opened:
    """Connect to a server. If another one takes its place meanwhile, connect to that one.

    Parameters:
        endpoint: Where it is now.
        opener: Connects to one server.
        look: Called each second. Returns the current server, or None if nobody knows.
    """
    while True:
        attempt = asyncio.ensure_future(opener(endpoint))
        now = endpoint
        try:
            while now == endpoint:
                done, _ = await asyncio.wait([attempt], timeout=OVERDUE_S)
                if done:
                    return attempt.result()
                now = await look() or endpoint
        except BaseException:
            await give_up(attempt)
            raise
        await give_up(attempt)
        endpoint = now


async def give_up(attempt: asyncio.Future[Opened]) -> None:
    """End an attempt to connect; close what it has opened."""
    attempt.cancel()
    await asyncio.gather(attempt, return_exceptions=True)
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result()[0].abort("it is not needed any more")


async def connect(
    address: Address,
    endpoint: Endpoint | None,
    *,
    tls: Tls | None,
    user: str | None,
    answer_timeout_s: float | None,
) -> Connection:
    """Open a socket and put the protocol on it. Names are looked up anew every time."""
    loop = asyncio.get_running_loop()
    shown = address.shown
    if endpoint is not None and (len(address.hosts) > 1 or endpoint not in address.hosts):
        shown = f"{shown} ({show_endpoint(endpoint)})"
    made = functools.partial(
        Connection,
        loop,
        shown,
        answer_timeout_s=answer_timeout_s,
        endpoint=endpoint,
        user=user,
    )
    try:
        async with asyncio.timeout(address.connect_timeout_s):
            if endpoint is None:
                transport, connection = await loop.create_unix_connection(made, address.path)
            else:
                context = None if tls is None else _context(tls, _stamps(tls))
                transport, connection = await loop.create_connection(
                    made,
                    endpoint[0],
                    endpoint[1],
                    ssl=context,
                    server_hostname=endpoint[0] if context is not None else None,
                )
    except TimeoutError:
        raise away(shown, f"no connection within {address.connect_timeout_s:g} s") from None
    except ssl.SSLCertVerificationError as error:
        raise BackendError(
            f"{shown}: the server's certificate is not trusted ({error.verify_message}). Give the"
            " authority that signed it as ssl_ca_certs."
        ) from error
    except ssl.SSLError as error:
        hint = (
            "Does the server speak TLS? Without it the URL begins with 'redis://'."
            if "WRONG_VERSION_NUMBER" in str(error)
            else "Look into the server's log."
        )
        raise away(shown, f"no encrypted connection ({error.reason or error})", hint) from error
    except OSError as error:
        raise away(shown, _plain(error)) from error
    _tune(transport.get_extra_info("socket"))
    return connection


async def _greet(
    connection: Connection,
    address: Address,
    credentials: Credentials,
    name: str,
    *,
    as_primary: bool,
) -> ServerInfo:
    """Say who we are and learn who it is: one write, one read."""
    commands: list[tuple[Argument, ...]] = []
    # In the order of their doing, and all of them needed; what follows is not.
    if credentials.given:
        commands.append(login(credentials.username, credentials.password or ""))
    if address.db != 0:
        commands.append(("SELECT", address.db))
    needed = len(commands)
    commands += [("CLIENT", "SETNAME", name), ("INFO",), ("ROLE",)]
    replies = await ask_all(connection, commands)
    for reply in replies[:needed]:
        if isinstance(reply, ReplyError):
            text = unsaid(str(reply), credentials.password)
            if address.credentials is not None and code(text) == "WRONGPASS":
                # It may have expired on the way: another attempt asks for another one.
                raise away(
                    connection.shown,
                    f"user {connection.user or 'default'!r} was not let in with what"
                    " redis_credentials returned",
                    "Is the token for this server, and still valid?",
                )
            raise translate(text, connection.shown, user=connection.user)
    named, said, role = replies[needed:]
    if isinstance(named, ReplyError) and code(str(named)) != "NOPERM":
        raise translate(str(named), connection.shown, user=connection.user)
    info = ServerInfo(shown=connection.shown)
    if not isinstance(said, ReplyError):  # a user may lack the right to ask
        info = parse_info(said, connection.shown)
    if info.loading:
        raise translate("LOADING", connection.shown)
    connection.run_id = info.fields.get("run_id", "")
    is_primary = role[0] == "master" if isinstance(role, list) else info.role != "slave"
    if as_primary and isinstance(role, list) and is_primary:
        connection.replicas = len(role[2])
    if as_primary and not is_primary:
        raise away(connection.shown, "the sentinels still name a server that is no primary")
    return info


async def ask_all(connection: Connection, commands: Sequence[tuple[Argument, ...]]) -> list[Any]:
    """Send the words of a greeting, in one write; return the answers, refusals among them."""
    calls = [connection.send(pack(command)) for command in commands]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, NotWrittenError | StoreUnreachableError):
            break
    else:
        return answers
    # Nothing of a caller's was under way, so nothing of theirs is unknown.
    if isinstance(answers[0], ReplyError):  # it said why, and hung up
        raise translate(str(answers[0]), connection.shown, user=connection.user)
    if "not Redis' protocol" in str(answer):
        raise BackendError(
            f"{connection.shown}: what answers there does not speak Redis' protocol. Is it the"
            " right port, and does it want TLS ('rediss://')?"
        )
    raise away(connection.shown, "it hung up at the greeting")


def login(username: str | None, password: str) -> tuple[Argument, ...]:
    """Return the AUTH command of a user."""
    return ("AUTH", password) if username is None else ("AUTH", username, password)


def unsaid(text: str, password: str | None) -> str:
    """Return a server's error without the password: a server without AUTH repeats the command."""
    return text.replace(password, "***") if password else text


def away(
    shown: str, reason: str, hint: str = "Is it running, and is the URL right?"
) -> StoreUnreachableError:
    """Return the error of a server that cannot be reached now; nothing was sent."""
    return StoreUnreachableError(f"{shown}: cannot be reached: {reason}. {hint}", sent=False)


def _plain(error: OSError) -> str:
    """Return the system's words without asyncio's, which repeat the address."""
    if isinstance(error, socket.gaierror):
        return f"its name is not known ({error.strerror or error})"
    if error.errno is not None:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__


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


def _tune(connected: Any) -> None:
    """Have the system notice a peer that is gone: idle after 45 s, with data under way after 20."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
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
    if connected.family == socket.AF_UNIX:
        return
    for option_of_socket in options:
        with contextlib.suppress(OSError):  # it works without
            connected.setsockopt(*option_of_socket)
