"""The log lines of jobs."""

from __future__ import annotations

from toril.backends.redis.client import Client
from toril.backends.redis.keys import Keys
from toril.backends.redis.scripts import script
from toril.backends.refusals import not_found


class RedisLogs:
    """The role `Logs`."""

    def __init__(self, client: Client, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def read(
        self, queue: str, job_id: str, *, start: int, limit: int, newest_first: bool = False
    ) -> tuple[list[str], int]:
        order = "back" if newest_first else "forth"
        answer = await self._client.run(
            script("read_log"), [self._keys.meta(queue)], job_id, start, limit, order
        )
        if not answer:
            raise not_found(queue, job_id)
        return answer[0], answer[1]

    async def add(self, queue: str, job_id: str, line: str, *, keep: int) -> int:
        many: int = await self._client.run(
            script("add_log"), [self._keys.meta(queue)], job_id, line, keep
        )
        if many < 0:
            raise not_found(queue, job_id)
        return many
