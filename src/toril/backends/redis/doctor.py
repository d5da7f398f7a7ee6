"""Looks a store on Redis over: servers, clocks, leases, orphans, queues that nobody serves."""

from __future__ import annotations

import time
from collections.abc import Sequence

from toril.backends.redis import servers
from toril.backends.redis.client import Client
from toril.backends.redis.counts import RedisCounts
from toril.backends.redis.keys import Keys
from toril.backends.redis.moments import Moments
from toril.backends.redis.scripts import script
from toril.backends.redis.server_info import parse_info
from toril.backends.redis.workers import RedisWorkers
from toril.core.errors import BackendError
from toril.engine.contract.counts import QueueRecord
from toril.engine.contract.lifecycle import Finding
from toril.engine.states import READY, State

LOOK_CHUNK = 500
"""Jobs in one call: about 2 ms of the server's time."""
LOOK_AT_MOST = 10_000
"""Jobs of each state of a queue that are looked at."""
LARGE_BYTES = 1 << 20
"""A payload above this slows every command beside it."""
CLOCK_MS = 1_000
"""How far the host's clock may be from the server's."""


class Doctor:
    """Looks a store over; changes nothing."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        moments: Moments,
        counts: RedisCounts,
        workers: RedisWorkers,
    ) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments
        self._counts = counts
        self._workers = workers

    async def findings(self) -> list[Finding]:
        """Return everything that is to be said."""
        found: list[Finding] = []
        for node in await self._client.nodes():
            info = parse_info(await node.call("INFO"), node.name)
            found += servers.findings(info)
            found.append(servers.persistence(info))
            found += servers.replication(info)
        found += await self._clock()
        queues = await self._counts.queues()
        surveys = [await self._survey(queue) for queue in queues]
        found.append(_leases([one for survey in surveys for one in survey.unlocked]))
        for survey in surveys:
            found += survey.findings()
        return found + await self._unserved(queues)

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

    async def _survey(self, queue: QueueRecord) -> _Survey:
        survey = _Survey(queue.name)
        for state in State:
            start, looked = 0, LOOK_CHUNK
            while looked == LOOK_CHUNK and start < LOOK_AT_MOST:
                missing, unlocked, large, looked = await self._client.run(
                    script("survey"),
                    [self._keys.meta(queue.name)],
                    state,
                    start,
                    LOOK_CHUNK,
                    LARGE_BYTES,
                )
                survey.missing += missing
                survey.unlocked += [f"{queue.name}/{job_id}" for job_id in unlocked]
                survey.large += large
                start += looked
        return survey

    async def _unserved(self, queues: Sequence[QueueRecord]) -> list[Finding]:
        """Queues that have jobs in line, and no worker: neither ours nor Node's."""
        served = {queue for worker in await self._workers.list() for queue in worker.queues}
        names: set[str] = set()
        try:
            for node in await self._client.nodes():
                clients = await node.call("CLIENT", "LIST")
                names |= {word for word in clients.split() if word.startswith("name=")}
        except BackendError:  # not every user may ask
            names = set()
        found = []
        for queue in queues:
            waiting = sum(queue.counts[state] for state in READY)
            node_name = f"name={self._keys.client_name(queue.name, '')}".removesuffix(":w:")
            if not waiting or queue.name in served:
                continue
            if any(name == node_name or name.startswith(f"{node_name}:w:") for name in names):
                continue
            text = (
                f"jobs in line: {waiting}, and no worker serves the queue; start one with"
                f" --queues {queue.name}, or look for a misspelt name"
            )
            found.append(Finding(f"queue {queue.name}", "warning", text))
        return found


class _Survey:
    """What is odd about the jobs of one queue."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        self.missing: list[str] = []
        self.unlocked: list[str] = []
        self.large: list[str] = []

    def findings(self) -> list[Finding]:
        """Return what is to be said."""
        found = []
        if self.missing:
            text = (
                f"ids in line whose job is gone: {_some(self.missing)}; workers pass over them when"
                " they come to them"
            )
            found.append(Finding(f"orphans of {self.queue}", "warning", text))
        if self.large:
            text = (
                f"payloads above {LARGE_BYTES >> 20} MiB: {_some(self.large)}; store the data"
                " elsewhere and pass its address"
            )
            found.append(Finding(f"payloads of {self.queue}", "warning", text))
        return found


def _leases(unlocked: list[str]) -> Finding:
    if unlocked:
        text = (
            f"jobs whose lease has ended: {_some(unlocked)}; the next worker that starts takes them"
            " back"
        )
        return Finding("leases", "warning", text)
    return Finding("leases", "ok", "every running job is held by a live lease")


def _some(ids: Sequence[str]) -> str:
    shown = ", ".join(ids[:3])
    return f"{len(ids)} ({shown}{', …' if len(ids) > 3 else ''})"
