"""A server that says what the test tells it to: for what a real one does only in bad moments."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from toril.backends.redis.client.protocol import reader

INFO = b"# Server\r\nredis_version:7.0.0\r\nrole:master\r\n"

Answer = Callable[[list[str]], bytes | None]


class FakeServer:
    """Answers each command by what `answer` returns; None is silence."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.heard: list[list[str]] = []
        """All commands, but those of the greeting."""
        self.hangs_up = False
        """Whether it closes every connection at once."""
        self.port = 0
        self.connections: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    async def serve(self, incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        """Talk to one client."""
        self.connections.append(outgoing)
        if self.hangs_up:
            outgoing.transport.abort()
            return
        parser = reader()
        with contextlib.suppress(ConnectionError):
            while data := await incoming.read(65536):
                parser.feed(data)
                while (command := parser.gets()) is not False:
                    reply = greeting(command)
                    if reply is None:
                        self.heard.append(command)
                        reply = self.answer(command)
                    if reply is not None:
                        outgoing.write(reply)
        outgoing.close()


def greeting(command: list[str]) -> bytes | None:
    """Return the answer to what a client says first; None for anything else."""
    match command:
        case ["CLIENT", "SETNAME", _]:
            return b"+OK\r\n"
        case ["INFO"]:
            return b"$%d\r\n%s\r\n" % (len(INFO), INFO)
        case ["ROLE"]:
            return b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"
    return None


@asynccontextmanager
async def fake_server(answer: Answer = lambda _: b"+OK\r\n") -> AsyncIterator[FakeServer]:
    """Run one in this event loop."""
    fake = FakeServer(answer)
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        for connection in fake.connections:
            connection.close()
