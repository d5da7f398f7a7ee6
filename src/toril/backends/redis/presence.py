"""Connections whose names show workers to BullMQ's tools.

`getWorkers` and dashboards list the connections of a server, and know a queue's workers by the
names of these (`Keys.client_name`). A connection has one name, so it shows a worker for one queue.
A worker has one for its first queue, and others only for queues that BullMQ uses.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from toril.backends.redis.client import BlockingConnection, Client
from toril.backends.redis.keys import Keys
from toril.core.errors import BackendError
from toril.engine.contract.workers import WorkerRecord

CHECK_S = 5.0
"""Between two checks whether a worker's named connections are open, in seconds."""
VERSIONS_S = 15.0
"""Between two checks which queues BullMQ uses, in seconds: one round trip."""
MAX_SHOWN = 32
"""Most queues of a worker that get a connection: it may serve 500 of them."""


class Presence:
    """The named connections of all workers of this process."""

    def __init__(self, client: Client, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def show(self, worker: WorkerRecord) -> None:
        """Show a worker from now on. Twice is fine."""
        if worker.id not in self._tasks:
            task = asyncio.get_running_loop().create_task(self._stay(worker))
            self._tasks[worker.id] = task

    async def hide(self, worker_id: str) -> None:
        """Close the connections of a worker, if it has any."""
        task = self._tasks.pop(worker_id, None)
        if task is not None and not task.get_loop().is_closed():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def close(self) -> None:
        """Close all of them."""
        for worker_id in list(self._tasks):
            await self.hide(worker_id)

    async def _stay(self, worker: WorkerRecord) -> None:
        loop = asyncio.get_running_loop()
        connections: dict[str, BlockingConnection] = {}
        shown = worker.queues[:1]
        asked_s = float("-inf")
        try:
            while True:
                if len(worker.queues) > 1 and loop.time() >= asked_s + VERSIONS_S:
                    asked_s = loop.time()
                    with suppress(BackendError):
                        shown = await self._shown(worker.queues)
                for queue in shown:
                    connection = connections.get(queue)
                    if connection is None or connection.closed:
                        name = self._keys.client_name(queue, worker.id)
                        with suppress(BackendError):
                            connections[queue] = await self._client.open_blocking(
                                self._keys.meta(queue), name=name
                            )
                await asyncio.sleep(CHECK_S)
        finally:
            for connection in connections.values():
                await connection.close()

    async def _shown(self, queues: list[str]) -> list[str]:
        """Return the first queue, and those that BullMQ uses: it has put its version on them."""
        first, *others = queues
        versions = await self._client.many(
            [["HGET", self._keys.meta(queue), "version"] for queue in others]
        )
        theirs = [
            queue
            for queue, version in zip(others, versions, strict=True)
            if str(version).startswith("bullmq:")
        ]
        return [first, *theirs][:MAX_SHOWN]
