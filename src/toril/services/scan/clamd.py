"""Scans by clamd, over a Unix socket or TCP.

Content is streamed to it, so it needs no right to read our files.

Source: clamd(8), section "COMMANDS", `INSTREAM`, `PING` and the prefix `z`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable
from urllib.parse import urlsplit

from toril.core.checks import require
from toril.core.errors import InvalidOptionError
from toril.services.scan.port import (
    CLEAN,
    DEFAULT_MAX_BYTES,
    Finding,
    Verdict,
    infected,
    over_limit,
    parts_of,
    too_large,
    unavailable,
)

CHUNK_BYTES = 64 * 1024
MAX_REPLY_BYTES = 4096
DEFAULT_ADDRESS = "unix:///run/clamav/clamd.ctl"
"""Where Debian's clamd listens."""

_LIMITS = "Heuristics.Limits.Exceeded"
"""With `AlertExceedsMax yes` clamd reports content that it has not scanned whole as found."""


class ClamdScanner:
    """A `Scanner` of a clamd. Each scan has a connection of its own."""

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        connect_s: float = 5.0,
        total_s: float = 60.0,
    ) -> None:
        """Make a scanner. Nothing is connected yet.

        Parameters:
            address: `unix:///run/clamav/clamd.ctl` or the path alone; `tcp://host:3310`.
            max_bytes: Largest content that is sent: not more than clamd's `StreamMaxLength`.
            connect_s: Until a connection is made, in seconds.
            total_s: From the connection to the verdict, in seconds.

        Raises:
            InvalidOptionError: One of them makes no sense.
        """
        self.address = address
        self._path, self._host, self._port = _parsed(address)
        require(max_bytes >= 1, "max_bytes", max_bytes, "bytes, from 1")
        require(connect_s > 0, "connect_s", connect_s, "seconds, above 0")
        require(total_s > 0, "total_s", total_s, "seconds, above 0")
        self._max_bytes = max_bytes
        self._connect_s = connect_s
        self._total_s = total_s

    def __repr__(self) -> str:
        return f"ClamdScanner({self.address!r})"

    @property
    def max_bytes(self) -> int:
        """Largest content that is sent."""
        return self._max_bytes

    async def scan(
        self, content: bytes | AsyncIterable[bytes], *, size_bytes: int | None = None
    ) -> Verdict:
        """Scan content: see `Scanner.scan`."""
        if isinstance(content, bytes):
            size_bytes = len(content)
        if size_bytes is not None and size_bytes > self._max_bytes:
            return over_limit(self._max_bytes, size_bytes)
        connection = await self._connect()
        if isinstance(connection, Verdict):
            return connection
        reader, writer = connection
        limit = asyncio.timeout(self._total_s)
        try:
            async with limit:
                return await self._stream(content, reader, writer)
        except TimeoutError:
            if not limit.expired():  # of whatever reads the content
                raise
            return unavailable(f"{self.address}: no verdict within {self._total_s:g} s")
        finally:
            writer.transport.abort()

    async def check(self) -> Verdict:
        """Ask whether clamd is there: see `Scanner.check`."""
        connection = await self._connect()
        if isinstance(connection, Verdict):
            return connection
        reader, writer = connection
        try:
            async with asyncio.timeout(self._connect_s):
                writer.write(b"zPING\0")
                reply = await self._reply(reader)
        except TimeoutError:
            return unavailable(f"{self.address}: no answer within {self._connect_s:g} s")
        except OSError as error:
            return unavailable(f"{self.address}: {_plain(error)}")
        finally:
            writer.transport.abort()
        return CLEAN if reply == "PONG" else self._strange(reply)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | Verdict:
        try:
            async with asyncio.timeout(self._connect_s):
                if self._path is not None:
                    return await asyncio.open_unix_connection(self._path)
                return await asyncio.open_connection(self._host, self._port)
        except TimeoutError:
            return unavailable(f"{self.address}: no connection within {self._connect_s:g} s")
        except OSError as error:
            return unavailable(f"{self.address}: {_plain(error)}; is clamd running there?")

    async def _stream(
        self,
        content: bytes | AsyncIterable[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> Verdict:
        sent = 0
        writer.write(b"zINSTREAM\0")
        async for part in parts_of(content):
            sent += len(part)
            if sent > self._max_bytes:
                return over_limit(self._max_bytes)
            try:
                for at in range(0, len(part), CHUNK_BYTES):
                    chunk = part[at : at + CHUNK_BYTES]
                    writer.write(len(chunk).to_bytes(4, "big") + chunk)
                    await writer.drain()
            except OSError as error:
                return await self._cut_off(reader, sent, error)
        try:
            writer.write(bytes(4))
            await writer.drain()
            return self._judged(await self._reply(reader))
        except OSError as error:
            return await self._cut_off(reader, sent, error)

    async def _cut_off(self, reader: asyncio.StreamReader, sent: int, error: OSError) -> Verdict:
        """Judge a connection that clamd closed in the middle.

        It does so once the content is over its own limit, and says that; but the reset mostly
        overtakes the words. It has died as well: a live one means that it did so on purpose.
        """
        with contextlib.suppress(OSError):
            verdict = self._judged(await self._reply(reader))
            if verdict.finding is Finding.TOO_LARGE:
                return verdict
        if not (await self.check()).is_clean:
            return unavailable(f"{self.address}: the connection was lost: {_plain(error)}")
        return too_large(
            f"{self.address} closed the connection after {sent:,} bytes: its StreamMaxLength is"
            " smaller than max_bytes; raise the one, or lower the other"
        )

    async def _reply(self, reader: asyncio.StreamReader) -> str:
        found = bytearray()
        while not found.endswith(b"\0") and len(found) < MAX_REPLY_BYTES:
            part = await reader.read(MAX_REPLY_BYTES)
            if not part:
                break
            found += part
        return found.rstrip(b"\0\r\n").decode("utf-8", "replace")

    def _judged(self, reply: str) -> Verdict:
        """Return the verdict of clamd's words: clean only by the one answer that says so."""
        if reply == "stream: OK":
            return CLEAN
        if reply.startswith("stream: ") and reply.endswith(" FOUND"):
            name = reply.removeprefix("stream: ").removesuffix(" FOUND")
            if name.startswith(_LIMITS):
                return too_large(f"{self.address}: it was not scanned whole: {name}")
            return infected(name)
        if "size limit exceeded" in reply:
            return too_large(
                f"{self.address}: over its StreamMaxLength, which is smaller than max_bytes"
            )
        return self._strange(reply)

    def _strange(self, reply: str) -> Verdict:
        said = f"it said {reply[:200]!r}" if reply else "it closed the connection without an answer"
        return unavailable(f"{self.address}: {said}")


def _parsed(address: str) -> tuple[str | None, str, int]:
    """Return path, host and port of an address. The path is None for TCP.

    Raises:
        InvalidOptionError: It is none.
    """
    expected = "expected 'unix:///path', a path, or 'tcp://host:port'"
    if address.startswith("/"):
        return address, "", 0
    parts = urlsplit(address)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme == "unix" and parts.path.startswith("/") and not parts.netloc:
        return parts.path, "", 0
    if parts.scheme == "tcp" and parts.hostname and port and parts.path in ("", "/"):
        return None, parts.hostname, port
    raise InvalidOptionError(f"address={address!r}: {expected}")


def _plain(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
