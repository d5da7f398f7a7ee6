"""A tiny synchronous Redis client, so that what tests look at does not pass through our own."""

from __future__ import annotations

import select
import socket
import threading
from types import TracebackType
from typing import Any, BinaryIO

TIMEOUT_S = 10.0


class RedisReplyError(Exception):
    """The server answered with an error."""


class RedisClient:
    """One connection, opened when first needed and again after it was lost. Thread-safe."""

    def __init__(self, *, socket_path: str | None = None, port: int | None = None) -> None:
        self._socket_path = socket_path
        self._port = port
        self._socket: socket.socket | None = None
        self._replies: BinaryIO | None = None
        self._lock = threading.Lock()

    def command(self, *words: str | bytes | int | float) -> Any:
        """Send one command and return its answer: text, an integer, None or a list of these.

        Bytes that are no UTF-8 come back as lone surrogates.

        Raises:
            RedisReplyError: The server refused.
            OSError: The server is away, or did not answer in time.
        """
        with self._lock:
            try:
                answer = self._ask(words)
            except OSError:
                self._drop()
                raise
        if isinstance(answer, RedisReplyError):
            raise answer
        return answer

    def close(self) -> None:
        """Let go of the connection. The next command opens one anew."""
        with self._lock:
            self._drop()

    def __enter__(self) -> RedisClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, words: tuple[str | bytes | int | float, ...]) -> Any:
        if self._socket is not None and _has_ended(self._socket):
            self._drop()
        connection = self._socket or self._connect()
        request = [b"*%d\r\n" % len(words)]
        for word in words:
            raw = word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogateescape")
            request.append(b"$%d\r\n%s\r\n" % (len(raw), raw))
        connection.sendall(b"".join(request))
        return self._read()

    def _connect(self) -> socket.socket:
        if self._socket_path is not None:
            connection = socket.socket(socket.AF_UNIX)
        else:
            connection = socket.socket(socket.AF_INET)
        try:
            connection.settimeout(TIMEOUT_S)
            connection.connect(self._socket_path or ("127.0.0.1", self._port))
        except OSError:
            connection.close()
            raise
        self._socket, self._replies = connection, connection.makefile("rb")
        return connection

    def _drop(self) -> None:
        if self._replies is not None:
            self._replies.close()
        if self._socket is not None:
            self._socket.close()
        self._socket = self._replies = None

    def _read(self) -> Any:
        assert self._replies is not None
        line = self._replies.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionResetError("the server closed the connection")
        kind, text = line[:1], line[1:-2].decode("utf-8", "surrogateescape")
        match kind:
            case b"+":
                return text
            case b"-":
                return RedisReplyError(text)
            case b":":
                return int(text)
            case b"$":
                return None if text == "-1" else self._read_text(int(text))
            case b"*":
                return None if text == "-1" else [self._read() for _ in range(int(text))]
        raise AssertionError(f"no answer of Redis begins with {kind!r}")

    def _read_text(self, length: int) -> str:
        assert self._replies is not None
        raw = self._replies.read(length + 2)
        if len(raw) != length + 2:
            raise ConnectionResetError("the server closed the connection")
        return raw[:-2].decode("utf-8", "surrogateescape")


def _has_ended(connection: socket.socket) -> bool:
    """Return whether the other end is gone: a server that is demoted hangs up on its clients."""
    if not select.select([connection], [], [], 0)[0]:
        return False
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True
