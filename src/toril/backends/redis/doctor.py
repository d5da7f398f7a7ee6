"""Checks a store on Redis: servers, rights, clocks, leases, damaged jobs, queues without workers.

Read next: `survey.py` (the jobs), `servers.py` (the servers).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from toril.backends import findings
from toril.backends.redis import rights, servers
from toril.backends.redis.client import Client, Script
from toril.backends.redis.client.server_info import parse_info
from toril.backends.redis.counts import RedisCounts
from toril.backends.redis.damage import leases
from toril.backends.redis.keys import Keys
from toril.backends.redis.moments import Moments
from toril.backends.redis.relatives import Relatives, connections
from toril.backends.redis.survey import Survey
from toril.backends.redis.workers import RedisWorkers
from toril.core.errors import StoreDeniedError
from toril.engine.contract.counts import QueueRecord
from toril.engine.contract.lifecycle import Finding, Health
from toril.engine.letters import is_letter
from toril.engine.states import READY

CLOCK_MS = 1_000
"""How far the host's clock may be from the server's."""
SHOWN = 10
"""Queues that one finding names."""


class Doctor:
    """Looks a store over; changes nothing."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        moments: Moments,
        counts: RedisCounts,
        workers: RedisWorkers,
        survey: Survey,
        relatives: Relatives,
    ) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments
        self._counts = counts
        self._workers = workers
        self._survey = survey
        self._relatives = relatives

    async def health(self) -> Health:
        """Return everything that is to be said, and what can be mended; `Lifecycle.check`."""
        found: list[Finding] = await self._rights()
        if any(finding.grade == "error" for finding in found):
            return Health(found, [])  # the rest could not be looked at
        for node in await self._client.nodes():
            try:
                info = parse_info(await node.call("INFO"), node.name)
            except StoreDeniedError:
                continue
            found += servers.findings(info)
            found.append(servers.persistence(info))
            found += servers.replication(info)
        found += await self._clock()
        misused = await self._misused()
        if misused:
            return Health(found + misused, [])  # without them no queue can be looked at
        names = await self._counts.search()
        found += self._unlisted(set(names).difference(await self._counts.listed()))
        scattered = [name for name in names if self._is_scattered(name)]
        found += self._slots(scattered)
        names = [name for name in names if name not in scattered]
        damages = await self._survey.check(names)
        found.append(leases(damages))
        for damage in damages:
            found += damage.findings()
        records = [await self._counts.queue(name) for name in names]
        queues = [record for record in records if record is not None]
        found += await self._served(queues)
        return Health(found, [repair for damage in damages for repair in damage.repairs()])

    async def _rights(self) -> list[Finding]:
        """Say what the user may not do."""

        async def run(script: Script, keys: Sequence[str], args: Sequence[str]) -> object:
            return await self._client.run(script, keys, *args)

        address = self._client.address
        await self._client.nodes()  # it is known then whether it is a Cluster
        return await rights.findings(
            run,
            self._keys.meta("toril"),
            clustered=self._client.clustered is True,
            db=address.db,
            user=address.username if address.credentials is None else "of redis_credentials",
        )

    async def _misused(self) -> list[Finding]:
        """Name the store's own keys, those of no queue, that hold what does not belong there."""
        found = []
        for key, wanted in ((self._keys.queues, "set"), (self._keys.workers, "hash")):
            kind = await self._client.call("TYPE", key)
            if kind in {wanted, "none"}:
                continue
            text = (
                f"it is a {kind} in place of a {wanted}, and no worker can start; look at what it"
                " holds, then remove it with DEL: workers write it anew"
            )
            found.append(Finding(f"key {key}", "error", text))
        return found

    def _unlisted(self, names: Collection[str]) -> list[Finding]:
        """Name the queues that only BullMQ has used: lists and metrics leave them out."""
        if not names:
            return []
        shown = ", ".join(sorted(names)[:SHOWN]) + (", …" if len(names) > SHOWN else "")
        text = (
            f"used by BullMQ alone, and so in no list and no metrics of Toril: {shown}. To have"
            " them there, run: toril queues --search"
        )
        return [Finding("register of queues", "warning", text)]

    def _is_scattered(self, queue: str) -> bool:
        """Whether the keys of a queue lie in several slots of a Cluster."""
        some = (self._keys.of(queue, name) for name in ("meta", "wait", "active", "events"))
        return len(set(map(self._client.slot, some))) > 1

    def _slots(self, scattered: Sequence[str]) -> list[Finding]:
        """Say whether queues can be used in a Cluster; nothing outside of one."""
        if not self._client.clustered:
            return []
        text = (
            "the keys of this queue lie in several slots, so that nothing can be done with it. Put"
            " braces around the prefix, as in ?prefix={jobs}, or around the queue's name"
        )
        found = [Finding(f"slots of {queue}", "error", text) for queue in scattered]
        return found or [Finding("slots", "ok", "the keys of each queue lie in one slot")]

    async def _clock(self) -> list[Finding]:
        if self._moments.frozen():
            return []
        before_ms = time.time() * 1000
        seconds, microseconds = await self._client.call("TIME")
        here_ms = (before_ms + time.time() * 1000) / 2
        apart_ms = round(abs(int(seconds) * 1000 + int(microseconds) / 1000 - here_ms))
        if apart_ms > CLOCK_MS:
            text = (
                f"this host and the server are {apart_ms} ms apart: delays given by Node workers,"
                " which go by their own clock, are off. Run NTP on both"
            )
            return [Finding("clock", "warning", text)]
        return [Finding("clock", "ok", f"{apart_ms} ms from the server's")]

    async def _served(self, queues: Sequence[QueueRecord]) -> list[Finding]:
        """Say who uses each queue beside us, and which have jobs in line and no worker."""
        served: dict[str, set[str]] = {}
        for worker in await self._workers.list():
            for queue in worker.queues:
                served.setdefault(queue, set()).add(worker.id)
        shown = await connections(self._client)
        found = await self._relatives.findings(queues, shown or [], served)
        prefix, db = self._keys.prefix, self._client.address.db
        theirs = {one.queue for one in shown or [] if (one.prefix, one.db) == (prefix, db)}
        return found + await self._unserved(queues, served.keys() | theirs)

    async def _unserved(
        self, queues: Sequence[QueueRecord], served: Collection[str]
    ) -> list[Finding]:
        """Queues that have jobs in line, and no worker: neither ours nor Node's."""
        found = []
        for queue in queues:
            waiting = sum(queue.counts[state] for state in READY)
            if queue.paused or not waiting or queue.name in served:
                continue
            if await self._holds_letters(queue.name):  # nobody is meant to work them
                continue
            found.append(findings.unserved(queue.name, waiting, served))
        return found

    async def _holds_letters(self, queue: str) -> bool:
        """Whether the next job in line is a letter. A key of another type is a finding of its own.

        Its type is asked first: Redis refuses to look into what is of another one.
        """
        line, ranks = self._keys.of(queue, "wait"), self._keys.of(queue, "prioritized")
        if await self._client.call("TYPE", line) == "list":
            found: list[str] = await self._client.call("LRANGE", line, -1, -1)
        elif await self._client.call("TYPE", ranks) == "zset":
            found = await self._client.call("ZRANGE", ranks, 0, 0)
        else:
            return False
        return any(map(is_letter, found))
