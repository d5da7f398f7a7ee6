"""De-duplication ids, read and released by hand. `lua/lib/deduplicate.lua` gives them to jobs."""

from __future__ import annotations

from toril.backends.redis.queue_scripts import QueueScripts


class RedisDeduplicationIds:
    """The role `DeduplicationIds`."""

    def __init__(self, scripts: QueueScripts) -> None:
        self._scripts = scripts

    async def holder(self, queue: str, deduplication_id: str) -> str | None:
        holder: str | None = await self._scripts.run("read_deduplication", queue, deduplication_id)
        return holder

    async def release(self, queue: str, deduplication_id: str) -> bool:
        held: int = await self._scripts.run("release_deduplication", queue, deduplication_id)
        return held == 1
