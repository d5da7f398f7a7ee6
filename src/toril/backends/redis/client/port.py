"""What the store needs of a Redis client."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from toril.backends.redis.client.address import Address
from toril.backends.redis.client.protocol import Argument

T = TypeVar("T")

SYNC_S = 10.0
"""How long a call of a plain thread may take, in seconds."""


class Script(Protocol):
    """A Lua script."""

    @property
    def text(self) -> str:
        """Return its Lua."""
        ...

    @property
    def sha(self) -> str:
        """Return the SHA-1 of its text, as hexadecimal."""
        ...

    @property
    def makes_keys(self) -> bool:
        """Whether it uses keys that it is not given."""
        ...

    def check(self, keys: int, args: int) -> None:
        """Refuse a wrong number of keys or arguments with a `TypeError`."""


class Client(Protocol):
    """Thread-safe, for any number of event loops: each has connections of its own.

    A call whose connection is lost is never repeated: its outcome is unknown, and the error says so
    (`StoreUnreachableError.sent`). A call that was not sent yet waits for a connection, for up to
    `connect_timeout_s`. A closed client raises `BackendClosedError`.
    """

    @property
    def address(self) -> Address:
        """Return the servers and the credentials."""
        ...

    @property
    def clustered(self) -> bool | None:
        """Whether the server is a node of a Cluster. None: not known before the first call."""
        ...

    async def call(self, *command: Argument) -> Any:
        """Send a command and return its reply: text, whole numbers, None, or lists of these.

        In a Cluster it goes to the node of its first key.

        Raises:
            StoreUnreachableError: See its `sent`.
            BackendError: The server refused; nothing was done.
        """

    async def many(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """Send commands in one write and return their replies. In a Cluster: one write a node.

        Raises:
            BackendError: The first refusal, after all were answered; the others were done.
        """
        ...

    async def run(self, script: Script, keys: Sequence[str], *args: Argument) -> Any:
        """Run a script and return its reply; it is loaded where the server does not have it.

        Raises:
            TypeError: The number of keys or arguments is wrong.
            InvalidOptionError: In a Cluster: the keys lie in several slots.
        """

    def start(
        self,
        script: Script,
        keys: Sequence[str],
        *args: Argument,
        done: Callable[[Any, BaseException | None], None],
    ) -> bool:
        """Send what `run` would, without a task, if an open connection has room for it.

        Parameters:
            done: Called with the reply, or with what `run` would raise. Not during this call.

        Returns:
            Whether it was sent. If not, nothing was done: use `run`.
        """
        ...

    def sync(self, call: Callable[[], Coroutine[Any, Any, T]], *, timeout_s: float = SYNC_S) -> T:
        """Run calls from a plain thread and wait for them.

        They run on an event loop and connections of the client's own, so they go on while the
        user's event loop is blocked.

        Parameters:
            call: Makes the coroutine, such as `lambda: client.call("PING")`.
            timeout_s: How long it may take.

        Raises:
            StoreUnreachableError: Also if it took longer than `timeout_s`.
        """
        ...

    async def open_blocking(self, key: str, *, name: str | None = None) -> BlockingConnection:
        """Open a connection of the caller's own, to the server that has a key.

        Parameters:
            key: The key that it will block on.
            name: The name that `CLIENT LIST` shows.
        """
        ...

    async def nodes(self) -> Sequence[Node]:
        """Return the primaries: all of a Cluster, or the only server."""
        ...

    def slot(self, key: str) -> int | None:
        """Return a key's slot; None if the server is no Cluster, as known after the first call."""
        ...


class BlockingConnection(Protocol):
    """A connection for commands that block: one caller, one command at a time.

    It is never reopened: who needs another opens one.
    """

    @property
    def closed(self) -> bool:
        """Whether it takes no more commands."""
        ...

    @property
    def can_unblock(self) -> bool:
        """Whether `unblock` can end a blocking command early. If not, block only briefly."""
        ...

    async def call(self, *command: Argument, timeout_s: float) -> Any:
        """Send a command that may block, and return its reply.

        A caller that is cancelled meanwhile closes the connection: the next caller would get this
        one's reply.

        Parameters:
            command: The command.
            timeout_s: For how long the server was asked to block, in seconds.

        Raises:
            StoreUnreachableError: The connection is closed; it broke, or nothing came in that time
                and two seconds more. Open another one.
            BackendClosedError: The client was closed meanwhile.
        """

    async def call_both(
        self, block: Sequence[Argument], then: Sequence[Argument], *, timeout_s: float
    ) -> tuple[Any, Any]:
        """Send a command that may block, and one that the server runs after it.

        Parameters:
            block: The first.
            then: The second; the server runs it even if the first failed.
            timeout_s: For how long the server was asked to block, in seconds.

        Returns:
            Both replies. A refusal is a `ReplyError` among them.

        Raises:
            StoreUnreachableError: As `call`.
            BackendClosedError: As `call`.
        """
        ...

    async def unblock(self) -> None:
        """Have the server end the blocking command now, as if its time were over.

        Nothing happens if the user lacks the right to it.

        Raises:
            BackendError: The server could not be told.
        """

    async def close(self) -> None:
        """Close it, from any loop. Twice is fine."""


class Node(Protocol):
    """One primary."""

    @property
    def name(self) -> str:
        """Return its host and port, or the client's address if it is the only server."""
        ...

    async def call(self, *command: Argument) -> Any:
        """Send a command to this node and return its reply."""
