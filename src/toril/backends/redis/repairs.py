"""Carries out repairs, job by job. Each script checks again that the job still needs it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from toril.backends.redis.client import Client
from toril.backends.redis.keys import Keys
from toril.backends.redis.moments import Moments
from toril.backends.redis.scripts import script
from toril.backends.redis.strays import LISTS, batches
from toril.core.errors import BackendError
from toril.engine.contract.lifecycle import Repair

TAKE_BACK_CHUNK = 500
"""Active jobs in one call of a recovery."""


class Repairs:
    """Does what `Damage.repairs` has planned."""

    def __init__(self, client: Client, keys: Keys, moments: Moments) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments

    async def carry_out(self, repairs: Sequence[Repair], *, max_stalled: int) -> list[Repair]:
        """Mend, and return what was done; `Lifecycle.repair` says the rest."""
        done: list[Repair] = []
        for repair in repairs:
            match repair.act:
                case "set_aside":
                    names = await self._run(
                        "set_aside", repair, self._moments.frozen(), *repair.job_ids
                    )
                    done.append(Repair(repair.queue, "set_aside", names))
                case "remove_ids":
                    done += await self._remove_ids(repair)
                case "take_back":
                    done += await self._take_back(repair, max_stalled)
                case "restore":
                    done += await self._restore(repair)
                case "remove_rest":
                    done += await self._remove_rest(repair)
        return [one for one in done if one.job_ids]

    async def _remove_ids(self, repair: Repair) -> list[Repair]:
        state = repair.state or ""
        length = await self._length(repair.queue, [state]) if state in LISTS else 0
        ids: list[str] = []
        for batch in batches(repair.job_ids, length):
            ids += await self._run("remove_ids", repair, self._moments.frozen(), state, *batch)
        return [Repair(repair.queue, "remove_ids", ids, state)]

    async def _take_back(self, repair: Repair, max_stalled: int) -> list[Repair]:
        """Do what every worker does now and then, without declaring any of them dead."""
        ids: list[str] = []
        start = 0
        while start >= 0:
            start, taken, *_ = await self._run(
                "recover",
                repair,
                self._moments.frozen(),
                max_stalled,
                TAKE_BACK_CHUNK,
                0,  # whether somebody has just looked or not
                start,
                TAKE_BACK_CHUNK,
            )
            ids += [job_id for job_id, _ in taken]
        return [Repair(repair.queue, "take_back", ids)]

    async def _restore(self, repair: Repair) -> list[Repair]:
        by_state: dict[str, list[str]] = {}
        for batch in batches(repair.job_ids, await self._length(repair.queue, LISTS)):
            for job_id, state in await self._run("restore", repair, self._moments.frozen(), *batch):
                by_state.setdefault(state, []).append(job_id)
        return [Repair(repair.queue, "restore", ids, state) for state, ids in by_state.items()]

    async def _remove_rest(self, repair: Repair) -> list[Repair]:
        ids: list[str] = []
        for batch in batches(repair.job_ids, 0):
            ids += await self._run("remove_rest", repair, *batch)
        return [Repair(repair.queue, "remove_rest", ids)]

    async def _length(self, queue: str, lists: Sequence[str]) -> int:
        length = 0
        for name in lists:
            with suppress(BackendError):  # one that is no list has nothing to be looked through
                length += await self._client.call("LLEN", self._keys.of(queue, name))
        return length

    async def _run(self, verb: str, repair: Repair, *arguments: str | int) -> Any:
        return await self._client.run(script(verb), [self._keys.meta(repair.queue)], *arguments)
