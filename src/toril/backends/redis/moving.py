"""What a migration needs: read jobs whole, adopt them as they are, remove them."""

from __future__ import annotations

from collections.abc import Sequence

from toril.backends.redis import records
from toril.backends.redis.client import Client
from toril.backends.redis.keys import Keys
from toril.backends.redis.queue_register import QueueRegister
from toril.backends.redis.queue_scripts import QueueScripts
from toril.backends.redis.requests import whole_job
from toril.core.errors import BackendError
from toril.engine.deduplication import HeldId
from toril.engine.job import WholeJob
from toril.engine.states import State


class RedisMoving:
    """The role `Moving`."""

    def __init__(
        self, client: Client, keys: Keys, known: QueueRegister, scripts: QueueScripts
    ) -> None:
        self._client = client
        self._keys = keys
        self._known = known
        self._scripts = scripts

    async def logs(self, queue: str, job_ids: Sequence[str]) -> list[list[str]]:
        keys = [self._keys.of(queue, f"{job_id}:logs") for job_id in job_ids]
        try:
            return await self._client.many([["LRANGE", key, 0, -1] for key in keys])
        except BackendError:
            kinds = await self._client.many([["TYPE", key] for key in keys])
            if set(kinds) <= {"list", "none"}:
                raise
        lists = [key for key, kind in zip(keys, kinds, strict=True) if kind == "list"]
        lines = dict(
            zip(
                lists,
                await self._client.many([["LRANGE", key, 0, -1] for key in lists]),
                strict=True,
            )
        )
        return [lines.get(key, []) for key in keys]

    async def held_ids(self, queue: str, job_ids: Sequence[str]) -> list[HeldId | None]:
        return [records.held(row) for row in await self._scripts.run("read_held", queue, *job_ids)]

    async def adopt(self, queue: str, jobs: Sequence[WholeJob]) -> list[bool]:
        await self._known.use(queue)
        arguments = [word for job in jobs for word in whole_job(job, self._keys.prefix)]
        answers = await self._scripts.run("adopt", queue, *arguments)
        await self._known.announce(queue)
        return [answer == 1 for answer in answers]

    async def remove(self, queue: str, state: State, job_ids: Sequence[str]) -> list[bool]:
        return [
            gone == 1 for gone in await self._scripts.run("remove_many", queue, state, *job_ids)
        ]
