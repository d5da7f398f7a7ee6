"""A plain HTTP server on this machine that answers as a test says, and keeps what it was sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Request:
    """What came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """What goes back."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hangs: bool = False
    """Never answers."""
    drops: bool = False
    """Closes the connection in place of an answer."""
    delay_s: float = 0.0
    """Before it answers."""


@dataclass
class Server:
    """A server that runs."""

    port: int
    answer: Callable[[Request], Answer]
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


@asynccontextmanager
async def serving(
    answer: Callable[[Request], Answer] = lambda request: Answer(), *, host: str = "127.0.0.1"
) -> AsyncIterator[Server]:
    """Run a server beside the test."""
    made = Server(0, answer)
    talking: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talking.add(task)
        made.connections += 1
        try:
            while (request := await _read(reader, writer)) is not None:
                made.requests.append(request)
                reply = made.answer(request)
                if reply.hangs:
                    await asyncio.Event().wait()
                if reply.drops:
                    return
                if reply.delay_s:
                    await asyncio.sleep(reply.delay_s)
                headers = {"content-length": str(len(reply.body)), **reply.headers}
                head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                writer.write(f"HTTP/1.1 {reply.status} X\r\n{head}\r\n".encode() + reply.body)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            pass  # the server ends; Python 3.11 prints a traceback for a task that says so
        finally:
            talking.discard(task)
            writer.close()

    server = await asyncio.start_server(talk, host)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in list(talking):
            task.cancel()
        if talking:
            await asyncio.wait(talking)


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines if line)
    }
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)
