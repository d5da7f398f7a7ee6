"""Jobs of outboxes, and the marks that tell which ones were added: `lua/relay.lua`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from toril.backends.redis.client import Client
from toril.backends.redis.jobs import added_or_error, all_added
from toril.backends.redis.queue_register import QueueRegister
from toril.backends.redis.queue_scripts import QueueScripts
from toril.backends.redis.requests import QueueIndex, placed_job
from toril.engine.contract.relaying import MARK_DAYS, MarkedJob
from toril.engine.job import Added

KEPT_MS = MARK_DAYS * 86_400_000


class RedisRelaying:
    """The role `Relaying`."""

    def __init__(self, client: Client, known: QueueRegister, scripts: QueueScripts) -> None:
        self._client = client
        self._known = known
        self._scripts = scripts

    async def add(
        self, queue: str, jobs: Sequence[MarkedJob], *, forget: Sequence[str]
    ) -> list[Added]:
        await self._known.use(queue)
        places = QueueIndex()
        words = [word for one in jobs for word in (one.mark, *placed_job(one.job, places))]
        dropped = msgspec.json.encode(forget).decode()
        answers = await self._scripts.run("relay", queue, KEPT_MS, dropped, *words)
        await self._known.announce(queue)
        shown, own = self._client.address.shown, [one.job for one in jobs]
        return all_added(added_or_error(answers, own, shown))
