"""A push service that takes everything: `python -m benchmarks.push.endpoint` prints its port.

A process of its own, so that what it costs is not counted. It reads each request whole.
"""

from __future__ import annotations

import asyncio

ANSWER = b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.held = b""

    def data_received(self, data: bytes) -> None:
        self.held += data
        while (end := self.held.find(b"\r\n\r\n")) >= 0:
            head = self.held[:end].lower()
            place = head.index(b"content-length:") + 15
            size = int(head[place:].split(b"\r\n", 1)[0])
            if len(self.held) < end + 4 + size:
                return
            self.held = self.held[end + 4 + size :]
            self.transport.write(ANSWER)


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
