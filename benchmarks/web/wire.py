"""The least client of HTTP there is, so that what is measured is the server."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """An answer, and how long it took."""

    status: int
    body: bytes
    took_s: float

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class Wire:
    """One connection that is kept."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._head = f"host: localhost\r\nauthorization: Bearer {key}\r\n"

    @classmethod
    async def open(cls, url: str, key: str = "") -> Wire:
        """Connect to a server."""
        where = urlsplit(url)
        return cls(*await asyncio.open_connection(where.hostname, where.port), key)

    async def ask(
        self, method: str, path: str, body: object = None, *, headers: str = ""
    ) -> Answer:
        """Send a request and wait for the answer.

        Parameters:
            method: Such as GET.
            path: With its query.
            body: Sent as JSON. None: nothing.
            headers: More lines, each with its end.

        Raises:
            RuntimeError: It is no success.
        """
        content = b"" if body is None else json.dumps(body).encode()
        kind = "" if body is None else "content-type: application/json\r\n"
        length = f"content-length: {len(content)}\r\n"
        head = f"{method} {path} HTTP/1.1\r\n{self._head}{headers}{kind}{length}\r\n"
        begin_s = time.perf_counter()
        self._writer.write(head.encode() + content)
        told = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        size = int(told.partition("content-length: ")[2].partition("\r\n")[0])
        answer = Answer(
            int(told.split(" ", 2)[1]),
            await self._reader.readexactly(size),
            time.perf_counter() - begin_s,
        )
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.body!r}")
        return answer

    async def follow(self, path: str) -> None:
        """Begin a stream, and return once it has told something."""
        self._writer.write(f"GET {path} HTTP/1.1\r\n{self._head}\r\n".encode())
        told = await self._reader.readuntil(b"data:")
        if b" 200 " not in told.partition(b"\r\n")[0]:
            raise RuntimeError(f"{path}: {told!r}")

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
