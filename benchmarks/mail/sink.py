"""An SMTP server in a process of its own that takes every mail and keeps none.

aiosmtpd would be the slower side of the comparison; this one speaks just enough of the protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

_ANSWERS = {
    b"EHLO": b"250-sink\r\n250 SIZE 0\r\n",
    b"DATA": b"354 go on\r\n",
    b"QUIT": b"221 bye\r\n",
}


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection."""
    writer.write(b"220 sink\r\n")
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while line := await reader.readline():
            word = line[:4].upper()
            writer.write(_ANSWERS.get(word, b"250 OK\r\n"))
            if word == b"DATA":
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(b"250 taken\r\n")
            if word == b"QUIT":
                break
    writer.close()


async def main() -> None:
    """Serve, until standard input ends."""
    server = await asyncio.start_server(talk, "127.0.0.1", 0, limit=64 * 1024 * 1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
