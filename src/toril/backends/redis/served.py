"""Which queues some worker serves: ours by the register, Node's by the names of connections."""

from __future__ import annotations

import base64
import binascii

from toril.backends.redis.client import Client
from toril.backends.redis.keys import Keys
from toril.backends.redis.workers import RedisWorkers
from toril.core.errors import BackendError


async def served_queues(client: Client, keys: Keys, workers: RedisWorkers) -> set[str]:
    """Return the names of queues that a worker serves, of whatever library.

    Without the right to list connections, only those that ours serve.
    """
    served = {queue for worker in await workers.list() for queue in worker.queues}
    words: list[str] = []
    try:
        for node in await client.nodes():
            words += str(await node.call("CLIENT", "LIST")).split()
    except BackendError:
        return served
    beginning = f"name={keys.prefix}:"
    for word in words:
        if not word.startswith(beginning):
            continue
        encoded, _, rest = word.removeprefix(beginning).partition(":")
        if rest in ("", "w") or rest.startswith("w:"):
            try:
                served.add(base64.b64decode(encoded, validate=True).decode())
            except (binascii.Error, ValueError):
                continue
    return served
