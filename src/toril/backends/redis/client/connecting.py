"""Opens a connection: the socket, then the handshake.

One attempt, in one go; `managed_connection.py` decides when there is another.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any

from toril.backends.redis.client.address import Address, Endpoint, Tls, show_endpoint
from toril.backends.redis.client.connection import OVERDUE_S, Connection, NotWrittenError
from toril.backends.redis.client.credentials import Credentials, credentials_of
from toril.backends.redis.client.protocol import Argument, ReplyError, pack
from toril.backends.redis.client.racing import give_up, race
from toril.backends.redis.client.refusals import code, translate
from toril.backends.redis.client.server_info import ServerInfo, parse_info
from toril.backends.redis.client.sockets import open_socket, plain
from toril.core.errors import BackendError, StoreUnreachableError

CLIENT_NAME = "toril"
"""What `CLIENT LIST` shows for connections without a name of their own."""
Opened = tuple[Connection, ServerInfo]
"""A connection, and what its server says it is."""


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
    return await race(
        [functools.partial(open_connection, address, endpoint) for endpoint in endpoints],
        delay_s=OVERDUE_S,
        failure=StoreUnreachableError,
        drop=_drop,
    )


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
            await give_up([attempt], _drop)
            raise
        await give_up([attempt], _drop)
        endpoint = now


def _drop(opened: Opened) -> None:
    opened[0].abort("it is not needed any more")


_IS_IT_TLS = "Does the server speak TLS? Without it the URL begins with 'redis://'."


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
                _, connection = await loop.create_unix_connection(made, address.path)
            else:
                _, connection = await open_socket(
                    made, endpoint, tls, timeout_s=address.connect_timeout_s
                )
    except TimeoutError:
        raise away(shown, f"no connection within {address.connect_timeout_s:g} s") from None
    except ssl.SSLCertVerificationError as error:
        raise BackendError(
            f"{shown}: the server's certificate is not trusted ({error.verify_message}). Give the"
            " authority that signed it as ssl_ca_certs."
        ) from error
    except ssl.SSLError as error:
        hint = _IS_IT_TLS if "WRONG_VERSION_NUMBER" in str(error) else "Look into the server's log."
        raise away(shown, f"no encrypted connection ({error.reason or error})", hint) from error
    except ConnectionAbortedError as error:
        if tls is None:
            raise away(shown, plain(error)) from error
        raise away(shown, "something listens there, and does not answer TLS", _IS_IT_TLS) from error
    except OSError as error:
        raise away(shown, plain(error)) from error
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
    raise away(
        connection.shown,
        "it hung up at the greeting",
        "Is the URL right? With a server that wants TLS it begins with 'rediss://'.",
    )


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
