"""Reads all jobs that the states of a queue list, in small batches, and reports damage.

Jobs that no state lists: `strays.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from toril.backends.redis.client import Client
from toril.backends.redis.damage import Damage
from toril.backends.redis.keys import Keys
from toril.backends.redis.scripts import script
from toril.backends.redis.strays import Strays
from toril.core.errors import StoreDeniedError
from toril.engine.states import State

LOOK_CHUNK = 500
"""Jobs in one call: about 1 ms of the server's time."""
OWN_KEYS = (
    *map(str, State), "paused", "marker", "meta", "events", "stalled", "stalled-check", "limiter",
    "id", "pc", "repeat", "metrics:completed", "metrics:completed:data", "metrics:failed",
    "metrics:failed:data", "toril:history", "toril:history:ever", "toril:history:blocks",
    "toril:history:calendar",
)  # fmt: skip
"""Keys that a queue has beside its jobs: `lib/damage_of.lua` knows what each holds."""
SET_ASIDE = "paused"
"""Where Bull 4, and a BullMQ before version 6, puts the jobs of a queue that it pauses."""


class Survey:
    """Looks queues over; changes nothing."""

    def __init__(self, client: Client, keys: Keys, strays: Strays) -> None:
        self._client = client
        self._keys = keys
        self._strays = strays

    async def check(self, queues: Sequence[str]) -> list[Damage]:
        """Return what is wrong with each queue.

        Raises:
            BackendError: The server went away, or does not let this user look.
        """
        damages = [await self._lines(queue) for queue in queues]
        with contextlib.suppress(StoreDeniedError):  # no right to SCAN, as `rights.py` tells
            await self._strays.check({damage.queue: damage for damage in damages})
        return damages

    async def _lines(self, queue: str) -> Damage:
        damage = Damage(queue)
        damage.keys = dict(
            await self._client.run(script("inspect"), [self._keys.meta(queue)], *OWN_KEYS)
        )
        if SET_ASIDE not in damage.keys:
            damage.aside = await self._client.call("LLEN", self._keys.of(queue, SET_ASIDE))
            damage.aside_unsaid = "meta" in damage.keys or not await self._client.call(
                "HEXISTS", self._keys.meta(queue), "paused"
            )
        for state in (*map(str, State), SET_ASIDE):
            start, looked = 0, LOOK_CHUNK
            while looked == LOOK_CHUNK:
                gone, unlocked, looked = await self._client.run(
                    script("survey"), [self._keys.meta(queue)], state, start, LOOK_CHUNK
                )
                damage.note_gone(state, gone)
                damage.unlocked.note(unlocked)
                start += looked
        return damage
