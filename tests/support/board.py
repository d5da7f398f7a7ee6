"""Bull Board's HTTP API, as its own pages use it."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.support.node import Node

TIMEOUT_S = 30.0


class Answer(NamedTuple):
    """What the board said."""

    status: int
    body: Any
    """Decoded; None if there was none."""


class Board:
    """A board over some queues."""

    def __init__(self, url: str) -> None:
        self._url = url

    @classmethod
    async def start(cls, node: Node, *queues: str) -> Board:
        """Have Node serve one."""
        return cls(await node.board(queues))

    async def queue(self, name: str, status: str = "latest") -> Any:
        """Return one queue as the board's first page shows it, with its jobs of one state."""
        answer = await self.ask("GET", f"queues?activeQueue={name}&status={status}")
        (found,) = [queue for queue in answer.body["queues"] if queue["name"] == name]
        return found

    async def jobs(self, name: str, status: str) -> list[Any]:
        """Return the jobs that the board lists for one state."""
        found: list[Any] = (await self.queue(name, status))["jobs"]
        return found

    async def get(self, *path: str) -> Any:
        """Return what is below a queue: `get("paint", "1", "logs")`."""
        return (await self.ask("GET", _below_queues(path))).body

    async def put(self, *path: str, body: Any = None) -> int:
        """Do something to a queue or a job, and return the status: `put("paint", "pause")`."""
        return (await self.ask("PUT", _below_queues(path), body)).status

    async def post(self, *path: str, body: Any) -> Any:
        """Make something, and return it."""
        return (await self.ask("POST", _below_queues(path), body)).body

    async def patch(self, *path: str, body: Any) -> int:
        """Change something, and return the status."""
        return (await self.ask("PATCH", _below_queues(path), body)).status

    async def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Send one request and return the answer, whatever its status."""
        return await asyncio.to_thread(self._ask, method, path, body)

    def _ask(self, method: str, path: str, body: Any) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._url}/api/{path}", data=data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as page:
                return Answer(page.status, _decoded(page.read()))
        except urllib.error.HTTPError as refused:
            with refused:
                return Answer(refused.code, _decoded(refused.read()))


def _below_queues(path: Sequence[str]) -> str:
    return "/".join(("queues", *path))


def _decoded(text: bytes) -> Any:
    return json.loads(text) if text else None
