"""What the data in a Redis server take."""

from __future__ import annotations

from urllib.parse import urlsplit

from tests.support.redis_client import RedisClient


def used_memory_bytes(url: str) -> int:
    """Return what a server uses, without what it holds for its connections.

    Source:
        Redis, `INFO memory`.
    """
    with RedisClient(port=urlsplit(url).port) as client:
        said = client.command("INFO", "memory")
    fields = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
    return int(fields["used_memory"]) - int(fields["mem_clients_normal"])
