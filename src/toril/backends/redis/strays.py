"""Finds jobs that no state lists, by scanning all keys in batches of a few hundred.

A scan is no snapshot, and jobs move while it runs. So it collects suspects: jobs that are in no
sorted set and have no lock. These are looked for in the lists, page by page. A script then checks
those that are left once more, as it sees all places of a job at one moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from toril.backends.redis.client import Client
from toril.backends.redis.damage import LARGE_BYTES, Damage
from toril.backends.redis.keys import Keys
from toril.backends.redis.moments import Moments
from toril.backends.redis.scripts import script

LISTS = ("wait", "active", "paused")
"""States that are lists: where a job is in them, only a look through all of it tells."""
SCAN_COUNT = 500
"""Keys in one step of the scan, and in the call after it: about 3 ms of the server's time."""
SUSPECTS_AT_MOST = 200_000
"""Suspects of a queue at once, about 25 MB; then its lists are paged through, and it goes on."""
PAGE = 5_000
"""Entries of a list in one call."""
ENTRIES_AT_ONCE = 100_000
"""Entries of lists that the server looks through in one call: about 5 ms of its time. To look for
one job in a longer list takes as long as the list is."""
BATCH = 100
"""Jobs in one call, where lists are short."""


class Strays:
    """Looks for jobs that are in no state, for rests of jobs, and for large payloads."""

    def __init__(self, client: Client, keys: Keys, moments: Moments) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments

    async def check(self, damages: Mapping[str, Damage]) -> None:
        """Note what is found in the damages of their queues; other queues are passed over.

        In a Cluster all nodes are looked through, each for the queues that it has.

        Raises:
            BackendError: The server went away, or does not let this user look.
        """
        suspects: dict[str, set[str]] = {queue: set() for queue in damages}
        for node in await self._client.nodes():
            cursor = "0"
            while True:
                cursor, keys = await node.call(
                    "SCAN", cursor, "MATCH", self._keys.all_pattern(), "COUNT", SCAN_COUNT
                )
                for queue, words in self._by_queue(keys, damages).items():
                    suspects[queue].update(await self._sift(damages[queue], words))
                    if len(suspects[queue]) >= SUSPECTS_AT_MOST:
                        await self._settle(damages[queue], suspects[queue])
                        suspects[queue] = set()
                if cursor == "0":
                    break
        for queue, damage in damages.items():
            await self._settle(damage, suspects[queue])

    def _by_queue(self, keys: Iterable[str], known: Mapping[str, Damage]) -> dict[str, list[str]]:
        words: dict[str, list[str]] = {}
        for key in keys:
            found = self._keys.job_of(key)
            if found is not None and found[0] in known:
                words.setdefault(found[0], []).append(found[1])
        return words

    async def _sift(self, damage: Damage, words: list[str]) -> list[str]:
        unplaced: list[str]
        unplaced, large, rests, strangers = await self._client.run(
            script("sift"), [self._keys.meta(damage.queue)], LARGE_BYTES, *words
        )
        damage.large.note(large)
        damage.rests.note(rests)
        damage.strangers.note(strangers)
        return unplaced

    async def _settle(self, damage: Damage, suspects: set[str]) -> None:
        """Note which of the suspects are in no state."""
        length = 0
        for name in LISTS if suspects else ():
            start = 0
            while True:
                if name in damage.keys:
                    break
                ids = await self._client.call(
                    "LRANGE", self._keys.of(damage.queue, name), start, start + PAGE - 1
                )
                suspects.difference_update(ids)
                start += len(ids)
                if len(ids) < PAGE:
                    break
            length += start
        # Numbers in their order: what has lost its place goes in line as it was added.
        in_order = sorted(suspects, key=lambda job_id: (len(job_id), job_id))
        for ids in batches(in_order, length):
            found = await self._client.run(
                script("strays"), [self._keys.meta(damage.queue)], self._moments.frozen(), *ids
            )
            for job_id, state in found:
                damage.note_stray(state, job_id)


def batches(ids: Iterable[str], length: int) -> Iterator[list[str]]:
    """Yield ids in batches that one script call can look for in lists of a length altogether."""
    size = max(1, min(BATCH, ENTRIES_AT_ONCE // max(1, length)))
    rest = iter(ids)
    while batch := list(islice(rest, size)):
        yield batch
